package indexed_test

import (
	"context"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
)

func Example() {
	corpus := attribution.Corpus{
		{ID: "c1", Account: "PoetrySocietyMSP:7d1e", Records: [][]byte{[]byte("توانا بود هر که دانا بود\nز دانش دل پیر برنا بود")}},
		{ID: "c2", Account: "NationalLibraryMSP:02b9", Records: [][]byte{[]byte("بنی آدم اعضای یک پیکرند\nکه در آفرینش ز یک گوهرند")}},
	}
	view, err := index.InMemory(context.Background(), index.FromCorpus(corpus), index.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := indexed.New(view).Receipt(attribution.Answer{
		Model:  "AILabMSP/verse@1",
		Output: []byte("گفت: «بني آدم اعضای یک پیکرند، که در آفرینش ز یک گوهرند»"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, share := range r.Shares {
		fmt.Printf("%s: %d ppm of %d ppm of the answer\n", share.Account, share.PPM, r.CoveragePPM)
	}
	// Output:
	// NationalLibraryMSP:02b9: 1000000 ppm of 886622 ppm of the answer
}
