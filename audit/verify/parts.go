package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/meter/numbers"
)

// Held is what a bundle held beside blocks, and what was shown of it.
type Held struct {
	Snapshots   int `json:"snapshots"` // whose leaves give the root on the ledger
	Contents    int `json:"contents"`  // that open their commitments
	Settlements int `json:"settlements"`
	Uses        int `json:"uses"`
	// Receipts are the uses' receipts that were read and held against leaf, model and roots.
	Receipts int `json:"receipts"`
	// Recomputed are those of them that were computed again from the contents and a text.
	Recomputed int `json:"recomputed"`
	// NotRecomputed counts the others, by why not.
	NotRecomputed map[string]int `json:"notRecomputed"`
	// Tables are the attestors' votes whose pay-out table follows from the receipts.
	Tables int `json:"tables"`
}

// holder checks the parts of a bundle against the state that its blocks left.
type holder struct {
	v       *verifier
	facts   *facts
	corpora *corpora
	of      string // MSP ID of the organisation that got the contents, as the manifest says
	held    *Held
	number  int       // of the part that is read, from 1
	found   []Finding // of it
	kept    kept      // of these
	waiting int       // bytes of texts whose receipts wait to be computed again
	tokens  int       // of their outputs
	last    *registration
	places  map[string]settlement         // settlements of these blocks, by name
	built   bool                          // all contents have gone by
	bills   map[merkle.Hash]*numbers.Seen // which requests the settlements so far bill, by session, as far as their leaves are the ledger's
}

// parts checks what the bundle holds beside blocks.
func (v *verifier) parts(ctx context.Context, r *bundle.Reader) (err error) {
	if len(r.Manifest.Parts) == 0 && r.Manifest.Receipts == nil {
		return nil
	}
	h := &holder{v: v, facts: v.facts, of: r.Manifest.Holder, held: &Held{NotRecomputed: map[string]int{}}, places: map[string]settlement{}, bills: map[merkle.Hash]*numbers.Seen{}}
	v.report.Held = h.held
	if v.state == nil {
		v.report.Unproved = append(v.report.Unproved, "snapshots, contents and receipts in the bundle: without the state of the ledger there is nothing to hold them against")
		return v.damaged(r.Parts(func(bundle.Part, io.Reader) (func(error), error) {
			return func(err error) { _ = v.damaged(err) }, nil
		}))
	}
	h.corpora = newCorpora(h.facts, v.options.Temp)
	defer func() { err = errors.Join(err, h.corpora.close()) }()
	defer func() { // over what the ledger or a part says
		if p := recover(); p != nil {
			v.find(Finding{Severity: Forged, Rule: RuleBundle, Block: v.report.Height, Message: fmt.Sprintf("a check of part %d failed: %v; it and those after it are not checked", h.number, p)})
		}
	}()
	if err := h.plan(r.Manifest); err != nil {
		return err
	}
	err = r.Parts(func(p bundle.Part, in io.Reader) (func(error), error) {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		h.number, h.found, h.kept = h.number+1, nil, nil
		err := h.part(ctx, p, in)
		if errors.Is(err, parts.ErrForm) {
			h.find(Finding{Severity: Forged, Rule: ruleOf[p.Kind], Key: readableName(p), Message: err.Error()})
			err = nil
		}
		return func(damage error) {
			if v.options.Parts != nil {
				v.options.Parts(h.number, len(r.Manifest.Parts))
			}
			if damage != nil {
				h.forget()
				_ = v.damaged(damage)
				return
			}
			for _, f := range h.found {
				v.find(f)
			}
		}, err
	})
	if unread := len(r.Manifest.Parts) - h.number; err != nil && unread > 0 {
		err = fmt.Errorf("%w; this part and those after it, %d in all, are not checked", err, unread)
	}
	if err := v.damaged(err); err != nil {
		return err
	}
	h.number++
	if err := h.recomputeAll(ctx); err != nil {
		return err
	}
	h.missing(r.Manifest)
	return nil
}

// damaged makes a finding of damage and returns any other error.
func (v *verifier) damaged(err error) error {
	if errors.Is(err, bundle.ErrDamaged) {
		v.find(Finding{Severity: Forged, Rule: RuleBundle, Block: v.report.Height, Message: err.Error()})
		return nil
	}
	return err
}

var ruleOf = map[bundle.Kind]Rule{bundle.Snapshot: RuleSnapshot, bundle.Content: RuleContent, bundle.Settlement: RuleLeaves}

func readableName(p bundle.Part) string { return fmt.Sprintf("%s/%s/%s", p.Kind, p.Name[0], p.Name[1]) }

func (h *holder) find(f Finding) {
	if !h.kept.another(f.Severity, h.v.options.MaxFindings) {
		h.v.report.Suppressed++
		return
	}
	h.found = append(h.found, f)
}

// at is where the entry of a key was last written, for a finding about it.
func (h *holder) at(kind string, parts ...string) Finding {
	key := composite(kind, parts...)
	f := Finding{Key: readable(string(key))}
	if e := h.facts.state.Get(key); e != nil {
		tx := int(e.Version.Tx)
		f.Block, f.Tx = e.Version.Block, &tx
	}
	return f
}

func (h *holder) about(at Finding, severity Severity, rule Rule, format string, args ...any) {
	at.Severity, at.Rule, at.Message = severity, rule, fmt.Sprintf(format, args...)
	h.find(at)
}

// plan finds the corpora of the settlements that the manifest names.
func (h *holder) plan(m *bundle.Manifest) error {
	for _, p := range m.Parts {
		if p.Kind != bundle.Settlement {
			continue
		}
		c, found, err := find[claimed](h.facts, "claim", p.Name...)
		if err != nil || !found {
			continue // judged when it is read
		}
		card, _, err := find[carded](h.facts, "rate-card", c.Model.Name, c.Model.Version, fmt.Sprintf("%06d", c.Model.Card))
		if err != nil {
			continue
		}
		if _, err := h.corpora.of(card.Snapshots); err != nil {
			f := h.at("claim", p.Name...)
			f.Severity, f.Rule, f.Message = Broken, RuleSnapshot, fmt.Sprintf("the corpus of %s: %v", c.model(), err)
			h.v.find(f)
		}
	}
	for _, s := range h.facts.settled {
		h.places[settlementName(s.host, s.claim)] = s
	}
	return nil
}

func (h *holder) wanted(models []string, s settlement) bool {
	if len(models) == 0 {
		return true
	}
	c, _, err := find[claimed](h.facts, "claim", s.host, s.claim)
	for _, name := range models {
		if err == nil && name == c.model() {
			return true
		}
	}
	return false
}

// missing tells of settlements that should be there and that the manifest does not name; one that it names is damaged if it
// could not be read.
func (h *holder) missing(m *bundle.Manifest) {
	if m.Receipts == nil {
		return
	}
	named := map[string]bool{}
	for _, p := range m.Parts {
		if p.Kind == bundle.Settlement {
			named[settlementName(p.Name[0], p.Name[1])] = true
		}
	}
	for _, s := range h.facts.settled {
		if s.block < m.Receipts.Before && h.wanted(m.Receipts.Models, s) && !named[settlementName(s.host, s.claim)] {
			h.v.find(Finding{Severity: Unclear, Rule: RuleWithheld, Block: s.block, Tx: &s.tx, TxID: s.id, Key: "claim/" + s.host + "/" + s.claim,
				Message: "the bundle has no leaves and receipts of this settlement"})
		}
	}
}

func (h *holder) part(ctx context.Context, p bundle.Part, in io.Reader) error {
	if p.Kind == bundle.Settlement && !h.built {
		h.built = true
		if err := h.corpora.finish(); err != nil {
			return err
		}
	}
	switch p.Kind {
	case bundle.Snapshot:
		return h.snapshot(p, in)
	case bundle.Content:
		return h.content(p, in)
	default:
		return h.settlement(ctx, p, in)
	}
}

// snapshot holds the leaves of a snapshot against the root on the ledger.
func (h *holder) snapshot(p bundle.Part, in io.Reader) error {
	number, err := strconv.Atoi(p.Name[1])
	at := h.at("snapshot", p.Name[0], fmt.Sprintf("%010d", number))
	if err != nil || strconv.Itoa(number) != p.Name[1] {
		return fmt.Errorf("%w: %q is no number of a snapshot", parts.ErrForm, p.Name[1])
	}
	stands, err := h.corpora.snapshot(named{p.Name[0], number})
	switch {
	case err != nil:
		h.about(at, Broken, RuleSnapshot, "snapshot %d of %s: %v", number, p.Name[0], err)
		return nil
	case stands == nil:
		h.about(at, Forged, RuleSnapshot, "the ledger has no snapshot %d of %s", number, p.Name[0])
		return nil
	}
	var tree merkle.Frontier
	revision, err := parts.ReadSnapshot(in, func(l parts.Leaf) error {
		if tree.Size() == uint64(len(stands.list)) {
			return fmt.Errorf("%w: it has more leaves than the ledger's, which are %d", parts.ErrForm, len(stands.list))
		}
		hash, err := l.Hash()
		if err != nil {
			return fmt.Errorf("%w: %w", parts.ErrForm, err)
		}
		tree.Append(hash)
		return nil
	})
	switch {
	case err != nil:
		return err
	case revision < 1 || int(revision) > stands.revision():
		h.about(at, Forged, RuleSnapshot, "the ledger has %d revisions of the snapshot, these are leaves of revision %d", stands.revision(), revision)
	case tree.Root() != stands.roots[revision-1]:
		h.about(at, Forged, RuleSnapshot, "the leaves give the root %s, on the ledger that of revision %d is %s", tree.Root(), revision, stands.roots[revision-1])
	default:
		h.held.Snapshots++
	}
	return nil
}

// content holds a content against the commitment of its contribution, and adds it to the corpora that have it.
func (h *holder) content(p bundle.Part, in io.Reader) error {
	key := composite("contribution", p.Name...)
	at := h.at("contribution", p.Name...)
	stands, found, err := find[registered](h.facts, "contribution", p.Name...)
	switch {
	case err != nil || !found:
		h.about(at, Forged, RuleContent, "the ledger has no such contribution")
		return nil
	case stands.State == "erased":
		h.about(h.at("erasure", p.Name...), Broken, RuleErasure, "the content of %s of %s is here, and its erasure is complete", p.Name[1], p.Name[0])
	}
	h.released(at, p, stands.Contributor)
	order, known := h.facts.registered[key]
	if known && h.last != nil && order.compare(*h.last) <= 0 {
		h.about(at, Forged, RuleContent, "contents come in the order in which they were registered, this one does not")
		known = false
	}
	record, spoil := func([]byte) error { return nil }, func(string) {}
	if known {
		h.last = &order
		if record, spoil, err = h.corpora.take(p.Name[0], p.Name[1], stands.Contributor); err != nil {
			h.about(at, Broken, RuleContent, "%v", err)
			return nil
		}
	}
	var tree merkle.Frontier
	var records, tokens int64
	salt, err := parts.ReadContent(in, func(text []byte) error {
		tree.Append(merkle.Leaf(text))
		records, tokens = records+1, tokens+int64(evidence.Tokens(text))
		if records > stands.Records || tokens > stands.Tokens {
			return nil // it is told below, and must not fill a corpus
		}
		return record(text)
	})
	bad := func(severity Severity, format string, args ...any) {
		h.about(at, severity, RuleContent, format, args...)
		spoil("a content of its corpus is not what the ledger's commitment says")
	}
	switch {
	case errors.Is(err, parts.ErrForm):
		bad(Forged, "%v", err)
		return nil
	case err != nil:
		return err
	case attribution.CommitRoot(salt, tree.Root()) != stands.Commitment:
		bad(Forged, "salt and records do not open the commitment %s", stands.Commitment)
	case records != stands.Records || tokens != stands.Tokens:
		bad(Broken, "it has %d records and %d tokens, the ledger says %d and %d", records, tokens, stands.Records, stands.Tokens)
	default:
		h.held.Contents++
	}
	return nil
}

// billed are the requests of a session that the settlements so far bill: those of leaves that give the settled root.
func (h *holder) billed(session merkle.Hash) *numbers.Seen {
	if h.bills[session] == nil {
		h.bills[session] = &numbers.Seen{}
	}
	return h.bills[session]
}

// settledAt is where a settlement was made, for findings about it.
func (h *holder) settledAt(p bundle.Part) Finding {
	s, known := h.places[settlementName(p.Name[0], p.Name[1])]
	if !known {
		return h.at("claim", p.Name...)
	}
	return Finding{Block: s.block, Tx: &s.tx, TxID: s.id, Key: "claim/" + s.host + "/" + s.claim}
}

func settlementName(host, id string) string { return host + "\x00" + id }

// unheld says what the parts of the bundle leave open.
func (v *verifier) unheld(r *bundle.Reader) {
	open := func(what string) { v.report.Unproved = append(v.report.Unproved, what) }
	held := v.report.Held
	if held == nil {
		open("contents, receipts of attribution and erasures: the ledger holds commitments to them only, and the bundle has none of them")
		return
	}
	open("that erased content is gone elsewhere: only what is in the bundle was looked at")
	for _, why := range slices.Sorted(maps.Keys(held.NotRecomputed)) {
		open(fmt.Sprintf("%s not computed again: %s", report.Count(held.NotRecomputed[why], "receipt"), why))
	}
	if r.Manifest.Receipts == nil || len(r.Manifest.Receipts.Models) > 0 {
		open("receipts of other models than those that were asked for")
	}
}
