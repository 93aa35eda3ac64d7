package question

import (
	"cmp"
	"context"
	"slices"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
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

func (p *Part) add(c contribution.Contribution) {
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

func (a *Auditor) count(ctx context.Context, n snapshot.Named, leaves []leaf, seen map[contribution.Named]bool, m *Makeup, parts [5]map[string]*Part) error {
	var named []contribution.Named
	for _, l := range leaves {
		if !seen[l.Named] {
			seen[l.Named] = true
			named = append(named, l.Named)
		}
	}
	keys := make([]ledger.Key, len(named))
	for i, c := range named {
		keys[i] = contribution.Key(c.Datanet, c.ID)
	}
	contributions, err := loadAll[contribution.Contribution](ctx, a, keys)
	if err != nil {
		return err
	}
	places, err := a.placesOf(ctx, named)
	if err != nil {
		return err
	}
	for i, key := range keys {
		c, place := contributions[key].value, places[named[i].ID]
		if place.value.From != 0 && place.value.From <= n.Number {
			continue
		}
		m.add(c, parts)
		if !m.Latest.Some() || earlier(m.Latest, place.evidence) {
			m.Latest = place.evidence
		}
	}
	return nil
}

func (m *Makeup) add(c contribution.Contribution, parts [5]map[string]*Part) {
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
