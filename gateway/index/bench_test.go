package index_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// many is a chain of blocks of 50 transactions each: half submissions, which every fourth contribution's outcome
// follows, half payments.
func many(b *testing.B, transactions int) *blocktest.Chain {
	b.Helper()
	chain := blocktest.New("datanet")
	pool := orgA + "/bench"
	encode := func(v any) []byte {
		data, err := ledger.Encode(v)
		require.NoError(b, err)
		return data
	}
	poem := contribution.Content{MediaType: "text/plain", Commitment: rulestest.Hash, Descriptor: rulestest.Hash, Records: 1, Tokens: 4,
		Provenance: contribution.Provenance{Method: "digitised", Languages: []string{"fa"}}, Fingerprint: contribution.Fingerprint{Epoch: 1, HMAC: rulestest.Hash}}
	n := 0
	for n < transactions {
		block := &memledger.Block{Number: uint64(len(chain.Blocks))}
		for range 50 {
			n++
			user := rulestest.User(orgC, fmt.Sprintf("user%d", n%500), ledger.Contributor)
			txID := fmt.Sprintf("%064x", n)
			e := &memledger.Envelope{Proposal: memledger.Proposal{TxID: txID, Caller: user, Function: "token:Transfer"}, Event: &ledger.Event{Name: "bench/1", Payload: []byte("{}")}}
			write := func(key ledger.Key, value []byte) {
				e.Transaction.Writes = append(e.Transaction.Writes, memledger.Write{Key: key, Value: value})
			}
			if n%2 == 0 {
				c := contribution.Contribution{Submit: contribution.Submit{Datanet: pool, ID: txID[32:], Content: poem}, Revision: 1, DatanetVersion: 1,
					Contributor: user.Account(), Eligible: []string{orgA, orgB}, Quorum: 2, Slots: []string{orgA, orgB, orgC}, State: contribution.Approved, Tx: txID}
				if n%1000 == 0 {
					c.State = contribution.Pending
				}
				write(contribution.Key(pool, c.ID), encode(c))
				for _, msp := range c.Eligible {
					write(ledger.NewKey("vote", pool, c.ID, "000001", msp), encode(map[string]any{"datanet": pool, "id": c.ID, "revision": 1, "msp": msp, "validator": ""}))
				}
			} else {
				account := string(user.Account())
				write(ledger.NewKey("balance", account), []byte(`{"amount":"7"}`))
				write(ledger.NewKey("credit", fmt.Sprintf("%s:user%d", orgB, n%300), txID), []byte(`{"amount":"7","kind":"transfer","from":"`+account+`"}`))
				write(ledger.NewKey("spend", account, txID[32:]), []byte(`{"kind":"transfer","digest":"`+rulestest.Hash+`","amount":"7","payees":1,"consumed":[],"left":"7","tx":"`+txID+`"}`))
			}
			block.Envelopes, block.Flags = append(block.Envelopes, e), append(block.Flags, memledger.Valid)
		}
		chain.Append(block)
	}
	return chain
}

func open(b *testing.B, url string, blocks []*common.Block) *index.Index {
	db, err := database.Open(b.Context(), url)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	x, err := index.Open(b.Context(), db, "datanet")
	require.NoError(b, err)
	following, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- x.Follow(following, source(blocks)) }()
	require.NoError(b, x.WaitHeight(b.Context(), uint64(len(blocks))))
	stop()
	require.NoError(b, <-done)
	return x
}

func BenchmarkCatchUp(b *testing.B) {
	const transactions = 20_000
	chain := many(b, transactions)
	for b.Loop() {
		open(b, database.SQLiteURL(filepath.Join(b.TempDir(), "x.db"))+"?synchronous=normal", chain.Blocks)
	}
	b.ReportMetric(float64(b.N*transactions)/b.Elapsed().Seconds(), "tx/s")
}

func BenchmarkReads(b *testing.B) {
	chain := many(b, 200_000)
	x := open(b, database.SQLiteURL(filepath.Join(b.TempDir(), "x.db"))+"?synchronous=normal", chain.Blocks)
	pool, user := orgA+"/bench", orgC+":user42"
	for name, read := range map[string]func() error{
		"entry": func() error {
			_, err := x.Entry(b.Context(), contribution.Key(pool, fmt.Sprintf("%032x", 1000)))
			return err
		},
		"20 contributions of an account": func() error {
			_, err := x.Entries(b.Context(), index.Filter{Kind: "contribution", Account: user, State: "approved", Order: index.Newest}, ledger.PageRequest{Limit: 20})
			return err
		},
		"20 of the queue": func() error {
			page, err := x.Entries(b.Context(), index.Filter{Kind: "contribution", Awaits: orgA}, ledger.PageRequest{Limit: 20})
			if len(page.Items) != 20 {
				b.Fatal(len(page.Items))
			}
			return err
		},
		"20 pending of a datanet": func() error {
			_, err := x.Entries(b.Context(), index.Filter{Kind: "contribution", Datanet: pool, State: "pending"}, ledger.PageRequest{Limit: 20})
			return err
		},
		"20 by key": func() error {
			_, err := x.Entries(b.Context(), index.Filter{Kind: "contribution", Within: []string{pool}}, ledger.PageRequest{Limit: 20})
			return err
		},
		"20 of a statement": func() error {
			_, err := x.Statement(b.Context(), ledger.Account(user), ledger.PageRequest{Limit: 20})
			return err
		},
		"20 transactions of an account": func() error {
			_, err := x.Transactions(b.Context(), index.TxFilter{Account: ledger.Account(orgC + ":user42")}, ledger.PageRequest{Limit: 20})
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, read())
			}
		})
	}
}
