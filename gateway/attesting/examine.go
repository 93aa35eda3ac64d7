package attesting

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/corpus"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// Codes of what can be wrong, as objections have them.
const (
	wrongLeaves   claim.Finding = "leaves"
	wrongSum      claim.Finding = "sum"
	wrongFee      claim.Finding = "fee"
	wrongUnits    claim.Finding = "units"
	wrongReceipt  claim.Finding = "receipt"
	wrongSubject  claim.Finding = "subject"
	wrongWithheld claim.Finding = "withheld"
)

// Difference is the first thing in a settlement that is not as it should be.
type Difference struct {
	Finding claim.Finding `json:"finding"`
	Session merkle.Hash   `json:"session,omitzero"` // in which it stands; none when it is in no single one
	Place   uint64        `json:"place"`            // of the leaf in the session
	Detail  string        `json:"detail"`           // without any text of the use
}

func (d *Difference) Error() string {
	return fmt.Sprintf("%s at %d of session %s: %s", d.Finding, d.Place, d.Session, d.Detail)
}

// differs is a difference at a use.
func differs(f claim.Finding, at archive.Place, format string, args ...any) *Difference {
	return &Difference{Finding: f, Session: at.Session, Place: at.Place, Detail: ledger.Clip(fmt.Sprintf(format, args...))}
}

// Examination is what an attestor has found of a claim.
type Examination struct {
	Claim      claim.Named   `json:"claim"`
	Uses       int           `json:"uses"`
	Recomputed int           `json:"recomputed"`          // of them, with their texts
	Uncovered  int           `json:"uncovered"`           // that count as coverage 0: nothing is disclosed, or a root is an earlier one
	Vote       *claim.Vote   `json:"vote,omitzero"`       // none with a difference
	Difference *Difference   `json:"difference,omitzero"` // none with a vote
	Pages      []payout.Page `json:"-"`                   // of the table
}

// ErrWaits says that a claim cannot be examined now.
var ErrWaits = errors.New("a contribution of the corpus is erased and its snapshot not yet revised: the claim waits")

// paid is one use of the settlement.
type paid struct {
	at        archive.Place
	leaf      use.Leaf
	discloses bool
	drawn     bool
	coverage  uint32
	shares    []receipt.Share
}

// subject is what all uses of a settlement have in common.
type subject struct {
	claim     claim.Claim
	card      model.Card
	model     model.Model
	artifacts []merkle.Hash
	corpus    *corpus.Corpus
	earlier   []map[merkle.Hash]bool // roots of all revisions, by snapshot
	shares    int                    // of the receipts so far
	compute   func(ctx context.Context, answers ...attribution.Answer) ([]*receipt.Receipt, error)
}

// Examine checks a claim as an attestor has to: every leaf, and by their texts the uses that are drawn. It works out the
// pay-out table, unless it finds a difference.
func (w *Worker) Examine(ctx context.Context, n claim.Named) (*Examination, error) {
	select {
	case <-w.turn:
		defer func() { w.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	detail, err := query.Ask[claim.Detail](ctx, w.Ledger, "claim:Get", n)
	if err != nil {
		return nil, err
	}
	c := detail.Claim
	if !slices.Contains(c.Attestors, w.Organisation) || c.Data == 0 {
		return nil, ledger.Refuse(ledger.CodeForbidden, "%s is none of the attestors of settlement %s", w.Organisation, c.ID)
	}
	x := &Examination{Claim: n}
	err = w.examine(ctx, c, x)
	var d *Difference
	if errors.As(err, &d) {
		x.Difference, x.Vote, x.Pages = d, nil, nil
		return x, nil
	}
	if missing := w.withheld(err, c); missing != nil {
		x.Difference, x.Vote, x.Pages = missing, nil, nil
		return x, nil
	}
	return x, err
}

// withheld is the difference of what a host does not show though it is due; nil while it may yet come.
func (w *Worker) withheld(err error, c claim.Claim) *Difference {
	var refusal *exchange.Refusal
	if !errors.As(err, &refusal) && !errors.Is(err, archive.ErrMalformed) && !errors.Is(err, errMissing) {
		return nil
	}
	if refusal != nil && refusal.Status >= 500 || w.Now().Before(c.Settled.Add(w.Patience)) {
		return nil
	}
	d := &Difference{Finding: wrongWithheld, Detail: ledger.Clip(err.Error())}
	var gone *missing
	if errors.As(err, &gone) {
		d.Session, d.Place = gone.at.Session, gone.at.Place
	}
	return d
}

// missing is a use of which the host shows nothing though its session discloses it.
type missing struct {
	at   archive.Place
	what string
}

var errMissing = errors.New("the host shows less than is due")

func (m *missing) Error() string {
	return fmt.Sprintf("no %s of use %d of session %s", m.what, m.at.Place, m.at.Session)
}

func (m *missing) Unwrap() error { return errMissing }

func (w *Worker) examine(ctx context.Context, c claim.Claim, x *Examination) error {
	s, err := w.subject(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = s.corpus.Close() }() // reading has told what was wrong
	if len(s.corpus.Destroyed) > 0 {
		return ErrWaits
	}
	uses, err := w.leaves(ctx, s)
	if err != nil {
		return err
	}
	x.Uses = len(uses)
	x.Vote = &claim.Vote{Scope: c.Scope, Rate: w.Rate, Revisions: make([]int, len(c.Revisions))}
	for i, r := range c.Revisions {
		x.Vote.Revisions[i] = s.revision(r)
	}
	if err := w.draw(ctx, c, uses, x.Vote); err != nil {
		return err
	}
	if err := w.receipts(ctx, s, uses, x); err != nil {
		return err
	}
	if err := w.texts(ctx, s, uses, x); err != nil {
		return err
	}
	payments, err := s.split(uses)
	if err != nil {
		return err
	}
	if x.Pages, err = payout.Pages(payments); err != nil {
		return err
	}
	if x.Pages[0].Due != int64(c.Data) {
		return &Difference{Finding: wrongSum, Detail: fmt.Sprintf("the uses bring %d for the data, the claim has %d", x.Pages[0].Due, int64(c.Data))}
	}
	x.Vote.Table, err = x.Pages[0].Digest()
	return err
}

// subject looks up what the uses are of, and opens the corpus.
func (w *Worker) subject(ctx context.Context, c claim.Claim) (*subject, error) {
	s := &subject{claim: c}
	var err error
	if s.card, err = query.Ask[model.Card](ctx, w.Ledger, "model:Card", c.Model); err != nil {
		return nil, fmt.Errorf("look up the rate card: %w", err)
	}
	if s.card.Digest != c.Card {
		return nil, errors.New("the rate card is not the one that the claim names")
	}
	if s.model, err = query.Ask[model.Model](ctx, w.Ledger, "model:Get", c.Model.Named); err != nil {
		return nil, fmt.Errorf("look up the model: %w", err)
	}
	for _, text := range s.model.Artifacts {
		var digest merkle.Hash
		if raw, err := hex.DecodeString(text); err != nil || copy(digest[:], raw) != len(digest) {
			return nil, errors.New("an artifact of the model is no digest")
		}
		s.artifacts = append(s.artifacts, digest)
	}
	for _, n := range s.card.Snapshots {
		roots, err := w.roots(ctx, n)
		if err != nil {
			return nil, err
		}
		s.earlier = append(s.earlier, roots)
	}
	name := c.Model
	right := func(context.Context, string) (access.Handover, error) {
		return access.Handover{To: w.Recipient, Reason: access.Attestation, Card: &name}, nil
	}
	if w.Engine == Indexed {
		if s.corpus, err = w.Corpora.Open(ctx, s.card.Snapshots, right); err != nil {
			return nil, err
		}
		engine := indexed.New(s.corpus.View)
		s.compute = func(ctx context.Context, answers ...attribution.Answer) (list []*receipt.Receipt, err error) {
			for _, a := range answers {
				r, err := engine.Receipt(a)
				if err = errors.Join(err, context.Cause(ctx)); err != nil {
					return nil, err
				}
				list = append(list, r)
			}
			return list, nil
		}
		return s, nil
	}
	if s.corpus, err = w.Corpora.Stream(ctx, s.card.Snapshots, right); err != nil {
		return nil, err
	}
	s.compute = s.corpus.Engine.Receipts
	return s, nil
}

// roots are those of all revisions of a snapshot.
func (w *Worker) roots(ctx context.Context, n snapshot.Named) (map[merkle.Hash]bool, error) {
	roots := map[merkle.Hash]bool{}
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		got, err := query.Ask[ledger.Page[snapshot.Revision]](ctx, w.Ledger, "snapshot:Revisions", snapshot.RevisionListing{Named: n, PageRequest: page})
		if err != nil {
			return nil, fmt.Errorf("look up the revisions of snapshot %d of %s: %w", n.Number, n.Datanet, err)
		}
		for _, r := range got.Items {
			roots[r.Root] = true
		}
		if page.Cursor = got.Next; page.Cursor == "" {
			return roots, nil
		}
	}
}

// revision is the latest one of a snapshot of the claim.
func (s *subject) revision(of claim.Revision) int {
	for _, r := range s.corpus.Revisions {
		if r.Datanet == of.Datanet && r.Number == of.Number {
			return r.Revision
		}
	}
	return 0 // of a snapshot that the card does not name: the ledger refuses the vote
}

// leaves checks every leaf of the settlement's sessions, and returns those that it adds. Leaves that were verified before
// are not read again, unless there is a difference: what was kept of them may have been harmed.
func (w *Worker) leaves(ctx context.Context, s *subject) ([]paid, error) {
	about, moves, err := w.scope(ctx, s)
	if err != nil {
		return nil, err
	}
	ids := make([]merkle.Hash, len(moves))
	for i, m := range moves {
		ids[i] = m.Session
	}
	known, err := w.recall(ctx, ids)
	if err != nil {
		return nil, err
	}
	uses, at, err := w.readLeaves(ctx, s, about, moves, known)
	var d *Difference
	if errors.As(err, &d) && len(known) > 0 {
		if err := w.doubt(ctx, ids); err != nil {
			return nil, err
		}
		uses, at, err = w.readLeaves(ctx, s, about, moves, nil)
	}
	if err != nil {
		return nil, err
	}
	return uses, w.remember(ctx, at)
}

// scope is what the host says that the settlement does, held against the claim.
func (w *Worker) scope(ctx context.Context, s *subject) (about archive.About, moves []use.Move, err error) {
	if about, err = w.Host.About(ctx, s.claim.Named); err != nil {
		return about, nil, err
	}
	card, moves, err := use.DecodeScope(about.Scope)
	if err != nil || card != s.claim.Card || merkle.Hash(sha(about.Scope)) != s.claim.Scope || len(about.Sessions) != len(moves) {
		return about, nil, &Difference{Finding: wrongLeaves, Detail: "the host shows another scope than the settlement's"}
	}
	total := uint64(0)
	for _, m := range moves {
		total += m.After.N - m.Before.N
	}
	if total != uint64(s.claim.Uses) {
		return about, nil, &Difference{Finding: wrongLeaves, Detail: fmt.Sprintf("the scope adds %d uses, the settlement %d", total, s.claim.Uses)}
	}
	return about, moves, nil
}

// readLeaves reads the leaves of sessions from where they are verified on, or from the first one on, and tells how far they
// are verified then.
func (w *Worker) readLeaves(ctx context.Context, s *subject, about archive.About, moves []use.Move, known map[merkle.Hash]*verified) (uses []paid, at []reached, err error) {
	for first := 0; first < len(moves); first += archive.MaxPlaces {
		some := moves[first:min(first+archive.MaxPlaces, len(moves))]
		from, starts := make([]archive.Place, len(some)), make([]*verified, len(some))
		for i, m := range some {
			if starts[i] = known[m.Session]; starts[i] == nil || starts[i].tree.Size() > m.Before.N {
				starts[i] = nothingVerified()
			}
			from[i] = archive.Place{Session: m.Session, Place: starts[i].tree.Size()}
		}
		body, err := w.Host.Leaves(ctx, s.claim.Named, from...)
		if err != nil {
			return nil, nil, err
		}
		in := bufio.NewReaderSize(body, 1<<17)
		for i, m := range some {
			detail, err := query.Ask[session.Detail](ctx, w.Ledger, "session:Get", about.Sessions[first+i])
			if err == nil && detail.ID != m.Session {
				err = &Difference{Finding: wrongLeaves, Session: m.Session, Detail: "the host names another session"}
			}
			if err == nil {
				uses, err = s.session(in, m, detail.Disclosure != use.DiscloseNone, starts[i], uses)
			}
			if err != nil {
				return nil, nil, errors.Join(err, body.Close())
			}
			at = append(at, reached{detail, starts[i]})
		}
		if err := body.Close(); err != nil {
			return nil, nil, err
		}
	}
	return uses, at, nil
}

// session checks the leaves of one session from where they are verified on: that they give the roots and sums before and
// after, that no number stands twice, and that each fee is right for its tokens.
func (s *subject) session(in io.Reader, m use.Move, discloses bool, v *verified, uses []paid) ([]paid, error) {
	at := archive.Place{Session: m.Session}
	marks := func(mark use.Mark) *Difference {
		switch {
		case v.tree.Root() != mark.Root:
			return differs(wrongLeaves, at, "the first %d leaves do not give the root of the voucher", mark.N)
		case v.amount != mark.Amount:
			return differs(wrongSum, at, "the first %d leaves come to %d, the voucher to %d", mark.N, v.amount, mark.Amount)
		}
		return nil
	}
	var encoded [archive.LeafSize]byte
	for place := v.tree.Size(); place < m.After.N; place++ {
		at.Place = place
		if place == m.Before.N {
			if d := marks(m.Before); d != nil {
				return nil, d
			}
		}
		if _, err := io.ReadFull(in, encoded[:]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.Join(err, &missing{at, "leaf"})
			}
			return nil, err
		}
		leaf, err := use.DecodeLeaf(encoded[:])
		switch {
		case err != nil:
			return nil, differs(wrongLeaves, at, "%v", err)
		case leaf.Session != m.Session || leaf.Card != s.claim.Card:
			return nil, differs(wrongLeaves, at, "the leaf is of another session or rate card")
		case !v.numbers.First(leaf.Number):
			return nil, differs(wrongLeaves, at, "the request %d stands twice in the session", leaf.Number)
		}
		fee, err := use.Fee(leaf.In, leaf.Out, uint64(s.card.PriceIn), uint64(s.card.PriceOut))
		if err != nil || fee != leaf.Fee {
			return nil, differs(wrongFee, at, "the fee is %d, for %d tokens in and %d out it is %d", leaf.Fee, leaf.In, leaf.Out, fee)
		}
		hash, err := leaf.Hash()
		if err != nil {
			return nil, err
		}
		v.tree.Append(hash)
		if v.amount += leaf.Fee; v.amount > use.MaxAmount {
			return nil, differs(wrongSum, at, "the sum of the fees is no amount")
		}
		if place >= m.Before.N {
			uses = append(uses, paid{at: at, leaf: leaf, discloses: discloses})
		}
	}
	if d := marks(m.After); d != nil {
		return nil, d
	}
	return uses, nil
}

// chosen are the uses of a kind with their places.
func chosen(uses []paid, of func(paid) bool) (list []*paid, places []archive.Place) {
	for i := range uses {
		if of(uses[i]) {
			list, places = append(list, &uses[i]), append(places, uses[i].at)
		}
	}
	return list, places
}

// receipts reads the receipts of uses that are not drawn: what can be seen without a text has to be right.
func (w *Worker) receipts(ctx context.Context, s *subject, uses []paid, x *Examination) error {
	list, places := chosen(uses, func(p paid) bool { return p.discloses && !p.drawn })
	x.Uncovered += len(uses)
	for _, p := range uses {
		if p.discloses {
			x.Uncovered--
		}
	}
	if len(list) == 0 {
		return nil
	}
	return w.Host.Receipts(ctx, s.claim.Named, places, func(i int, encoded []byte) error {
		p := list[i]
		if encoded == nil {
			return &missing{p.at, "receipt"}
		}
		r, current, d := s.receipt(p, encoded)
		if d != nil {
			return d
		}
		if uint64(r.OutputTokens) != p.leaf.Out {
			return differs(wrongUnits, p.at, "the receipt counts %d tokens of output, the leaf %d", r.OutputTokens, p.leaf.Out)
		}
		if !current {
			x.Uncovered++
			return nil
		}
		return s.keep(p, r)
	})
}

// keep takes the shares of a use from its receipt.
func (s *subject) keep(p *paid, r *receipt.Receipt) error {
	if s.shares += len(r.Shares); s.shares > mostShares {
		return differs(wrongReceipt, p.at, "the receipts up to this one have more than %d shares, of which no table is worked out", mostShares)
	}
	p.coverage, p.shares = r.CoveragePPM, r.Shares
	return nil
}

// receipt reads the receipt of a use. It is the leaf's, of the model and its corpus; current tells whether on the latest
// revisions.
func (s *subject) receipt(p *paid, encoded []byte) (r *receipt.Receipt, current bool, d *Difference) {
	if receipt.ID(encoded) != p.leaf.Receipt {
		return nil, false, differs(wrongReceipt, p.at, "the receipt is not the one that the leaf names")
	}
	r, err := receipt.Decode(encoded)
	switch {
	case err != nil:
		return nil, false, differs(wrongReceipt, p.at, "%v", err)
	case r.Model != s.card.Named.String() || !slices.Contains(s.artifacts, r.Artifact):
		return nil, false, differs(wrongSubject, p.at, "the receipt is of %s and of the artifact %s", r.Model, r.Artifact)
	}
	if slices.Equal(r.Roots, receipt.Roots(s.corpus.Roots())) {
		if r.N != s.corpus.N || r.V != s.corpus.V {
			return nil, false, differs(wrongSubject, p.at, "the receipt is of a corpus of %d tokens and V = %d, there are %d and %d", r.N, r.V, s.corpus.N, s.corpus.V)
		}
		if int(r.Tau) != s.model.Due.Tau {
			return nil, false, differs(wrongReceipt, p.at, "tau is %d, the datanets ask for %d", r.Tau, s.model.Due.Tau)
		}
		return r, true, nil
	}
	if !s.was(r.Roots) {
		return nil, false, differs(wrongSubject, p.at, "the receipt is of another corpus")
	}
	return r, false, nil
}

// was tells whether roots are those of some revisions of the snapshots, one for each.
func (s *subject) was(roots []merkle.Hash) bool {
	if len(roots) > len(s.earlier) {
		return false
	}
	for _, of := range s.earlier {
		if !slices.ContainsFunc(roots, func(r merkle.Hash) bool { return of[r] }) {
			return false
		}
	}
	return !slices.ContainsFunc(roots, func(r merkle.Hash) bool {
		return !slices.ContainsFunc(s.earlier, func(of map[merkle.Hash]bool) bool { return of[r] })
	})
}

// mostShares bounds the shares of all receipts of a settlement, which are held until its table is worked out.
var mostShares = 8 << 20

// texts checks the uses that are drawn against their texts, and computes their receipts again.
func (w *Worker) texts(ctx context.Context, s *subject, uses []paid, x *Examination) error {
	list, places := chosen(uses, func(p paid) bool { return p.discloses && p.drawn })
	if len(list) == 0 {
		return nil
	}
	var batch []recomputation
	size, tokens := 0, uint64(0)
	flush := func() error {
		err := s.recompute(ctx, batch)
		x.Recomputed += len(batch)
		batch, size, tokens = nil, 0, 0
		return err
	}
	err := w.Host.Texts(ctx, s.claim.Named, x.Vote.Rate, places, func(i int, encoded []byte) error {
		p := list[i]
		if encoded == nil {
			return &missing{p.at, "text"}
		}
		e, err := evidence.Decode(encoded)
		if err != nil {
			return differs(wrongReceipt, p.at, "what the host shows is no evidence")
		}
		r, current, d := s.receipt(p, e.Receipt)
		if d != nil {
			return d
		}
		var wrong *evidence.Wrong
		switch err := e.Check(p.leaf, evidence.Subject{Model: s.card.Named.String(), Artifacts: s.artifacts}); {
		case errors.As(err, &wrong):
			return differs(claim.Finding(wrong.Finding), p.at, "%s", wrong.Detail)
		case err != nil:
			return err
		case !current:
			x.Uncovered++
			return nil
		}
		answer, err := e.Answer(r.Model, r.Artifact, s.corpus.Roots(), uint8(s.model.Due.Tau))
		if err != nil {
			return differs(wrongSubject, p.at, "%v", err)
		}
		batch = append(batch, recomputation{p, r, answer})
		size, tokens = size+len(encoded), tokens+p.leaf.Out
		if len(batch) == streaming.PassAnswers || size >= streaming.PassBytes || tokens >= streaming.PassTokens {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

type recomputation struct {
	*paid
	claimed *receipt.Receipt
	answer  attribution.Answer
}

// recompute computes receipts again and compares them.
func (s *subject) recompute(ctx context.Context, batch []recomputation) error {
	if len(batch) == 0 {
		return nil
	}
	answers := make([]attribution.Answer, len(batch))
	for i, b := range batch {
		answers[i] = b.answer
	}
	computed, err := s.compute(ctx, answers...)
	if err != nil {
		return fmt.Errorf("recompute receipts: %w", err)
	}
	for i, b := range batch {
		var mismatch *receipt.Mismatch
		switch err := receipt.Compare(b.claimed, computed[i]); {
		case errors.As(err, &mismatch) && mismatch.Field == "commitment to the context":
			return differs(wrongSubject, b.at, "%v", mismatch)
		case errors.As(err, &mismatch):
			return differs(wrongReceipt, b.at, "%v", mismatch)
		case err != nil:
			return err
		}
		if err := s.keep(b.paid, computed[i]); err != nil {
			return err
		}
	}
	return nil
}

// split divides the data part of all uses.
func (s *subject) split(uses []paid) ([]payout.Payment, error) {
	datanets := s.corpus.Datanets()
	list := make([]payout.Use, len(uses))
	for i, p := range uses {
		list[i] = payout.Use{Fee: int64(p.leaf.Fee), DataPPM: uint32(s.card.Parts.Data), CoveragePPM: p.coverage, Shares: p.shares,
			Corpus: datanets, Owner: string(s.card.Owner)}
	}
	return payout.Split(list)
}
