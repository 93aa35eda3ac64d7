// Package verifytest makes ledgers as a real network leaves them, with the signatures of everyone who must sign, out of
// what the in-memory ledger commits. They serve the verifier's tests and, where a real network would take too long, its
// benchmark.
package verifytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/protoutil"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/channel"
	"github.com/datanet-consortium/datanet/network/pki"
)

// Network is a channel with all its keys. Its methods panic on what cannot be made, which is a defect of the test.
type Network struct {
	Topology *network.Topology
	Material *pki.Material
	// Took is given each block.
	Took func(*common.Block)

	guard    sync.Mutex
	signers  map[string]*pki.Identity
	nonces   map[string][]byte // by transaction id, of proposals that are not in a block yet
	count    uint64
	previous *common.BlockHeader
	replayed *replay.Replayer
	commit   []byte
}

// First is the number of the first block that an in-memory ledger commits: before it are the genesis block and the one
// that defines the chaincode.
const First = 2

// New makes the keys of a topology in a folder, and a channel's first two blocks.
func New(dir, topology string, members []string, regulator string, took func(*common.Block)) (*Network, error) {
	t, err := network.Parse(bytes.NewReader([]byte(topology)), "topology")
	if err != nil {
		return nil, err
	}
	for i, msp := range members {
		t.Members[i].MSPID = msp
	}
	t.Regulator.MSPID = regulator
	port := 7050
	for _, l := range t.Listeners() {
		if *l.Port == 0 {
			port++
			*l.Port = port // nobody listens there
		}
	}
	n := &Network{Topology: t, Took: took, signers: map[string]*pki.Identity{}, nonces: map[string][]byte{}, replayed: replay.New(t.Chaincode.Name)}
	if n.Material, err = pki.Ensure(dir, t); err != nil {
		return nil, err
	}
	genesis, err := channel.GenesisBlock(t, n.Material)
	if err != nil {
		return nil, err
	}
	genesis.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = []byte{byte(peer.TxValidationCode_VALID)}
	n.apply(genesis, genesis.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER])
	n.add([][]byte{n.definition()}, []byte{byte(peer.TxValidationCode_VALID)})
	return n, nil
}

// Config makes an in-memory ledger commit to the channel.
func (n *Network) Config() memledger.Config {
	return memledger.Config{Channel: n.Topology.Channel, Members: n.Topology.MemberMSPIDs(), First: First, Name: n.name, Committed: n.committed}
}

// name is the id that Fabric gives a proposal.
func (n *Network) name(p memledger.Proposal) string {
	creator := n.creator(p.Caller)
	n.guard.Lock()
	defer n.guard.Unlock()
	n.count++
	nonce := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("nonce"), n.count))
	id := protoutil.ComputeTxID(nonce[:24], creator)
	n.nonces[id] = nonce[:24]
	return id
}

// committed adds a block of the in-memory ledger.
func (n *Network) committed(b *memledger.Block) {
	envelopes, verdicts := make([][]byte, len(b.Envelopes)), make([]byte, len(b.Envelopes))
	var all errgroup.Group
	for i, e := range b.Envelopes {
		verdicts[i] = byte(peer.TxValidationCode_value[string(b.Flags[i])])
		all.Go(func() error {
			envelopes[i] = n.envelope(e)
			return nil
		})
	}
	_ = all.Wait() // they return none
	if block := n.add(envelopes, verdicts); block.Header.Number != b.Number {
		panic(fmt.Sprintf("verifytest: block %d where %d is due", b.Number, block.Header.Number))
	}
}

// add makes a block as orderers and a peer do.
func (n *Network) add(envelopes [][]byte, verdicts []byte) *common.Block {
	b := protoutil.NewBlock(n.previous.Number+1, protoutil.BlockHeaderHash(n.previous))
	b.Data.Data = envelopes
	b.Header.DataHash = protoutil.ComputeBlockDataHash(b.Data)
	b.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = verdicts
	value := marshal(&common.OrdererBlockMetadata{LastConfig: &common.LastConfig{Index: 0}})
	metadata := &common.Metadata{Value: value}
	operators := n.Topology.Ordering.Operators
	signatures := 1
	if n.Topology.Ordering.Type == network.ConsensusBFT {
		signatures = len(operators) - (len(operators)-1)/3
	}
	for _, o := range operators[:signatures] {
		id := n.orderer(o.MSPID)
		header := marshal(&common.SignatureHeader{Creator: serialize(id), Nonce: []byte{1}})
		metadata.Signatures = append(metadata.Signatures, &common.MetadataSignature{SignatureHeader: header,
			Signature: sign(id, value, header, protoutil.BlockHeaderBytes(b.Header))})
	}
	b.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES] = marshal(metadata)
	n.apply(b, verdicts)
	return b
}

// apply gives a block the commit hash that a peer writes.
func (n *Network) apply(b *common.Block, verdicts []byte) {
	prepared, err := n.replayed.Prepare(b)
	if err != nil {
		panic(err)
	}
	changes, err := n.replayed.Apply(prepared)
	if err != nil {
		panic(err)
	}
	if differences := n.replayed.Report().Differences; len(differences) > 0 {
		panic(fmt.Sprint("verifytest: ", differences))
	}
	if b.Header.Number > 0 {
		n.commit = replay.CommitHash(n.commit, verdicts, changes)
		b.Metadata.Metadata[common.BlockMetadataIndex_COMMIT_HASH] = marshal(&common.Metadata{Value: n.commit})
	}
	n.previous = b.Header
	n.Took(b)
}

func (n *Network) creator(c ledger.Caller) []byte { return serialize(n.user(c)) }

// user is a caller's identity, certified with its roles when it is first needed; the regulator's are in the topology.
func (n *Network) user(c ledger.Caller) *pki.Identity {
	return n.signer(string(c.Account()), func() (*pki.Identity, error) {
		org, _ := n.Topology.Organization(c.MSP)
		material, err := n.Material.Organization(c.MSP)
		if err != nil {
			return nil, err
		}
		if c.MSP == n.Topology.Regulator.MSPID {
			return material.User(c.Enrolment)
		}
		return material.Enrol(network.User{Name: c.Enrolment, Roles: c.Roles}, org.Keys)
	})
}

func (n *Network) peer(msp string) *pki.Identity {
	return n.signer("peer "+msp, func() (*pki.Identity, error) {
		material, err := n.Material.Organization(msp)
		if err != nil {
			return nil, err
		}
		return pki.LoadIdentity(material.Peer().MSPDir, msp)
	})
}

func (n *Network) orderer(msp string) *pki.Identity {
	return n.signer("orderer "+msp, func() (*pki.Identity, error) {
		material, err := n.Material.Organization(msp)
		if err != nil {
			return nil, err
		}
		return pki.LoadIdentity(material.Orderer().MSPDir, msp)
	})
}

func (n *Network) signer(name string, load func() (*pki.Identity, error)) *pki.Identity {
	n.guard.Lock()
	defer n.guard.Unlock()
	if known, ok := n.signers[name]; ok {
		return known
	}
	id, err := load()
	if err != nil {
		panic(err)
	}
	n.signers[name] = id
	return id
}

func serialize(id *pki.Identity) []byte {
	data, err := id.Serialize()
	if err != nil {
		panic(err)
	}
	return data
}

func sign(id *pki.Identity, parts ...[]byte) []byte {
	signature, err := id.Sign(bytes.Join(parts, nil))
	if err != nil {
		panic(err)
	}
	return signature
}

func marshal(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}
