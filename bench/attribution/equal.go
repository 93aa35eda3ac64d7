package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/golden"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/streaming"
)

// engines make the receipt of an answer each in its own way. The plain one comes first.
var engines = []func(context.Context, attribution.Corpus, attribution.Answer) (*receipt.Receipt, error){
	func(_ context.Context, c attribution.Corpus, a attribution.Answer) (*receipt.Receipt, error) {
		e, err := plain.New(c)
		if err != nil {
			return nil, err
		}
		return e.Receipt(a)
	},
	func(ctx context.Context, c attribution.Corpus, a attribution.Answer) (*receipt.Receipt, error) {
		return indexedReceipt(ctx, c, a, index.Options{})
	},
	func(ctx context.Context, c attribution.Corpus, a attribution.Answer) (*receipt.Receipt, error) {
		return indexedReceipt(ctx, c, a, index.Options{Memory: 1000}) // many segments
	},
	func(ctx context.Context, c attribution.Corpus, a attribution.Answer) (*receipt.Receipt, error) {
		e, err := streaming.New(c)
		if err != nil {
			return nil, err
		}
		return e.Receipt(ctx, a)
	},
}

func indexedReceipt(ctx context.Context, c attribution.Corpus, a attribution.Answer, options index.Options) (*receipt.Receipt, error) {
	view, err := index.InMemory(ctx, index.FromCorpus(c), options)
	if err != nil {
		return nil, err
	}
	return indexed.New(view).Receipt(a)
}

// equalReceipts compares the bytes of all engines' receipts.
func equalReceipts(ctx context.Context, b *bench) error {
	examples, err := golden.Examples()
	if err != nil {
		return err
	}
	different := 0
	for _, e := range examples {
		equal, err := agree(ctx, e.Corpus, e.Answer, e.Receipt)
		if err != nil {
			return err
		}
		if !equal {
			different++
		}
	}
	b.table.add(fmt.Sprintf("published examples of %d with a receipt that differs, 3 engines", len(examples)), exactly(0), float64(different), "")
	different = 0
	for seed := range b.cases {
		corpus, answer := golden.Draw(seed)
		equal, err := agree(ctx, corpus, answer, nil)
		if err != nil {
			return fmt.Errorf("case %d: %w", seed, err)
		}
		if !equal {
			different++
		}
	}
	b.table.add(fmt.Sprintf("random cases of %d with a receipt that differs, 3 engines", b.cases), exactly(0), float64(different), "")
	return nil
}

// agree reports whether all engines give one receipt, and the wanted one if there is any.
func agree(ctx context.Context, c attribution.Corpus, a attribution.Answer, want []byte) (bool, error) {
	for _, engine := range engines {
		r, err := engine(ctx, c, a)
		if err != nil {
			return false, err
		}
		got, err := r.Encode()
		if err != nil {
			return false, err
		}
		if want == nil {
			want = got
		}
		if !bytes.Equal(want, got) {
			return false, nil
		}
	}
	return true, nil
}
