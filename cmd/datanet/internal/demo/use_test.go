package demo

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/narration"
)

func TestRuns(t *testing.T) {
	number := map[string]int{"A:a": 1, "B:b": 2}
	span := func(start, end uint32, information uint64, payees ...receipt.Payee) receipt.Span {
		return receipt.Span{Start: start, End: end, Information: information, Payees: payees}
	}
	a, b := receipt.Payee{Account: "A:a", Credit: 3}, receipt.Payee{Account: "B:b", Credit: 2}
	for claim, c := range map[string]struct {
		spans []receipt.Span
		want  []narration.Run
	}{
		"without spans it is all nobody's": {nil, []narration.Run{{Text: "«one» two, three four."}}},
		"a span holds what stands between its tokens, not what stands around": {[]receipt.Span{span(0, 3, 9, a)},
			[]narration.Run{{Text: "«"}, {Text: "one» two, three", From: 1}, {Text: " four."}}},
		"a token of two spans belongs to the one with more information": {[]receipt.Span{span(0, 2, 5, a), span(1, 4, 9, b)},
			[]narration.Run{{Text: "«"}, {Text: "one", From: 1}, {Text: "» "}, {Text: "two, three four", From: 2}, {Text: "."}}},
		"of equal ones to the leftmost": {[]receipt.Span{span(0, 2, 9, a), span(1, 4, 9, b)},
			[]narration.Run{{Text: "«"}, {Text: "one» two", From: 1}, {Text: ", "}, {Text: "three four", From: 2}, {Text: "."}}},
		"a span is shown as of whom it pays most": {[]receipt.Span{span(1, 4, 9, a, b)},
			[]narration.Run{{Text: "«one» "}, {Text: "two, three four", From: 1}, {Text: "."}}},
	} {
		t.Run(claim, func(t *testing.T) {
			require.Equal(t, c.want, runs("«one» two, three four.", c.spans, number))
		})
	}
}

func TestPhrases(t *testing.T) {
	require.Equal(t, "1.000001 credits", credits(1_000_001))
	require.Equal(t, "5 %", percent(50_000))
	require.Equal(t, "0.33 %", percent(3_399))
	require.Equal(t, "100 %", percent(1_000_000))
	require.Equal(t, "a, b and c", sentence([]string{"a", "b", "c"}))
	require.Equal(t, "a", sentence([]string{"a"}))
}

func TestBooksBalanceWhenEveryCreditIsSomewhere(t *testing.T) {
	b := books{minted: 100, accounts: 50, pools: 20, sessions: 9, claims: 6, escrowed: 10, redeemed: 5}
	require.NoError(t, b.balanced())
	for _, part := range []*money.Amount{&b.minted, &b.accounts, &b.pools, &b.sessions, &b.claims, &b.escrowed, &b.redeemed} {
		*part++
		require.Error(t, b.balanced())
		*part--
	}
}
