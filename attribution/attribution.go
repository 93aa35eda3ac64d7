// Package attribution holds what everyone who computes or checks a proof of attribution must agree on:
// the corpus, names, commitments, snapshot leaves and the measure of information. The definition is
// docs/attribution.md; comments give its sections. Everything here and below is computed on integers,
// without map order, clocks or tables that change with a Go release.
//
// Life of a receipt: a contribution is committed to with a salt; approved, it becomes a leaf of a
// snapshot, whose root is on the ledger. A model's corpus is the union of its snapshots' contributions.
// The model gives an answer. An engine ([plain] is the short one) finds the passages of the answer that
// stand in the corpus and writes them, with the account each belongs to, into a [receipt]; the
// receipts of many paid answers decide how the data part of their fees is split ([payout]).
//
// [plain]: https://pkg.go.dev/github.com/datanet-consortium/datanet/attribution/plain
// [receipt]: https://pkg.go.dev/github.com/datanet-consortium/datanet/attribution/receipt
// [payout]: https://pkg.go.dev/github.com/datanet-consortium/datanet/attribution/payout
package attribution

import (
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// A Contribution is a list of records in the order its commitment has them. A record is one text, as
// the exact bytes.
type Contribution struct {
	ID      string
	Account string
	Records [][]byte
}

// A Corpus is a set of contributions in the order in which the ledger registered them (section 2).
type Corpus []Contribution

// Check reports the first name in the corpus that no receipt could carry and the first contribution
// id that stands there twice.
//
// It does not refuse the prefix that [CheckAccount] refuses: which accounts may register anything is the
// ledger's affair, and a receipt is defined for any corpus.
func (c Corpus) Check() error {
	seen := make(map[string]bool, len(c))
	for i, contribution := range c {
		if err := CheckName(contribution.ID); err != nil {
			return fmt.Errorf("contribution %d of the corpus: id %q %w", i, contribution.ID, err)
		}
		if err := CheckName(contribution.Account); err != nil {
			return fmt.Errorf("contribution %q of the corpus: account %q %w", contribution.ID, contribution.Account, err)
		}
		if seen[contribution.ID] {
			return fmt.Errorf("contribution %q stands twice in the corpus", contribution.ID)
		}
		seen[contribution.ID] = true
	}
	return nil
}

// A Place is a token of the corpus: number of the contribution, of the record in it, and of the token in
// that, each from 0.
type Place struct {
	Contribution, Record, Token int
}

// MaxTau is the largest strictness τ, in bits.
const MaxTau = 30

// DefaultTau is the strictness τ of a datanet whose policy names none, in bits.
const DefaultTau = 12

// An Answer is what a receipt is about: a model's output and all that was given to produce it.
type Answer struct {
	// Roots are the revision roots of the snapshots in the model's lineage, in any order.
	Roots []merkle.Hash
	// Model is name@version, at most 65,535 bytes.
	Model string
	// Artifact is the digest of the model's artifact.
	Artifact merkle.Hash
	// Prompt is what the consumer sent, each message of a chat one record.
	Prompt [][]byte
	// Context is what the host added, in order: a system text, retrieved passages.
	Context [][]byte
	// Output is the text the model gave.
	Output []byte
	// Nonces hide the three texts in the receipt's commitments to them.
	Nonces Nonces
	// Tau is the largest strictness that the policies of the corpus' datanets ask for, 0 to MaxTau.
	Tau uint8
}

// A Nonce is drawn at random by the host for one text of one answer and shown only to those who may
// see that text.
type Nonce [16]byte

// Nonces are the three of an answer.
type Nonces struct {
	Prompt, Context, Output Nonce
}
