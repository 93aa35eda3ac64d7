package integration_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/integration/story"
)

// TestEveryListIsPaged walks every list that the table offers in pages of one item, as the regulator, and compares with
// the list as a whole.
func TestEveryListIsPaged(t *testing.T) {
	topology, err := parse(config.BFT)
	require.NoError(t, err)
	withCells(topology)
	m, err := story.NewMemory(topology)
	require.NoError(t, err)
	requests := prepareCells(t, m)
	prepareCells(t, m) // so that more lists have several items
	lists, longer := 0, 0
	for _, f := range rules.New(nil).Functions() {
		paged, list := has(f.Request, "PageRequest"), has(f.Response, "Items") && has(f.Response, "Next")
		require.Equal(t, list, paged && f.Name != "erasure:Affected", "%s: a list is asked for by pages", f.Name)
		if !list {
			continue
		}
		lists++
		read := func(limit int, cursor string) (page ledger.Page[json.RawMessage]) {
			document := map[string]any{}
			encoded, err := ledger.Encode(requests[f.Name])
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(encoded, &document))
			document["limit"], document["cursor"] = limit, cursor
			if cursor == "" {
				delete(document, "cursor")
			}
			answer := ask[json.RawMessage](t, m, story.User{Name: "inspector1", MSP: regulator}, f.Name, document)
			require.NoError(t, json.Unmarshal(answer, &page))
			require.LessOrEqual(t, len(page.Items), limit, f.Name)
			return page
		}
		whole := read(ledger.MaxPage, "")
		require.Empty(t, whole.Next, f.Name)
		var walked []json.RawMessage
		steps := 0
		for cursor := ""; steps == 0 || cursor != ""; steps++ {
			page := read(1, cursor)
			walked, cursor = append(walked, page.Items...), page.Next
			require.Less(t, steps, ledger.MaxPage, "%s: the list ends", f.Name)
		}
		require.Equal(t, texts(whole.Items), texts(walked), f.Name)
		if len(walked) > 1 {
			longer++
		}
	}
	require.Greater(t, lists, 20)
	require.Greater(t, longer, 10, "many lists have more than one page")
}

// TestACursorStaysGoodWhenItemsComeAndGo reads pages of contributions while others are registered before and after.
func TestACursorStaysGoodWhenItemsComeAndGo(t *testing.T) {
	topology, err := parse(config.BFT)
	require.NoError(t, err)
	m, err := story.NewMemory(topology)
	require.NoError(t, err)
	p := newPool(t, m)
	p.grow(t, 20)
	first := slices.Sorted(slices.Values(p.ids))
	var seen []string
	req := contribution.Listing{Datanet: p.name, PageRequest: ledger.PageRequest{Limit: 3}}
	for {
		page := ask[ledger.Page[contribution.Contribution]](t, m, curator, "contribution:List", req)
		for _, c := range page.Items {
			seen = append(seen, c.ID)
		}
		if page.Next == "" {
			break
		}
		req.Cursor = page.Next
		p.grow(t, len(p.ids)+2)
	}
	require.True(t, slices.IsSorted(seen))
	require.Len(t, slices.Compact(slices.Clone(seen)), len(seen), "nothing is shown twice")
	for _, id := range first {
		require.Contains(t, seen, id, "nothing that was there all the time is left out")
	}
}

func has(t reflect.Type, field string) bool {
	_, ok := t.FieldByName(field)
	if field == "PageRequest" && t == reflect.TypeFor[ledger.PageRequest]() {
		return true
	}
	return ok
}

func texts(items []json.RawMessage) []string {
	list := make([]string, len(items))
	for i, item := range items {
		list[i] = string(item)
	}
	return list
}
