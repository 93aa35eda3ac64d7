package seal_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

// TestMoreMayLeaveThanOneValueNames has more contributions leave than a transaction sees one by one.
func TestMoreMayLeaveThanOneValueNames(t *testing.T) {
	c := rulestest.New(t)
	ann, curator := rulestest.User(rulestest.A, "ann", ledger.Contributor), rulestest.User(rulestest.A, "curator1", ledger.Curator)
	trainer := rulestest.User(rulestest.A, "trainer1", ledger.Trainer)
	c.OpenAll(t, ann)
	pool := c.Pool(t)
	const leaving = contribution.MaxNamed + 20
	var ids []string
	for _, name := range c.Approved(t, ann, pool, leaving+1) {
		ids = append(ids, name.ID)
	}
	c.Must(t, curator, "seal:Append", seal.Append{Datanet: pool, Contributions: ids})
	first := snapshot.Named{Datanet: pool, Number: 1}
	c.Must(t, curator, "snapshot:Take", first)
	largest := 0
	for _, id := range ids[:leaving] {
		c.Must(t, ann, "contribution:Withdraw", contribution.Named{Datanet: pool, ID: id})
	}
	for _, entry := range c.State() {
		if kind, _, _ := entry.Key.Split(); kind == "leavers" || kind == "leaver" {
			largest = max(largest, len(entry.Value))
		}
	}
	require.Less(t, largest, 10_000, "no value grows with what leaves")

	// A page stays good when one that it showed is retired.
	list := func(cursor string) (page ledger.Page[string]) {
		req := contribution.Listing{Datanet: pool, PageRequest: ledger.PageRequest{Limit: 50, Cursor: cursor}}
		require.NoError(t, ledger.DecodeAnswer(c.Must(t, ann, "seal:Left", req), &page))
		require.LessOrEqual(t, len(page.Items), 50)
		return page
	}
	page := list("")
	c.Must(t, curator, "seal:Retire", seal.Retire{Datanet: pool, Contributions: page.Items[:10]})
	seen := page.Items
	for page.Next != "" {
		page = list(page.Next)
		seen = append(seen, page.Items...)
	}
	require.Equal(t, slices.Sorted(slices.Values(ids[:leaving])), seen)

	_, fault := c.Try(t, curator, "snapshot:Take", snapshot.Named{Datanet: pool, Number: 2})
	require.Equal(t, ledger.CodeState, fault.Code)
	open := ticket.Open{ID: c.ID(), Snapshots: []snapshot.Named{first}, Purpose: licence.Research}
	_, fault = c.Try(t, trainer, "ticket:Open", open)
	require.Equal(t, ledger.CodeLicence, fault.Code)
	require.Contains(t, fault.Message, "are not retired yet")
	var gone ledger.Page[snapshot.Gone]
	require.NoError(t, ledger.DecodeAnswer(c.Must(t, ann, "snapshot:Gone", snapshot.Leavers{Named: first, PageRequest: ledger.PageRequest{Limit: 1000}}), &gone))
	require.Len(t, gone.Items, leaving, "a query sees all of them")

	c.Must(t, curator, "seal:Retire", seal.Retire{Datanet: pool, Contributions: ids[:leaving]})
	require.Empty(t, list("").Items)
	for _, entry := range c.State() {
		kind, _, _ := entry.Key.Split()
		require.NotContains(t, []string{"leavers", "leaver"}, kind, "nothing is left of the list")
	}
	_, fault = c.Try(t, trainer, "ticket:Open", open)
	require.Contains(t, fault.Message, "holds 276 contributions that have left")
	c.Must(t, curator, "snapshot:Take", snapshot.Named{Datanet: pool, Number: 2})
}
