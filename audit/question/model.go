package question

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

// Model answers what a model was made of and by which right.
type Model struct {
	Asked
	Model         model.Model     `json:"model"`
	Registered    report.Evidence `json:"registered"`
	Ancestors     []Ancestor      `json:"ancestors" doc:"The models that it descends from."`
	Snapshots     []Trained       `json:"snapshots" doc:"That it was trained on, by its own tickets or those of its bases."`
	Tickets       []Licensed      `json:"tickets" doc:"The tickets under which these were released, and what was in force then."`
	Cards         []Published     `json:"cards" doc:"Its rate cards."`
	Contributions []Origin        `json:"contributions" doc:"A page of what the snapshots hold."`
	Next          string          `json:"next" doc:"The cursor of the next page of contributions, empty at the end."`
	Concerns      []Concern       `json:"concerns" doc:"Licences or grants that were expired, withdrawn or disputed when the data was used; contributions of this page only."`
}

// Ancestor is a model of a lineage.
type Ancestor struct {
	model.Named
	Owner    string           `json:"owner"`
	State    model.State      `json:"state"`
	Bases    []model.Named    `json:"bases"`
	External []model.External `json:"external"`
	Evidence report.Evidence  `json:"evidence"`
}

// Trained is a snapshot that a model was trained on.
type Trained struct {
	model.Source
	Count    int64             `json:"count" doc:"Leaves, tombstones too."`
	Records  int64             `json:"records" doc:"In the revision that was released."`
	Latest   int               `json:"latest" doc:"The number of its latest revision."`
	Evidence []report.Evidence `json:"evidence"`
}

// Licensed is a ticket and what stood for and against it when it was opened.
type Licensed struct {
	ID       string            `json:"id"`
	Trainer  ledger.Account    `json:"trainer"`
	Purpose  licence.Purpose   `json:"purpose"`
	Country  string            `json:"country,omitzero"`
	Opened   *time.Time        `json:"opened,omitempty"`
	Expires  *time.Time        `json:"expires,omitempty" doc:"When the first of its licences and grants ends."`
	State    ticket.State      `json:"state"`
	Licences []InForce         `json:"licences"`
	Grants   []Grant           `json:"grants"`
	Evidence []report.Evidence `json:"evidence"`
}

// InForce is a licence under which data of a ticket stood.
type InForce struct {
	Datanet  string           `json:"datanet"`
	Version  int              `json:"version" doc:"Of the datanet."`
	Licence  licence.Licence  `json:"licence"`
	Own      bool             `json:"own" doc:"What the contributions with licences of their own allow together."`
	Leaves   int64            `json:"leaves" doc:"How many contributions stood under it."`
	Failures []string         `json:"failures" doc:"What stood against the use when the ticket was opened."`
	Evidence *report.Evidence `json:"evidence,omitempty"`
}

// Grant is a licence grant on which a ticket relies, as it stood then and as it stands now.
type Grant struct {
	access.Terms
	Then     access.State      `json:"then" doc:"Its state when the ticket was opened; empty when it did not exist."`
	Now      access.State      `json:"now"`
	Failures []string          `json:"failures" doc:"What stood against the use when the ticket was opened."`
	Evidence []report.Evidence `json:"evidence"`
}

// Published is a rate card, in short.
type Published struct {
	Card     int               `json:"card"`
	InForce  bool              `json:"inForce"`
	Host     ledger.Account    `json:"host"`
	Consent  ledger.Account    `json:"consent,omitzero" doc:"Who accepted it for the host's organisation, where that is another one."`
	Evidence []report.Evidence `json:"evidence"`
}

// Concern is something that a regulator should look at.
type Concern struct {
	What     string            `json:"what"`
	Evidence []report.Evidence `json:"evidence"`
}

// Model answers which snapshots trained a model, with the origin, collection, purpose and licence of each contribution, who
// validated it and who declined, and which licence or grant was in force at training.
func (a *Auditor) Model(ctx context.Context, n model.Named, page ledger.PageRequest) (Model, error) {
	if err := n.Validate(); err != nil {
		return Model{}, err
	}
	m, found, err := load[model.Model](ctx, a, model.Key(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "there is no model %s", n).At("version")
	}
	if err != nil {
		return Model{}, err
	}
	answer := Model{Model: m.value, Registered: m.evidence, Ancestors: []Ancestor{}, Snapshots: []Trained{}, Tickets: []Licensed{}, Cards: []Published{}, Concerns: []Concern{}}
	if answer.Asked, err = a.asked(ctx, "model", "Whether the model was trained on nothing but these snapshots: its developer says so by registering it.",
		"Whether the descriptor of a contribution, which the ledger holds as a commitment, says the truth on author and source.",
		"What a base model from outside the network was trained on."); err != nil {
		return answer, err
	}
	// The head of a model changes when cards are published; its registration is another transaction.
	if answer.Registered, err = a.origin(ctx, m.value.Tx, m.evidence); err != nil {
		return answer, err
	}
	for _, part := range []func(context.Context, *Model) error{a.ancestors, a.trained, a.licensed, a.published} {
		if err := part(ctx, &answer); err != nil {
			return answer, err
		}
	}
	if answer.Contributions, answer.Next, err = a.origins(ctx, m.value.Lineage, page); err != nil {
		return answer, err
	}
	answer.Concerns = append(answer.Concerns, a.concerns(answer)...)
	return answer, nil
}

// origin is the evidence of the transaction that a value names, or the given one.
func (a *Auditor) origin(ctx context.Context, id string, otherwise report.Evidence) (report.Evidence, error) {
	found, err := a.transactions(ctx, id)
	if err != nil || len(found) == 0 {
		return otherwise, err
	}
	found[0].Key = otherwise.Key
	return found[0], nil
}

func (a *Auditor) ancestors(ctx context.Context, answer *Model) error {
	keys := make([]ledger.Key, len(answer.Model.Ancestors))
	for i, n := range answer.Model.Ancestors {
		keys[i] = model.Key(n)
	}
	models, err := loadAll[model.Model](ctx, a, keys)
	if err != nil {
		return err
	}
	for i, n := range answer.Model.Ancestors {
		m := models[keys[i]]
		registered, err := a.origin(ctx, m.value.Tx, m.evidence)
		if err != nil {
			return err
		}
		answer.Ancestors = append(answer.Ancestors, Ancestor{Named: n, Owner: ledger.Owner(n.Name), State: m.value.State, Bases: m.value.Bases,
			External: external(m.value.External), Evidence: registered})
	}
	return nil
}

func external(list []model.External) []model.External {
	if list == nil {
		return []model.External{}
	}
	return list
}

func (a *Auditor) trained(ctx context.Context, answer *Model) error {
	var keys []ledger.Key
	for _, s := range answer.Model.Lineage {
		keys = append(keys, snapshot.Key(s.Named), revisionKey(s.Named, s.Revision))
	}
	snapshots, err := loadAll[snapshot.Snapshot](ctx, a, keys)
	if err != nil {
		return err
	}
	for _, s := range answer.Model.Lineage {
		latest, released := snapshots[snapshot.Key(s.Named)], snapshots[revisionKey(s.Named, s.Revision)]
		answer.Snapshots = append(answer.Snapshots, Trained{Source: s, Count: latest.value.Count, Records: released.value.Records, Latest: latest.value.Revision,
			Evidence: []report.Evidence{released.evidence, answer.Registered}})
	}
	return nil
}

func (a *Auditor) licensed(ctx context.Context, answer *Model) error {
	var ids []string
	for _, s := range answer.Model.Lineage {
		ids = append(ids, s.Ticket)
	}
	for _, id := range unique(ids) {
		t, found, err := load[ticket.Ticket](ctx, a, ticket.Key(id))
		if err != nil {
			return err
		}
		if !found {
			answer.Concerns = append(answer.Concerns, Concern{"The ticket " + id + " is not on the ledger.", []report.Evidence{answer.Registered}})
			continue
		}
		one, err := a.inForce(ctx, t)
		if err != nil {
			return err
		}
		answer.Tickets = append(answer.Tickets, one)
	}
	return nil
}

// inForce tells which licences and grants a ticket relied on, judged anew from what was in force when it was opened.
func (a *Auditor) inForce(ctx context.Context, t item[ticket.Ticket]) (Licensed, error) {
	v := t.value
	opened, err := a.origin(ctx, v.Tx, t.evidence)
	if err != nil {
		return Licensed{}, err
	}
	one := Licensed{ID: v.ID, Trainer: v.Trainer, Purpose: v.Purpose, Country: v.Country, Opened: opened.Time, State: v.State, Licences: []InForce{}, Grants: []Grant{},
		Evidence: []report.Evidence{opened}}
	if !v.Expires.IsZero() {
		one.Expires = &v.Expires
	}
	use := licence.Use{Purpose: v.Purpose, Country: v.Country}
	if opened.Time != nil {
		use.At = *opened.Time
	}
	for _, s := range v.Sources {
		if err := a.licences(ctx, s, use, opened, &one); err != nil {
			return one, err
		}
		if s.Grant != "" {
			g, err := a.granted(ctx, s, v, use, opened)
			if err != nil {
				return one, err
			}
			one.Grants = append(one.Grants, g)
		}
	}
	return one, nil
}

func (a *Auditor) licences(ctx context.Context, s ticket.Source, use licence.Use, opened report.Evidence, one *Licensed) error {
	held, found, err := load[snapshot.Snapshot](ctx, a, snapshot.Key(s.Named))
	if err != nil || !found {
		return err
	}
	for _, number := range s.Versions {
		version, found, err := load[datanet.Version](ctx, a, datanet.VersionKey(s.Datanet, number))
		if err != nil {
			return err
		}
		i := slices.IndexFunc(held.value.Terms, func(t seal.Terms) bool { return t.Version == number })
		if !found || i < 0 {
			continue
		}
		if under := held.value.Terms[i]; under.Plain > 0 {
			one.Licences = append(one.Licences, InForce{Datanet: s.Datanet, Version: number, Licence: version.value.Licence, Leaves: under.Plain,
				Failures: failures(version.value.Licence, use), Evidence: &version.evidence})
		}
		if under := held.value.Terms[i]; under.Own > 0 && under.Strictest != nil {
			one.Licences = append(one.Licences, InForce{Datanet: s.Datanet, Version: number, Licence: *under.Strictest, Own: true, Leaves: under.Own,
				Failures: failures(*under.Strictest, use), Evidence: &held.evidence})
		}
	}
	return nil
}

func failures(l licence.Licence, use licence.Use) []string {
	list := []string{}
	for _, f := range l.Covers(use) {
		list = append(list, "the licence "+f.Message)
	}
	return list
}

// granted reads a grant as it stood right before a ticket was opened.
func (a *Auditor) granted(ctx context.Context, s ticket.Source, t ticket.Ticket, use licence.Use, opened report.Evidence) (Grant, error) {
	versions, err := a.book.Versions(ctx, grantKey(s.Datanet, s.Grant), most)
	if err != nil {
		return Grant{}, err
	}
	one := Grant{Terms: access.Terms{Named: access.Named{Datanet: s.Datanet, ID: s.Grant}, Purposes: []licence.Purpose{}}, Failures: []string{}, Evidence: []report.Evidence{}}
	for _, e := range versions {
		g, err := decode[access.Grant](e)
		if err != nil {
			return one, err
		}
		one.Terms, one.Now = g.value.Terms, g.value.State
		one.Evidence = append(one.Evidence, g.evidence)
		if earlier(g.evidence, opened) {
			one.Then, one.Failures = g.value.State, g.value.Covers(t.Trainer, use)
		}
	}
	if one.Then == "" {
		one.Failures = []string{"did not exist"}
	}
	if one.Failures == nil {
		one.Failures = []string{}
	}
	return one, nil
}

// earlier tells whether one transaction comes before another in the chain.
func earlier(a, b report.Evidence) bool {
	return a.Block < b.Block || a.Block == b.Block && a.Position < b.Position
}

func (a *Auditor) published(ctx context.Context, answer *Model) error {
	n := answer.Model.Named
	for number := 1; number <= max(answer.Model.Card, answer.Model.Offer) && number <= most; number++ {
		c, found, err := load[model.Card](ctx, a, model.CardKey(model.CardName{Named: n, Card: number}))
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		one := Published{Card: number, InForce: number == answer.Model.Card, Host: c.value.Host, Evidence: []report.Evidence{c.evidence}}
		consent, found, err := load[model.Consent](ctx, a, ledger.NewKey("rate-card-consent", n.Name, n.Version, fmt.Sprintf("%06d", number)))
		if err != nil {
			return err
		}
		if found && consent.value.By != "" {
			one.Consent = consent.value.By
			one.Evidence = append(one.Evidence, consent.evidence)
		}
		answer.Cards = append(answer.Cards, one)
	}
	return nil
}

// concerns are what stood against the use of data, and what put it in doubt.
func (a *Auditor) concerns(answer Model) []Concern {
	var list []Concern
	for _, t := range answer.Tickets {
		for _, l := range t.Licences {
			for _, f := range l.Failures {
				list = append(list, Concern{fmt.Sprintf("Ticket %s on %s, version %d: %s.", t.ID, l.Datanet, l.Version, f), append(slices.Clone(t.Evidence), *l.Evidence)})
			}
		}
		for _, g := range t.Grants {
			for _, f := range g.Failures {
				list = append(list, Concern{fmt.Sprintf("Ticket %s: the grant %s for %s %s.", t.ID, g.ID, g.Datanet, f), append(slices.Clone(t.Evidence), g.Evidence...)})
			}
			if g.Now != access.Active && len(g.Failures) == 0 {
				list = append(list, Concern{fmt.Sprintf("The grant %s for %s, in force when ticket %s was opened, is %s now; what was trained before stays as it is.", g.ID, g.Datanet, t.ID, g.Now), g.Evidence})
			}
		}
		if t.Expires != nil && answer.Registered.Time != nil && !answer.Registered.Time.Before(*t.Expires) && slices.ContainsFunc(answer.Model.Tickets, func(id string) bool { return id == t.ID }) {
			list = append(list, Concern{"The model was registered after the terms of ticket " + t.ID + " had ended.", append(slices.Clone(t.Evidence), answer.Registered)})
		}
	}
	return append(list, doubts(answer)...)
}

// doubts are what a page of the contributions puts in doubt, each contribution once.
func doubts(answer Model) []Concern {
	var list []Concern
	seen := map[contribution.Named]bool{}
	for _, o := range answer.Contributions {
		if seen[o.Named] {
			continue
		}
		seen[o.Named] = true
		if reasons, found := o.disputed(); len(reasons) > 0 {
			list = append(list, Concern{fmt.Sprintf("%s/%s was approved, but declined by %s.", o.Datanet, o.ID, strings.Join(reasons, ", ")), found})
		}
		if o.Left == nil {
			continue
		}
		left := []report.Evidence{*o.Left}
		list = append(list, Concern{fmt.Sprintf("%s/%s, which the model was trained on, is %s now.", o.Datanet, o.ID, o.State), left})
		for _, t := range answer.Tickets {
			opened := t.Evidence[0]
			uses := slices.ContainsFunc(answer.Snapshots, func(s Trained) bool { return s.Ticket == t.ID && s.Datanet == o.Datanet && s.Number == o.Snapshot })
			if uses && earlier(*o.Left, opened) {
				list = append(list, Concern{fmt.Sprintf("%s/%s had left the datanet before ticket %s was opened.", o.Datanet, o.ID, t.ID), append(left, opened)})
			}
		}
	}
	return list
}

// Report is the answer to read.
func (m Model) Report() report.Document {
	d := m.document("Model "+m.Model.Named.String(), report.Fact{Name: "developer", Value: string(m.Model.Developer)}, report.Fact{Name: "purpose", Value: string(m.Model.Purpose)},
		report.Fact{Name: "state", Value: string(m.Model.State)}, report.Fact{Name: "artifacts (SHA-256)", Value: strings.Join(m.Model.Artifacts, ", ")},
		report.Fact{Name: "training manifest (SHA-256)", Value: m.Model.Manifest})
	corpus := report.Section{Title: "Lineage", Graph: m.Graph()}
	corpus.Say([]report.Evidence{m.Registered}, "Registered by %s, on %s, with a corpus of %d canonical tokens, %d of them distinct, as the developer says; the chaincode checked the count against the lineage.",
		m.Model.Developer, report.Count(len(m.Snapshots), "snapshot"), m.Model.Corpus.Tokens, m.Model.Corpus.Distinct)
	for _, e := range m.Model.External {
		corpus.Say([]report.Evidence{m.Registered}, "Built on %s from outside the network, licence %s, digest %s.", e.Name, e.Licence, e.Digest)
	}
	d.Sections = append(d.Sections, corpus, m.snapshotSection(), m.ticketSection(), m.concernSection())
	d.Sections = append(d.Sections, report.Section{Title: "Contributions: origin, collection, purpose, licence, votes", Table: originTable(m.Contributions, m.Next)}, m.cardSection())
	return d
}

func (m Model) snapshotSection() report.Section {
	t := &report.Table{Columns: []string{"snapshot", "revision", "leaves", "records", "tokens", "root", "ticket", "through"}, None: "It was trained on no snapshot of the network."}
	for _, s := range m.Snapshots {
		revision := strconv.Itoa(s.Revision)
		if s.Latest != s.Revision {
			revision += fmt.Sprintf(" (now %d)", s.Latest)
		}
		t.Add(s.Evidence, fmt.Sprintf("%s@%d", s.Datanet, s.Number), revision, strconv.FormatInt(s.Count, 10), strconv.FormatInt(s.Records, 10), strconv.FormatInt(s.Tokens, 10), s.Root.String(), s.Ticket, s.Via)
	}
	return report.Section{Title: "Snapshots", Table: t}
}

func (m Model) ticketSection() report.Section {
	t := &report.Table{Columns: []string{"ticket", "opened", "trainer", "purpose", "what was in force then", "against it"}, None: "No tickets."}
	for _, one := range m.Tickets {
		for _, l := range one.Licences {
			found := slices.Clone(one.Evidence)
			if l.Evidence != nil {
				found = append(found, *l.Evidence)
			}
			t.Add(found, one.ID, report.Time(one.Opened), string(one.Trainer), string(one.Purpose), fmt.Sprintf("licence of %s for %s: %s", l.Datanet, report.Count(l.Leaves, "contribution"), terms(l.Licence, l.Own, l.Version)), nothing(l.Failures))
		}
		for _, g := range one.Grants {
			t.Add(append(slices.Clone(one.Evidence), g.Evidence...), one.ID, report.Time(one.Opened), string(one.Trainer), string(one.Purpose),
				fmt.Sprintf("grant %s of %s to %s for %s until %s: %s then, %s now", g.ID, g.Datanet, g.Grantee, licence.List(g.Purposes), report.Time(&g.Expires), orNone(string(g.Then)), g.Now), nothing(g.Failures))
		}
	}
	return report.Section{Title: "Licences and grants in force at training", Table: t}
}

func nothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, "; ")
}

func (m Model) concernSection() report.Section {
	s := report.Section{Title: "Was an expired, withdrawn or disputed licence ever used?"}
	if len(m.Concerns) == 0 {
		s.Say([]report.Evidence{m.Registered}, "No: every licence and grant covered the use when the tickets were opened, none was revoked, expired or withdrawn before, and no validator declined a contribution on these grounds.")
	}
	return sayAll(s, m.Concerns)
}

func sayAll(s report.Section, concerns []Concern) report.Section {
	for _, c := range concerns {
		s.Say(c.Evidence, "%s", c.What)
	}
	return s
}

func (m Model) cardSection() report.Section {
	t := &report.Table{Columns: []string{"rate card", "host", "accepted for the host by"}, None: "It was never published."}
	for _, c := range m.Cards {
		name := strconv.Itoa(c.Card)
		if c.InForce {
			name += " (in force)"
		}
		consent := string(c.Consent)
		if consent == "" && c.Host.MSP() == ledger.Owner(m.Model.Name) {
			consent = "nobody else: the model's own organisation hosts it"
		}
		t.Add(c.Evidence, name, string(c.Host), cmp.Or(consent, "nobody yet"))
	}
	return report.Section{Title: "Publication", Table: t}
}

// Graph is the lineage: snapshots, tickets, models.
func (m Model) Graph() *report.Graph {
	g := &report.Graph{}
	depth := map[string]int{}
	bases := map[string][]model.Named{m.Model.Named.String(): m.Model.Bases}
	for _, a := range m.Ancestors {
		bases[a.Named.String()] = a.Bases
	}
	var height func(n string) int
	height = func(n string) int { // of the longest line of bases
		if h, known := depth[n]; known {
			return h
		}
		depth[n] = 0
		for _, b := range bases[n] {
			depth[n] = max(depth[n], height(b.String())+1)
		}
		return depth[n]
	}
	add := func(n model.Named, note string, found report.Evidence, outside []model.External) {
		id := n.String()
		g.Nodes = append(g.Nodes, report.Node{ID: id, Layer: 2 + height(id), Title: id, Note: note, Kind: report.Model, Evidence: []report.Evidence{found}})
		for _, b := range bases[id] {
			g.Edges = append(g.Edges, report.Edge{From: b.String(), To: id})
		}
		for _, e := range outside {
			g.Nodes = append(g.Nodes, report.Node{ID: "external " + e.Name, Layer: 1 + height(id), Title: e.Name, Note: "outside the network, " + e.Licence, Kind: report.External, Evidence: []report.Evidence{found}})
			g.Edges = append(g.Edges, report.Edge{From: "external " + e.Name, To: id})
		}
	}
	for _, a := range m.Ancestors {
		add(a.Named, a.Owner+", "+string(a.State), a.Evidence, a.External)
	}
	add(m.Model.Named, string(m.Model.Purpose)+", "+string(m.Model.State), m.Registered, m.Model.External)
	for _, t := range m.Tickets {
		opened, _, _ := strings.Cut(report.Time(t.Opened), "T")
		g.Nodes = append(g.Nodes, report.Node{ID: "ticket " + t.ID, Layer: 1, Title: "ticket " + t.ID, Note: string(t.Purpose) + ", opened " + opened, Kind: report.Ticket, Evidence: t.Evidence})
	}
	for _, s := range m.Snapshots {
		id := fmt.Sprintf("%s@%d", s.Datanet, s.Number)
		if !slices.ContainsFunc(g.Nodes, func(n report.Node) bool { return n.ID == id }) {
			g.Nodes = append(g.Nodes, report.Node{ID: id, Layer: 0, Title: id, Note: report.Count(s.Count, "leaf", "leaves") + ", " + report.Count(s.Tokens, "token"), Kind: report.Snapshot, Evidence: s.Evidence[:1]})
		}
		to := m.Model.Named.String()
		if s.Via != "" {
			to = s.Via
		}
		for _, e := range []report.Edge{{From: id, To: "ticket " + s.Ticket}, {From: "ticket " + s.Ticket, To: to}} {
			if !slices.Contains(g.Edges, e) {
				g.Edges = append(g.Edges, e)
			}
		}
	}
	return g
}
