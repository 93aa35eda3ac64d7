package client

import (
	"context"
	"iter"
	"maps"
	"net/url"
	"strconv"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// All reads a list to its end, page by page. The pages come from states of the ledger at different times; an item that
// comes or goes meanwhile may be missed, none is given twice.
func All[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		asked := maps.Clone(query)
		if asked == nil {
			asked = url.Values{}
		}
		if !asked.Has("limit") {
			asked.Set("limit", strconv.Itoa(ledger.MaxPage))
		}
		for {
			page, _, err := Get[ledger.Page[T]](ctx, c, path, asked)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			asked.Set("cursor", page.Next)
		}
	}
}
