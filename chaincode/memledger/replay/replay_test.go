package replay

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer/lifecycle"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

const (
	valid       = byte(peer.TxValidationCode_VALID)
	mvcc        = byte(peer.TxValidationCode_MVCC_READ_CONFLICT)
	phantom     = byte(peer.TxValidationCode_PHANTOM_READ_CONFLICT)
	endorsement = byte(peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE)
	duplicate   = byte(peer.TxValidationCode_DUPLICATE_TXID)
	badCreator  = byte(peer.TxValidationCode_BAD_CREATOR_SIGNATURE)
)

// plainReplayer replays blocks whose endorsers are plain identities; the definition of block 1 names the policy.
func plainReplayer(t *testing.T) *Replayer {
	r := New(testChaincode)
	r.channel = plainChannel{}
	require.NoError(t, r.Block(withFlags(blockOf(0))))
	majority := ledger.OutOf(2, ledger.PeerOf("V"), ledger.PeerOf("W"), ledger.PeerOf("X"))
	require.NoError(t, r.Block(withFlags(blockOf(1, definition(t, "d1", majority)), valid)))
	return r
}

func withFlags(block *common.Block, flags ...byte) *common.Block {
	block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = flags
	return block
}

// definition is the commit of a chaincode definition with the given policy.
func definition(t *testing.T, id string, policy ledger.Policy) []byte {
	parameter := marshal(t, &peer.ApplicationPolicy{Type: &peer.ApplicationPolicy_SignaturePolicy{SignaturePolicy: envelopeOf(t, policy)}})
	info := marshal(t, &lifecycle.ChaincodeValidationInfo{ValidationPlugin: "vscc", ValidationParameter: parameter})
	return endorsed(t, id, lifecycleNamespace, &kvrwset.KVRWSet{Writes: []*kvrwset.KVWrite{
		{Key: "namespaces/fields/" + testChaincode + "/Sequence", Value: []byte(id)},
		{Key: "namespaces/fields/" + testChaincode + "/ValidationInfo", Value: marshal(t, &lifecycle.StateData{Type: &lifecycle.StateData_Bytes{Bytes: info}})},
	}}, "V/0", "W/0")
}

func writes(key, value string) *kvrwset.KVRWSet {
	return &kvrwset.KVRWSet{Writes: []*kvrwset.KVWrite{{Key: key, Value: []byte(value)}}}
}

func reads(key string, version *kvrwset.Version) *kvrwset.KVRWSet {
	return &kvrwset.KVRWSet{Reads: []*kvrwset.KVRead{{Key: key, Version: version}}}
}

func version(block, tx uint64) *kvrwset.Version { return &kvrwset.Version{BlockNum: block, TxNum: tx} }

func TestReplayAgreesWithPeersThatAreRight(t *testing.T) {
	r := plainReplayer(t)
	slot := writes("slot", "open")
	slot.MetadataWrites = []*kvrwset.KVMetadataWrite{{Key: "slot", Entries: []*kvrwset.KVMetadataEntry{{
		Name: peer.MetaDataKeys_VALIDATION_PARAMETER.String(), Value: marshal(t, envelopeOf(t, ledger.SlotPolicy("V", []string{"V", "W", "X"}))),
	}}}}
	require.NoError(t, r.Block(withFlags(blockOf(2,
		endorsed(t, "a", testChaincode, slot, "W/0", "X/0"),
		endorsed(t, "b", testChaincode, writes("slot", "blind"), "V/0", "W/0", "X/0"),
		endorsed(t, "c", testChaincode, writes("k", "1"), "V/0", "V/0", "R/0"),
		endorsed(t, "d", testChaincode, writes("k", "1"), "V/0", "W/0"),
		endorsed(t, "d", testChaincode, writes("k", "2"), "V/0", "W/0"),
	), valid, endorsement, endorsement, valid, duplicate)))
	require.NoError(t, r.Block(withFlags(blockOf(3,
		endorsed(t, "e", testChaincode, writes("slot", "yes"), "W/0", "X/0"),
		endorsed(t, "f", testChaincode, writes("slot", "yes"), "V/0", "X/0"),
		endorsed(t, "g", testChaincode, reads("slot", version(2, 0)), "V/0", "X/0"),
		endorsed(t, "h", testChaincode, reads("k", version(2, 3)), "V/0", "X/0"),
		endorsed(t, "c", testChaincode, writes("k", "1"), "V/0", "W/0"),
		endorsed(t, "i", testChaincode, writes("k", "9"), "V/0"),
	), endorsement, valid, mvcc, valid, duplicate, badCreator)))
	require.Empty(t, r.Report().Differences)
	require.EqualValues(t, 4, r.Report().Blocks)
	require.Equal(t, map[memledger.Flag]int{"VALID": 5, "ENDORSEMENT_POLICY_FAILURE": 3, "DUPLICATE_TXID": 2, "MVCC_READ_CONFLICT": 1}, r.Report().Judged)
	require.Equal(t, map[memledger.Flag]int{"BAD_CREATOR_SIGNATURE": 1}, r.Report().Followed)
	state := map[string]string{}
	for _, entry := range r.State() {
		state[string(entry.Key)] = string(entry.Value)
	}
	require.Equal(t, map[string]string{"slot": "yes", "k": "1"}, state)
}

func TestConflictWithANewDefinitionIsRecognised(t *testing.T) {
	r := plainReplayer(t)
	sequence := &rwset.NsReadWriteSet{Namespace: lifecycleNamespace,
		Rwset: marshal(t, reads("namespaces/fields/"+testChaincode+"/Sequence", version(1, 0)))}
	own := &rwset.NsReadWriteSet{Namespace: testChaincode, Rwset: marshal(t, writes("k", "1"))}
	require.NoError(t, r.Block(withFlags(blockOf(2,
		endorsedSets(t, "a", testChaincode, []*rwset.NsReadWriteSet{sequence, own}, "V/0", "W/0"),
		definition(t, "d2", ledger.PeerOf("X")),
		endorsedSets(t, "b", testChaincode, []*rwset.NsReadWriteSet{sequence, own}, "V/0", "W/0"),
	), valid, valid, mvcc)))
	require.NoError(t, r.Block(withFlags(blockOf(3,
		endorsed(t, "c", testChaincode, writes("k", "2"), "V/0", "W/0"),
		endorsed(t, "d", testChaincode, writes("k", "2"), "X/0"),
	), endorsement, valid)), "the new definition's policy governs from the next block on")
	require.Empty(t, r.Report().Differences)
}

// approval is an organisation's approval of a definition, in its own collection, which it read at a version; nil is absent.
func approval(t *testing.T, id, org string, at *kvrwset.Version) []byte {
	collection := &kvrwset.HashedRWSet{
		HashedReads:  []*kvrwset.KVReadHash{{KeyHash: []byte("sequence"), Version: at}},
		HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte("sequence"), ValueHash: []byte(id)}},
	}
	set := &rwset.NsReadWriteSet{Namespace: lifecycleNamespace,
		Rwset:                 marshal(t, reads("namespaces/fields/"+testChaincode+"/Sequence", version(1, 0))),
		CollectionHashedRwset: []*rwset.CollectionHashedReadWriteSet{{CollectionName: "_implicit_org_" + org, HashedRwset: marshal(t, collection)}}}
	return endorsedSets(t, id, lifecycleNamespace, []*rwset.NsReadWriteSet{set}, org+"/0")
}

func TestConflictsBetweenDefinitionsAreRecognised(t *testing.T) {
	r := plainReplayer(t)
	require.NoError(t, r.Block(withFlags(blockOf(2,
		approval(t, "a", "V", nil),
		approval(t, "b", "W", nil),
		approval(t, "c", "V", nil),
		approval(t, "d", "V", version(2, 0)),
		approval(t, "a", "X", nil),
		approval(t, "e", "X", nil),
	), valid, valid, mvcc, mvcc, duplicate, endorsement)))
	require.NoError(t, r.Block(withFlags(blockOf(3,
		approval(t, "f", "X", nil),
		approval(t, "g", "V", version(2, 0)),
		approval(t, "c", "W", version(2, 1)),
		definition(t, "d2", ledger.PeerOf("X")),
		approval(t, "h", "W", version(2, 1)),
	), valid, valid, duplicate, valid, mvcc)))
	require.Empty(t, r.Report().Differences)
	require.NoError(t, r.Block(withFlags(blockOf(4,
		approval(t, "i", "W", version(2, 1)),
		approval(t, "g", "V", version(3, 1)),
	), valid, valid)))
	require.Equal(t, []Difference{
		{Block: 4, Tx: 0, ID: "i", Peers: memledger.Valid, Engine: memledger.MVCCReadConflict},
		{Block: 4, Tx: 1, ID: "g", Peers: memledger.Valid, Engine: memledger.DuplicateTxID},
	}, r.Report().Differences, "the definition that was read is another by now; an id that was there before")
}

func TestOfApprovalsBeforeARangeThePeersAreBelieved(t *testing.T) {
	for _, of := range []struct {
		whole bool
		flag  byte
		sound bool
	}{{true, valid, false}, {true, mvcc, true}, {false, valid, true}, {false, mvcc, true}} {
		r := plainReplayer(t)
		r.private.whole = of.whole
		require.NoError(t, r.Block(withFlags(blockOf(2, approval(t, "a", "V", version(1, 7))), of.flag)))
		require.Equal(t, of.sound, len(r.Report().Differences) == 0, "%+v", of)
	}
	r := plainReplayer(t)
	r.private.whole = false
	require.NoError(t, r.Block(withFlags(blockOf(2, approval(t, "a", "V", version(1, 7)), approval(t, "b", "V", version(1, 7))), valid, valid)))
	require.Len(t, r.Report().Differences, 1, "what the range itself wrote is known")
}

func TestRangesAsResultsAndAsDigest(t *testing.T) {
	for _, count := range []int{0, 1, 3, 60} {
		t.Run(fmt.Sprintf("%d keys", count), func(t *testing.T) {
			r := plainReplayer(t)
			keys := &kvrwset.KVRWSet{Writes: []*kvrwset.KVWrite{{Key: "q", Value: []byte("1")}}}
			info := &kvrwset.RangeQueryInfo{StartKey: "p", EndKey: "q", ItrExhausted: true}
			helper, err := rwsetutil.NewRangeQueryResultsHelper(true, 50, sha)
			require.NoError(t, err)
			for i := range count {
				key := fmt.Sprintf("p%02d", i)
				keys.Writes = append(keys.Writes, &kvrwset.KVWrite{Key: key, Value: []byte("1")})
				require.NoError(t, helper.AddResult(&kvrwset.KVRead{Key: key, Version: version(2, 0)}))
			}
			results, digest, err := helper.Done()
			require.NoError(t, err)
			require.Equal(t, count > 50, digest != nil)
			if digest != nil {
				rwsetutil.SetMerkelSummary(info, digest)
			} else {
				rwsetutil.SetRawReads(info, results)
			}
			ranged := &kvrwset.KVRWSet{RangeQueriesInfo: []*kvrwset.RangeQueryInfo{info}}
			require.NoError(t, r.Block(withFlags(blockOf(2, endorsed(t, "a", testChaincode, keys, "V/0", "W/0")), valid)))
			require.NoError(t, r.Block(withFlags(blockOf(3,
				endorsed(t, "b", testChaincode, ranged, "V/0", "W/0"),
				endorsed(t, "c", testChaincode, writes("pp", "1"), "V/0", "W/0"),
				endorsed(t, "d", testChaincode, ranged, "V/0", "W/0"),
			), valid, valid, phantom)))
			require.Empty(t, r.Report().Differences)
		})
	}
}

func TestADifferenceIsReportedOnce(t *testing.T) {
	r := plainReplayer(t)
	require.NoError(t, r.Block(withFlags(blockOf(2, endorsed(t, "a", testChaincode, writes("k", "1"), "V/0")), valid)))
	require.NoError(t, r.Block(withFlags(blockOf(3, endorsed(t, "b", testChaincode, reads("k", version(2, 0)), "V/0", "W/0")), valid)))
	require.Equal(t, []Difference{{Block: 2, Tx: 0, ID: "a", Peers: memledger.Valid, Engine: memledger.EndorsementPolicyFailure}}, r.Report().Differences)
	require.Equal(t, "block 2, transaction 0 (a): peers say VALID, engine says ENDORSEMENT_POLICY_FAILURE", r.Report().Differences[0].String())
}

func TestBlocksThatCannotBeReplayed(t *testing.T) {
	for _, test := range []struct {
		claim string
		block *common.Block
		want  string
	}{
		{"a gap", withFlags(blockOf(7)), "block 7 where block 2 is due"},
		{"flags missing, as from an orderer", blockOf(2, []byte("x")), "from an orderer"},
	} {
		t.Run(test.claim, func(t *testing.T) {
			require.ErrorContains(t, plainReplayer(t).Block(test.block), test.want)
		})
	}
}

// own is a transaction that touches a collection of the chaincode and nothing else.
func own(t *testing.T, id, collection string, set *kvrwset.HashedRWSet, endorsers ...string) []byte {
	return endorsedSets(t, id, testChaincode, []*rwset.NsReadWriteSet{{Namespace: testChaincode, Rwset: marshal(t, &kvrwset.KVRWSet{}),
		CollectionHashedRwset: []*rwset.CollectionHashedReadWriteSet{{CollectionName: collection, HashedRwset: marshal(t, set)}}}}, endorsers...)
}

func hashed(key, value string) *kvrwset.HashedRWSet {
	return &kvrwset.HashedRWSet{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte(key), ValueHash: []byte(value)}}}
}

// Each organisation has a collection in every chaincode, where it alone endorses.
func TestAnOrganisationsOwnCollectionIsFollowed(t *testing.T) {
	r := plainReplayer(t)
	twice, guarded := hashed("k", "1"), &kvrwset.HashedRWSet{MetadataWrites: []*kvrwset.KVMetadataWriteHash{{KeyHash: []byte("k"), Entries: []*kvrwset.KVMetadataEntry{{Name: "n"}}}}}
	twice.HashedWrites = append(twice.HashedWrites, twice.HashedWrites...)
	read := &kvrwset.HashedRWSet{HashedReads: []*kvrwset.KVReadHash{{KeyHash: []byte("k")}}}
	for i, step := range []struct {
		claim string
		tx    []byte
		flag  byte
		want  []string // values and versions of what changed
	}{
		{"alone", own(t, "a", "_implicit_org_V", hashed("k", "1"), "V/0"), valid, []string{"_implicit_org_V/k=1@2"}},
		{"by another", own(t, "b", "_implicit_org_V", hashed("k", "2"), "W/0"), endorsement, nil},
		{"one that is not there", own(t, "c", "secret", hashed("k", "2"), "V/0", "W/0", "X/0"), endorsement, nil},
		{"a key that peers take for none, as it is named twice", own(t, "d", "_implicit_org_W", twice, "W/0"), valid, nil},
		{"named twice, it stays as it was", own(t, "e", "_implicit_org_V", twice, "V/0"), valid, []string{"_implicit_org_V/k=1@6"}},
		{"a read that is old", own(t, "f", "_implicit_org_V", read, "V/0", "W/0"), mvcc, nil},
		{"a read alone needs the chaincode's policy", own(t, "g", "_implicit_org_X", read, "X/0"), endorsement, nil},
		{"a policy alone renews the version", own(t, "h", "_implicit_org_V", guarded, "V/0"), valid, []string{"_implicit_org_V/k=1@9"}},
		{"what its policy says is not judged", own(t, "i", "_implicit_org_V", hashed("k", "3"), "W/0"), valid, []string{"_implicit_org_V/k=3@10"}},
		{"a collection without a name is public", own(t, "j", "", hashed("p", "public"), "V/0", "W/0"), valid, []string{"/p=public@11"}},
		{"and under the chaincode's policy", own(t, "k", "", hashed("p", "mine"), "V/0"), endorsement, nil},
	} {
		prepared, err := r.Prepare(withFlags(blockOf(uint64(i+2), step.tx), step.flag))
		require.NoError(t, err, step.claim)
		changes, err := r.Apply(prepared)
		require.NoError(t, err, step.claim)
		var got []string
		for _, c := range changes {
			got = append(got, fmt.Sprintf("%s/%s=%s@%d", c.Collection, c.Key, c.Value, c.Version.Block))
		}
		require.Equal(t, step.want, got, step.claim)
	}
	require.Empty(t, r.Report().Differences)
	require.Equal(t, "public", string(r.Get("p").Value))
}

func TestAKeyPolicyThatIsNoneIsSatisfiedByNobody(t *testing.T) {
	r := plainReplayer(t)
	set := writes("k", "1")
	set.MetadataWrites = []*kvrwset.KVMetadataWrite{{Key: "k", Entries: []*kvrwset.KVMetadataEntry{{Name: peer.MetaDataKeys_VALIDATION_PARAMETER.String(), Value: []byte("policy")}}}}
	require.NoError(t, r.Block(withFlags(blockOf(2, endorsed(t, "a", testChaincode, set, "V/0", "W/0")), valid)))
	require.NoError(t, r.Block(withFlags(blockOf(3, endorsed(t, "b", testChaincode, writes("k", "2"), "V/0", "W/0", "X/0")), endorsement)))
	require.Empty(t, r.Report().Differences)
}

// One organisation can send this; nobody's audit may end there.
func TestARangeBeforeAnotherNamespaceIsNoObstacle(t *testing.T) {
	r := plainReplayer(t)
	first := &rwset.NsReadWriteSet{Namespace: "elsewhere", Rwset: marshal(t, &kvrwset.KVRWSet{RangeQueriesInfo: []*kvrwset.RangeQueryInfo{{StartKey: "a", EndKey: "b", ItrExhausted: true}}})}
	second := &rwset.NsReadWriteSet{Namespace: testChaincode, Rwset: marshal(t, writes("k", "1"))}
	require.NoError(t, r.Block(withFlags(blockOf(2, endorsedSets(t, "a", testChaincode, []*rwset.NsReadWriteSet{first, second}, "V/0")), endorsement)))
	require.Empty(t, r.Report().Differences)
}

func TestReplayStopsAtTheBlocksError(t *testing.T) {
	broken := errors.New("connection lost")
	report, err := Replay(testChaincode, func(yield func(*common.Block, error) bool) {
		_ = yield(withFlags(blockOf(0)), nil) && yield(nil, broken)
	})
	require.ErrorIs(t, err, broken)
	require.EqualValues(t, 1, report.Blocks)
}

func FuzzTransaction(f *testing.F) {
	set := writes("k", "1")
	set.Reads = reads("k", version(1, 2)).Reads
	set.RangeQueriesInfo = []*kvrwset.RangeQueryInfo{{StartKey: "a"}}
	envelope, err := proto.Marshal(&common.Envelope{})
	require.NoError(f, err)
	f.Add(envelope)
	f.Add(endorsed(f, "a", testChaincode, set, "V/0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := New(testChaincode)
		r.channel = plainChannel{}
		tx, err := r.transaction(r.parse(data), memledger.Valid)
		if err == nil && tx.Settled == "" {
			_, err = r.engine.Commit([]memledger.Transaction{tx.Transaction})
			require.NoError(t, err, "one transaction alone halts no peer")
		}
	})
}

// commitOf is the commit of a definition that read an organisation's approval at a version, as endorsers of it do.
func commitOf(t *testing.T, id, org string, at *kvrwset.Version) []byte {
	collection := &kvrwset.HashedRWSet{HashedReads: []*kvrwset.KVReadHash{{KeyHash: []byte("sequence"), Version: at}}}
	set := &rwset.NsReadWriteSet{Namespace: lifecycleNamespace, Rwset: marshal(t, writes("namespaces/fields/"+testChaincode+"/Sequence", id)),
		CollectionHashedRwset: []*rwset.CollectionHashedReadWriteSet{{CollectionName: "_implicit_org_" + org, HashedRwset: marshal(t, collection)}}}
	return endorsedSets(t, id, lifecycleNamespace, []*rwset.NsReadWriteSet{set}, "V/0", "W/0")
}

func TestADefinitionThatConflictsOverAnApprovalChangesNothing(t *testing.T) {
	r := plainReplayer(t)
	require.NoError(t, r.Block(withFlags(blockOf(2,
		approval(t, "a", "V", nil),
		commitOf(t, "b", "V", nil),
		approval(t, "c", "W", nil),
		commitOf(t, "d", "X", nil),
		approval(t, "e", "X", nil),
	), valid, mvcc, valid, valid, mvcc)))
	require.Empty(t, r.Report().Differences)
}
