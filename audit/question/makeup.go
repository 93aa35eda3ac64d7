package question

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Makeup is what the contributions of one or more snapshots come to, each contribution once.
type Makeup struct {
	Contributions int64           `json:"contributions"`
	Records       int64           `json:"records"`
	Tokens        int64           `json:"tokens" doc:"Canonical tokens."`
	Whole         bool            `json:"whole" doc:"All were counted; else those that are not summed up beforehand only up to 100,000."`
	Methods       []Part          `json:"methods" doc:"By how they were collected."`
	MediaTypes    []Part          `json:"mediaTypes"`
	Languages     []Part          `json:"languages" doc:"One that has several languages counts to each."`
	Organisations []Part          `json:"organisations" doc:"By the contributor's organisation."`
	States        []Part          `json:"states" doc:"By what became of them."`
	PersonalData  Part            `json:"personalData" doc:"Those that hold personal data of living people, as their contributors say."`
	FromYear      int             `json:"fromYear" doc:"Of the works' making."`
	ToYear        int             `json:"toYear"`
	Latest        report.Evidence `json:"latest" doc:"The contribution that was sealed last."`
	// Evidence are the snapshots whose leaves were counted: their roots fix which contributions these are.
	Evidence []report.Evidence `json:"evidence" doc:"The snapshots whose leaves were counted."`
}

// Part is a part of a makeup.
type Part struct {
	Name          string `json:"name,omitzero"`
	Contributions int64  `json:"contributions"`
	Records       int64  `json:"records"`
	Tokens        int64  `json:"tokens"`
}

func (p *Part) add(c counted) {
	p.Contributions += c.contributions
	p.Records += c.Records
	p.Tokens += c.Tokens
}

// maxMakeup bounds how many contributions are counted one by one for an answer.
const maxMakeup = 100_000

// tally is a makeup that is being counted.
type tally struct {
	Makeup
	parts [5]map[string]*Part
	seen  map[contribution.Named]bool
}

// makeup counts what snapshots hold.
func (a *Auditor) makeup(ctx context.Context, snapshots []snapshot.Named) (Makeup, error) {
	t := tally{Makeup: Makeup{Whole: true, Evidence: []report.Evidence{}}, parts: [5]map[string]*Part{{}, {}, {}, {}, {}}, seen: map[contribution.Named]bool{}}
	for _, datanet := range unique(datanetsOf(snapshots)) {
		var of []snapshot.Named
		for _, n := range snapshots {
			if n.Datanet == datanet {
				of = append(of, n)
			}
		}
		summed, err := a.sumUp(ctx, datanet, of, &t)
		if err != nil {
			return t.Makeup, err
		}
		for i := 0; i < len(of) && !summed; i++ {
			if err := a.countOut(ctx, of[i], &t); err != nil {
				return t.Makeup, err
			}
		}
	}
	for i, into := range []*[]Part{&t.Methods, &t.MediaTypes, &t.Languages, &t.Organisations, &t.States} {
		*into = []Part{}
		for _, p := range t.parts[i] {
			*into = append(*into, *p)
		}
		slices.SortFunc(*into, func(x, y Part) int { return cmp.Or(cmp.Compare(y.Tokens, x.Tokens), cmp.Compare(x.Name, y.Name)) })
	}
	return t.Makeup, nil
}

// sumUp adds the snapshots of a datanet by what the index has summed up; false when it has not all of them.
func (a *Auditor) sumUp(ctx context.Context, datanet string, snapshots []snapshot.Named, t *tally) (bool, error) {
	keys := make([]ledger.Key, len(snapshots))
	for i, n := range snapshots {
		keys[i] = snapshot.Key(n)
	}
	taken, err := loadAll[snapshot.Snapshot](ctx, a, keys)
	if err != nil {
		return false, err
	}
	var extents []index.Extent
	for i, n := range snapshots {
		if s, there := taken[keys[i]]; there {
			t.Evidence = append(t.Evidence, s.evidence)
		}
		extents = append(extents, index.Extent{Number: n.Number, Count: taken[keys[i]].value.Count})
	}
	held, whole, err := a.book.Held(ctx, datanet, extents)
	if err != nil || !whole {
		return false, err
	}
	for _, alike := range held.Alike {
		c := counted{MediaType: alike.MediaType, Records: alike.Records, Tokens: alike.Tokens, State: contribution.State(alike.State), organisation: alike.Organisation, contributions: alike.Contributions}
		if err := ledger.DecodeAnswer(alike.Provenance, &c.Provenance); err != nil {
			return false, fmt.Errorf("read the provenance of leaves of %s: %w", datanet, err)
		}
		t.add(c)
	}
	changed := held.Changed
	if len(changed) > maxMakeup {
		changed, t.Whole = changed[:maxMakeup], false
	}
	keys = keys[:0]
	for _, id := range changed {
		keys = append(keys, contribution.Key(datanet, id))
	}
	if err := a.addAll(ctx, keys, t); err != nil || held.Last == "" {
		return err == nil, err
	}
	return true, a.sealedLast(ctx, contribution.Named{Datanet: datanet, ID: held.Last}, t)
}

// sealedLast notes a contribution that may be the one that was sealed last.
func (a *Auditor) sealedLast(ctx context.Context, n contribution.Named, t *tally) error {
	places, err := a.placesOf(ctx, []contribution.Named{n})
	if place := places[n.ID]; err == nil && (!t.Latest.Some() || earlier(t.Latest, place.evidence)) {
		t.Latest = place.evidence
	}
	return err
}

// addAll adds contributions as they stand on the ledger.
func (a *Auditor) addAll(ctx context.Context, keys []ledger.Key, t *tally) error {
	values, err := a.book.States(ctx, keys)
	if err != nil {
		return err
	}
	for i, value := range values {
		c := counted{contributions: 1}
		if err := ledger.DecodeAnswer(value, &c); err != nil {
			return fmt.Errorf("read %s: %w", keys[i], err)
		}
		c.organisation = c.Contributor.MSP()
		t.add(c)
	}
	return nil
}

// countOut adds what a snapshot holds, contribution by contribution.
func (a *Auditor) countOut(ctx context.Context, n snapshot.Named, t *tally) error {
	for position := int64(0); ; {
		named, next, err := a.leaves(ctx, n, position, most)
		if err != nil {
			return err
		}
		if err := a.count(ctx, n, named, t); err != nil {
			return err
		}
		if position = next; next == 0 {
			return nil
		}
		if len(t.seen) >= maxMakeup {
			t.Whole = false
			return nil
		}
	}
}

// counted is what is counted of a contribution, or of several that are alike.
type counted struct {
	Datanet     string                  `json:"datanet"`
	MediaType   string                  `json:"mediaType"`
	Records     int64                   `json:"records"`
	Tokens      int64                   `json:"tokens"`
	Provenance  contribution.Provenance `json:"provenance"`
	Contributor ledger.Account          `json:"contributor"`
	State       contribution.State      `json:"state"`

	organisation  string // the contributor's
	contributions int64
}

func (a *Auditor) count(ctx context.Context, n snapshot.Named, leaves []leaf, t *tally) error {
	gone, err := a.retired(ctx, n, leaves)
	if err != nil {
		return err
	}
	var keys []ledger.Key
	var last leaf
	for _, l := range leaves {
		if !t.seen[l.Named] && !gone[l.position] {
			t.seen[l.Named] = true
			keys = append(keys, contribution.Key(l.Datanet, l.ID))
			last = l
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := a.addAll(ctx, keys, t); err != nil {
		return err
	}
	return a.sealedLast(ctx, last.Named, t)
}

// retired are the positions among leaves that were tombstones when a snapshot was taken.
func (a *Auditor) retired(ctx context.Context, n snapshot.Named, leaves []leaf) (map[int64]bool, error) {
	gone := map[int64]bool{}
	for _, l := range leaves {
		if page := l.position / seal.PageSize; l.position%seal.PageSize == 0 || l == leaves[0] {
			list, _, err := load[struct {
				Leaves []seal.Retired `json:"leaves"`
			}](ctx, a, ledger.NewKey("retired", n.Datanet, fmt.Sprintf("%08d", page)))
			if err != nil {
				return nil, err
			}
			for _, r := range list.value.Leaves {
				if r.From <= n.Number {
					gone[page*seal.PageSize+int64(r.Index)] = true
				}
			}
		}
	}
	return gone, nil
}

func (t *tally) add(c counted) {
	first := t.Contributions == 0
	t.Contributions += c.contributions
	t.Records += c.Records
	t.Tokens += c.Tokens
	if p := c.Provenance; first || p.FromYear < t.FromYear {
		t.FromYear = p.FromYear
	}
	if p := c.Provenance; first || p.ToYear > t.ToYear {
		t.ToYear = p.ToYear
	}
	if c.Provenance.PersonalData {
		t.PersonalData.add(c)
	}
	to := func(into map[string]*Part, name string) {
		if into[name] == nil {
			into[name] = &Part{Name: name}
		}
		into[name].add(c)
	}
	to(t.parts[0], string(c.Provenance.Method))
	to(t.parts[1], c.MediaType)
	for _, language := range c.Provenance.Languages {
		to(t.parts[2], language)
	}
	to(t.parts[3], c.organisation)
	to(t.parts[4], string(c.State))
}

// part finds one by its name.
func part(list []Part, name string) Part {
	for _, p := range list {
		if p.Name == name {
			return p
		}
	}
	return Part{Name: name}
}
