package model

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

func register(tx ledger.Tx, req Register) (Model, error) {
	if err := mustOwn(tx, req.Name); err != nil {
		return Model{}, err
	}
	me := tx.Caller().Account()
	digest, err := req.digest()
	if err != nil {
		return Model{}, err
	}
	existing, found, err := ledger.Load[Model](tx, Key(req.Named))
	if err != nil {
		return Model{}, err
	}
	if found {
		if existing.Digest != digest || existing.Developer != me {
			return Model{}, ledger.Refuse(ledger.CodeExists, "model %s exists with other content", req.Named).At("version")
		}
		return existing, nil
	}
	if err := account.MustBeOpen(tx, "", me); err != nil {
		return Model{}, err
	}
	members, err := member.Load(tx)
	if err != nil {
		return Model{}, err
	}
	m := Model{Register: req, Developer: me, Lineage: []Source{}, Ancestors: []Named{}, Upstream: []Upstream{}, State: Registered,
		Slots: members.Members, Digest: digest, Tx: tx.TxID()}
	for i, id := range req.Tickets {
		if err := m.useTicket(tx, fmt.Sprintf("tickets.%d", i), id); err != nil {
			return Model{}, err
		}
	}
	for i, base := range req.Bases {
		if err := m.descend(tx, fmt.Sprintf("bases.%d", i), base); err != nil {
			return Model{}, err
		}
	}
	if err := m.check(); err != nil {
		return Model{}, err
	}
	if err := m.index(tx); err != nil {
		return Model{}, err
	}
	tx.Guard(Key(m.Named), ledger.SlotPolicy(ledger.Owner(m.Name), m.Slots))
	tx.Emit("model.registered/1", m)
	return m, ledger.Save(tx, Key(m.Named), m)
}

// useTicket adds what was released under a ticket of the developer's organisation.
func (m *Model) useTicket(tx ledger.Tx, field, id string) error {
	t, err := ticket.Load(tx, field, id)
	if err != nil {
		return err
	}
	if t.Trainer.MSP() != m.Developer.MSP() {
		return ledger.Refuse(ledger.CodeForbidden, "ticket %s is %s's", id, t.Trainer.MSP()).At(field)
	}
	if err := t.Running(tx.Time()); err != nil {
		return ledger.AsFault(err).At(field)
	}
	if t.Purpose != m.Purpose {
		return ledger.Refuse(ledger.CodeLicence, "ticket %s is for %s, the model for %s", id, t.Purpose, m.Purpose).At("purpose")
	}
	for _, s := range t.Sources {
		m.add(Source{Named: s.Named, Revision: s.Revision, Root: s.Root, Tokens: s.Tokens, Ticket: id})
		m.Due = m.Due.Strictest(s.Due)
	}
	return ticket.Yield(tx, t, m.Named.String())
}

// descend adds what a base descends from, and what it asks of models built on it.
func (m *Model) descend(tx ledger.Tx, field string, name Named) error {
	base, err := Load(tx, field, name)
	if err != nil {
		return err
	}
	if base.State != Registered {
		return ledger.Refuse(ledger.CodeState, "model %s is %s", name, base.State).At(field)
	}
	if base.Purpose != m.Purpose {
		return ledger.Refuse(ledger.CodeLicence, "model %s is for %s, this one for %s", name, base.Purpose, m.Purpose).At("purpose")
	}
	for _, s := range base.Lineage {
		s.Via = name.String()
		m.add(s)
	}
	m.Due = m.Due.Strictest(base.Due)
	for _, ancestor := range append(slices.Clone(base.Ancestors), name) {
		if i, found := slices.BinarySearchFunc(m.Ancestors, ancestor, compareNames); !found {
			m.Ancestors = slices.Insert(m.Ancestors, i, ancestor)
		}
	}
	for _, up := range append(slices.Clone(base.Upstream), Upstream{Model: name.String(), Owner: base.Developer, Ppm: base.DerivativePpm}) {
		known := slices.ContainsFunc(m.Upstream, func(u Upstream) bool { return u.Model == up.Model })
		if up.Ppm > 0 && !known {
			m.Upstream = append(m.Upstream, up)
		}
	}
	slices.SortFunc(m.Upstream, func(a, b Upstream) int { return cmp.Compare(a.Model, b.Model) })
	return nil
}

// add puts a snapshot into the lineage, once; one that came first stays.
func (m *Model) add(s Source) {
	i, found := slices.BinarySearchFunc(m.Lineage, s, func(a, b Source) int {
		return cmp.Or(cmp.Compare(a.Datanet, b.Datanet), cmp.Compare(a.Number, b.Number))
	})
	if !found {
		m.Lineage = slices.Insert(m.Lineage, i, s)
	}
}

// check reports a lineage that is too large, a corpus that cannot be that of the lineage, and parts that leave nothing.
func (m *Model) check() error {
	if len(m.Lineage) > MaxSources || len(m.Ancestors) > MaxAncestors {
		return ledger.Invalid("bases", "a lineage has at most %d snapshots and %d models, this one %d and %d",
			MaxSources, MaxAncestors, len(m.Lineage), len(m.Ancestors))
	}
	tokens, exact := TokensOf(m.Lineage)
	if m.Corpus.Tokens > tokens || (exact && m.Corpus.Tokens < tokens) {
		return ledger.Invalid("corpus.tokens", "the lineage has %d tokens", tokens)
	}
	if upstream := m.DerivativePpm + m.UpstreamPpm(); upstream < m.Due.DerivativePpm {
		return ledger.Refuse(ledger.CodeLicence, "the licences of its data ask %d ppm of models built on this one, they would pay %d",
			m.Due.DerivativePpm, upstream).At("derivativePpm")
	}
	if due := m.Due.DataPpm + m.Due.ValidatorsPpm + m.UpstreamPpm(); due > money.Million {
		return ledger.Refuse(ledger.CodeState, "data %d, validators %d and upstream %d ppm exceed the whole fee",
			m.Due.DataPpm, m.Due.ValidatorsPpm, m.UpstreamPpm())
	}
	return nil
}

// TokensOf counts the tokens of a lineage by datanet and sums them up. With two snapshots of one datanet in it, which
// share contributions, the sum is only a bound: exact is false.
func TokensOf(lineage []Source) (tokens int64, exact bool) {
	exact = true
	for i, s := range lineage {
		tokens += s.Tokens
		exact = exact && (i == 0 || s.Datanet != lineage[i-1].Datanet)
	}
	return tokens, exact
}

// index writes the keys that say below what the model stands.
func (m *Model) index(tx ledger.Tx) error {
	for _, s := range m.Lineage {
		if err := ledger.Save(tx, belowSnapshot(s.Named, m.Named), link{Revision: s.Revision}); err != nil {
			return err
		}
	}
	for _, ancestor := range m.Ancestors {
		if err := ledger.Save(tx, belowModel(ancestor, m.Named), link{}); err != nil {
			return err
		}
	}
	return nil
}

// link is the value of an index key, whose parts say what stands below what.
type link struct {
	Revision int `json:"revision,omitzero"` // of the snapshot, on which the model was trained
}
