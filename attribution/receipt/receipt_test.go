package receipt_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/golden"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
)

func examples(t require.TestingT) [][]byte {
	list, err := golden.Examples()
	require.NoError(t, err)
	var encoded [][]byte
	for _, e := range list {
		encoded = append(encoded, e.Receipt)
	}
	return encoded
}

func TestThePublishedReceiptsDecodeAndEncodeToTheSameBytes(t *testing.T) {
	spans := 0
	for i, encoded := range examples(t) {
		r, err := receipt.Decode(encoded)
		require.NoError(t, err, "receipt %d", i)
		again, err := r.Encode()
		require.NoError(t, err, "receipt %d", i)
		require.Equal(t, encoded, again, "receipt %d", i)
		id, err := r.ID()
		require.NoError(t, err)
		require.Equal(t, merkle.Hash(sha256.Sum256(encoded)), id)
		require.Equal(t, id, receipt.ID(encoded))
		spans += len(r.Spans)
	}
	require.Greater(t, spans, 500)
}

func TestNoPrefixOfAReceiptIsAReceipt(t *testing.T) {
	for _, encoded := range examples(t)[:5] {
		for n := range encoded {
			_, err := receipt.Decode(encoded[:n])
			require.Error(t, err, "%d of %d bytes", n, len(encoded))
		}
		_, err := receipt.Decode(append(slices.Clone(encoded), 0))
		require.ErrorContains(t, err, "follow")
	}
}

// good returns a valid receipt of two spans, one with two payees.
func good() *receipt.Receipt {
	r := &receipt.Receipt{
		Roots: []merkle.Hash{{1}, {2}},
		N:     1000, V: 500, Model: "MSP/verse@1",
		OutputBytes: 100, OutputTokens: 20, Tau: 2, CoveragePPM: 700_000,
		Spans: []receipt.Span{
			{Start: 1, End: 6, ByteStart: 5, ByteEnd: 30, Information: 50 << 16, Credit: 50 << 16, Occurrences: 1,
				Home:   receipt.Home{Contribution: "c1", Record: 2, Token: 7},
				Payees: []receipt.Payee{{Account: "a", Credit: 20 << 16}, {Account: "b", Credit: 30 << 16}}},
			{Start: 5, End: 10, ByteStart: 25, ByteEnd: 60, Information: 40 << 16, Credit: 30 << 16, Occurrences: 3,
				Home:   receipt.Home{Contribution: "c2"},
				Payees: []receipt.Payee{{Account: "a", Credit: 30 << 16}}},
		},
	}
	r.Shares = receipt.Shares(r.Spans)
	return r
}

func TestAReceiptThatContradictsItselfIsNotEncoded(t *testing.T) {
	_, err := good().Encode()
	require.NoError(t, err)
	for claim, spoil := range map[string]func(r *receipt.Receipt){
		"roots descending":             func(r *receipt.Receipt) { slices.Reverse(r.Roots) },
		"a root twice":                 func(r *receipt.Receipt) { r.Roots[1] = r.Roots[0] },
		"too many roots":               func(r *receipt.Receipt) { r.Roots = make([]merkle.Hash, 65_536) },
		"more distinct tokens":         func(r *receipt.Receipt) { r.V = r.N + 2 },
		"no distinct token":            func(r *receipt.Receipt) { r.V = 1 },
		"V of zero":                    func(r *receipt.Receipt) { r.V = 0 },
		"a long model name":            func(r *receipt.Receipt) { r.Model = strings.Repeat("m", 65_536) },
		"tau too large":                func(r *receipt.Receipt) { r.Tau = 31 },
		"tau above the span":           func(r *receipt.Receipt) { r.Tau = 30 },
		"coverage over all":            func(r *receipt.Receipt) { r.CoveragePPM = 1_000_001 },
		"coverage without spans":       func(r *receipt.Receipt) { r.Spans, r.Shares = nil, nil },
		"shares without spans":         func(r *receipt.Receipt) { r.Spans, r.CoveragePPM = nil, 0 },
		"spans without shares":         func(r *receipt.Receipt) { r.Shares = nil },
		"a share moved":                func(r *receipt.Receipt) { r.Shares[0].PPM++; r.Shares[1].PPM-- },
		"a share renamed":              func(r *receipt.Receipt) { r.Shares[0].Account = "aa" },
		"spans out of order":           func(r *receipt.Receipt) { slices.Reverse(r.Spans) },
		"a span inside another":        func(r *receipt.Receipt) { r.Spans[0].End = 10 },
		"bytes out of order":           func(r *receipt.Receipt) { r.Spans[1].ByteStart = 4 },
		"a span behind the output":     func(r *receipt.Receipt) { r.OutputTokens = 9 },
		"bytes behind the output":      func(r *receipt.Receipt) { r.OutputBytes = 59 },
		"a span backwards":             func(r *receipt.Receipt) { r.Spans[0].Start = 7 },
		"empty bytes":                  func(r *receipt.Receipt) { r.Spans[0].ByteStart = 30 },
		"a span of two tokens":         func(r *receipt.Receipt) { r.Spans[0].Start = 4 },
		"too much information":         func(r *receipt.Receipt) { r.Spans[0].Information = 5*24<<16 + 1 },
		"information below threshold":  func(r *receipt.Receipt) { r.N, r.V = 1<<40, 1<<39 },
		"credit above information":     func(r *receipt.Receipt) { r.Spans[0].Information-- },
		"no credit":                    func(r *receipt.Receipt) { r.Spans[0].Credit, r.Spans[0].Payees = 0, nil },
		"no occurrence":                func(r *receipt.Receipt) { r.Spans[0].Occurrences = 0 },
		"more occurrences than tokens": func(r *receipt.Receipt) { r.Spans[0].Occurrences = 1001 },
		"a home behind the corpus":     func(r *receipt.Receipt) { r.Spans[0].Home.Token = 996 },
		"a home without name":          func(r *receipt.Receipt) { r.Spans[0].Home.Contribution = "" },
		"payees descending":            func(r *receipt.Receipt) { slices.Reverse(r.Spans[0].Payees) },
		"a payee without name":         func(r *receipt.Receipt) { r.Spans[0].Payees[0].Account = "" },
		"a payee with NUL":             func(r *receipt.Receipt) { r.Spans[0].Payees[0].Account = "\x00" },
		"a payee of nothing":           func(r *receipt.Receipt) { r.Spans[0].Payees[0].Credit = 0 },
		"payees short of the credit":   func(r *receipt.Receipt) { r.Spans[0].Payees[0].Credit-- },
		"payees above the credit":      func(r *receipt.Receipt) { r.Spans[0].Payees[1].Credit++ },
		"more payees than tokens": func(r *receipt.Receipt) {
			r.Spans[0].Payees = nil
			for _, account := range "abcdef" {
				r.Spans[0].Payees = append(r.Spans[0].Payees, receipt.Payee{Account: string(account), Credit: 1})
			}
			r.Spans[0].Credit = 6
		},
	} {
		t.Run(claim, func(t *testing.T) {
			r := good()
			spoil(r)
			_, err := r.Encode()
			require.Error(t, err)
			_, err = r.ID()
			require.Error(t, err)
			_, err = json.Marshal(r)
			require.Error(t, err)
		})
	}
}

func TestOverlappingSpansCannotClaimMoreThanTheOutputTells(t *testing.T) {
	r := &receipt.Receipt{N: 4, V: 2, OutputBytes: 9, OutputTokens: 4, CoveragePPM: 1}
	for i := range uint32(2) {
		most := uint64(3 * attribution.MaxInformation)
		r.Spans = append(r.Spans, receipt.Span{Start: i, End: i + 3, ByteStart: i, ByteEnd: i + 3, Information: most, Credit: most,
			Occurrences: 1, Home: receipt.Home{Contribution: "c"}, Payees: []receipt.Payee{{Account: "a", Credit: most}}})
	}
	r.Shares = receipt.Shares(r.Spans)
	require.ErrorContains(t, r.Check(), "more credit than the output can tell")
}

// patched returns an encoded receipt with some of its bytes replaced.
func patched(encoded []byte, at int, by ...byte) []byte {
	changed := slices.Clone(encoded)
	copy(changed[at:], by)
	return changed
}

func TestCountsThatTheBytesCannotHoldAreRefusedBeforeAllocation(t *testing.T) {
	encoded, err := good().Encode()
	require.NoError(t, err)
	all := []byte{0xff, 0xff, 0xff, 0xff}
	spans := 8 + 32 + 2 + 2*32 + 16 + 2 + len("MSP/verse@1") + 4*32 + 4 + 4 + 1 + 4
	require.Equal(t, uint32(2), binary.BigEndian.Uint32(encoded[spans:]))
	payees := spans + 4 + 4*4 + 3*8 + 2 + len("c1") + 8
	require.Equal(t, uint32(2), binary.BigEndian.Uint32(encoded[payees:]))
	shares := len(encoded) - 2*(2+1+4) - 4
	require.Equal(t, uint32(2), binary.BigEndian.Uint32(encoded[shares:]))
	for _, at := range []int{spans, payees, shares} {
		_, err := receipt.Decode(patched(encoded, at, all...))
		require.ErrorContains(t, err, "too early")
	}
	_, err = receipt.Decode(patched(encoded, 40, 0xff, 0xff))
	require.ErrorContains(t, err, "too early", "roots")
}

func TestAnotherFormatOrSpecificationIsRefused(t *testing.T) {
	encoded, err := good().Encode()
	require.NoError(t, err)
	_, err = receipt.Decode(patched(encoded, 5, '2'))
	require.ErrorContains(t, err, "ATTR/1")
	_, err = receipt.Decode(patched(encoded, 7, 1))
	require.ErrorContains(t, err, "ATTR/1")
	_, err = receipt.Decode(patched(encoded, 8, ^encoded[8]))
	require.ErrorContains(t, err, "specification")
}

func TestRootsAreSortedAndEachOnce(t *testing.T) {
	given := []merkle.Hash{{2}, {1, 1}, {2}, {1}}
	require.Equal(t, []merkle.Hash{{1}, {1, 1}, {2}}, receipt.Roots(given))
	require.Equal(t, merkle.Hash{2}, given[0], "the argument is left as it was")
	require.Empty(t, receipt.Roots(nil))
}

func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payees := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) receipt.Payee {
			return receipt.Payee{
				Account: rapid.SampledFrom([]string{"a", "b", "c", "é", "Z"}).Draw(t, "account"),
				Credit:  rapid.OneOf(rapid.Uint64Range(1, 5), rapid.Uint64Range(1, 1<<50)).Draw(t, "credit"),
			}
		}), 1, 20).Draw(t, "payees")
		var spans []receipt.Span
		credit, all := make(map[string]*big.Int), new(big.Int)
		for _, p := range payees {
			spans = append(spans, receipt.Span{Payees: []receipt.Payee{p}})
			if credit[p.Account] == nil {
				credit[p.Account] = new(big.Int)
			}
			c := new(big.Int).SetUint64(p.Credit)
			credit[p.Account].Add(credit[p.Account], c)
			all.Add(all, c)
		}
		sum := uint32(0)
		shares := receipt.Shares(spans)
		require.Len(t, shares, len(credit))
		for i, s := range shares {
			require.True(t, i == 0 || shares[i-1].Account < s.Account)
			sum += s.PPM
			quota := new(big.Int).Mul(credit[s.Account], big.NewInt(receipt.Whole))
			quota.Quo(quota, all)
			require.Contains(t, []uint64{quota.Uint64(), quota.Uint64() + 1}, uint64(s.PPM))
		}
		require.Equal(t, uint32(receipt.Whole), sum)
	})
	one := []receipt.Payee{{Account: "b", Credit: 1}, {Account: "c", Credit: 1}, {Account: "a", Credit: 1}}
	require.Equal(t, []receipt.Share{{Account: "a", PPM: 333_334}, {Account: "b", PPM: 333_333}, {Account: "c", PPM: 333_333}},
		receipt.Shares([]receipt.Span{{Payees: one}}), "of equal remainders the bytewise lower account comes first")
	huge := []receipt.Payee{{Account: "a", Credit: 1}, {Account: "b", Credit: 1 << 52}}
	require.Equal(t, []receipt.Share{{Account: "a", PPM: 0}, {Account: "b", PPM: 1_000_000}},
		receipt.Shares([]receipt.Span{{Payees: huge}}), "a share of 0 stays listed")
}

func TestTheJSONViewNamesTheIDAndKeepsLargeNumbersExact(t *testing.T) {
	r := good()
	r.N = 1<<53 + 1
	r.Spans[0].Information, r.Spans[1].Information = 5*24<<16, 5*24<<16
	view, err := json.Marshal(r)
	require.NoError(t, err)
	var got struct {
		ID     string   `json:"id"`
		Tokens string   `json:"corpus_tokens"`
		Roots  []string `json:"roots"`
		Spans  []struct {
			Home struct {
				Contribution string `json:"contribution"`
			} `json:"home"`
			Payees []struct {
				Account string `json:"account"`
				Credit  string `json:"credit"`
			} `json:"payees"`
		} `json:"spans"`
		Shares []struct {
			PPM uint32 `json:"ppm"`
		} `json:"shares"`
	}
	require.NoError(t, json.Unmarshal(view, &got))
	id, err := r.ID()
	require.NoError(t, err)
	require.Equal(t, id.String(), got.ID)
	require.Equal(t, "9007199254740993", got.Tokens)
	require.Equal(t, merkle.Hash{1}.String(), got.Roots[0])
	require.Equal(t, "c1", got.Spans[0].Home.Contribution)
	require.Equal(t, "1966080", got.Spans[0].Payees[1].Credit)
	require.Equal(t, r.Shares[0].PPM, got.Shares[0].PPM)

	empty, err := json.Marshal(&receipt.Receipt{V: 1})
	require.NoError(t, err)
	require.Contains(t, string(empty), `"roots":[]`)
	require.Contains(t, string(empty), `"spans":[],"shares":[]`)
}

func FuzzDecode(f *testing.F) {
	for _, encoded := range examples(f)[:20] {
		f.Add(encoded)
	}
	encoded, err := good().Encode()
	require.NoError(f, err)
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := receipt.Decode(data)
		if err != nil {
			return
		}
		again, err := r.Encode()
		require.NoError(t, err)
		require.Equal(t, data, again, "a receipt has one binary form")
		_, err = json.Marshal(r)
		require.NoError(t, err)
	})
}
