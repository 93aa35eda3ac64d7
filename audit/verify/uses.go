package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/meter/numbers"
)

// Why a receipt was not computed again.
const (
	withoutText    = "no text was handed over"
	withoutContent = "a content of its corpus is not in the bundle"
	earlierRoot    = "it is on an earlier revision of a snapshot"
)

// mostShares bounds the shares that a settlement's receipts keep in memory until its table is compared.
var mostShares = 8 << 20

// settled is one settlement while its uses go by.
type settled struct {
	*holder
	at     Finding // where it was made
	claim  claimed
	card   carded
	model  modelled
	corpus *corpus // nil when the ledger's own snapshots do not fit
	names  []parts.Session
	moves  []use.Move

	// Of the session whose uses go by.
	session   int
	tree      *merkle.Frontier
	sum       uint64
	numbers   *numbers.Seen // of its requests
	discloses bool

	withheld  int
	shares    int
	wrong     bool      // some leaf or receipt is not the one that the attestors saw
	uses      []counted // those whose receipts have shares
	uncovered uint64    // fees of the others, which a table divides as if they were one
}

// counted is what a use is worth in the pay-out table, when its receipt counts.
type counted struct {
	fee      uint64
	roots    []merkle.Hash // none when nothing is disclosed, or nothing covered
	coverage uint32
	shares   []receipt.Share
}

// recomputation is a receipt to be computed again, together with others of the corpus, also of other settlements.
type recomputation struct {
	part        int     // the settlement's, in the order of the bundle
	at          Finding // where it was made
	where       string
	size        int // of the text
	tokens      int // of its output
	claimed     *receipt.Receipt
	answer      attribution.Answer
	withContext bool
}

func (h *holder) settlement(ctx context.Context, p bundle.Part, in io.Reader) error {
	s := &settled{holder: h, at: h.settledAt(p), session: -1}
	c, found, err := find[claimed](h.facts, "claim", p.Name...)
	if err != nil || !found {
		h.about(s.at, Forged, RuleLeaves, "the ledger has no such settlement")
		return nil
	}
	s.claim = c
	card, _, err := find[carded](h.facts, "rate-card", c.Model.Name, c.Model.Version, fmt.Sprintf("%06d", c.Model.Card))
	if err == nil {
		s.model, _, err = find[modelled](h.facts, "model", c.Model.Name, c.Model.Version)
	}
	if err != nil || card.Digest != c.Card {
		h.about(s.at, Broken, RuleState, "its rate card or model is not on the ledger")
		return nil
	}
	s.card = card
	if s.corpus, err = h.corpora.of(card.Snapshots); err != nil {
		s.corpus = nil // a finding since the corpora were planned
	}
	err = parts.SettlementReader{Scope: s.scope, Peaks: s.peaks, Use: func(session int, place uint64, u parts.Use) error {
		return s.use(ctx, session, place, u)
	}}.Read(in)
	if errors.Is(err, errOther) {
		return nil
	}
	if err != nil {
		return err
	}
	s.mark()
	if s.withheld > 0 {
		h.about(s.at, Unclear, RuleWithheld, "%d of its %d receipts are not in the bundle", s.withheld, s.claim.Uses)
	}
	h.held.Settlements++
	return s.tables(p)
}

// errOther ends the reading of what is not the ledger's settlement.
var errOther = errors.New("it is another settlement")

func (s *settled) wrongly(severity Severity, rule Rule, format string, args ...any) {
	s.wrong = true
	s.about(s.at, severity, rule, format, args...)
}

func (s *settled) scope(scope parts.Scope) error {
	card, moves, err := scope.Moves()
	if err != nil {
		return err
	}
	if merkle.Hash(sha256.Sum256(scope.Encoded)) != s.claim.Scope || card != s.claim.Card {
		s.wrongly(Forged, RuleLeaves, "the scope is not the settlement's")
		return errOther
	}
	s.names, s.moves = scope.Sessions, moves
	return nil
}

func (s *settled) peaks(session int, m use.Move, peaks []merkle.Hash) error {
	s.mark()
	tree, err := merkle.NewFrontier(m.Before.N, peaks)
	if err != nil {
		return fmt.Errorf("%w: %w", parts.ErrForm, err)
	}
	s.session, s.tree, s.sum, s.numbers = session, tree, m.Before.Amount, &numbers.Seen{}
	if tree.Root() != m.Before.Root {
		s.wrongly(Forged, RuleLeaves, "session %s: the peaks do not give the root before it", m.Session)
	}
	terms, found, err := find[opened](s.facts, "session", s.names[session].Account, s.names[session].Name)
	if err != nil || !found || terms.ID != m.Session {
		s.wrongly(Forged, RuleLeaves, "session %s: it is named %s of %s, which is another one", m.Session, s.names[session].Name, s.names[session].Account)
	}
	s.discloses = terms.Disclosure != use.DiscloseNone.String()
	return nil
}

// mark compares what the uses of a session came to with what the ledger has settled.
func (s *settled) mark() {
	if s.session < 0 {
		return
	}
	m := s.moves[s.session]
	if s.tree.Root() != m.After.Root {
		s.wrongly(Forged, RuleLeaves, "session %s: its %d uses do not give the root that was settled", m.Session, m.After.N)
		return
	}
	s.billed(m.Session).Join(s.numbers)
	if s.sum != m.After.Amount {
		s.wrongly(Broken, RuleLeaves, "session %s: its uses come to %d micro-credits, %d were settled", m.Session, s.sum, m.After.Amount)
	}
}

func (s *settled) use(ctx context.Context, session int, place uint64, u parts.Use) error {
	where := fmt.Sprintf("use %d of session %s", place, s.moves[session].Session)
	s.held.Uses++
	leaf, err := use.DecodeLeaf(u.Leaf)
	if err != nil {
		s.wrongly(Forged, RuleLeaves, "%s: %v", where, err)
		return nil
	}
	s.tree.Append(merkle.Leaf(u.Leaf))
	if leaf.Fee > use.MaxAmount-s.sum {
		return fmt.Errorf("%w: %s: the sum of fees is no amount", parts.ErrForm, where)
	}
	s.sum += leaf.Fee
	first := s.numbers.First(leaf.Number) && !s.billed(s.moves[session].Session).Has(leaf.Number)
	fee, err := use.Fee(leaf.In, leaf.Out, uint64(s.card.PriceIn), uint64(s.card.PriceOut))
	switch {
	case leaf.Session != s.moves[session].Session || leaf.Card != s.claim.Card:
		s.wrongly(Broken, RuleLeaves, "%s: the leaf is of another session or rate card", where)
	case !first:
		s.wrongly(Broken, RuleLeaves, "%s: request %d stands twice in the session", where, leaf.Number)
	case err != nil || fee != leaf.Fee:
		s.wrongly(Broken, RuleFee, "%s: the fee is %d, for %d tokens in and %d out it is %d", where, leaf.Fee, leaf.In, leaf.Out, fee)
	}
	worth := counted{fee: leaf.Fee}
	err = s.receipt(ctx, where, leaf, u, &worth)
	switch {
	case len(worth.shares) > 0:
		s.uses = append(s.uses, worth)
	case worth.fee <= use.MaxAmount-s.uncovered:
		s.uncovered += worth.fee
	default:
		s.wrong = true // no sum of amounts on a ledger
	}
	return err
}

// receipt checks the receipt of a use, and has it computed again when a text is there.
func (s *settled) receipt(ctx context.Context, where string, leaf use.Leaf, u parts.Use, worth *counted) error {
	if u.Receipt == nil {
		s.withheld++
		return nil
	}
	if receipt.ID(u.Receipt) != leaf.Receipt {
		s.wrongly(Forged, RuleReceipt, "%s: the receipt is not the one that the leaf names", where)
		return nil
	}
	r, err := receipt.Decode(u.Receipt)
	switch {
	case err != nil:
		s.about(s.at, Broken, RuleReceipt, "%s: %v", where, err)
		return nil
	case r.Model != s.claim.model() || !slices.Contains(s.model.Artifacts, r.Artifact):
		s.about(s.at, Broken, RuleReceipt, "%s: the receipt is of %s and of the artifact %s", where, r.Model, r.Artifact)
		return nil
	case uint64(r.OutputTokens) != leaf.Out:
		s.about(s.at, Broken, RuleReceipt, "%s: the receipt counts %d tokens of output, the leaf %d", where, r.OutputTokens, leaf.Out)
		return nil
	case s.corpus == nil:
		return nil
	case !s.corpus.was(r.Roots):
		s.about(s.at, Broken, RuleReceipt, "%s: the receipt is of another corpus", where)
		return nil
	}
	s.held.Receipts++
	if s.discloses && len(r.Shares) > 0 {
		worth.roots, worth.coverage, worth.shares = r.Roots, r.CoveragePPM, r.Shares
		s.shares += len(r.Roots) + len(r.Shares)
	}
	if s.shares > mostShares { // no honest settlement: nobody could work out its table
		if !s.wrong {
			s.about(s.at, Unclear, RuleTable, "its receipts have more than %d shares, so attestors' tables are not compared with them", mostShares)
		}
		s.wrong, s.uses = true, nil
		worth.roots, worth.shares = nil, nil
	}
	if int(r.Tau) != s.model.Due.Tau {
		s.about(s.at, Broken, RuleReceipt, "%s: tau is %d, the datanets ask for %d", where, r.Tau, s.model.Due.Tau)
		return nil
	}
	contributors, err := s.corpora.contributors(s.corpus)
	if err != nil {
		s.about(s.at, Broken, RuleState, "%s: the contributors to its corpus: %v", where, err)
		return nil
	}
	for _, share := range r.Shares {
		if !contributors[share.Account] {
			s.about(s.at, Broken, RuleReceipt, "%s: the receipt pays %s, who contributed nothing to its corpus", where, share.Account)
			return nil
		}
	}
	current := slices.Equal(r.Roots, s.corpus.roots())
	if current && s.corpus.engine != nil {
		if n, v := s.corpus.engine.Size(); r.N != n || r.V != v {
			s.about(s.at, Broken, RuleReceipt, "%s: the receipt is of a corpus of %d tokens and V = %d, there are %d and %d", where, r.N, r.V, n, v)
			return nil
		}
	}
	return s.text(ctx, where, leaf, u, r, current)
}

// text holds the text of a use against its receipt.
func (s *settled) text(ctx context.Context, where string, leaf use.Leaf, u parts.Use, r *receipt.Receipt, current bool) error {
	if u.Evidence == nil {
		s.held.NotRecomputed[withoutText]++
		return nil
	}
	e, err := evidence.Decode(u.Evidence)
	if err == nil && receipt.ID(e.Receipt) != leaf.Receipt {
		err = errors.New("it is the text of another receipt")
	}
	if err != nil {
		s.about(s.at, Forged, RuleText, "%s: %v", where, err)
		return nil
	}
	err = e.Check(leaf, evidence.Subject{Model: s.claim.model(), Artifacts: s.model.Artifacts})
	if wrong := (*evidence.Wrong)(nil); errors.As(err, &wrong) {
		severity, rule := Forged, RuleText
		switch wrong.Finding { // the commitments do open
		case evidence.WrongUnits:
			severity, rule = Broken, RuleFee
		case evidence.WrongReceipt:
			severity, rule = Broken, RuleReceipt
		}
		s.about(s.at, severity, rule, "%s: %s", where, wrong.Detail)
		return nil
	}
	if err != nil {
		return err
	}
	known := len(e.Context) > 0 || e.Nonces.Context != attribution.Nonce{}
	if commitment, err := attribution.CommitContext(e.Nonces.Context, e.Context); known && (err != nil || commitment != r.Context) {
		s.about(s.at, Forged, RuleText, "%s: the receipt's commitment to the context does not open to what was added", where)
		return nil
	}
	switch {
	case !current:
		s.held.NotRecomputed[earlierRoot]++
		return nil
	case s.corpus.engine == nil:
		s.held.NotRecomputed[withoutContent]++
		return nil
	}
	answer, err := e.Answer(r.Model, r.Artifact, s.corpus.roots(), r.Tau)
	if err != nil {
		s.about(s.at, Forged, RuleText, "%s: %v", where, err)
		return nil
	}
	s.corpus.waiting = append(s.corpus.waiting, recomputation{s.number, s.at, where, len(u.Evidence), int(r.OutputTokens), r, answer, known})
	s.waiting, s.tokens = s.waiting+len(u.Evidence), s.tokens+int(r.OutputTokens)
	switch {
	case s.waiting >= streaming.PassBytes, s.tokens >= streaming.PassTokens:
		return s.recomputeAll(ctx)
	case len(s.corpus.waiting) == streaming.PassAnswers:
		return s.recompute(ctx, s.corpus)
	}
	return nil
}

// recomputeAll computes all receipts again that wait for it.
func (h *holder) recomputeAll(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(h.corpora.known)) {
		if err := h.recompute(ctx, h.corpora.known[name]); err != nil {
			return err
		}
	}
	return nil
}

// recompute computes the receipts again that wait for a corpus, and compares them.
func (h *holder) recompute(ctx context.Context, c *corpus) error {
	if len(c.waiting) == 0 {
		return nil
	}
	answers := make([]attribution.Answer, len(c.waiting))
	for i, w := range c.waiting {
		answers[i] = w.answer
	}
	computed, err := c.engine.Receipts(ctx, answers...)
	if err != nil {
		return fmt.Errorf("recompute receipts: %w", err)
	}
	for i, w := range c.waiting {
		h.waiting, h.tokens = h.waiting-w.size, h.tokens-w.tokens
		if !w.withContext { // what the host added is in the commitment alone: no span depends on it
			computed[i].Context = w.claimed.Context
		}
		if err := receipt.Compare(w.claimed, computed[i]); err != nil {
			w.at.Severity, w.at.Rule, w.at.Message = Broken, RuleReceipt, fmt.Sprintf("%s: %v", w.where, err)
			if w.part == h.number {
				h.find(w.at)
			} else {
				h.v.find(w.at)
			}
			continue
		}
		h.held.Recomputed++
	}
	c.waiting = nil
	return nil
}

// forget takes back what waits of the part that is read, which is damaged.
func (h *holder) forget() {
	for _, c := range h.corpora.known {
		c.waiting = slices.DeleteFunc(c.waiting, func(w recomputation) bool {
			if w.part == h.number {
				h.waiting, h.tokens = h.waiting-w.size, h.tokens-w.tokens
			}
			return w.part == h.number
		})
	}
}

// tables compares each attestor's table with what the receipts give on the revisions that the vote names.
func (s *settled) tables(p bundle.Part) error {
	if s.claim.Data == 0 || s.wrong || s.withheld > 0 || s.corpus == nil {
		return nil
	}
	for _, msp := range s.claim.Attestors {
		vote, _, err := find[voted](s.facts, "claim-slot", p.Name[0], p.Name[1], msp)
		if err != nil || vote.By == "" {
			continue
		}
		at := s.holder.at("claim-slot", p.Name[0], p.Name[1], msp)
		roots, weights, ok, err := s.corpora.at(s.corpus, s.claim.Revisions, vote.Revisions)
		if err != nil || !ok {
			s.about(at, Broken, RuleTable, "%s voted on revisions that there are not", msp)
			continue
		}
		one := payout.Use{Fee: int64(s.uncovered), DataPPM: s.card.Parts.Data, Corpus: weights, Owner: s.card.Owner}
		uses := []payout.Use{one}
		for _, u := range s.uses {
			one.Fee, one.CoveragePPM, one.Shares = int64(u.fee), 0, nil
			if slices.Equal(u.roots, roots) {
				one.CoveragePPM, one.Shares = u.coverage, u.shares
			}
			uses = append(uses, one)
		}
		payments, err := payout.Split(uses)
		if err != nil {
			s.about(at, Broken, RuleTable, "the receipts give no table: %v", err)
			continue
		}
		table, err := payout.Table(payments)
		if err != nil || table != vote.Table {
			s.about(at, Broken, RuleTable, "%s voted for the table %s, the receipts give %s", msp, vote.Table, table)
			continue
		}
		s.held.Tables++
	}
	return nil
}
