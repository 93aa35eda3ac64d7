// Package streaming computes and checks receipts (docs/attribution.md) without an index: it goes over the
// whole corpus for every check. A validating organisation uses it to check what a host computed with its
// index; the two share the tokeniser and the receipt's encoding and nothing else.
//
// Life of a check: the corpus is tokenised once into a token stream (Writer), an array of token numbers in
// the order of their places with a dictionary of the distinct tokens and their counts. The output's tokens
// are looked up in the dictionary, which gives their information. A first pass over the numbers follows
// the corpus through the suffix automaton of the output and finds the longest matches, how often they
// occur and where first. The neighbourhoods of these homes are read, and a second pass, which ends at the
// last home, finds where the passages around them occur first. Both take time linear in the corpus,
// whatever corpus and output look like, and use all processors.
//
// Memory, beside a few megabytes for each processor: the dictionary, 8 bytes for each record, and what is
// in proportion to the output. The corpus itself stays in the file.
package streaming

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/receipt"
)

// An Engine makes receipts over one corpus. It may be used concurrently.
type Engine struct {
	stream *stream
}

// Open reads a token stream of so many bytes, which must not change while the engine is used. It fails with
// ErrDamaged for a file that is not as a Writer left it; damage among the numbers shows when they are read.
func Open(file io.ReaderAt, size int64) (*Engine, error) {
	s, err := openStream(file, size)
	if err != nil {
		return nil, err
	}
	return &Engine{s}, nil
}

// New tokenises a corpus into memory. It fails when a name in it breaks the rules or a contribution stands
// in it twice.
func New(corpus attribution.Corpus) (*Engine, error) { return newEngine(corpus, pieceTokens) }

func newEngine(corpus attribution.Corpus, piece int) (*Engine, error) {
	var file bytes.Buffer
	w := newWriter(&file, piece)
	for _, c := range corpus {
		if err := w.Contribution(c.ID, c.Account); err != nil {
			return nil, err
		}
		for _, record := range c.Records {
			if err := w.Record(record); err != nil {
				return nil, err
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
}

// Size returns N and V of section 2: the number of tokens in the corpus, and that of its distinct tokens plus one.
func (e *Engine) Size() (n, v uint64) { return e.stream.tokens, uint64(len(e.stream.words.ends)) + 1 }

// Receipt computes the receipt of an answer. It fails when something does not fit in a receipt.
func (e *Engine) Receipt(ctx context.Context, answer attribution.Answer) (*receipt.Receipt, error) {
	receipts, err := e.Receipts(ctx, answer)
	if err != nil {
		return nil, err
	}
	return receipts[0], nil
}

// Verify recomputes the receipt of an answer and fails with a *receipt.Mismatch, which names the first
// field in which the claimed one differs. The answer is what the texts, nonces and policies behind the claim
// are known to be.
func (e *Engine) Verify(ctx context.Context, claimed *receipt.Receipt, answer attribution.Answer) error {
	computed, err := e.Receipt(ctx, answer)
	if err != nil {
		return fmt.Errorf("recompute the receipt: %w", err)
	}
	return receipt.Compare(claimed, computed)
}
