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
)

// Makeup is what the contributions of one or more snapshots come to, each contribution once.
type Makeup struct {
	Contributions int64           `json:"contributions"`
	Records       int64           `json:"records"`
	Tokens        int64           `json:"tokens" doc:"Canonical tokens."`
	Whole         bool            `json:"whole" doc:"All were counted; else the first 100,000."`
	Methods       []Part          `json:"methods" doc:"By how they were collected."`
	MediaTypes    []Part          `json:"mediaTypes"`
	Languages     []Part          `json:"languages" doc:"One that has several languages counts to each."`
	Organisations []Part          `json:"organisations" doc:"By the contributor's organisation."`
	States        []Part          `json:"states" doc:"By what became of them."`
	PersonalData  Part            `json:"personalData" doc:"Those that hold personal data of living people, as their contributors say."`
	FromYear      int             `json:"fromYear" doc:"Of the works' making."`
	ToYear        int             `json:"toYear"`
	Latest        report.Evidence `json:"latest" doc:"The contribution that was sealed last."`
}

// Part is a part of a makeup.
type Part struct {
	Name          string `json:"name,omitzero"`
	Contributions int64  `json:"contributions"`
	Records       int64  `json:"records"`
	Tokens        int64  `json:"tokens"`
}

func (p *Part) add(c counted) {
	p.Contributions++
	p.Records += c.Records
	p.Tokens += c.Tokens
}

// maxMakeup bounds how many contributions are counted for one answer.
const maxMakeup = 100_000

// makeup counts what snapshots hold.
func (a *Auditor) makeup(ctx context.Context, snapshots []snapshot.Named) (Makeup, error) {
	m := Makeup{Whole: true}
	parts := [5]map[string]*Part{{}, {}, {}, {}, {}}
	seen := map[contribution.Named]bool{}
	for _, n := range snapshots {
		for position := int64(0); ; {
			named, next, err := a.leaves(ctx, n, position, most)
			if err != nil {
				return m, err
			}
			if err := a.count(ctx, n, named, seen, &m, parts); err != nil {
				return m, err
			}
			if position = next; next == 0 {
				break
			}
			if len(seen) >= maxMakeup {
				m.Whole = false
				break
			}
		}
	}
	for i, into := range []*[]Part{&m.Methods, &m.MediaTypes, &m.Languages, &m.Organisations, &m.States} {
		*into = []Part{}
		for _, p := range parts[i] {
			*into = append(*into, *p)
		}
		slices.SortFunc(*into, func(x, y Part) int { return cmp.Or(cmp.Compare(y.Tokens, x.Tokens), cmp.Compare(x.Name, y.Name)) })
	}
	return m, nil
}

// counted is what is counted of a contribution.
type counted struct {
	Datanet     string                  `json:"datanet"`
	MediaType   string                  `json:"mediaType"`
	Records     int64                   `json:"records"`
	Tokens      int64                   `json:"tokens"`
	Provenance  contribution.Provenance `json:"provenance"`
	Contributor ledger.Account          `json:"contributor"`
	State       contribution.State      `json:"state"`
}

func (a *Auditor) count(ctx context.Context, n snapshot.Named, leaves []leaf, seen map[contribution.Named]bool, m *Makeup, parts [5]map[string]*Part) error {
	gone, err := a.retired(ctx, n, leaves)
	if err != nil {
		return err
	}
	var keys []ledger.Key
	var last leaf
	for _, l := range leaves {
		if !seen[l.Named] && !gone[l.position] {
			seen[l.Named] = true
			keys = append(keys, contribution.Key(l.Datanet, l.ID))
			last = l
		}
	}
	values, err := a.book.States(ctx, keys)
	if err != nil || len(keys) == 0 {
		return err
	}
	for i, value := range values {
		var c counted
		if err := ledger.DecodeAnswer(value, &c); err != nil {
			return fmt.Errorf("read %s: %w", keys[i], err)
		}
		m.add(c, parts)
	}
	places, err := a.placesOf(ctx, []contribution.Named{last.Named})
	if place := places[last.ID]; err == nil && (!m.Latest.Some() || earlier(m.Latest, place.evidence)) {
		m.Latest = place.evidence
	}
	return err
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

func (m *Makeup) add(c counted, parts [5]map[string]*Part) {
	first := m.Contributions == 0
	m.Contributions++
	m.Records += c.Records
	m.Tokens += c.Tokens
	if p := c.Provenance; first || p.FromYear < m.FromYear {
		m.FromYear = p.FromYear
	}
	if p := c.Provenance; first || p.ToYear > m.ToYear {
		m.ToYear = p.ToYear
	}
	if c.Provenance.PersonalData {
		m.PersonalData.add(c)
	}
	to := func(into map[string]*Part, name string) {
		if into[name] == nil {
			into[name] = &Part{Name: name}
		}
		into[name].add(c)
	}
	to(parts[0], string(c.Provenance.Method))
	to(parts[1], c.MediaType)
	for _, language := range c.Provenance.Languages {
		to(parts[2], language)
	}
	to(parts[3], c.Contributor.MSP())
	to(parts[4], string(c.State))
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
