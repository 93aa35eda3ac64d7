//go:build conformance

// The in-memory ledger against Fabric's own validation code, on random blocks: make conformance.

package replay

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/common/cauthdsl"
	validationpolicies "github.com/hyperledger/fabric/core/handlers/validation/api/policies"
	validationstate "github.com/hyperledger/fabric/core/handlers/validation/api/state"
	v20 "github.com/hyperledger/fabric/core/handlers/validation/builtin/v20"
	fabricledger "github.com/hyperledger/fabric/core/ledger"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/privacyenabledstate"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/statemetadata"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/validation"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

// fabricPeer validates and commits blocks with Fabric's own code over Fabric's own state database: key-level and
// chaincode policies by the v20 validator and cauthdsl, then conflicts, phantoms and the updates. Only the identities
// are plain: the bytes "V/0" are peer 0 of organisation V, and every signature is good.
type fabricPeer struct {
	t         require.TestingT
	db        *privacyenabledstate.DB
	endorsing *v20.Validator
	preparer  *validation.CommitBatchPreparer
	policy    []byte
}

func newFabricPeer(t require.TestingT, db *privacyenabledstate.DB, policy ledger.Policy) *fabricPeer {
	return &fabricPeer{
		t: t, db: db,
		endorsing: v20.New(nil, committedState{db}, nil, plainPolicies{}, nil),
		preparer:  validation.NewCommitBatchPreparer(nil, db, nil, sha),
		policy:    marshal(t, &peer.ApplicationPolicy{Type: &peer.ApplicationPolicy_SignaturePolicy{SignaturePolicy: envelopeOf(t, policy)}}),
	}
}

// commit sets the block's flags as a peer would. It panics where a peer would.
func (p *fabricPeer) commit(block *common.Block) {
	filter := make([]byte, len(block.Data.Data))
	for i := range filter {
		if err := p.endorsing.Validate(block, testChaincode, i, 0, p.policy); err != nil {
			filter[i] = byte(peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE)
		}
	}
	block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = filter
	updates, _, _, err := p.preparer.ValidateAndPrepareBatch(&fabricledger.BlockAndPvtData{Block: block}, true)
	require.NoError(p.t, err)
	height := rwsetutil.NewVersion(&kvrwset.Version{BlockNum: block.Header.Number, TxNum: uint64(len(filter))})
	require.NoError(p.t, p.db.ApplyPrivacyAwareUpdates(updates, height))
}

type committedState struct{ db *privacyenabledstate.DB }

func (s committedState) FetchState() (validationstate.State, error) { return stateView{db: s.db}, nil }

type stateView struct {
	validationstate.State
	db *privacyenabledstate.DB
}

func (s stateView) GetStateMetadata(namespace, key string) (map[string][]byte, error) {
	data, err := s.db.GetStateMetadata(namespace, key)
	if err != nil {
		return nil, err
	}
	return statemetadata.Deserialize(data)
}

func (stateView) Done() {}

type plainPolicies struct {
	validationpolicies.SerializedPolicy
}

func (plainPolicies) Evaluate(data []byte, signatures []*protoutil.SignedData) error {
	policy := &peer.ApplicationPolicy{}
	if err := proto.Unmarshal(data, policy); err != nil {
		return err
	}
	compiled, err := (&cauthdsl.EnvelopeBasedPolicyProvider{Deserializer: plainIdentities{}}).NewPolicy(policy.GetSignaturePolicy())
	if err != nil {
		return err
	}
	return compiled.EvaluateSignedData(signatures)
}

// fabricHalts commits a block on Fabric and tells whether it panicked.
func fabricHalts(p *fabricPeer, block *common.Block) (halted bool) {
	defer func() {
		if r := recover(); r != nil {
			if text, ok := r.(string); !ok || !strings.HasPrefix(text, "Nil value not allowed") {
				panic(r)
			}
			halted = true
		}
	}()
	p.commit(block)
	return false
}

var (
	testOrgs = []string{"V/0", "W/0", "X/0", "X/1", "R/0"}
	testKeys = []string{"a", "b", "c", "d", "e", "f"}
)

func testPolicies() []ledger.Policy {
	v, w, x := ledger.PeerOf("V"), ledger.PeerOf("W"), ledger.PeerOf("X")
	return []ledger.Policy{
		ledger.SlotPolicy("V", []string{"V", "W", "X"}),
		ledger.OutOf(2, v, w, x),
		ledger.OutOf(2, v, ledger.OutOf(2, v, w, x)),
		ledger.OutOf(2, ledger.OutOf(2, v, w, x), v),
		ledger.OutOf(1, ledger.OutOf(2, v, x), x),
		x,
	}
}

var hundred = func() (numbers []int) {
	for i := range 100 {
		numbers = append(numbers, i)
	}
	return numbers
}()

// sometimes is true in percent of 100 cases; unlike rapid's integers it prefers no end.
func sometimes(t *rapid.T, label string, percent int) bool {
	return rapid.SampledFrom(hundred).Draw(t, label) >= 100-percent
}

// drawEndorsers draws all three members in some order, often enough to pass, or any peers at all.
func drawEndorsers(t *rapid.T) []string {
	if sometimes(t, "any", 30) {
		return rapid.SliceOfN(rapid.SampledFrom(testOrgs), 1, 4).Draw(t, "endorsers")
	}
	return rapid.Permutation([]string{"V/0", "W/0", "X/0"}).Draw(t, "members")
}

// drawSet draws a read-write set over a few keys: mostly honest reads of what is committed, some stale.
func drawSet(t *rapid.T, db *privacyenabledstate.DB) *kvrwset.KVRWSet {
	set := &kvrwset.KVRWSet{}
	some := func(label string, percent int) bool { return sometimes(t, label, percent) }
	for _, key := range testKeys {
		if some("read", 15) {
			read := &kvrwset.KVRead{Key: key}
			value, err := db.GetState(testChaincode, key)
			require.NoError(t, err)
			if value != nil {
				read.Version = rwsetutil.NewKVRead(key, value.Version).Version
			}
			if some("stale", 10) {
				read.Version = &kvrwset.Version{BlockNum: 1}
			}
			set.Reads = append(set.Reads, read)
		}
		if some("write", 25) {
			w := &kvrwset.KVWrite{Key: key, Value: []byte{byte(rapid.IntRange('0', '9').Draw(t, "value"))}}
			if some("delete", 30) {
				w.Value, w.IsDelete = nil, true
			}
			set.Writes = append(set.Writes, w)
		}
		if some("guard", 5) {
			w := &kvrwset.KVMetadataWrite{Key: key}
			if some("set policy", 80) {
				policy := rapid.SampledFrom(testPolicies()).Draw(t, "policy")
				w.Entries = []*kvrwset.KVMetadataEntry{{Name: "VALIDATION_PARAMETER", Value: marshal(t, envelopeOf(t, policy))}}
			}
			set.MetadataWrites = append(set.MetadataWrites, w)
		}
	}
	if some("range", 40) {
		set.RangeQueriesInfo = append(set.RangeQueriesInfo, drawRange(t, db))
	}
	return set
}

// drawRange reads a range as a peer does: up to its end, or stopping early; long results become a digest.
func drawRange(t *rapid.T, db *privacyenabledstate.DB) *kvrwset.RangeQueryInfo {
	start := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "start")
	end := rapid.SampledFrom([]string{"", "d", "e", "f"}).Draw(t, "end")
	limit := rapid.IntRange(1, len(testKeys)+1).Draw(t, "limit")
	it, err := db.GetStateRangeScanIterator(testChaincode, start, end)
	require.NoError(t, err)
	defer it.Close()
	helper, err := rwsetutil.NewRangeQueryResultsHelper(true, 2, sha)
	require.NoError(t, err)
	info := &kvrwset.RangeQueryInfo{StartKey: start}
	for range limit {
		result, err := it.Next()
		require.NoError(t, err)
		if result == nil {
			info.EndKey, info.ItrExhausted = end, true
			break
		}
		require.NoError(t, helper.AddResult(rwsetutil.NewKVRead(result.Key, result.Version)))
		info.EndKey = result.Key
	}
	results, digest, err := helper.Done()
	require.NoError(t, err)
	if results != nil {
		rwsetutil.SetRawReads(info, results)
	}
	if digest != nil {
		rwsetutil.SetMerkelSummary(info, digest)
	}
	return info
}

// TestEngineAgreesWithFabric commits random blocks with Fabric's validation code and replays them: every flag, and the
// state with versions and policies, must be the same.
func TestEngineAgreesWithFabric(t *testing.T) {
	env := &privacyenabledstate.LevelDBTestEnv{}
	env.Init(t)
	defer env.Cleanup()
	ledgers := 0
	seen := map[memledger.Flag]int{}
	halts := 0
	rapid.Check(t, func(t *rapid.T) {
		ledgers++
		db := env.GetDBHandle(fmt.Sprintf("ledger%d", ledgers))
		policy := rapid.SampledFrom(testPolicies()).Draw(t, "chaincode policy")
		fabric := newFabricPeer(t, db, policy)
		r := New(testChaincode)
		r.channel = plainChannel{}
		r.engine.SetPolicy(policy)
		genesis := blockOf(0)
		genesis.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = []byte{}
		require.NoError(t, r.Block(genesis))
		for number := range uint64(rapid.IntRange(1, 8).Draw(t, "blocks")) {
			var envelopes [][]byte
			for i := range rapid.IntRange(1, 5).Draw(t, "transactions") {
				endorsers := drawEndorsers(t)
				envelopes = append(envelopes, endorsed(t, fmt.Sprintf("%d-%d", number, i), testChaincode, drawSet(t, db), endorsers...))
			}
			block := blockOf(number+1, envelopes...)
			if fabricHalts(fabric, block) {
				halts++
				block.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = make([]byte, len(envelopes))
				require.ErrorIs(t, r.Block(block), memledger.ErrPeersHalt)
				return
			}
			require.NoError(t, r.Block(block))
			require.Empty(t, r.Report().Differences)
			requireSameState(t, db, r.State())
		}
		for flag, n := range r.Report().Judged {
			seen[flag] += n
		}
	})
	for _, flag := range []memledger.Flag{memledger.Valid, memledger.EndorsementPolicyFailure, memledger.MVCCReadConflict, memledger.PhantomReadConflict} {
		require.NotZero(t, seen[flag], "no transaction was %s: %v", flag, seen)
	}
	t.Logf("%v, and %d blocks on which the peer panics", seen, halts)
}

func requireSameState(t require.TestingT, db *privacyenabledstate.DB, entries []memledger.Entry) {
	byKey := map[string]memledger.Entry{}
	for _, entry := range entries {
		byKey[string(entry.Key)] = entry
	}
	for _, key := range testKeys {
		value, err := db.GetState(testChaincode, key)
		require.NoError(t, err)
		entry, found := byKey[key]
		require.Equal(t, value != nil, found, "presence of %s", key)
		if !found {
			continue
		}
		version := rwsetutil.NewKVRead(key, value.Version).Version
		require.True(t, bytes.Equal(value.Value, entry.Value), "value of %s", key)
		require.Equal(t, memledger.Version{Block: version.BlockNum, Tx: version.TxNum}, entry.Version, "version of %s", key)
		metadata, err := statemetadata.Deserialize(value.Metadata)
		require.NoError(t, err)
		parameter := metadata[peer.MetaDataKeys_VALIDATION_PARAMETER.String()]
		require.Equal(t, len(parameter) > 0, entry.Policy != nil, "policy of %s", key)
		if entry.Policy != nil {
			require.True(t, proto.Equal(envelopeOf(t, *entry.Policy), unmarshalPolicy(t, parameter)), "policy of %s", key)
		}
	}
}

func unmarshalPolicy(t require.TestingT, data []byte) *common.SignaturePolicyEnvelope {
	envelope := &common.SignaturePolicyEnvelope{}
	require.NoError(t, proto.Unmarshal(data, envelope))
	return envelope
}
