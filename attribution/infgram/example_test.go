package infgram_test

import (
	"context"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/infgram"
)

// A model writes, and tells what it would have given its text without one of those it learned from.
func Example() {
	if err := example(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// we happy few we band of brothers
	// Ann +33.3 bits
	// Bob -0.1 bits
}

func example(ctx context.Context) error {
	corpus := attribution.Corpus{
		{ID: "1", Account: "Ann", Records: [][]byte{[]byte("We few, we happy few, we band of brothers;")}},
		{ID: "2", Account: "Bob", Records: [][]byte{[]byte("To be or not to be, that is the question:")}},
	}
	view, err := index.InMemory(ctx, index.FromCorpus(corpus), index.Options{})
	if err != nil {
		return err
	}
	model, err := infgram.New(ctx, view, infgram.Options{MaxContext: 4})
	if err != nil {
		return err
	}
	prompt := []byte("We few,")
	var text []byte
	for token, err := range model.Generate(ctx, prompt, infgram.Generation{Tokens: 20, Seed: 3}) {
		if err != nil {
			return err
		}
		if len(text) > 0 {
			text = append(text, ' ')
		}
		text = append(text, token...)
	}
	fmt.Printf("%s\n", text)
	_, without, err := model.LeaveOneOut(ctx, infgram.Passage{Before: prompt, Text: text, Ends: true})
	if err != nil {
		return err
	}
	for _, w := range without {
		fmt.Printf("%s %+.1f bits\n", w.Account, w.Gain)
	}
	return nil
}
