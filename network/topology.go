// Package network describes a Datanet consortium as Go values: who its
// members are, who regulates it, who orders its blocks, and the settings that
// all of them must share.
//
// A [Topology] begins as one YAML file, is decoded strictly, completed with
// defaults and validated as a whole. From it the packages below derive
// everything else: pki the certificates, channel the genesis block with its
// policies, lifecycle the joining of nodes and the chaincode definition.
// Nothing here opens a socket or knows whether the consortium runs on one
// machine or on its members' own hosts.
package network

import (
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Version is the only schema version that this package reads and writes.
const Version = 1

// Topology is a consortium with one channel and one chaincode.
type Topology struct {
	// Version is the schema version of the file, always 1.
	Version int `yaml:"version"`

	// Name of the consortium, a DNS label.
	Name string `yaml:"name"`

	// Channel is the name of the channel, as Fabric limits it: lower-case
	// letters, digits, dots and hyphens, beginning with a letter.
	Channel string `yaml:"channel"`

	// Members endorse and govern. A majority of them approves whatever binds
	// the consortium.
	Members []Organization `yaml:"members"`

	// Regulator holds the whole ledger and may query it. It neither endorses
	// nor writes, apart from its own approval of the chaincode definition.
	Regulator Organization `yaml:"regulator"`

	// Ordering says who orders the blocks, and how.
	Ordering Ordering `yaml:"ordering"`

	// Chaincode is the definition that the members approve.
	Chaincode Chaincode `yaml:"chaincode"`

	// TimeWindow is the greatest distance between the time in a proposal and
	// an endorser's own clock. Every peer enforces it.
	TimeWindow time.Duration `yaml:"timeWindow"`
}

// Organization is a member or the regulator. It has a peer, a chaincode
// process and certificate authorities of its own.
type Organization struct {
	// Name is a DNS label, unique in the consortium. It names the
	// organisation's folders and processes and its group in the channel
	// configuration.
	Name string `yaml:"name"`

	// MSPID identifies the organisation on the ledger, for ever.
	MSPID string `yaml:"mspId"`

	// Domain is the DNS domain of the organisation's nodes.
	Domain string `yaml:"domain"`

	// Keys is the algorithm of the organisation's identities. TLS
	// certificates are always ECDSA P-256.
	Keys KeyAlgorithm `yaml:"keys"`

	Peer             Peer     `yaml:"peer"`
	ChaincodeService Endpoint `yaml:"chaincodeService"`
	// Gateway serves the organisation's people, and other members' gateways.
	Gateway Endpoint `yaml:"gateway"`

	// Users are the enrolled people and programs of the organisation, its
	// administrator apart. Left out, they are those of [MemberUsers] or
	// [RegulatorUsers]; an empty list means nobody.
	Users []User `yaml:"users"`
}

// Peer is where an organisation's peer listens. A port of 0 is chosen by the
// system when the peer is started.
type Peer struct {
	// Host is the address or name at which other nodes reach the peer.
	Host string `yaml:"host"`
	// Port serves the gateway, endorsement, delivery and gossip.
	Port int `yaml:"port"`
	// ChaincodePort accepts chaincode that dials the peer. Datanet's does
	// not, but a peer always opens it.
	ChaincodePort int `yaml:"chaincodePort"`
	// OperationsPort serves health and metrics.
	OperationsPort int `yaml:"operationsPort"`
}

// Endpoint is an address of one listener.
type Endpoint struct {
	Host string `yaml:"host"`
	Port int    `yaml:"port"`
}

// User is a person or program that an organisation's authority has enrolled.
type User struct {
	// Name is the enrolment id. With the MSP ID it is the account on the
	// ledger, so for people it must be a pseudonym.
	Name string `yaml:"name"`
	// Roles are what the certificate attribute datanet.roles will say.
	Roles []Role `yaml:"roles"`
}

// Ordering describes the ordering service. Its organisations are separate
// from the members', with authorities of their own whose keys are ECDSA:
// consenters cannot have Ed25519 keys, while members may.
type Ordering struct {
	Type      Consensus  `yaml:"type"`
	Operators []Operator `yaml:"operators"`
	Batch     Batch      `yaml:"batch"`
	// BFT applies if the type is bft.
	BFT BFT `yaml:"bft"`
	// Raft applies if the type is raft.
	Raft Raft `yaml:"raft"`
}

// Operator is an ordering organisation that runs one orderer.
type Operator struct {
	Name    string  `yaml:"name"`
	MSPID   string  `yaml:"mspId"`
	Domain  string  `yaml:"domain"`
	Orderer Orderer `yaml:"orderer"`
}

// Orderer is where an operator's orderer listens. A port of 0 is chosen by
// the system when the orderer is started for the first time.
type Orderer struct {
	Host string `yaml:"host"`
	// Port serves broadcast, delivery and the traffic between orderers.
	Port int `yaml:"port"`
	// AdminPort serves the channel participation API.
	AdminPort int `yaml:"adminPort"`
	// OperationsPort serves health and metrics.
	OperationsPort int `yaml:"operationsPort"`
}

// Batch decides when a block is cut.
type Batch struct {
	// Timeout is the longest that a transaction waits for company. BFT
	// ignores it in favour of its own RequestBatchMaxInterval.
	Timeout time.Duration `yaml:"timeout"`
	// MaxMessages is the largest number of transactions in a block.
	MaxMessages uint32 `yaml:"maxMessages"`
	// PreferredBytes is the size at which a block is cut early. BFT ignores
	// it.
	PreferredBytes uint32 `yaml:"preferredBytes"`
	// AbsoluteBytes is the largest block, and so the largest transaction.
	AbsoluteBytes uint32 `yaml:"absoluteBytes"`
}

// BFT tunes SmartBFT. The defaults replace a dead leader in about two
// seconds, where SmartBFT's own take 22 and more.
type BFT struct {
	// RequestBatchMaxInterval is the longest that a transaction waits for
	// company.
	RequestBatchMaxInterval time.Duration `yaml:"requestBatchMaxInterval"`
	// RequestForwardTimeout is how long a follower waits before it forwards
	// a request to the leader.
	RequestForwardTimeout time.Duration `yaml:"requestForwardTimeout"`
	// RequestComplainTimeout is how long it then waits before it complains
	// about the leader. A leader that cannot keep up is no better for being
	// replaced: if transactions wait that long, the orderers do little else.
	RequestComplainTimeout time.Duration `yaml:"requestComplainTimeout"`
	// RequestAutoRemoveTimeout is when it gives the request up.
	RequestAutoRemoveTimeout time.Duration `yaml:"requestAutoRemoveTimeout"`
	ViewChangeResendInterval time.Duration `yaml:"viewChangeResendInterval"`
	// ViewChangeTimeout is when a first attempt to replace the leader counts
	// as failed; the nth attempt in a row has n times as long.
	ViewChangeTimeout time.Duration `yaml:"viewChangeTimeout"`
	// LeaderHeartbeatTimeout is the silence after which a leader counts as
	// dead; it sends LeaderHeartbeatCount heartbeats in that time.
	LeaderHeartbeatTimeout time.Duration `yaml:"leaderHeartbeatTimeout"`
	LeaderHeartbeatCount   uint64        `yaml:"leaderHeartbeatCount"`
	// CollectTimeout is how long a starting orderer asks the others for
	// their state.
	CollectTimeout time.Duration `yaml:"collectTimeout"`
	// IncomingMessageBufferSize is a number of protocol messages.
	IncomingMessageBufferSize uint64 `yaml:"incomingMessageBufferSize"`
	// RequestPoolSize is the number of transactions that may wait; further
	// ones are refused after a while.
	RequestPoolSize uint64 `yaml:"requestPoolSize"`
}

// Raft tunes etcdraft.
type Raft struct {
	// TickInterval is the unit of the other two.
	TickInterval time.Duration `yaml:"tickInterval"`
	// ElectionTick is the number of ticks of silence after which a follower
	// stands for election.
	ElectionTick uint32 `yaml:"electionTick"`
	// HeartbeatTick is the number of ticks between heartbeats.
	HeartbeatTick uint32 `yaml:"heartbeatTick"`
	// MaxInflightBlocks is how many blocks may be proposed and not decided.
	MaxInflightBlocks uint32 `yaml:"maxInflightBlocks"`
	// SnapshotIntervalSize is the number of bytes between snapshots.
	SnapshotIntervalSize uint32 `yaml:"snapshotIntervalSize"`
}

// Chaincode is the chaincode definition of the channel. Its endorsement
// policy is the channel's /Channel/Application/Endorsement.
type Chaincode struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	// Sequence counts the definitions, from 1.
	Sequence int64 `yaml:"sequence"`
}

// KeyAlgorithm is the signature algorithm of identities.
type KeyAlgorithm string

const (
	Ed25519   KeyAlgorithm = "ed25519"
	ECDSAP256 KeyAlgorithm = "ecdsa-p256"
)

// Consensus is the algorithm of the ordering service.
type Consensus string

const (
	// ConsensusBFT is SmartBFT: n orderers survive ⌊(n−1)/3⌋ that lie.
	ConsensusBFT Consensus = "bft"
	// ConsensusRaft is etcdraft: n orderers survive ⌊(n−1)/2⌋ that stop.
	ConsensusRaft Consensus = "raft"
)

// MinBFTOrderers is the smallest number of orderers that survives one liar.
const MinBFTOrderers = 4

// Organizations lists the members in the order of the file, then the
// regulator. Changes made through the pointers change the topology.
func (t *Topology) Organizations() []*Organization {
	orgs := make([]*Organization, 0, len(t.Members)+1)
	for i := range t.Members {
		orgs = append(orgs, &t.Members[i])
	}
	return append(orgs, &t.Regulator)
}

// Organization returns the member or regulator with the MSP ID.
func (t *Topology) Organization(mspID string) (*Organization, bool) {
	for _, org := range t.Organizations() {
		if org.MSPID == mspID {
			return org, true
		}
	}
	return nil, false
}

// MemberMSPIDs lists the members' MSP IDs in the order of the file.
func (t *Topology) MemberMSPIDs() []string {
	ids := make([]string, len(t.Members))
	for i, m := range t.Members {
		ids[i] = m.MSPID
	}
	return ids
}

// Majority is the smallest number that is more than half of n members.
func Majority(n int) int { return ledger.Majority(n) }
