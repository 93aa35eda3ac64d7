package wallet_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// BenchmarkUse takes uses through both machines, each with its journal on this disk: request signed, admitted, answered
// with 2 KiB of evidence, committed, checked, accepted. So many requests are on the way at a time, each in a session of
// its own. The checker compares only digests: units and receipts are not recomputed.
func BenchmarkUse(b *testing.B) {
	for _, concurrent := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("concurrent=%d", concurrent), func(b *testing.B) { benchmarkUse(b, concurrent) })
	}
}

func benchmarkUse(b *testing.B, concurrent int) {
	dir := b.TempDir()
	hostFile, err := journal.OpenFile(filepath.Join(dir, "host"))
	require.NoError(b, err)
	host, err := meter.Open(hostFile, meter.Limits{Exposure: use.MaxAmount, Unsettled: 1 << 30})
	require.NoError(b, err)
	consumerFile, err := journal.OpenFile(filepath.Join(dir, "consumer"))
	require.NoError(b, err)
	consumer, err := wallet.Open(consumerFile)
	require.NoError(b, err)
	require.NoError(b, consumer.SetBudget("key", wallet.Budget{Total: use.MaxAmount, Request: use.MaxAmount}))
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(b, err)
	key, err := use.NewKey(private.Public())
	require.NoError(b, err)
	card := meter.Card{Digest: merkle.Hash{1}, PriceIn: 1_000_000, PriceOut: 5_000_000, Data: 600_000}
	sids := make([]merkle.Hash, concurrent)
	for i := range sids {
		terms := use.Terms{Account: "AILabMSP:reader1", Name: [16]byte{byte(i)}, Host: "NationalLibraryMSP:host1", Card: card.Digest, Key: key, Window: 4,
			Expires: 4_000_000_000, Grace: 24, Escrow: 1 << 50}
		sids[i], err = host.Track("datanet", terms, card)
		require.NoError(b, err)
		_, err = consumer.Track("datanet", terms, wallet.Prices{In: card.PriceIn, Out: card.PriceOut})
		require.NoError(b, err)
	}
	evidence := make([]byte, 2048)
	digest := merkle.Hash(sha256.Sum256(evidence))
	check := wallet.CheckFunc(func(_ use.Request, l use.Leaf, e []byte) error {
		if sha256.Sum256(e) != l.Receipt {
			return fmt.Errorf("the receipt is another one")
		}
		return nil
	})
	now := time.Unix(1_900_000_000, 0)
	before, consumed := host.Syncs(), consumer.Syncs()
	b.ResetTimer()
	errs := make([]error, concurrent)
	var all sync.WaitGroup
	for i := range concurrent {
		all.Go(func() {
			for n := i; n < b.N && errs[i] == nil; n += concurrent {
				errs[i] = func() error {
					ask, err := consumer.Ask(now, sids[i], "key", 1_000_000, digest, private)
					if err != nil {
						return err
					}
					if _, err := host.Admit(now, meter.Ask(ask)); err != nil {
						return err
					}
					a, err := host.Commit(now, sids[i], ask.Request.Number, 20, 100, digest, evidence)
					if err != nil {
						return err
					}
					return consumer.Accept(wallet.Answer{Place: a.Place, Leaf: a.Leaf, Ask: wallet.Ask(a.Ask), Evidence: a.Evidence}, check)
				}()
			}
		})
	}
	all.Wait()
	b.StopTimer()
	for _, err := range errs {
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "uses/s")
	b.ReportMetric(float64(host.Syncs()-before)/float64(b.N), "host-syncs/use")
	b.ReportMetric(float64(consumer.Syncs()-consumed)/float64(b.N), "consumer-syncs/use")
	require.NoError(b, host.Close())
	require.NoError(b, consumer.Close())
}
