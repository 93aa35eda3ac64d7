package receipt

import (
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// A Mismatch is the first field, in the order of the encoding, in which a claimed receipt differs from the
// one that was recomputed.
type Mismatch struct {
	Field    string `json:"field"`
	Claimed  string `json:"claimed"`
	Computed string `json:"computed"`
}

func (m *Mismatch) Error() string {
	return fmt.Sprintf("the receipt is wrong: its %s is %s, recomputed it is %s", m.Field, m.Claimed, m.Computed)
}

// Compare reports the first difference between two receipts as a *Mismatch.
func Compare(claimed, computed *Receipt) error {
	c := comparison{}
	compare(&c, "number of roots", len(claimed.Roots), len(computed.Roots))
	for i := range min(len(claimed.Roots), len(computed.Roots)) {
		compare(&c, fmt.Sprintf("root %d", i), claimed.Roots[i], computed.Roots[i])
	}
	compare(&c, "number of corpus tokens", claimed.N, computed.N)
	compare(&c, "number of distinct corpus tokens plus one", claimed.V, computed.V)
	compare(&c, "model", claimed.Model, computed.Model)
	for _, hash := range []struct {
		field             string
		claimed, computed merkle.Hash
	}{
		{"artifact", claimed.Artifact, computed.Artifact},
		{"commitment to the prompt", claimed.Prompt, computed.Prompt},
		{"commitment to the context", claimed.Context, computed.Context},
		{"commitment to the output", claimed.Output, computed.Output},
	} {
		compare(&c, hash.field, hash.claimed, hash.computed)
	}
	compare(&c, "number of output bytes", claimed.OutputBytes, computed.OutputBytes)
	compare(&c, "number of output tokens", claimed.OutputTokens, computed.OutputTokens)
	compare(&c, "tau", claimed.Tau, computed.Tau)
	compare(&c, "coverage in ppm", claimed.CoveragePPM, computed.CoveragePPM)
	compare(&c, "number of spans", len(claimed.Spans), len(computed.Spans))
	for i := range min(len(claimed.Spans), len(computed.Spans)) {
		c.span(fmt.Sprintf("span %d: ", i), &claimed.Spans[i], &computed.Spans[i])
	}
	compare(&c, "number of shares", len(claimed.Shares), len(computed.Shares))
	for i := range min(len(claimed.Shares), len(computed.Shares)) {
		compare(&c, fmt.Sprintf("share %d: account", i), claimed.Shares[i].Account, computed.Shares[i].Account)
		compare(&c, fmt.Sprintf("share %d: ppm", i), claimed.Shares[i].PPM, computed.Shares[i].PPM)
	}
	if c.first != nil {
		return c.first
	}
	return nil
}

type comparison struct{ first *Mismatch }

func compare[T comparable](c *comparison, field string, claimed, computed T) {
	if c.first == nil && claimed != computed {
		c.first = &Mismatch{Field: field, Claimed: fmt.Sprint(claimed), Computed: fmt.Sprint(computed)}
	}
}

func (c *comparison) span(name string, claimed, computed *Span) {
	compare(c, name+"start", claimed.Start, computed.Start)
	compare(c, name+"end", claimed.End, computed.End)
	compare(c, name+"first byte", claimed.ByteStart, computed.ByteStart)
	compare(c, name+"byte after the last", claimed.ByteEnd, computed.ByteEnd)
	compare(c, name+"information", claimed.Information, computed.Information)
	compare(c, name+"credit", claimed.Credit, computed.Credit)
	compare(c, name+"occurrences", claimed.Occurrences, computed.Occurrences)
	compare(c, name+"home contribution", claimed.Home.Contribution, computed.Home.Contribution)
	compare(c, name+"home record", claimed.Home.Record, computed.Home.Record)
	compare(c, name+"home token", claimed.Home.Token, computed.Home.Token)
	compare(c, name+"number of payees", len(claimed.Payees), len(computed.Payees))
	for i := range min(len(claimed.Payees), len(computed.Payees)) {
		compare(c, fmt.Sprintf("%spayee %d: account", name, i), claimed.Payees[i].Account, computed.Payees[i].Account)
		compare(c, fmt.Sprintf("%spayee %d: credit", name, i), claimed.Payees[i].Credit, computed.Payees[i].Credit)
	}
}
