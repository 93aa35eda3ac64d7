package payout_test

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
)

func verse(tokens uint64) []payout.Datanet {
	return []payout.Datanet{{Name: "MSP/verse", Tokens: tokens}}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		claim string
		uses  []payout.Use
		want  []payout.Payment
	}{
		{"what is covered goes to the accounts, the rest to the pool",
			[]payout.Use{{Fee: 1000, DataPPM: 500_000, CoveragePPM: 800_000, Corpus: verse(9),
				Shares: []receipt.Share{{Account: "a", PPM: 250_000}, {Account: "b", PPM: 750_000}}}},
			[]payout.Payment{{Payee: "a", Amount: 100}, {Payee: "b", Amount: 300}, {Payee: "pool:MSP/verse", Amount: 100}}},
		{"a receipt without spans pays the pools by their tokens",
			[]payout.Use{{Fee: 100, DataPPM: 1_000_000, Corpus: []payout.Datanet{{Name: "B/b", Tokens: 3}, {Name: "A/a", Tokens: 1}}}},
			[]payout.Payment{{Payee: "pool:A/a", Amount: 25}, {Payee: "pool:B/b", Amount: 75}}},
		{"an empty corpus pays the model's owner",
			[]payout.Use{{Fee: 7, DataPPM: 1_000_000, Corpus: verse(0), Owner: "AILabMSP:o"}},
			[]payout.Payment{{Payee: "AILabMSP:o", Amount: 7}}},
		{"fractions of micro-credits add up over the uses",
			[]payout.Use{{Fee: 1, DataPPM: 400_000, Corpus: verse(1)}, {Fee: 1, DataPPM: 400_000, Corpus: verse(1)}, {Fee: 1, DataPPM: 400_000, Corpus: verse(1)}},
			[]payout.Payment{{Payee: "pool:MSP/verse", Amount: 1}}},
		{"of equal remainders the bytewise lower payee gets the unit",
			[]payout.Use{{Fee: 1, DataPPM: 1_000_000, CoveragePPM: 1_000_000, Corpus: verse(1),
				Shares: []receipt.Share{{Account: "Z", PPM: 500_000}, {Account: "a", PPM: 500_000}}}},
			[]payout.Payment{{Payee: "Z", Amount: 1}}},
		{"an owner who also stands in the answer is paid once for both",
			[]payout.Use{
				{Fee: 5, DataPPM: 1_000_000, Owner: "a"},
				{Fee: 5, DataPPM: 1_000_000, CoveragePPM: 1_000_000, Corpus: verse(1), Shares: []receipt.Share{{Account: "a", PPM: 1_000_000}}}},
			[]payout.Payment{{Payee: "a", Amount: 10}}},
		{"no data part pays nobody", []payout.Use{{Fee: 100, Corpus: verse(1)}}, nil},
		{"no use pays nobody", nil, nil},
	} {
		t.Run(c.claim, func(t *testing.T) {
			got, err := payout.Split(c.uses)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestAUseThatContradictsItselfIsRefused(t *testing.T) {
	good := payout.Use{Fee: 10, DataPPM: 1, CoveragePPM: 1, Corpus: verse(1), Shares: []receipt.Share{{Account: "a", PPM: 1_000_000}}}
	_, err := payout.Split([]payout.Use{good})
	require.NoError(t, err)
	for claim, spoil := range map[string]func(u *payout.Use){
		"negative fee":            func(u *payout.Use) { u.Fee = -1 },
		"data part over all":      func(u *payout.Use) { u.DataPPM = 1_000_001 },
		"coverage over all":       func(u *payout.Use) { u.CoveragePPM = 1_000_001 },
		"coverage without shares": func(u *payout.Use) { u.Shares = nil },
		"shares short of all":     func(u *payout.Use) { u.Shares = []receipt.Share{{Account: "a", PPM: 999_999}} },
		"an account twice": func(u *payout.Use) {
			u.Shares = []receipt.Share{{Account: "a", PPM: 500_000}, {Account: "a", PPM: 500_000}}
		},
		"an account named as pool":  func(u *payout.Use) { u.Shares[0].Account = "pool:MSP/verse" },
		"a datanet twice":           func(u *payout.Use) { u.Corpus = append(verse(1), verse(2)...) },
		"a datanet without name":    func(u *payout.Use) { u.Corpus = []payout.Datanet{{Tokens: 1}} },
		"empty corpus and no owner": func(u *payout.Use) { u.Corpus = nil },
		"an owner named as pool":    func(u *payout.Use) { u.Corpus, u.Owner = nil, "pool:x" },
	} {
		t.Run(claim, func(t *testing.T) {
			bad := good
			bad.Shares = slices.Clone(good.Shares)
			spoil(&bad)
			_, err := payout.Split([]payout.Use{good, bad})
			require.ErrorContains(t, err, "use 1")
		})
	}
	full := payout.Use{Fee: math.MaxInt64, DataPPM: 1_000_000, Corpus: verse(1)}
	_, err = payout.Split([]payout.Use{full})
	require.NoError(t, err)
	_, err = payout.Split([]payout.Use{full, good, full})
	require.ErrorContains(t, err, "63 bits")
}

func anyUse(t *rapid.T) payout.Use {
	use := payout.Use{
		Fee:     rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, math.MaxInt64/20)).Draw(t, "fee"),
		DataPPM: rapid.Uint32Range(0, 1_000_000).Draw(t, "data"),
		Owner:   rapid.SampledFrom([]string{"a", "owner"}).Draw(t, "owner"),
	}
	accounts := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"Z", "a", "b", "é", "zz"}), 0, 5, rapid.ID).Draw(t, "accounts")
	slices.Sort(accounts)
	if len(accounts) > 0 {
		use.CoveragePPM = rapid.Uint32Range(0, 1_000_000).Draw(t, "coverage")
		left := uint32(1_000_000)
		for _, account := range accounts[1:] {
			ppm := rapid.Uint32Range(0, left).Draw(t, "share")
			use.Shares = append(use.Shares, receipt.Share{Account: account, PPM: ppm})
			left -= ppm
		}
		use.Shares = append([]receipt.Share{{Account: accounts[0], PPM: left}}, use.Shares...)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "datanets") {
		tokens := rapid.OneOf(rapid.Uint64Range(0, 9), rapid.Uint64()).Draw(t, "tokens")
		use.Corpus = append(use.Corpus, payout.Datanet{Name: fmt.Sprintf("MSP/%d", i), Tokens: tokens})
	}
	return use
}

// slow is section 7 in exact rationals, its units given out one by one.
func slow(uses []payout.Use) map[string]*big.Int {
	rat := func(n uint64) *big.Rat { return new(big.Rat).SetInt(new(big.Int).SetUint64(n)) }
	times := func(factors ...*big.Rat) *big.Rat {
		p := rat(1)
		for _, f := range factors {
			p.Mul(p, f)
		}
		return p
	}
	weight := make(map[string]*big.Rat)
	add := func(payee string, w *big.Rat) {
		if weight[payee] == nil {
			weight[payee] = rat(0)
		}
		weight[payee].Add(weight[payee], w)
	}
	due := rat(0)
	for _, u := range uses {
		d := times(rat(uint64(u.Fee)), rat(uint64(u.DataPPM)))
		due.Add(due, d)
		for _, s := range u.Shares {
			add(s.Account, times(d, rat(uint64(u.CoveragePPM)), rat(uint64(s.PPM))))
		}
		open := new(big.Rat).Sub(rat(1e12), times(rat(uint64(u.CoveragePPM)), rat(1e6)))
		tokens := rat(0)
		for _, n := range u.Corpus {
			tokens.Add(tokens, rat(n.Tokens))
		}
		if tokens.Sign() == 0 {
			add(u.Owner, times(d, open))
			continue
		}
		for _, n := range u.Corpus {
			add("pool:"+n.Name, times(d, open, rat(n.Tokens), new(big.Rat).Inv(tokens)))
		}
	}
	total := new(big.Int).Quo(due.Num(), new(big.Int).Mul(due.Denom(), big.NewInt(1_000_000)))
	parts := make(map[string]*big.Int)
	if due.Sign() == 0 {
		return parts
	}
	sum := times(due, rat(1e12))
	remainder := make(map[string]*big.Rat)
	left := new(big.Int).Set(total)
	for payee, w := range weight {
		quota := times(new(big.Rat).SetInt(total), w, new(big.Rat).Inv(sum))
		parts[payee] = new(big.Int).Quo(quota.Num(), quota.Denom())
		remainder[payee] = quota.Sub(quota, new(big.Rat).SetInt(parts[payee]))
		left.Sub(left, parts[payee])
	}
	for ; left.Sign() > 0; left.Sub(left, big.NewInt(1)) {
		best := ""
		for payee, r := range remainder {
			if best == "" || r.Cmp(remainder[best]) > 0 || r.Cmp(remainder[best]) == 0 && payee < best {
				best = payee
			}
		}
		parts[best].Add(parts[best], big.NewInt(1))
		delete(remainder, best)
	}
	return parts
}

func TestSplitIsExactAndBlindToOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uses := rapid.SliceOfN(rapid.Custom(anyUse), 0, 8).Draw(t, "uses")
		payments, err := payout.Split(uses)
		require.NoError(t, err)

		due, paid := new(big.Int), new(big.Int)
		for _, u := range uses {
			due.Add(due, new(big.Int).Mul(big.NewInt(u.Fee), big.NewInt(int64(u.DataPPM))))
		}
		for i, p := range payments {
			require.Positive(t, p.Amount)
			paid.Add(paid, big.NewInt(p.Amount))
			require.True(t, i == 0 || payments[i-1].Payee < p.Payee, "payees ascend")
		}
		require.Zero(t, due.Quo(due, big.NewInt(1_000_000)).Cmp(paid), "the payments sum to the data parts")

		shuffled, err := payout.Split(rapid.Permutation(uses).Draw(t, "shuffled"))
		require.NoError(t, err)
		require.Equal(t, payments, shuffled)

		got := make(map[string]string)
		for _, p := range payments {
			got[p.Payee] = fmt.Sprint(p.Amount)
		}
		want := make(map[string]string)
		for payee, part := range slow(uses) {
			if part.Sign() > 0 {
				want[payee] = part.String()
			}
		}
		require.Equal(t, want, got)
	})
}

func BenchmarkSplitTenThousandUses(b *testing.B) {
	uses := make([]payout.Use, 10_000)
	for i := range uses {
		uses[i] = payout.Use{Fee: int64(i), DataPPM: 400_000, CoveragePPM: uint32(i), Owner: "o",
			Shares: []receipt.Share{{Account: fmt.Sprintf("a%03d", i%500), PPM: 1_000_000}},
			Corpus: []payout.Datanet{{Name: "A/a", Tokens: 1_000_003}, {Name: "B/b", Tokens: 77}, {Name: "C/c", Tokens: uint64(i % 3)}}}
	}
	for b.Loop() {
		if _, err := payout.Split(uses); err != nil {
			b.Fatal(err)
		}
	}
}
