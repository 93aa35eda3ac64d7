// Package receipt is the receipt ATTR/1 of the attribution definition (docs/attribution.md, section 6): its
// values, its one binary form and its view in JSON.
//
// A receipt says which passages of one answer stand in the model's corpus, to whom each belongs and
// what part of the answer they are. It holds no text, only commitments to the prompt, the context and
// the output, and its identity is the hash of its bytes. It claims textual provenance, not causation,
// and does not see paraphrase.
package receipt

import (
	"bytes"
	"math/big"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/apportion"
	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// A Receipt is the content of an ATTR/1 receipt. Only one that passes Check can be encoded.
type Receipt struct {
	// Roots are the snapshot revision roots of the model's lineage, ascending, each once.
	Roots []merkle.Hash
	// N is the number of tokens in the corpus, V that of distinct ones plus one.
	N, V uint64
	// Model is name@version, Artifact the digest of the model's artifact.
	Model    string
	Artifact merkle.Hash
	// Prompt, Context and Output are commitments to what the consumer sent, what the host added, and
	// what the model gave.
	Prompt, Context, Output merkle.Hash
	// OutputBytes and OutputTokens are the length of the output; OutputTokens is m in the definition.
	OutputBytes, OutputTokens uint32
	// Tau is the strictness in bits, 0 to 30.
	Tau uint8
	// CoveragePPM is the part of the output's information that the spans are credited with, in
	// millionths, rounded down.
	CoveragePPM uint32
	// Spans are the credited passages of the output by start. They may overlap.
	Spans []Span
	// Shares is what the spans come to for each account, bytewise ascending; without spans there are none.
	Shares []Share
}

// A Span is a passage of the output that stands in the corpus and is credited. All information is in
// units of 2⁻¹⁶ bit.
type Span struct {
	// Start and End bound the span in tokens of the output, ByteStart and ByteEnd in its bytes.
	Start, End, ByteStart, ByteEnd uint32
	// Information is S, what the span's tokens tell together, quoted ones and echoes apart.
	Information uint64
	// Credit is the part of it from tokens that belong to this span and not to a better one; at least 1.
	Credit uint64
	// Occurrences is how often the span stands in the corpus, overlapping ones counted too.
	Occurrences uint64
	// Home is the place of its first occurrence.
	Home Home
	// Payees divide Credit among the origins of the span's tokens, bytewise ascending by account.
	Payees []Payee
}

// A Home is a place in the corpus, named so that it can be found again: record and token count from 0.
type Home struct {
	Contribution  string
	Record, Token uint32
}

// A Payee is an account that a span's credit goes to; Credit is at least 1.
type Payee struct {
	Account string
	Credit  uint64
}

// A Share is an account's part of the receipt's whole credit, in millionths. It may be 0.
type Share struct {
	Account string
	PPM     uint32
}

// Whole is the sum of all shares of a receipt with spans.
const Whole = 1_000_000

// Roots returns the given roots in the form a receipt holds them: ascending, each once.
func Roots(roots []merkle.Hash) []merkle.Hash {
	sorted := slices.Clone(roots)
	slices.SortFunc(sorted, func(a, b merkle.Hash) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(sorted)
}

// Shares returns the shares that follow from spans (section 5): each account's credit as a part of the
// whole, by largest remainder to exactly Whole; of equal remainders the bytewise lower account comes first.
func Shares(spans []Span) []Share {
	credit := make(map[string]uint64)
	var accounts []string
	for _, span := range spans {
		for _, payee := range span.Payees {
			if _, known := credit[payee.Account]; !known {
				accounts = append(accounts, payee.Account)
			}
			credit[payee.Account] += payee.Credit
		}
	}
	if len(accounts) == 0 {
		return nil
	}
	slices.Sort(accounts)
	weights := make([]*big.Int, len(accounts))
	for i, account := range accounts {
		weights[i] = new(big.Int).SetUint64(credit[account])
	}
	shares := make([]Share, len(accounts))
	for i, part := range apportion.Split(big.NewInt(Whole), weights) {
		shares[i] = Share{Account: accounts[i], PPM: uint32(part.Uint64())}
	}
	return shares
}
