package index_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// TestNothingInABlockStopsTheIndex: a client can put any function, time and enrolment into a transaction that the peers
// find invalid, and a colluding majority any key and value into the state. All organisations go on, to one digest.
func TestNothingInABlockStopsTheIndex(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	texts := []string{"", "\x00", "a\x00b", "\xff\xfe", "'; DROP TABLE blocks; --", long, "\U0010FFFF"}
	chain := blocktest.New("datanet")
	var envelopes []*memledger.Envelope
	var flags []memledger.Flag
	add := func(flag memledger.Flag, p memledger.Proposal, event string, writes ...memledger.Write) {
		e := &memledger.Envelope{Proposal: p, Transaction: memledger.Transaction{Writes: writes}}
		if event != "" {
			e.Event = &ledger.Event{Name: event, Payload: []byte(event)}
		}
		envelopes, flags = append(envelopes, e), append(flags, flag)
	}
	for _, text := range texts {
		utf8 := strings.ToValidUTF8(text, "?") // protocol buffers hold no other strings
		for _, at := range []time.Time{{}, time.Unix(1<<60, 0), time.Unix(-1<<60, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
			add(memledger.EndorsementPolicyFailure, memledger.Proposal{TxID: utf8, Time: at, Function: text, Caller: ledger.Caller{MSP: utf8, Enrolment: text}}, utf8,
				memledger.Write{Key: "\x00ticket\x00never\x00", Value: []byte("{}")})
		}
		for _, key := range []ledger.Key{ledger.Key(utf8), ledger.Key("\x00" + utf8 + "\x00"), ledger.Key("\x00ticket\x00" + utf8 + "\x00"),
			ledger.Key("\x00vote\x00" + utf8 + "\x00"), "\x00contribution\x00", "\x00vote\x00", "\x00credit\x00", "\x00proposal-slot\x00"} {
			if key != "" {
				add(memledger.Valid, memledger.Proposal{TxID: "v", Function: "x"}, utf8, memledger.Write{Key: key, Value: []byte("\x00")},
					memledger.Write{Key: key + "y\x00", Value: []byte(`{"state":"a\u0000b","trainer":7,"id":{},"datanet":"` + strings.ReplaceAll(utf8, "\x00", `\u0000`) + `"}`)})
			}
		}
	}
	chain.Append(&memledger.Block{Number: 1, Envelopes: envelopes, Flags: flags})
	chain.Append(&memledger.Block{Number: 2, Envelopes: []*memledger.Envelope{{Proposal: memledger.Proposal{TxID: "last"},
		Transaction: memledger.Transaction{Writes: []memledger.Write{{Key: "\x00ticket\x00good\x00", Value: []byte(`{"state":"open"}`)}}}}}, Flags: []memledger.Flag{memledger.Valid}})
	digests := map[[32]byte]bool{}
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		x, err := index.Open(t.Context(), db, "datanet")
		require.NoError(t, err)
		for _, b := range chain.Blocks {
			require.NoError(t, x.Apply(t.Context(), b))
		}
		digest, err := x.Digest(t.Context(), 3)
		require.NoError(t, err)
		digests[digest] = true
		require.Len(t, digests, 1)
		for _, kind := range index.Kinds() {
			list(t, x, index.Filter{Kind: kind})
		}
		_, err = x.Entry(t.Context(), ledger.NewKey("ticket", "never"))
		require.Error(t, err)
		require.Len(t, list(t, x, index.Filter{Kind: "ticket", State: "open"}), 1)
		page, err := x.Transactions(t.Context(), index.TxFilter{}, ledger.PageRequest{Limit: ledger.MaxPage})
		require.NoError(t, err)
		require.Len(t, page.Items, 1+len(envelopes)+1)
		for _, tx := range page.Items {
			_, err := tx.Time.MarshalJSON()
			require.NoError(t, err)
		}
	})
}
