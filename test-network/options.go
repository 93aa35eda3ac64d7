package testnetwork

import (
	"context"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/test-network/binaries"
	"github.com/datanet-consortium/datanet/test-network/process"
)

// Options say what network to run and with which programs.
type Options struct {
	// Dir is the state folder. It may be absent, empty or that of a network that was stopped, which is then resumed.
	Dir string
	// Topology is the consortium to found. Nil resumes the network in Dir; a network in Dir that was founded with
	// another topology is an error.
	Topology *network.Topology
	// Binaries are the Fabric programs; nil has the pinned ones built, or taken from the cache.
	Binaries *binaries.Set
	// Chaincode is the path of the chaincode program, ChaincodeOf that of single organisations by MSP ID.
	Chaincode   string
	ChaincodeOf map[string]string
	// Builder is the path of the program ccaas-builder.
	Builder string
	// Gateway is the path of the program datanet, as which each organisation's gateway is started. "" starts none.
	Gateway string
	// TimeWindow, if not 0, takes the place of the topology's.
	TimeWindow time.Duration
	// Progress is told what happens, a short sentence at a time. It may be nil, and is called by one goroutine at a time.
	Progress func(string)
	// Building is told how far the build of the Fabric programs is. If it is nil, Progress hears of it now and then.
	Building func(binaries.Progress)
	// JoinLedger brings an organisation that has become a member of the channel onto the ledger's own list of members. It
	// may be called again for one that is there already. Nil leaves the ledger alone.
	JoinLedger func(ctx context.Context, state *State, mspID string) error
	// OnExit is told of every process that ends without being asked to. It may be nil.
	OnExit func(*process.ExitError)
}

func (o *Options) timeWindow(t *network.Topology) time.Duration {
	if o.TimeWindow != 0 {
		return o.TimeWindow
	}
	return t.TimeWindow
}

func (o *Options) chaincodeOf(mspID string) string {
	if program := o.ChaincodeOf[mspID]; program != "" {
		return program
	}
	return o.Chaincode
}

// building is what hears of the build of the Fabric programs.
func (o *Options) building() func(binaries.Progress) {
	if o.Building != nil {
		return o.Building
	}
	last := ""
	return func(p binaries.Progress) {
		text := p.Stage
		if p.Total > 0 {
			text = fmt.Sprintf("%s: %d %%", p.Stage, p.Done*10/p.Total*10)
		}
		if text != last {
			o.Progress(text)
		}
		last = text
	}
}
