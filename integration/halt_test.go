package integration_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/common/policydsl"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/audit/verify"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/integration/story"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/lifecycle"
	"github.com/datanet-consortium/datanet/network/pki"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/binaries"
)

var unmodified = flag.String("unmodified", "", "folder of Fabric's own programs, on which to show the halts that docs/fabric-limits.md describes")

// hostile is a transaction that no peer of this network has endorsed, at least not for this block, and that every peer
// finds invalid.
type hostile struct {
	claim string
	flag  peer.TxValidationCode
	// make returns it, aimed at the approval of a proposal: proposed is the id of the transaction that made the
	// proposal, and slot the key that the approval is about to write.
	make func(t *testing.T, c *consortium, proposed string, slot ledger.Key) *common.Envelope
}

var hostileTransactions = []hostile{
	{"the proposal again, sent by somebody who may only read", peer.TxValidationCode_DUPLICATE_TXID,
		func(t *testing.T, c *consortium, proposed string, _ ledger.Key) *common.Envelope {
			if c.topology.Ordering.Type == network.ConsensusBFT {
				c.restart(t, testnetwork.Orderer) // they know the last thousand transactions until then
			}
			return c.envelope(t, story.User{Name: "inspector1", MSP: regulator}, proposed)
		}},
	{"a wrong transaction id over a policy for the slot", peer.TxValidationCode_BAD_PROPOSAL_TXID,
		func(t *testing.T, c *consortium, _ string, slot ledger.Key) *common.Envelope {
			return c.unendorsed(t, forgery{results: policyFor(t, "datanet", slot), id: "0123"})
		}},
	{"bytes that are no transaction", peer.TxValidationCode_INVALID_ENDORSER_TRANSACTION,
		func(t *testing.T, c *consortium, _ string, slot ledger.Key) *common.Envelope {
			return c.unendorsed(t, forgery{data: []byte("no transaction")})
		}},
	{"a transaction without an action", peer.TxValidationCode_INVALID_ENDORSER_TRANSACTION,
		func(t *testing.T, c *consortium, _ string, slot ledger.Key) *common.Envelope {
			return c.unendorsed(t, forgery{data: []byte{}})
		}},
	{"an action without content", peer.TxValidationCode_INVALID_ENDORSER_TRANSACTION,
		func(t *testing.T, c *consortium, _ string, slot ledger.Key) *common.Envelope {
			return c.unendorsed(t, forgery{empty: true})
		}},
	{"another chaincode named inside than outside, over a policy for the slot", peer.TxValidationCode_INVALID_CHAINCODE,
		func(t *testing.T, c *consortium, _ string, slot ledger.Key) *common.Envelope {
			return c.unendorsed(t, forgery{results: policyFor(t, "datanet", slot), inner: "other"})
		}},
	{"writes of many chaincodes that do not exist beside a policy for the slot", peer.TxValidationCode_INVALID_CHAINCODE,
		func(t *testing.T, c *consortium, _ string, slot ledger.Key) *common.Envelope {
			results := policyFor(t, "datanet", slot)
			for i := range 40 { // unmodified Fabric looks at them in random order, up to the first that is wrong
				results.NsRwset = append(results.NsRwset, policyFor(t, fmt.Sprintf("absent%d", i), "key").NsRwset...)
			}
			return c.unendorsed(t, forgery{results: results})
		}},
	{"a write in a collection that does not exist", peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE,
		func(t *testing.T, c *consortium, _ string, _ ledger.Key) *common.Envelope {
			return c.unendorsed(t, forgery{results: privateWrite(t, "datanet", "absent")})
		}},
}

// undelayed is less than the 60 s that a peer waits for private data by default.
const undelayed = 50 * time.Second

// TestHostileTransactionsHaltNobody puts each hostile transaction into one block with an honest one after it, which a
// peer of unmodified Fabric never commits.
func TestHostileTransactionsHaltNobody(t *testing.T) {
	c := start(t, config.BFT, inCompany)
	for _, d := range append(slices.Clip(hostileTransactions), hostile{
		"a write in a member's own collection, whose data the member's peer cannot get", peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE,
		func(t *testing.T, c *consortium, _ string, _ ledger.Key) *common.Envelope {
			return c.unendorsed(t, forgery{results: privateWrite(t, "datanet", "_implicit_org_"+lab)})
		}}) {
		t.Run(d.claim, func(t *testing.T) {
			for {
				bad, honest := c.together(t, d)
				ctx, cancel := context.WithTimeout(t.Context(), undelayed)
				require.NoError(t, c.awaitEverywhere(ctx, honest.TxID()), "the honest transaction is valid on every peer")
				cancel()
				if c.inOneBlock(t, bad, honest.TxID()) {
					c.requireVerdicts(t, bad, d.flag, honest.TxID())
					return
				}
				t.Log("the orderers have put the two into different blocks: once more")
			}
		})
	}
	t.Run("write sets of every odd form", func(t *testing.T) {
		var last hostile
		for claim, results := range oddWriteSets(t) {
			last = hostile{claim: claim, make: func(t *testing.T, c *consortium, _ string, _ ledger.Key) *common.Envelope {
				return c.unendorsed(t, forgery{results: results})
			}}
			c.order(t, last.make(t, c, "", ""))
		}
		_, honest := c.together(t, last)
		ctx, cancel := context.WithTimeout(t.Context(), undelayed)
		defer cancel()
		require.NoError(t, c.awaitEverywhere(ctx, honest.TxID()))
		c.requireOneLedger(t, honest.TxID())
	})
	t.Run("private data of one member, endorsed by it alone", func(t *testing.T) {
		for _, results := range privateWrites(t) {
			envelope := c.unendorsed(t, forgery{results: results, endorsers: []string{lab}})
			c.order(t, envelope)
			id := txIDOf(t, marshal(t, envelope))
			c.blockWith(t, story.User{Name: somebody[regulator], MSP: regulator}, func(data []byte) bool { return txIDOf(t, data) == id })
		}
	})
	t.Run("the in-memory ledger judges all of them as the peers do", func(t *testing.T) {
		t.Logf("%+v", c.replayed(t, regulator).Report())
	})
	t.Run("and so does an audit", func(t *testing.T) {
		report := c.audited(t)
		t.Logf("%v", report.Findings)
		for _, f := range report.Findings {
			require.NotEqual(t, verify.Forged, f.Severity, "%s", f)
			require.True(t, f.Rule == verify.RuleOutcome && strings.Contains(f.Message, "private data") || f.Severity == verify.Unclear && strings.Contains(f.Message, "policies of keys of private data"), "%s", f)
		}
	})
}

// TestHostileTransactionsHaltUnmodifiedPeers shows the same blocks on Fabric's own programs, a network for each,
// and that our programs lead out of the halt.
func TestHostileTransactionsHaltUnmodifiedPeers(t *testing.T) {
	if *unmodified == "" {
		t.Skip("needs -args -unmodified FOLDER")
	}
	for name, topology := range map[string][]byte{"bft": config.BFT, "raft": config.Raft} {
		for _, d := range hostileTransactions {
			t.Run(name+"/"+d.claim, func(t *testing.T) {
				var options testnetwork.Options
				c := start(t, topology, inCompany, func(o *testnetwork.Options) {
					var err error
					o.Binaries, err = binaries.Use(t.Context(), *unmodified)
					require.NoError(t, err)
					options = *o
				})
				bad, honest := c.together(t, d)
				c.requireHalted(t, honest)
				c.restart(t, testnetwork.Peer)
				c.requireHalted(t, honest)

				require.NoError(t, c.stop())
				options.Binaries, options.Topology = nil, nil
				var err error
				c.Network, err = testnetwork.Start(t.Context(), options)
				require.NoError(t, err, "our programs resume the network")
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				require.NoError(t, c.awaitEverywhere(ctx, honest.TxID()))
				c.requireVerdicts(t, bad, d.flag, honest.TxID())
			})
		}
	}
}

// inCompany has the orderers wait long enough for transactions that are sent one after the other to share a block.
func inCompany(o *testnetwork.Options) {
	const wait = 500 * time.Millisecond
	o.Topology.Ordering.BFT.RequestBatchMaxInterval, o.Topology.Ordering.Batch.Timeout = wait, wait
}

// restart restarts all nodes of a kind. A peer of unmodified Fabric may not come up again, which is logged.
func (c *consortium) restart(t *testing.T, kind testnetwork.Kind) {
	t.Helper()
	for _, node := range c.nodes(t, kind) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := c.RestartNode(ctx, node.Name); err != nil {
			summary, _, _ := strings.Cut(err.Error(), "\n")
			t.Logf("restart %s: %s", node.Name, summary)
		}
		cancel()
	}
}

// together has a hostile transaction and then an honest approval ordered in quick succession.
func (c *consortium) together(t *testing.T, d hostile) (*common.Envelope, *fabric.Endorsed) {
	t.Helper()
	content, digest := mintOf(t, c, ledger.NewAccount(lab, "consumer1"), 5)
	must[any](t, c, story.User{Name: "consumer1", MSP: lab}, "account:Open", ledger.Nothing{})
	document, err := ledger.Encode(content)
	require.NoError(t, err)
	proposed, err := c.Submit(t.Context(), story.Call{User: operator(1, poets), Function: "proposal:Propose", Document: document})
	require.NoError(t, err)
	require.Equal(t, "success", proposed.String())

	approver, err := c.client(operator(2, lab))
	require.NoError(t, err)
	honest, err := approver.Endorse(t.Context(), fabric.Call{Function: "proposal:Approve", Request: approvalOf(content.ID, digest)})
	require.NoError(t, err)
	bad := d.make(t, c, proposed.TxID, ledger.NewKey("proposal-slot", content.ID, lab))
	c.order(t, bad)
	if err := honest.Order(t.Context()); err != nil {
		t.Logf("order the honest transaction: %v", err)
	}
	return bad, honest
}

// order sends an envelope to the leading orderer, or to all where followers wait before they pass it on.
func (c *consortium) order(t *testing.T, envelope *common.Envelope) {
	t.Helper()
	accepted := 0
	for _, node := range c.nodes(t, testnetwork.Orderer) {
		if !node.Leader && c.topology.Ordering.Type == network.ConsensusRaft {
			continue
		}
		material, err := c.State().Material().Organization(node.MSPID)
		require.NoError(t, err)
		conn, err := lifecycle.Dial(node.Address, material.TLSCA.PEM)
		require.NoError(t, err)
		defer conn.Close()
		if err := lifecycle.Broadcast(t.Context(), []grpc.ClientConnInterface{conn}, envelope); err != nil {
			t.Logf("%s: %v", node.Name, err)
			continue
		}
		accepted++
	}
	require.Positive(t, accepted, "no orderer takes the transaction")
}

// requireHalted checks that no peer commits the honest transaction, nor any block that the orderers have with it.
func (c *consortium) requireHalted(t *testing.T, honest *fabric.Endorsed) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, err := c.client(story.User{Name: somebody[lab], MSP: lab})
	require.NoError(t, err)
	require.Error(t, client.Status(ctx, honest.TxID()))
	orderers := c.nodes(t, testnetwork.Orderer)
	for _, node := range c.nodes(t, testnetwork.Peer) {
		t.Logf("%s %s, height %d, orderers' %d", node.Name, node.State, node.Height, orderers[0].Height)
		require.Less(t, node.Height, orderers[0].Height)
	}
}

func (c *consortium) nodes(t *testing.T, kind testnetwork.Kind) (nodes []testnetwork.NodeStatus) {
	t.Helper()
	status, err := c.Status(t.Context())
	require.NoError(t, err)
	for _, node := range status.Nodes {
		if node.Kind == kind {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// inOneBlock tells whether the block of the honest transaction holds the hostile one too.
func (c *consortium) inOneBlock(t *testing.T, bad *common.Envelope, honest string) bool {
	t.Helper()
	data, err := proto.Marshal(bad)
	require.NoError(t, err)
	block := c.blockWith(t, story.User{Name: somebody[lab], MSP: lab}, func(envelope []byte) bool { return txIDOf(t, envelope) == honest })
	return slices.ContainsFunc(block.Data.Data, func(d []byte) bool { return string(d) == string(data) })
}

// requireVerdicts checks that every peer holds one block with both transactions, the hostile one first, and that their
// verdicts are as expected.
func (c *consortium) requireVerdicts(t *testing.T, bad *common.Envelope, flag peer.TxValidationCode, honest string) {
	t.Helper()
	data, err := proto.Marshal(bad)
	require.NoError(t, err)
	for _, msp := range append([]string{regulator}, members...) {
		block := c.blockWith(t, story.User{Name: somebody[msp], MSP: msp}, func(envelope []byte) bool { return txIDOf(t, envelope) == honest })
		at := slices.IndexFunc(block.Data.Data, func(d []byte) bool { return string(d) == string(data) })
		require.GreaterOrEqual(t, at, 0, "block %d holds %d transactions, but not the hostile one", block.Header.Number, len(block.Data.Data))
		require.Less(t, at, slices.IndexFunc(block.Data.Data, func(d []byte) bool { return txIDOf(t, d) == honest && string(d) != string(data) }))
		flags := block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
		require.Equal(t, flag, peer.TxValidationCode(flags[at]), "at the peer of %s", msp)
	}
	c.requireOneLedger(t, honest)
}

// requireOneLedger checks that every peer holds the block of a transaction with the same commit hash, which covers the
// verdicts of all blocks so far.
func (c *consortium) requireOneLedger(t *testing.T, txID string) {
	t.Helper()
	var hashes []string
	for _, msp := range append([]string{regulator}, members...) {
		block := c.blockWith(t, story.User{Name: somebody[msp], MSP: msp}, func(envelope []byte) bool { return txIDOf(t, envelope) == txID })
		hashes = append(hashes, string(block.Metadata.Metadata[common.BlockMetadataIndex_COMMIT_HASH]))
	}
	require.NotEmpty(t, hashes[0])
	require.Len(t, slices.Compact(hashes), 1, "every peer has the same commit hash")
}

// envelope finds a committed transaction as it was sent.
func (c *consortium) envelope(t *testing.T, reader story.User, txID string) *common.Envelope {
	t.Helper()
	block := c.blockWith(t, reader, func(envelope []byte) bool { return txIDOf(t, envelope) == txID })
	at := slices.IndexFunc(block.Data.Data, func(d []byte) bool { return txIDOf(t, d) == txID })
	envelope, err := protoutil.GetEnvelopeFromBlock(block.Data.Data[at])
	require.NoError(t, err)
	return envelope
}

func (c *consortium) blockWith(t *testing.T, reader story.User, wanted func(envelope []byte) bool) *common.Block {
	t.Helper()
	client, err := c.client(reader)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), undelayed)
	defer cancel()
	blocks, err := client.Blocks(ctx, 0)
	require.NoError(t, err)
	for block := range blocks {
		if slices.ContainsFunc(block.Data.Data, wanted) {
			return block
		}
	}
	require.NoError(t, ctx.Err(), "no block holds the transaction")
	return nil
}

func txIDOf(t *testing.T, data []byte) string {
	t.Helper()
	envelope, err := protoutil.GetEnvelopeFromBlock(data)
	require.NoError(t, err)
	header, err := protoutil.ChannelHeader(envelope)
	require.NoError(t, err)
	return header.TxId
}

// forgery says how an unendorsed transaction differs from a well-formed one.
type forgery struct {
	results *rwset.TxReadWriteSet
	id      string // transaction id in place of the right one
	inner   string // chaincode named in the result in place of the right one
	data    []byte // in place of the transaction
	empty   bool   // one action, without content
	// endorsers are organisations whose peers' keys sign it nevertheless.
	endorsers []string
}

// unendorsed makes a transaction that no peer has seen, signed by an ordinary client of one organisation.
func (c *consortium) unendorsed(t *testing.T, f forgery) *common.Envelope {
	t.Helper()
	client, err := c.State().User(library, "consumer1")
	require.NoError(t, err)
	creator, err := client.Serialize()
	require.NoError(t, err)
	nonce := make([]byte, 24)
	_, _ = rand.Read(nonce) // never fails
	if f.id == "" {
		f.id = protoutil.ComputeTxID(nonce, creator)
	}
	chaincode := &peer.ChaincodeID{Name: c.topology.Chaincode.Name, Version: c.topology.Chaincode.Version}
	header := &common.Header{
		ChannelHeader: marshal(t, &common.ChannelHeader{Type: int32(common.HeaderType_ENDORSER_TRANSACTION), ChannelId: c.topology.Channel,
			TxId: f.id, Extension: marshal(t, &peer.ChaincodeHeaderExtension{ChaincodeId: chaincode})}),
		SignatureHeader: marshal(t, &common.SignatureHeader{Creator: creator, Nonce: nonce}),
	}
	if f.data == nil {
		f.data = marshal(t, &peer.Transaction{Actions: []*peer.TransactionAction{{Header: header.SignatureHeader, Payload: f.action(t, c, header, chaincode)}}})
	}
	payload := marshal(t, &common.Payload{Header: header, Data: f.data})
	signature, err := client.Sign(payload)
	require.NoError(t, err)
	return &common.Envelope{Payload: payload, Signature: signature}
}

func (f forgery) action(t *testing.T, c *consortium, header *common.Header, chaincode *peer.ChaincodeID) []byte {
	t.Helper()
	if f.empty {
		return nil
	}
	proposal := marshal(t, &peer.ChaincodeProposalPayload{Input: []byte("nothing")})
	hash, err := protoutil.GetProposalHash2(header, proposal)
	require.NoError(t, err)
	inner := proto.CloneOf(chaincode)
	if f.inner != "" {
		inner.Name = f.inner
	}
	result := marshal(t, &peer.ChaincodeAction{Results: marshal(t, f.results), Response: &peer.Response{Status: 200}, ChaincodeId: inner})
	endorsed := &peer.ChaincodeEndorsedAction{ProposalResponsePayload: marshal(t, &peer.ProposalResponsePayload{ProposalHash: hash, Extension: result})}
	for _, org := range f.endorsers {
		material, err := c.State().Material().Organization(org)
		require.NoError(t, err)
		id, err := pki.LoadIdentity(material.Peer().MSPDir, org)
		require.NoError(t, err)
		endorser, err := id.Serialize()
		require.NoError(t, err)
		signature, err := id.Sign(slices.Concat(endorsed.ProposalResponsePayload, endorser))
		require.NoError(t, err)
		endorsed.Endorsements = append(endorsed.Endorsements, &peer.Endorsement{Endorser: endorser, Signature: signature})
	}
	return marshal(t, &peer.ChaincodeActionPayload{ChaincodeProposalPayload: proposal, Action: endorsed})
}

// privateWrites are what one member can write alone, in the collection that it has in the chaincode and in the lifecycle,
// each one after the other.
func privateWrites(t *testing.T) (list []*rwset.TxReadWriteSet) {
	once := []*kvrwset.KVWriteHash{{KeyHash: []byte("a"), ValueHash: []byte("1")}}
	entries := []*kvrwset.KVMetadataEntry{{Name: "anything", Value: []byte("x")}}
	for _, set := range []*kvrwset.HashedRWSet{
		{HashedWrites: once},
		{HashedWrites: append(slices.Clip(once), once...)},
		{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte("b"), ValueHash: []byte("1")}, {KeyHash: []byte("b"), ValueHash: []byte("2")}}},
		{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte("c"), ValueHash: []byte("1"), IsPurge: true}}},
		{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte("c"), IsDelete: true}, {KeyHash: []byte("c"), IsDelete: true}}},
		{MetadataWrites: []*kvrwset.KVMetadataWriteHash{{KeyHash: []byte("a")}}},
		{MetadataWrites: []*kvrwset.KVMetadataWriteHash{{KeyHash: []byte("a"), Entries: entries}, {KeyHash: []byte("absent"), Entries: entries}}},
		{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte("a"), ValueHash: []byte("2")}}, MetadataWrites: []*kvrwset.KVMetadataWriteHash{{KeyHash: []byte("a"), Entries: entries}}},
		{HashedReads: []*kvrwset.KVReadHash{{KeyHash: []byte("a")}}, HashedWrites: once},
		{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte("a"), IsDelete: true}}},
	} {
		list = append(list, &rwset.TxReadWriteSet{NsRwset: []*rwset.NsReadWriteSet{{Namespace: "datanet", CollectionHashedRwset: []*rwset.CollectionHashedReadWriteSet{
			{CollectionName: "_implicit_org_" + lab, HashedRwset: marshal(t, set)}}}}})
	}
	return list
}

// policyFor is a write set that makes one organisation the master of a key.
func policyFor(t *testing.T, chaincode string, key ledger.Key) *rwset.TxReadWriteSet {
	t.Helper()
	policy, err := policydsl.FromString("OR('" + library + ".peer')")
	require.NoError(t, err)
	writes := &kvrwset.KVRWSet{MetadataWrites: []*kvrwset.KVMetadataWrite{{Key: string(key), Entries: []*kvrwset.KVMetadataEntry{
		{Name: peer.MetaDataKeys_VALIDATION_PARAMETER.String(), Value: marshal(t, policy)}}}}}
	return &rwset.TxReadWriteSet{NsRwset: []*rwset.NsReadWriteSet{{Namespace: chaincode, Rwset: marshal(t, writes)}}}
}

// privateWrite is a write set with one private value and a policy for it.
func privateWrite(t *testing.T, chaincode, collection string) *rwset.TxReadWriteSet {
	t.Helper()
	writes := &kvrwset.HashedRWSet{
		HashedWrites:   []*kvrwset.KVWriteHash{{KeyHash: []byte("key"), ValueHash: []byte("value")}},
		MetadataWrites: []*kvrwset.KVMetadataWriteHash{{KeyHash: []byte("key")}},
	}
	return &rwset.TxReadWriteSet{NsRwset: []*rwset.NsReadWriteSet{{Namespace: chaincode, CollectionHashedRwset: []*rwset.CollectionHashedReadWriteSet{
		{CollectionName: collection, HashedRwset: marshal(t, writes)}}}}}
}

// oddWriteSets are write sets that no chaincode makes.
func oddWriteSets(t *testing.T) map[string]*rwset.TxReadWriteSet {
	raw := func(namespace string, writes []byte) *rwset.TxReadWriteSet {
		return &rwset.TxReadWriteSet{NsRwset: []*rwset.NsReadWriteSet{{Namespace: namespace, Rwset: writes}}}
	}
	sets := map[string]*rwset.TxReadWriteSet{
		"nothing": {}, "an unknown data model": {DataModel: 7}, "an empty namespace": raw("", nil), "bytes that are no write set": raw("datanet", []byte("writes")),
		"reads and writes without keys": raw("datanet", marshal(t, &kvrwset.KVRWSet{Reads: []*kvrwset.KVRead{{}}, Writes: []*kvrwset.KVWrite{{}},
			RangeQueriesInfo: []*kvrwset.RangeQueryInfo{{}}, MetadataWrites: []*kvrwset.KVMetadataWrite{{}}})),
	}
	for _, namespace := range []string{"lscc", "_lifecycle", "qscc", "cscc", "a\x00b", "datanet/x", "datanet$$x"} {
		sets["a policy in "+namespace] = policyFor(t, namespace, "namespaces/metadata/datanet")
	}
	for _, key := range []ledger.Key{"", "\x00", "\U0010ffff"} {
		sets[fmt.Sprintf("a policy for %q", key)] = policyFor(t, "datanet", key)
	}
	for _, at := range [][2]string{{"datanet", ""}, {"datanet", "a/\x00$$b"}, {"datanet", "_implicit_org_NobodyMSP"}, {"_lifecycle", "_implicit_org_" + lab}, {"absent", "absent"}, {"lscc", "absent"}} {
		sets[fmt.Sprintf("a private write in %q", at)] = privateWrite(t, at[0], at[1])
	}
	return sets
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	require.NoError(t, err)
	return data
}
