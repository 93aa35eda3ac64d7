package model

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// Ancestry asks for a page of what a model descends from, nearest first.
type Ancestry struct {
	Named
	Depth int `json:"depth,omitzero"` // how many generations up, 0 for all
	ledger.PageRequest
}

func (a Ancestry) Validate() error {
	if a.Depth < 0 || a.Depth > MaxAncestors {
		return ledger.Invalid("depth", "must be from 0 to %d", MaxAncestors)
	}
	return a.Named.Validate()
}

// Node is a model of a lineage, with what it was made of.
type Node struct {
	Named
	Depth    int        `json:"depth"` // 0: the model itself
	Owner    string     `json:"owner"` // organisation
	State    State      `json:"state"`
	Bases    []Named    `json:"bases"`
	External []External `json:"external"`
	Sources  []Origin   `json:"sources"` // snapshots by its own tickets
}

// Origin is a snapshot that a model was trained on, and what became of it since.
type Origin struct {
	Source
	Latest int `json:"latest"` // the number of its latest revision
	Gone   int `json:"gone"`   // contributions that it still holds and that have left
}

// ancestry walks up from a model, each model once, by generations and within one by name.
func ancestry(r ledger.Lister, req Ancestry) (ledger.Page[Node], error) {
	var walked []Node
	seen := map[Named]bool{req.Named: true}
	generation := []Named{req.Named}
	for depth := 0; len(generation) > 0 && (req.Depth == 0 || depth <= req.Depth); depth++ {
		var above []Named
		for _, name := range generation {
			m, err := Load(r, "name", name)
			if err != nil {
				return ledger.Page[Node]{}, err
			}
			walked = append(walked, Node{Named: name, Depth: depth, Owner: ledger.Owner(name.Name), State: m.State, Bases: m.Bases,
				External: append([]External{}, m.External...), Sources: origins(m)})
			for _, base := range m.Bases {
				if !seen[base] {
					seen[base] = true
					above = append(above, base)
				}
			}
		}
		generation = above
	}
	page, err := ledger.Slice(walked, req.PageRequest)
	if err != nil {
		return page, err
	}
	for _, node := range page.Items {
		for i := range node.Sources {
			if err := node.Sources[i].look(r); err != nil {
				return page, err
			}
		}
	}
	return page, nil
}

func origins(m Model) []Origin {
	list := []Origin{}
	for _, s := range m.Lineage {
		if s.Via == "" {
			list = append(list, Origin{Source: s})
		}
	}
	return list
}

func (o *Origin) look(r ledger.Lister) error {
	s, err := snapshot.Load(r, o.Named)
	if err != nil {
		return err
	}
	gone, err := snapshot.AllWithdrawn(r, s)
	o.Latest, o.Gone = s.Revision, len(gone)
	return err
}

// Impact asks for a page of the models downstream of one thing: a model, a datanet, one of its snapshots, or a
// contribution.
type Impact struct {
	Model        *Named `json:"model,omitzero"`
	Datanet      string `json:"datanet,omitzero"`
	Snapshot     int    `json:"snapshot,omitzero"`     // of the datanet
	Contribution string `json:"contribution,omitzero"` // its id, in the datanet
	ledger.PageRequest
}

func (i Impact) Validate() error {
	if i.Model != nil {
		if i.Datanet != "" || i.Snapshot != 0 || i.Contribution != "" {
			return ledger.Invalid("model", "asks for a model or for a datanet, not for both")
		}
		if err := i.Model.Validate(); err != nil {
			f := ledger.AsFault(err)
			return f.At("model." + f.Field)
		}
		return nil
	}
	if i.Snapshot != 0 && i.Contribution != "" {
		return ledger.Invalid("contribution", "asks for a snapshot or for a contribution, not for both")
	}
	if i.Contribution != "" {
		return (contribution.Named{Datanet: i.Datanet, ID: i.Contribution}).Validate()
	}
	if i.Snapshot < 0 || i.Snapshot > 1<<30 {
		return ledger.Invalid("snapshot", "snapshots are numbered from 1")
	}
	return ledger.ValidName("datanet", i.Datanet)
}

// Affected is a model downstream of something.
type Affected struct {
	Named
	State    State          `json:"state"`
	Host     ledger.Account `json:"host,omitzero"`     // of the rate card in force
	Snapshot int            `json:"snapshot,omitzero"` // through which the datanet's data is in it
	Revision int            `json:"revision,omitzero"` // of the snapshot
}

// Downstream lists the models that descend from something, by snapshot and name. It looks at a page of them all and
// keeps those that hold what is asked for, so a page of the answer may be short or empty while there are more.
func Downstream(r ledger.Lister, req Impact) (ledger.Page[Affected], error) {
	var prefix ledger.Key
	if req.Model == nil {
		prefix = belowDatanet(req.Datanet)
	} else {
		if _, err := Load(r, "model", *req.Model); err != nil {
			return ledger.Page[Affected]{Items: []Affected{}}, err
		}
		prefix = below(*req.Model)
	}
	page, err := ledger.List(r, prefix, req.PageRequest, affected)
	if err != nil {
		return page, err
	}
	keep, err := req.filter(r)
	if err != nil {
		return page, err
	}
	kept := []Affected{}
	for _, a := range page.Items {
		holds, err := keep(a)
		if err != nil {
			return page, err
		}
		if !holds {
			continue
		}
		m, err := Load(r, "name", a.Named)
		if err != nil {
			return page, err
		}
		a.State = m.State
		if m.Card > 0 {
			card, err := LoadCard(r, m, m.Card)
			if err != nil {
				return page, err
			}
			a.Host = card.Host
		}
		kept = append(kept, a)
	}
	page.Items = kept
	return page, nil
}

func affected(key ledger.Key, value []byte) (Affected, error) {
	l, err := ledger.Value[link](key, value)
	if err != nil {
		return Affected{}, err
	}
	_, parts, _ := key.Split()
	n := len(parts)
	a := Affected{Named: Named{Name: parts[n-2], Version: parts[n-1]}, Revision: l.Revision}
	if parts[0] == "datanet" {
		if _, err := fmt.Sscanf(parts[2], "%d", &a.Snapshot); err != nil {
			return Affected{}, fmt.Errorf("key %s: %w", key, err)
		}
	}
	return a, nil
}

// filter tells of each model below the datanet whether it holds what is asked for.
func (i Impact) filter(r ledger.Reader) (func(Affected) (bool, error), error) {
	if i.Contribution == "" {
		return func(a Affected) (bool, error) { return i.Snapshot == 0 || a.Snapshot == i.Snapshot, nil }, nil
	}
	name := contribution.Named{Datanet: i.Datanet, ID: i.Contribution}
	if _, err := contribution.Load(r, name); err != nil {
		return nil, err
	}
	place, sealed, err := seal.PlaceOf(r, name)
	if err != nil {
		return nil, err
	}
	return func(a Affected) (bool, error) {
		if !sealed || a.Snapshot < place.First || (place.From > 0 && a.Snapshot >= place.From) {
			return false, nil
		}
		return snapshot.Held(r, snapshot.Named{Datanet: i.Datanet, Number: a.Snapshot}, a.Revision, place.Position)
	}, nil
}
