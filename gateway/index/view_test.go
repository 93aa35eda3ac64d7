package index_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

func TestAViewIsTheStateAtItsHeight(t *testing.T) {
	s := tell(t)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)
		view, err := x.View(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(len(s.chain.Blocks)), view.Height())
		var keys []ledger.Key
		prefixes := map[ledger.Key][]ledger.Entry{}
		for _, e := range s.State() {
			keys = append(keys, e.Key)
			kind, _, ok := e.Key.Split()
			require.True(t, ok)
			prefix := ledger.NewKey(kind)
			prefixes[prefix] = append(prefixes[prefix], ledger.Entry{Key: e.Key, Value: e.Value})
		}
		values, err := view.States(t.Context(), append(keys, ledger.NewKey("absent")))
		require.NoError(t, err)
		for i, e := range s.State() {
			require.Equal(t, e.Value, values[i], "%s", e.Key)
		}
		require.Nil(t, values[len(keys)])
		guarded := 0
		for _, e := range s.State() {
			policy, ok, err := view.KeyPolicy(t.Context(), e.Key)
			require.NoError(t, err)
			require.Equal(t, e.Policy != nil, ok, "%s", e.Key)
			if ok {
				guarded++
				require.True(t, e.Policy.Equal(policy), "%s", e.Key)
			}
		}
		require.Positive(t, guarded)
		for prefix, want := range prefixes {
			var got []ledger.Entry
			for from := ledger.Key(""); ; {
				some, next, err := view.Range(t.Context(), prefix, from, 2)
				require.NoError(t, err)
				got = append(got, some...)
				if from = next; from == "" {
					break
				}
			}
			require.Equal(t, want, got, "%s", prefix)
		}
	})
}

// queries runs the ledger's functions over a view.
type queries struct {
	*index.View
	t *testing.T
}

func (q queries) TxID() string          { return "" }
func (q queries) Channel() string       { return "datanet" }
func (q queries) Time() time.Time       { return time.Time{} }
func (q queries) Caller() ledger.Caller { return ann }

func (q queries) States(keys []ledger.Key) ([][]byte, error) {
	return q.View.States(q.t.Context(), keys)
}

func (q queries) Range(prefix, from ledger.Key, limit int) ([]ledger.Entry, ledger.Key, error) {
	return q.View.Range(q.t.Context(), prefix, from, limit)
}

func (q queries) KeyPolicy(key ledger.Key) (ledger.Policy, bool, error) {
	return q.View.KeyPolicy(q.t.Context(), key)
}

func TestAQueryOverAViewIsAnsweredAsTheLedgerDoes(t *testing.T) {
	s := tell(t)
	grants := s.items(t, "access:Grants", contribution.Listing{Datanet: s.pool})
	require.NotEmpty(t, grants)
	var grant access.Grant
	require.NoError(t, ledger.DecodeAnswer([]byte(grants[0]), &grant))
	requests := map[string]any{ // what depends on the policies of keys is among it
		"datanet:Get":      datanet.Named{Name: s.pool},
		"seal:Get":         seal.Named{Datanet: s.pool},
		"snapshot:Get":     snapshot.Named{Datanet: s.pool, Number: 2},
		"access:GetGrant":  access.Named{Datanet: s.pool, ID: grant.ID},
		"model:Get":        s.model,
		"model:Consent":    model.CardName{Named: s.model, Card: 1},
		"proposal:Get":     proposal.Named{ID: s.proposal},
		"erasure:Get":      s.sealed[2],
		"approval:Votes":   s.pending[1],
		"contribution:Get": s.rejected,
		"access:Holders":   s.sealed[0],
		"member:List":      ledger.Nothing{},
	}
	registry := rules.New(nil)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		view, err := indexed(t, db, s).View(t.Context())
		require.NoError(t, err)
		for function, request := range requests {
			document, err := ledger.Encode(request)
			require.NoError(t, err)
			want := s.Must(t, ann, function, request)
			got, err := registry.Execute(queries{view, t}, function, document)
			require.NoError(t, err, function)
			require.Equal(t, string(want), string(got.Response), function)
		}
	})
}

// TestPoliciesOfKeysFollowTheState: a policy needs a key, is kept when the value changes, and goes with the key.
func TestPoliciesOfKeysFollowTheState(t *testing.T) {
	keys := []ledger.Key{ledger.NewKey("vote", "a"), ledger.NewKey("vote", "b"), ledger.NewKey("vote", "c")}
	folder, count := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		engine, chain := memledger.NewEngine(ledger.PeerOf(orgA)), blocktest.New("datanet")
		_, err := engine.Commit([]memledger.Transaction{{Settled: memledger.Valid}})
		require.NoError(t, err)
		for range rapid.IntRange(1, 6).Draw(t, "blocks") {
			var block []memledger.Transaction
			for range rapid.IntRange(1, 3).Draw(t, "transactions") {
				tx := memledger.Transaction{Settled: memledger.Valid}
				for _, key := range keys {
					switch rapid.SampledFrom([]string{"nothing", "put", "put", "delete"}).Draw(t, "write") {
					case "put":
						tx.Writes = append(tx.Writes, memledger.Write{Key: key, Value: []byte("{}")})
					case "delete":
						tx.Writes = append(tx.Writes, memledger.Write{Key: key, Delete: true})
					}
					switch rapid.SampledFrom([]string{"nothing", "set", "remove"}).Draw(t, "policy") {
					case "set":
						policy := ledger.SlotPolicy(rapid.SampledFrom([]string{orgA, orgB}).Draw(t, "owner"), []string{orgA, orgB, orgC})
						tx.Policies = append(tx.Policies, memledger.PolicyWrite{Key: key, Policy: &policy})
					case "remove":
						tx.Policies = append(tx.Policies, memledger.PolicyWrite{Key: key})
					}
				}
				block = append(block, tx)
			}
			flags, err := engine.Commit(block)
			if err != nil { // peers would halt: there is no such block
				continue
			}
			next := &memledger.Block{Number: uint64(len(chain.Blocks)), Flags: flags}
			for _, tx := range block {
				next.Envelopes = append(next.Envelopes, &memledger.Envelope{Transaction: tx})
			}
			chain.Append(next)
		}
		count++
		db, err := database.Open(context.Background(), database.SQLiteURL(filepath.Join(folder, fmt.Sprint(count)))+"?synchronous=normal")
		require.NoError(t, err)
		defer db.Close()
		x, err := index.Open(context.Background(), db, "datanet")
		require.NoError(t, err)
		for _, b := range chain.Blocks {
			require.NoError(t, x.Apply(context.Background(), b))
		}
		view, err := x.View(context.Background())
		require.NoError(t, err)
		for _, key := range keys {
			policy, ok, err := view.KeyPolicy(context.Background(), key)
			require.NoError(t, err)
			entry := engine.Get(key)
			require.Equal(t, entry != nil && entry.Policy != nil, ok, "%s", key)
			require.True(t, !ok || entry.Policy.Equal(policy), "%s", key)
		}
	})
}
