package rest

import (
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// indexProblems are the codes of problems of what reads the index.
var indexProblems = []string{codeBehind, codeTimeout}

// pageParams are the parameters of every list of the index.
func (a *API) pageParams() []*huma.Param {
	return []*huma.Param{queryParam("limit", whole(0, ledger.MaxPage), queryDocs["limit"]), queryParam("cursor", text(), queryDocs["cursor"]), a.heightParam()}
}

func (a *API) heightParam() *huma.Param {
	return queryParam("min_height", whole(0, math.MaxInt64), "Wait until the index has this many blocks; a write's Datanet-Block plus 1 shows what it wrote.")
}

var listHeaders = some(readHeaders, heightHeader)

func one[T any]() []answer {
	return []answer{{status: http.StatusOK, doc: "The answer.", of: reflect.TypeFor[T](), headers: listHeaders}}
}

func pageOf[T any]() []answer { return one[ledger.Page[T]]() }

func pageAs[A, B any](page ledger.Page[A], as func(A) B) ledger.Page[B] {
	items := make([]B, len(page.Items))
	for i, item := range page.Items {
		items[i] = as(item)
	}
	return ledger.Page[B]{Items: items, Next: page.Next}
}

// page reads limit and cursor, and waits for the height that the caller names.
func (c *call) page() (ledger.PageRequest, error) {
	limit, err := c.number("limit", 0, 0, ledger.MaxPage)
	if err != nil {
		return ledger.PageRequest{}, err
	}
	return ledger.PageRequest{Limit: int(limit), Cursor: c.query.Get("cursor")}, c.atHeight()
}

// atHeight waits for the height that the caller names, and tells in the answer what it is before anything is read.
func (c *call) atHeight() error {
	if err := c.awaitHeight(); err != nil {
		return err
	}
	height, err := c.api.options.Index.Height(c.ctx())
	if err != nil {
		return err
	}
	c.w.Header().Set(heightHeader, strconv.FormatUint(height, 10))
	return nil
}

// listing is a list of entries of one kind.
type listing struct {
	name, kind string
	filters    []string
	doc        string
}

// lists are the entries that are listed by more than their keys. The filters are those of the index.
var lists = []listing{
	{"datanets", "datanet", []string{"datanet", "organisation", "account", "state"}, "Datanets; account is the curator."},
	{"contributions", "contribution", []string{"datanet", "organisation", "account", "state", "awaits"},
		"Contributions; account is the contributor, awaits an organisation whose vote is missing, as in its validators' queue."},
	{"votes", "vote", []string{"datanet", "organisation", "account", "state"}, "Votes; account is the validator, state the choice, or open."},
	{"grants", "grant", []string{"datanet", "organisation", "account", "state"}, "Grants; account is the grantee."},
	{"replicas", "replica", []string{"datanet", "organisation", "account", "state", "awaits"},
		"Replica agreements; organisation is the keeper, account who offered it, state offered or ended by the owner, awaits a keeper that has not answered."},
	{"releases", "release", []string{"datanet", "organisation", "account"}, "Releases; account is the recipient."},
	{"tickets", "ticket", []string{"organisation", "account", "state"}, "Training tickets; account is the trainer."},
	{"models", "model", []string{"organisation", "account", "state", "awaits"},
		"Models; account is the developer, awaits an organisation that is to accept a rate card."},
	{"rate-cards", "rate-card", []string{"organisation", "account"}, "Rate cards; account is the host."},
	{"erasures", "erasure", []string{"datanet", "organisation", "account", "state", "awaits"},
		"Erasures; account is who asked, awaits an organisation that has not acknowledged."},
	{"proposals", "proposal", []string{"organisation", "account", "state", "awaits"},
		"Proposals; account is the proposer, awaits an organisation that has not approved."},
	{"accounts", "account", []string{"organisation"}, "Open accounts."},
	{"sessions", "session", []string{"organisation", "account", "state"}, "Prepaid sessions; account is the consumer."},
	{"tabs", "tab", []string{"organisation", "account", "state"},
		"What has been paid into sessions and settled of them; account is the consumer, state open or closed."},
	{"top-ups", "fund", []string{"organisation", "account", "state"}, "Top-ups of sessions; account is the consumer, state used once a settlement or a return has counted it, or unused."},
	{"claims", "claim", []string{"organisation", "account", "state", "awaits"},
		"Settlements and the claims on their data parts; account is the host, awaits an organisation that has not attested."},
	{"attestations", "claim-slot", []string{"organisation", "account", "state"}, "Votes on claims; account is the attestor, state attested or open."},
	{"secrets", "sampling", []string{"organisation", "account", "state"}, "Sampling secrets; account is who registered it, state sealed or revealed."},
	{"payouts", "pool-payout", []string{"datanet", "state"}, "Pay-outs of datanets' pools; state short while credits are to be drawn, then funded, then paid."},
	{"mints", "mint", []string{"organisation", "account"}, "What was issued; account is who received it."},
	{"redemptions", "redemption", []string{"organisation", "account", "state"}, "Redemptions."},
	{"credits", "credit", []string{"organisation", "account"}, "Credits that are not spent; account is the owner."},
	{"spends", "spend", []string{"organisation", "account"}, "Spends; account is the payer."},
}

var filterDocs = map[string]string{
	"datanet":      "The datanet, as PoetrySocietyMSP/persian-poetry.",
	"organisation": "The account's organisation, by its MSP ID.",
	"account":      "The account.",
	"state":        "The state.",
	"awaits":       "An organisation whose part is missing, by its MSP ID.",
}

// addLists adds what only the index can answer.
func (a *API) addLists() {
	for _, l := range lists {
		order := text()
		order.Enum = []any{string(index.Oldest), string(index.Newest), string(index.ByKey)}
		params := append(a.pageParams(), queryParam("order", order, "By when the entry came into being, or by its name."))
		for _, name := range l.filters {
			params = append(params, queryParam(name, text(), filterDocs[name]))
		}
		a.add(&operation{id: "list-" + l.name, method: get, path: "/v1/lists/" + l.name, tag: "lists", summary: "Lists " + l.name + " by filters", doc: l.doc,
			scope: identity.Read, params: params, answers: pageOf[Entry](), problems: indexProblems, handle: func(c *call) error { return c.listEntries(l) }})
	}
	a.add(&operation{id: "get-statement", method: get, path: ofAccount + "/statement", tag: "lists",
		summary: "Lists what came to an account and what left it, the latest first", doc: "Entries of the kinds credit and spend; credits also when they are spent by now.",
		scope: identity.Read, params: a.pageParams(), answers: pageOf[Entry](), problems: indexProblems,
		handle: func(c *call) error {
			account := ledger.Account(c.param("account"))
			return c.entries(func(page ledger.PageRequest) (ledger.Page[index.Entry], error) {
				return c.api.options.Index.Statement(c.ctx(), account, page)
			})
		}})
	key := queryParam("key", text(), `The kind and the parts of the name, as a JSON list: ["contribution","PoetrySocietyMSP/verse","0…"].`)
	key.Required = true
	a.add(&operation{id: "get-history", method: get, path: "/v1/history", tag: "lists", summary: "Lists every value that an entry has had, the latest first",
		scope: identity.Read, params: append(a.pageParams(), key), answers: pageOf[Entry](), problems: indexProblems,
		handle: func(c *call) error {
			key, err := c.entryKey()
			if err != nil {
				return err
			}
			return c.entries(func(page ledger.PageRequest) (ledger.Page[index.Entry], error) {
				return c.api.options.Index.History(c.ctx(), key, page)
			})
		}})
}

func (c *call) listEntries(l listing) error {
	f := index.Filter{Kind: l.kind, Order: index.Order(c.query.Get("order"))}
	for name, field := range map[string]*string{"datanet": &f.Datanet, "organisation": &f.Organisation, "account": &f.Account, "state": &f.State, "awaits": &f.Awaits} {
		if slices.Contains(l.filters, name) {
			*field = c.query.Get(name)
		}
	}
	return c.entries(func(page ledger.PageRequest) (ledger.Page[index.Entry], error) {
		return c.api.options.Index.Entries(c.ctx(), f, page)
	})
}

func (c *call) entries(read func(ledger.PageRequest) (ledger.Page[index.Entry], error)) error {
	page, err := c.page()
	if err != nil {
		return err
	}
	found, err := read(page)
	if err != nil {
		return err
	}
	// Encoding checks the values too, so they are looked at one by one only when one of them is no JSON.
	data, err := ledger.Encode(pageAs(found, entryAsItIs))
	if err != nil {
		return c.answer(http.StatusOK, pageAs(found, entryOf))
	}
	return c.send(http.StatusOK, data)
}

// entryKey reads the name of an entry.
func (c *call) entryKey() (ledger.Key, error) {
	var parts []string
	if err := json.Unmarshal([]byte(c.query.Get("key")), &parts); err != nil || len(parts) == 0 {
		return "", invalid("key", `must be a JSON list of texts, as ["members"]`)
	}
	key := ledger.Key("\x00" + strings.Join(parts, "\x00") + "\x00")
	if _, split, ok := key.Split(); !ok || len(split) != len(parts)-1 {
		return "", invalid("key", "is not the name of an entry")
	}
	return key, nil
}
