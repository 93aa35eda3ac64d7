package main

import (
	"fmt"
	"time"

	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// cpuUse is processor time by kind of process.
type cpuUse map[testnetwork.Kind]time.Duration

func (u cpuUse) total() (sum time.Duration) {
	for _, t := range u {
		sum += t
	}
	return sum
}

func (u cpuUse) minus(v cpuUse) cpuUse {
	difference := cpuUse{}
	for kind := range u {
		difference[kind] = u[kind] - v[kind]
	}
	return difference
}

// cpu is what the network's processes have used up to now.
func (c *consortium) cpu() (cpuUse, error) {
	use := cpuUse{}
	for pid, kind := range c.pids {
		t, err := cpuTime(pid)
		if err != nil {
			return nil, err
		}
		use[kind] += t
	}
	return use, nil
}

func (u cpuUse) String() string {
	return fmt.Sprintf("peers %.1f, orderers %.1f, chaincode %.1f",
		u[testnetwork.Peer].Seconds(), u[testnetwork.Orderer].Seconds(), u[testnetwork.Chaincode].Seconds())
}
