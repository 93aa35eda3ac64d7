package question

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Person answers what is held of a person: of an account, which is a pseudonym that only its organisation can resolve.
type Person struct {
	Asked
	Account  ledger.Account   `json:"account"`
	Opened   *report.Evidence `json:"opened,omitempty" doc:"Where the account was opened; missing when it never was."`
	Roles    []Held           `json:"roles"`
	Given    []Given          `json:"given" doc:"A page of the contributions, the oldest first."`
	Snapshot []Release        `json:"snapshotReleases" doc:"Releases of snapshots that hold any of these contributions, looked for among 1,000 of each datanet."`
	More     bool             `json:"more" doc:"There are more releases than are listed."`
	Next     string           `json:"next" doc:"The cursor of the next page of contributions, empty at the end."`
	Got      []Release        `json:"got" doc:"Content that was released to the account, at most 1,000."`
	GotMore  bool             `json:"gotMore" doc:"More was released to it than is listed."`
	Kept     []Kept           `json:"kept" doc:"What else the ledger holds under the account's name, by kind."`
	Besides  string           `json:"besides" doc:"What names the account and is not counted."`
}

// Given is a contribution, who received it, and what became of it.
type Given struct {
	Origin
	Ground   string    `json:"ground" doc:"On what ground it is held."`
	Sealed   *Sealed   `json:"sealed,omitempty" doc:"In which snapshots it stands; missing when it was never sealed."`
	Releases []Release `json:"releases" doc:"Of the contribution by itself."`
	Holders  []string  `json:"holders" doc:"Organisations that have had it."`
	Erasure  *Erasure  `json:"erasure,omitempty"`
}

// Kept is how many entries of a kind the ledger holds under an account's name.
type Kept struct {
	Kind  string          `json:"kind"`
	What  string          `json:"what"`
	Count int             `json:"count"`
	More  bool            `json:"more" doc:"There are more than were counted."`
	First report.Evidence `json:"first"`
}

// kept are the kinds that the ledger has under an account's name, besides contributions and releases.
var kept = []struct{ kind, what string }{
	{"account-roles", "roles that it had, as recorded"},
	{"datanet", "datanets of which it is the curator"},
	{"vote", "votes on contributions: choice, score, reason code"},
	{"grant", "licence grants to the account"},
	{"replica", "replica agreements that it offered"},
	{"replica-consent", "consents to hold replicas"},
	{"ticket", "training tickets"},
	{"model", "models that it developed"},
	{"rate-card", "rate cards that name it as host"},
	{"erasure", "erasures that it asked for"},
	{"erasure-slot", "acknowledgements of erasures"},
	{"proposal", "proposals that it made"},
	{"proposal-slot", "approvals of proposals"},
	{"session", "prepaid sessions"},
	{"tab", "what hosts have settled of its sessions"},
	{"fund", "what was added to its sessions"},
	{"claim", "settlements as host"},
	{"claim-slot", "attestations"},
	{"sampling", "sampling secrets that it registered"},
	{"mint", "credits issued to it"},
	{"redemption", "redemptions"},
	{"balance", "its balance"},
	{"credit", "credits that are not spent"},
	{"spend", "payments"},
}

// named are kinds that are found by their keys, which begin with the account.
var named = map[string]bool{"account-roles": true, "balance": true}

// elsewhere says what else names an account: entries of others, which answers about those show.
const elsewhere = "Entries of others that name the account are not counted here: rate cards and settlements that pay it, sessions with it as host, what it released, sealed or took for its organisation, grants that it gave, and decisions about it."

// Person answers for one account.
func (a *Auditor) Person(ctx context.Context, who ledger.Account, page ledger.PageRequest) (answer Person, err error) {
	if err := who.Validate("account"); err != nil {
		return answer, err
	}
	if answer.Asked, err = a.asked(ctx, "person", "Who stands behind the account: enrolment ids are pseudonyms, and only "+who.MSP()+" can tell.",
		"Whether contributions of others speak of this person: the ledger knows no content; it knows which contributions hold personal data, as their contributors say.",
		"What a gateway's own database holds: logs, keys, drafts.",
		"That destroyed content is gone: holders say so, signed."); err != nil {
		return answer, err
	}
	answer.Besides = elsewhere
	answer.Account, answer.Given, answer.Roles, answer.Got, answer.Kept, answer.Snapshot = who, []Given{}, []Held{}, []Release{}, []Kept{}, []Release{}
	opened, found, err := load[account.Account](ctx, a, accountKey(who))
	if err != nil {
		return answer, err
	}
	if found {
		e, err := a.origin(ctx, opened.value.Tx, opened.evidence)
		if err != nil {
			return answer, err
		}
		answer.Opened = &e
	}
	shown, err := a.book.Shown(ctx, who, "", most)
	if err != nil {
		return answer, err
	}
	for _, s := range shown {
		answer.Roles = append(answer.Roles, heldOf(s))
	}
	if err := a.given(ctx, who, page, &answer); err != nil {
		return answer, err
	}
	got, whole, err := all[access.Release](ctx, a, index.Filter{Kind: "release", Account: string(who)})
	if err != nil {
		return answer, err
	}
	answer.GotMore = !whole
	for _, r := range got {
		answer.Got = append(answer.Got, Release{Release: r.value.ID, Datanet: r.value.Datanet, Snapshot: r.value.Snapshot, By: r.value.By, To: r.value.To, Reason: r.value.Reason, Evidence: r.evidence})
	}
	for _, k := range kept {
		f := index.Filter{Kind: k.kind, Account: string(who)}
		if named[k.kind] {
			f = index.Filter{Kind: k.kind, Within: []string{string(who)}}
		}
		found, err := a.book.Find(ctx, f, firstPage)
		if err != nil {
			return answer, err
		}
		if len(found.Items) > 0 {
			answer.Kept = append(answer.Kept, Kept{Kind: k.kind, What: k.what, Count: len(found.Items), More: found.Next != "", First: evidence(found.Items[0])})
		}
	}
	return answer, nil
}

// maxGiven is the standard length of a page of contributions of a person: each is followed to all who received it.
const maxGiven = 20

func (a *Auditor) given(ctx context.Context, who ledger.Account, page ledger.PageRequest, answer *Person) error {
	if page.Limit == 0 {
		page.Limit = maxGiven
	}
	list, next, err := find[contribution.Contribution](ctx, a, index.Filter{Kind: "contribution", Account: string(who), Order: index.Oldest}, page)
	if err != nil {
		return err
	}
	answer.Next = next
	named := make([]contribution.Named, len(list))
	for i, c := range list {
		named[i] = c.value.Name()
	}
	origins, err := a.originsOf(ctx, named)
	if err != nil {
		return err
	}
	places, err := a.placesOf(ctx, named)
	if err != nil {
		return err
	}
	held := map[string]map[string][]int{} // by datanet and organisation, the snapshots that it has had
	for _, o := range origins {
		one := Given{Origin: o, Ground: "submitted by the account itself, under " + terms(o.Licence, o.OwnLicence, o.DatanetVersion)}
		if place := places[o.ID]; place.evidence.Some() {
			one.Sealed = &Sealed{Position: place.value.Position, First: place.value.First, Until: place.value.From, Evidence: place.evidence}
		}
		if held[o.Datanet] == nil && one.Sealed != nil {
			if held[o.Datanet], err = a.snapshotHolders(ctx, o.Datanet); err != nil {
				return err
			}
			within, cut, err := a.snapshotReleases(ctx, o.Datanet)
			if err != nil {
				return err
			}
			answer.Snapshot, answer.More = append(answer.Snapshot, within...), answer.More || cut
		}
		var cut bool
		if one.Releases, cut, err = a.releasesOf(ctx, o.Named, nil); err != nil {
			return err
		}
		answer.More = answer.More || cut
		one.Holders = []string{o.Contributor.MSP()}
		for _, r := range one.Releases {
			one.Holders = append(one.Holders, r.To.MSP())
		}
		for msp, snapshots := range held[o.Datanet] {
			if slices.ContainsFunc(snapshots, one.Sealed.within) {
				one.Holders = append(one.Holders, msp)
			}
		}
		one.Holders = unique(one.Holders)
		slices.Sort(one.Holders)
		if one.Erasure, err = a.erasureOf(ctx, o.Named); err != nil {
			return err
		}
		answer.Given = append(answer.Given, one)
	}
	answer.Snapshot = slices.DeleteFunc(answer.Snapshot, func(r Release) bool {
		return !slices.ContainsFunc(answer.Given, func(g Given) bool { return g.Datanet == r.Datanet && g.Sealed.within(r.Snapshot) })
	})
	return nil
}

// Report is the answer to read.
func (p Person) Report() report.Document {
	d := p.document("What is held of " + string(p.Account))
	self := report.Section{Title: "The account"}
	if p.Opened == nil {
		self.Say(nil, "No account of this name was opened.")
	} else {
		self.Say([]report.Evidence{*p.Opened}, "Opened on %s. The ledger holds the pseudonym and no name.", report.Time(p.Opened.Time))
	}
	for _, h := range p.Roles {
		self.Say(append([]report.Evidence{h.First}, optional(h.Last)...), "Its certificates showed these roles: %s, from %s on, last %s.", orNone(join(h.Roles)), report.Time(h.First.Time), h.until())
	}
	if len(p.Roles) > 0 {
		self.Say([]report.Evidence{p.Roles[0].First}, "Each transaction that it signed holds its certificate, with the pseudonym and a public key. Blocks keep these for good: nothing takes them out again.")
	}
	d.Sections = append(d.Sections, self)
	given := &report.Table{Columns: []string{"contribution", "collected", "on what ground", "state", "who has had it", "erased"}, None: "It has contributed nothing."}
	released := slices.Clone(p.Snapshot)
	for _, g := range p.Given {
		erased := "not asked for"
		found := g.Evidence
		if e := g.Erasure; e != nil {
			erased = string(e.State)
			found = append(found, e.Evidence...)
		}
		given.Add(found, g.Datanet+"/"+g.ID, collected(g.Provenance), g.Ground, string(g.State), orNone(strings.Join(g.Holders, ", ")), erased)
		released = append(released, g.Releases...)
	}
	if p.Next != "" {
		given.More = further(p.Next)
	}
	slices.SortStableFunc(released, func(x, y Release) int { return chain(x.Evidence, y.Evidence) })
	d.Sections = append(d.Sections, report.Section{Title: "What it contributed", Table: given}, report.Section{Title: "Who received it", Table: releaseTable(released, p.More)})
	for _, g := range p.Given {
		if g.Erasure != nil {
			s := erasureSection(g.Erasure)
			s.Title = "Erasure of " + g.Datanet + "/" + g.ID
			d.Sections = append(d.Sections, s)
		}
	}
	others := &report.Table{Columns: []string{"what", "how many"}, None: "Nothing else."}
	for _, k := range p.Kept {
		count := fmt.Sprint(k.Count)
		if k.More {
			count = "more than " + count
		}
		others.Add([]report.Evidence{k.First}, k.What, count)
	}
	more := report.Section{Title: "What else stands under its name", Table: others}
	more.Say(nil, "%s", p.Besides)
	d.Sections = append(d.Sections, report.Section{Title: "Content that was released to it", Table: releaseTable(p.Got, p.GotMore)}, more)
	return d
}
