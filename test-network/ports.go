package testnetwork

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"

	"github.com/datanet-consortium/datanet/network"
)

// ports are the ports chosen for listeners whose port the topology leaves open. They are kept for good: the genesis
// block names the orderers' and the chaincode packages those of the chaincode processes.
type ports map[string]int

// portKey names a listener in ports. A new chaincode definition gets new processes, which run beside the old ones until
// it is committed, so its sequence is part of the name.
func portKey(listener network.Listener, chaincode network.Chaincode) string {
	key := listener.Node + "/" + string(listener.Use)
	if serves(listener) && chaincode.Sequence > 1 {
		key += "@" + strconv.FormatInt(chaincode.Sequence, 10)
	}
	return key
}

// serves tells whether a listener is that of a chaincode process.
func serves(listener network.Listener) bool {
	return listener.Use == network.UseChaincode && kindOf(listener.Node) == Chaincode
}

func (f folder) readPorts() (ports, error) {
	content, err := readFile(f.ports())
	if errors.Is(err, os.ErrNotExist) {
		return ports{}, nil
	}
	if err != nil {
		return nil, err
	}
	var known ports
	if err := json.Unmarshal(content, &known); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): run \"datanet network down --clean\" and begin anew", f.ports(), err)
	}
	for key, port := range known {
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("%s is damaged (%s: %d is not a port): run \"datanet network down --clean\" and begin anew", f.ports(), key, port)
		}
	}
	return known, nil
}

// resolve fills in the ports of the topology: those known, and new ones where there is none yet, which it remembers.
func (f folder) resolve(t *network.Topology) error {
	known, err := f.readPorts()
	if err != nil {
		return err
	}
	if known == nil {
		known = ports{}
	}
	choose := newChooser()
	for _, port := range known {
		choose.taken[port] = true
	}
	chosen := false
	for _, listener := range t.Listeners() {
		// Both generations of a chaincode process cannot have the port that the topology names.
		if *listener.Port != 0 && !(serves(listener) && t.Chaincode.Sequence > 1) {
			continue
		}
		key := portKey(listener, t.Chaincode)
		if known[key] == 0 {
			if known[key], err = choose.port(listener.Host); err != nil {
				return fmt.Errorf("find a port for %s: %w", key, err)
			}
			chosen = true
		}
		*listener.Port = known[key]
	}
	if !chosen {
		return nil
	}
	content, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the ports: %w", err)
	}
	return writeFile(f.ports(), content)
}

// chooser chooses ports one after another from a random place on: nodes listen only some time after their ports were chosen,
// and two networks that start at the same time mostly choose apart so.
type chooser struct {
	next  int
	taken map[int]bool
}

func newChooser() *chooser { return &chooser{rand.IntN(highestPort - lowestPort), map[int]bool{}} }

// port finds a port that is free now and not taken, and takes it.
func (c *chooser) port(host string) (int, error) {
	var last error
	for range highestPort - lowestPort {
		port := lowestPort + c.next
		c.next = (c.next + 1) % (highestPort - lowestPort)
		if c.taken[port] {
			continue
		}
		if last = probePort(host, port); last == nil {
			c.taken[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port of %s between %d and %d is free: %w", host, lowestPort, highestPort, last)
}

// probePort fails if a port cannot be listened on.
func probePort(host string, port int) error {
	listener, err := net.Listen("tcp", network.HostPort(host, port))
	if err != nil {
		return err
	}
	return listener.Close()
}

// checkPorts fails if a listener's port is taken, naming all that are.
func checkPorts(listeners []network.Listener) error {
	var faults []error
	for _, listener := range listeners {
		if err := probePort(listener.Host, *listener.Port); err != nil {
			faults = append(faults, fmt.Errorf("port %d, which is for the %s listener of %s, cannot be used (%w): stop the program that has it, then start the network again",
				*listener.Port, listener.Use, listener.Node, err))
		}
	}
	return errors.Join(faults...)
}
