package network

import (
	"cmp"
	"time"
)

// loopback is where nodes listen unless the topology says otherwise: a
// consortium is open to other machines only on purpose.
const loopback = "127.0.0.1"

// ApplyDefaults fills in what was left out. It changes no value that was
// given, so applying it twice is applying it once.
func (t *Topology) ApplyDefaults() {
	setDefault(&t.Name, "datanet")
	setDefault(&t.Channel, "datanet")
	for i := range t.Members {
		t.Members[i].ApplyDefaults(MemberUsers)
	}
	t.Regulator.ApplyDefaults(RegulatorUsers)
	t.Ordering.applyDefaults()
	setDefault(&t.Chaincode.Name, "datanet")
	setDefault(&t.Chaincode.Version, "1.0")
	setDefault(&t.Chaincode.Sequence, 1)
	setDefault(&t.TimeWindow, 15*time.Minute)
}

// ApplyDefaults completes one organisation; users says who it enrols if its
// list is absent.
func (o *Organization) ApplyDefaults(users func() []User) {
	setDefault(&o.Domain, defaultDomain(o.Name))
	setDefault(&o.Keys, Ed25519)
	setDefault(&o.Peer.Host, loopback)
	setDefault(&o.ChaincodeService.Host, o.Peer.Host)
	setDefault(&o.Gateway.Host, o.Peer.Host)
	if o.Users == nil {
		o.Users = users()
	}
}

func (o *Ordering) applyDefaults() {
	setDefault(&o.Type, ConsensusBFT)
	for i := range o.Operators {
		op := &o.Operators[i]
		setDefault(&op.Domain, defaultDomain(op.Name))
		setDefault(&op.Orderer.Host, loopback)
	}

	setDefault(&o.Batch.Timeout, 250*time.Millisecond)
	setDefault(&o.Batch.MaxMessages, 200)
	setDefault(&o.Batch.PreferredBytes, 2<<20)
	setDefault(&o.Batch.AbsoluteBytes, 10<<20)

	setDefault(&o.BFT.RequestBatchMaxInterval, 50*time.Millisecond)
	setDefault(&o.BFT.RequestForwardTimeout, 2*time.Second)
	setDefault(&o.BFT.RequestComplainTimeout, 10*time.Second)
	setDefault(&o.BFT.RequestAutoRemoveTimeout, 3*time.Minute)
	setDefault(&o.BFT.ViewChangeResendInterval, 500*time.Millisecond)
	setDefault(&o.BFT.ViewChangeTimeout, 3*time.Second)
	setDefault(&o.BFT.LeaderHeartbeatTimeout, 2*time.Second)
	setDefault(&o.BFT.LeaderHeartbeatCount, 10)
	setDefault(&o.BFT.CollectTimeout, 200*time.Millisecond)
	setDefault(&o.BFT.IncomingMessageBufferSize, 200)
	setDefault(&o.BFT.RequestPoolSize, 10_000)

	setDefault(&o.Raft.TickInterval, 100*time.Millisecond)
	setDefault(&o.Raft.ElectionTick, 10)
	setDefault(&o.Raft.HeartbeatTick, 1)
	setDefault(&o.Raft.MaxInflightBlocks, 5)
	setDefault(&o.Raft.SnapshotIntervalSize, 16<<20)
}

// defaultDomain is under a top-level domain that is reserved and can never
// resolve to somebody else's host.
func defaultDomain(name string) string {
	if name == "" {
		return ""
	}
	return name + ".example"
}

func setDefault[T comparable](field *T, value T) { *field = cmp.Or(*field, value) }
