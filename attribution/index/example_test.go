package index_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
)

// An index is opened, or built where there is none or it is damaged, and grows as contributions are registered.
func Example() {
	dir, err := os.MkdirTemp("", "index")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := grow(context.Background(), dir); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 2 contributions, 15 tokens
}

func grow(ctx context.Context, dir string) error {
	first := attribution.Corpus{{ID: "c1", Account: "PoetrySocietyMSP:7d1e", Records: [][]byte{[]byte("We few, we happy few, we band of brothers;")}}}
	second := attribution.Corpus{{ID: "c2", Account: "NationalLibraryMSP:02b9", Records: [][]byte{[]byte("To be or not to be:")}}}

	x, err := index.Open(dir, index.Options{})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, index.ErrDamaged) {
		x, err = index.Build(ctx, dir, index.FromCorpus(first), index.Options{})
	}
	if err != nil {
		return err
	}
	defer x.Close()
	if err := x.Append(ctx, index.FromCorpus(second)); err != nil {
		return err
	}
	view, err := x.View()
	if err != nil {
		return err
	}
	defer view.Close()
	n, _ := view.Size()
	fmt.Printf("%d contributions, %d tokens\n", view.Contributions(), n)
	return nil
}
