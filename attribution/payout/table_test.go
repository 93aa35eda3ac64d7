package payout_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
)

func TestPagesOfATablePayAllOfItInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var payments []payout.Payment
		sum := int64(0)
		for i := range rapid.IntRange(1, 7000).Draw(t, "payees") {
			amount := rapid.Int64Range(1, 1<<40).Draw(t, "amount")
			payments = append(payments, payout.Payment{Payee: fmt.Sprintf("AMSP:%05d", i), Amount: amount})
			sum += amount
		}
		pages, err := payout.Pages(payments)
		require.NoError(t, err)
		next, err := payout.Table(payments)
		require.NoError(t, err)
		var paid []payout.Payment
		for _, page := range pages {
			digest, err := page.Digest()
			require.NoError(t, err)
			require.Equal(t, next, digest)
			require.Equal(t, sum, page.Due)
			encoded, err := page.Encode()
			require.NoError(t, err)
			again, err := payout.DecodePage(encoded)
			require.NoError(t, err)
			require.Equal(t, page, again)
			for _, p := range page.Payments {
				sum -= p.Amount
			}
			paid, next = append(paid, page.Payments...), page.Rest
		}
		require.Zero(t, next)
		require.Zero(t, sum)
		require.Equal(t, payments, paid)
	})
}

func TestAPageThatNoTableHasIsRefused(t *testing.T) {
	good := payout.Page{Due: 3, Payments: []payout.Payment{{Payee: "AMSP:a", Amount: 1}, {Payee: "AMSP:b", Amount: 2}}}
	_, err := good.Digest()
	require.NoError(t, err)
	for claim, change := range map[string]func(*payout.Page){
		"it leaves something due":        func(p *payout.Page) { p.Due = 4 },
		"it pays more than is due":       func(p *payout.Page) { p.Due = 2 },
		"there is more, and it is short": func(p *payout.Page) { p.Due, p.Rest = 4, merkle.Hash{1} },
		"nobody is paid":                 func(p *payout.Page) { p.Payments = nil },
		"a payee stands twice":           func(p *payout.Page) { p.Payments[1].Payee = "AMSP:a" },
		"payees descend":                 func(p *payout.Page) { p.Payments[0].Payee = "AMSP:c" },
		"a payee gets nothing":           func(p *payout.Page) { p.Payments[0].Amount, p.Payments[1].Amount = 0, 3 },
		"a payee has no name":            func(p *payout.Page) { p.Payments[0].Payee = "" },
		"the sum overflows":              func(p *payout.Page) { p.Payments[0].Amount = 1<<63 - 1 },
	} {
		page := payout.Page{Due: good.Due, Payments: append([]payout.Payment{}, good.Payments...)}
		change(&page)
		_, err := page.Digest()
		require.Error(t, err, claim)
	}
	_, err = payout.Table(nil)
	require.Error(t, err)
}

func FuzzPage(f *testing.F) {
	page := payout.Page{Due: 3, Payments: []payout.Payment{{Payee: "AMSP:a", Amount: 1}, {Payee: "pool:AMSP/verse", Amount: 2}}}
	encoded, err := page.Encode()
	require.NoError(f, err)
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, data []byte) {
		page, err := payout.DecodePage(data)
		if err != nil {
			return
		}
		again, err := page.Encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}
