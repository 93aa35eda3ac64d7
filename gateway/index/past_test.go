package index_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/block"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// states are the values of all keys after each height of the story, worked out from the blocks alone.
func states(t *testing.T, blocks []*common.Block) []map[ledger.Key]string {
	decoder := block.NewDecoder("datanet")
	all := []map[ledger.Key]string{{}}
	for _, b := range blocks {
		next := map[ledger.Key]string{}
		for key, value := range all[len(all)-1] {
			next[key] = value
		}
		decoded, err := decoder.Decode(b)
		require.NoError(t, err)
		for _, tx := range decoded.Transactions {
			for _, w := range tx.Writes {
				switch {
				case !tx.Valid():
				case w.Delete:
					delete(next, w.Key)
				default:
					next[w.Key] = string(w.Value)
				}
			}
		}
		all = append(all, next)
	}
	return all
}

func TestTheSupplyIsThatOfTheStateAtEveryHeight(t *testing.T) {
	s := tell(t)
	all := states(t, s.chain.Blocks)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)
		for height, state := range all {
			var tally token.Tally
			for key, value := range state {
				require.NoError(t, tally.Add(key, []byte(value)))
			}
			require.NoError(t, tally.Check())
			view, err := x.ViewAt(t.Context(), uint64(height))
			require.NoError(t, err)
			got, err := view.Supply(t.Context())
			require.NoError(t, err)
			got.Block = 0
			require.Equal(t, index.Supply{Issued: int64(tally.Issued), Redeemed: int64(tally.Redeemed), Balances: int64(tally.Balances), Credits: int64(tally.Credits),
				Escrow: int64(tally.Escrow), Sessions: int64(tally.Sessions), Claims: int64(tally.Claims), Payouts: int64(tally.Payouts)}, got, "height %d", height)
		}
		view, err := x.View(t.Context())
		require.NoError(t, err)
		unbalanced, err := view.Unbalanced(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, unbalanced)
	})
}

func TestAViewOfThePastIsTheStateThen(t *testing.T) {
	s := tell(t)
	all := states(t, s.chain.Blocks)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)
		_, err := x.ViewAt(t.Context(), uint64(len(all)))
		require.Error(t, err, "blocks that are not indexed")
		for height := 0; height < len(all); height += 7 {
			view, err := x.ViewAt(t.Context(), uint64(height))
			require.NoError(t, err)
			var keys []ledger.Key
			for key := range all[len(all)-1] {
				keys = append(keys, key)
			}
			found, err := view.Lookup(t.Context(), keys...)
			require.NoError(t, err)
			for i, key := range keys {
				require.Equal(t, key, found[i].Key)
				value, there := all[height][key]
				require.Equal(t, there, found[i].Tx != "", "%s at %d", key, height)
				if kind, _, _ := key.Split(); there && kind != "credit" && kind != "spend" { // which show members of the key
					require.Equal(t, value, string(found[i].Value))
				}
			}
			var listed int
			for page := (ledger.PageRequest{Limit: 3}); ; {
				some, err := view.Find(t.Context(), index.Filter{Kind: "contribution", Datanet: s.pool}, page)
				require.NoError(t, err)
				for _, e := range some.Items {
					require.Equal(t, all[height][e.Key], string(e.Value))
				}
				listed += len(some.Items)
				if page.Cursor = some.Next; page.Cursor == "" {
					break
				}
			}
			want := 0
			for key := range all[height] {
				if kind, _, _ := key.Split(); kind == "contribution" {
					want++
				}
			}
			require.Equal(t, want, listed)
		}
		view, err := x.View(t.Context())
		require.NoError(t, err)
		versions, err := view.Versions(t.Context(), contribution.Key(s.rejected.Datanet, s.rejected.ID), 10)
		require.NoError(t, err)
		require.Len(t, versions, 3, "submitted, rejected, revised")
		require.Less(t, versions[0].Block, versions[2].Block)
		_, err = view.Find(t.Context(), index.Filter{Kind: "contribution", State: "pending"}, ledger.PageRequest{})
		require.Error(t, err)
	})
}

func TestBlocksAreCountedAndChained(t *testing.T) {
	s := tell(t)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)
		view, err := x.View(t.Context())
		require.NoError(t, err)
		height := view.Height()
		for _, bounds := range [][2]uint64{{0, height}, {1, 2}, {5, 70}, {31, 33}, {32, 64}, {40, height + 5}} {
			want, got := map[string]int64{}, map[string]int64{}
			decoder := block.NewDecoder("datanet")
			for _, b := range s.chain.Blocks[bounds[0]:min(bounds[1], height)] {
				decoded, err := decoder.Decode(b)
				require.NoError(t, err)
				for _, tx := range decoded.Transactions {
					want[tx.Function+" "+tx.Code]++
				}
			}
			counted, err := view.Activity(t.Context(), bounds[0], bounds[1])
			require.NoError(t, err)
			for _, a := range counted {
				got[a.Function+" "+a.Code] += a.Count
			}
			require.Equal(t, want, got, "%v", bounds)

			first, last, err := view.Chained(t.Context(), bounds[0], bounds[1])
			require.NoError(t, err)
			require.Equal(t, bounds[0], first.Number)
			require.Equal(t, min(bounds[1], height)-1, last.Number)
			listed := 0
			for page := (ledger.PageRequest{Limit: 11}); ; {
				some, err := view.Transactions(t.Context(), bounds[0], bounds[1], page)
				require.NoError(t, err)
				listed += len(some.Items)
				if page.Cursor = some.Next; page.Cursor == "" {
					break
				}
			}
			total := int64(0)
			for _, n := range want {
				total += n
			}
			require.EqualValues(t, total, listed)
		}
		headers, err := view.Headers(t.Context(), 3, height, 2)
		require.NoError(t, err)
		require.Len(t, headers, 2)
		require.Equal(t, headers[0].Hash, headers[1].PreviousHash)
		_, _, err = view.Chained(t.Context(), height, height+1)
		require.Error(t, err)

		// The clock of the story stands still but where it is moved on, so a time is found at its first block.
		first, end, err := view.Blocks(t.Context(), headers[0].Clock, headers[0].Clock.Add(time.Microsecond))
		require.NoError(t, err)
		require.LessOrEqual(t, first, uint64(3))
		require.Greater(t, end, uint64(3))
		first, end, err = view.Blocks(t.Context(), time.Time{}, time.Time{})
		require.NoError(t, err)
		require.Equal(t, [2]uint64{0, height}, [2]uint64{first, end})
		first, end, err = view.Blocks(t.Context(), s.Clock.Add(time.Hour), time.Time{})
		require.NoError(t, err)
		require.Equal(t, first, end)
	})
}

func TestRolesAreThoseOfCertificates(t *testing.T) {
	s := tell(t)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)
		view, err := x.View(t.Context())
		require.NoError(t, err)
		shown, err := view.Shown(t.Context(), ann.Account(), "", 10)
		require.NoError(t, err)
		require.Len(t, shown, 1)
		require.Equal(t, ann.Roles, shown[0].Roles)
		require.Less(t, shown[0].First.Block, shown[0].Last.Block)
		accounts := map[ledger.Account]bool{}
		for after := ledger.Account(""); ; {
			some, err := view.Shown(t.Context(), "", after, 3)
			require.NoError(t, err)
			for _, one := range some {
				accounts[one.Account], after = true, one.Account
			}
			if len(some) == 0 {
				break
			}
		}
		for _, who := range []ledger.Account{ann.Account(), bob.Account(), curator.Account(), host.Account()} {
			require.True(t, accounts[who], "%s", who)
		}
	})
}

// A majority that colludes can write what no rule writes; an index of honest blocks has none of it.
func TestBreachesOfTheSeparationOfDutiesAreSeen(t *testing.T) {
	s := tell(t)
	pool := s.pool
	forged := map[string]memledger.Write{
		index.OwnValidation: {Key: contribution.Key(pool, fmt.Sprintf("%032x", 1)),
			Value: []byte(`{"datanet":"` + pool + `","contributor":"` + orgC + `:ann","eligible":["` + orgA + `","` + orgC + `"],"quorum":2}`)},
		index.WeakQuorum: {Key: contribution.Key(pool, fmt.Sprintf("%032x", 2)),
			Value: []byte(`{"datanet":"` + pool + `","contributor":"` + orgC + `:ann","eligible":["` + orgA + `","` + orgB + `"],"quorum":1}`)},
		index.ForeignSlot: {Key: ledger.NewKey("vote", pool, fmt.Sprintf("%032x", 3), "000001", orgA),
			Value: []byte(`{"datanet":"` + pool + `","msp":"` + orgA + `","validator":"` + orgB + `:validator1","choice":"approve"}`)},
		index.OwnAttestation: {Key: ledger.NewKey("claim-slot", orgB+":host1", fmt.Sprintf("%032x", 4), orgB),
			Value: []byte(`{"host":"` + orgB + `:host1","msp":"` + orgB + `","by":"` + orgB + `:validator1"}`)},
		index.OwnRedemption: {Key: ledger.NewKey("redemption", orgB+":bank", fmt.Sprintf("%032x", 5)),
			Value: []byte(`{"account":"` + orgB + `:bank","issuer":"` + orgB + `:bank","state":"paid","amount":"1"}`)},
	}
	height := len(s.chain.Blocks)
	b := &memledger.Block{Number: uint64(height)}
	for _, w := range forged {
		b.Envelopes = append(b.Envelopes, &memledger.Envelope{Proposal: memledger.Proposal{TxID: fmt.Sprintf("%064x", len(b.Envelopes)), Caller: ann, Function: "contribution:Submit"},
			Transaction: memledger.Transaction{Writes: []memledger.Write{w}}})
		b.Flags = append(b.Flags, memledger.Valid)
	}
	s.chain.Append(b)
	// Who did it writes the entries again, or takes them away, so that nothing shows in the state.
	tidied := &memledger.Block{Number: uint64(height) + 1}
	for _, why := range slices.Sorted(maps.Keys(forged)) {
		w := memledger.Write{Key: forged[why].Key, Value: []byte(`{}`), Delete: why != index.OwnRedemption && why != index.OwnAttestation}
		tidied.Envelopes = append(tidied.Envelopes, &memledger.Envelope{Proposal: memledger.Proposal{TxID: fmt.Sprintf("%064x", 100+len(tidied.Envelopes)), Caller: ann, Function: "contribution:Submit"},
			Transaction: memledger.Transaction{Writes: []memledger.Write{w}}})
		tidied.Flags = append(tidied.Flags, memledger.Valid)
	}
	s.chain.Append(tidied)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x := indexed(t, db, s)
		before, err := x.ViewAt(t.Context(), uint64(height))
		require.NoError(t, err)
		honest, err := before.Breaches(t.Context(), 100)
		require.NoError(t, err)
		require.Empty(t, honest)
		view, err := x.View(t.Context())
		require.NoError(t, err)
		breaches, err := view.Breaches(t.Context(), 100)
		require.NoError(t, err)
		require.Len(t, breaches, len(forged))
		for _, found := range breaches {
			require.Equal(t, forged[found.Why].Key, found.Key)
			require.Equal(t, uint64(height), found.Block, "the transaction that did it, not a later one")
		}
		then, err := x.ViewAt(t.Context(), uint64(height)+1)
		require.NoError(t, err)
		earlier, err := then.Breaches(t.Context(), 100)
		require.NoError(t, err)
		require.Equal(t, breaches, earlier, "an answer of the past is what it was")
		// What was redeemed without having been issued is seen in the supply.
		unbalanced, err := view.Unbalanced(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, []uint64{uint64(height)}, unbalanced)
	})
}

// A block that holds nothing valid may have been cut at any time after the one before it: no period of a silence leaves it out.
func TestABlockThatNothingDatesCountsToTheSilenceBeforeIt(t *testing.T) {
	s := tell(t)
	const day = 24 * time.Hour
	height := uint64(len(s.chain.Blocks))
	add := func(after time.Duration, flag memledger.Flag) {
		number := uint64(len(s.chain.Blocks))
		s.chain.Append(&memledger.Block{Number: number, Flags: []memledger.Flag{flag}, Envelopes: []*memledger.Envelope{{
			Proposal:    memledger.Proposal{TxID: fmt.Sprintf("%064x", number), Time: s.Clock.Add(after), Caller: ann, Function: "token:Transfer"},
			Transaction: memledger.Transaction{Writes: []memledger.Write{{Key: ledger.NewKey("zzz", fmt.Sprint(number)), Value: []byte(`{}`)}}}}}})
	}
	add(1*day, memledger.Valid)
	add(10*day, memledger.MVCCReadConflict)
	add(11*day, memledger.MVCCReadConflict)
	add(20*day, memledger.Valid)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		view, err := indexed(t, db, s).View(t.Context())
		require.NoError(t, err)
		for _, c := range []struct {
			from, until time.Duration
			first, end  uint64
		}{
			{5 * day, 15 * day, height + 1, height + 3},
			{12 * day, 15 * day, height + 1, height + 3}, // as far as anybody can tell
			{0, 2 * day, height, height + 3},
			{15 * day, 30 * day, height + 1, height + 4},
			{25 * day, 30 * day, height + 4, height + 4},
		} {
			first, end, err := view.Blocks(t.Context(), s.Clock.Add(c.from+time.Hour), s.Clock.Add(c.until))
			require.NoError(t, err)
			require.Equal(t, [2]uint64{c.first, c.end}, [2]uint64{first, end}, "%v to %v", c.from, c.until)
		}
	})
}
