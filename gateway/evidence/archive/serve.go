package archive

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/query"
)

const (
	// stall is how long a recipient may take for a piece of an answer before it is given up.
	stall = time.Minute
	// slack is how many more texts than its rate an attestor may ask for by chance: so many standard deviations of the
	// draw, and so many more.
	slackDeviations, slackUses = 6, 8
)

// Handler serves the routes to other members' gateways. Nobody gets anything of whom caller does not say who it is.
func (a *Archive) Handler(caller exchange.Caller) http.Handler {
	routes := http.NewServeMux()
	routes.Handle("GET "+Prefix+"{host}/{id}", a.handle(caller, a.about))
	routes.Handle("POST "+Prefix+"{host}/{id}/leaves", a.handle(caller, a.leaves))
	routes.Handle("POST "+Prefix+"{host}/{id}/receipts", a.handle(caller, a.receipts))
	routes.Handle("POST "+Prefix+"{host}/{id}/texts", a.handle(caller, a.texts))
	return routes
}

// Prefix is that of the routes.
const Prefix = "/v1/evidence/"

// asked is a request of a member's gateway.
type asked struct {
	msp   string
	claim claim.Claim
	kept  bool
	about []byte
}

func (a *Archive) handle(caller exchange.Caller, answer func(w http.ResponseWriter, r *http.Request, of asked) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		msp, ok := caller(r)
		if !ok || msp == "" {
			exchange.Refuse(w, &exchange.Refusal{Status: http.StatusForbidden, Code: string(ledger.CodeForbidden), Detail: "only gateways of members are served here"})
			return
		}
		of, err := a.find(r, msp)
		if err == nil {
			err = answer(w, r, of)
		}
		if err == nil {
			return
		}
		refusal := exchange.RefusalOf(err)
		if refusal.Status >= 500 {
			a.Log.ErrorContext(r.Context(), "archive of evidence", "path", r.URL.Path, "caller", msp, "error", err)
		}
		exchange.Refuse(w, refusal)
	}
}

// find finds the claim that a request is about, as the ledger has it.
func (a *Archive) find(r *http.Request, msp string) (of asked, err error) {
	ctx := r.Context()
	n := claim.Named{Host: ledger.Account(r.PathValue("host")), ID: r.PathValue("id")}
	if err := n.Validate(); err != nil {
		return of, err
	}
	members, err := query.Ask[member.Members](ctx, a.Ledger, "member:List", ledger.Nothing{})
	if err != nil {
		return of, err
	}
	// An organisation that is no member, as the regulator is not, reads leaves for its audits; see [asked.mustAttest] for more.
	if members.Has(msp) && !members.Active(msp) {
		return of, ledger.Refuse(ledger.CodeForbidden, "%s is not a member in good standing", msp)
	}
	found, err := a.claim(ctx, n)
	if err != nil {
		return of, err
	}
	if found == nil {
		return of, ledger.Refuse(ledger.CodeNotFound, "the ledger has no such settlement").At("id")
	}
	of = asked{msp: msp, claim: *found}
	var kept int64
	err = a.DB.QueryRowContext(ctx, `SELECT about, kept FROM archive_settlements WHERE id = ? AND host = ?`, n.ID, string(n.Host)).Scan(&of.about, &kept)
	if errors.Is(err, sql.ErrNoRows) {
		return of, ledger.Refuse(ledger.CodeNotFound, "this gateway has archived nothing of the settlement").At("id")
	}
	of.kept = kept == 1
	return of, err
}

func (a *Archive) about(w http.ResponseWriter, _ *http.Request, of asked) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(of.about) // a recipient that has gone asks again
	return nil
}

// places reads the body of a request.
func places(w http.ResponseWriter, r *http.Request) ([]Place, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, placeSize*MaxPlaces+1))
	if err != nil {
		return nil, ledger.Invalid("body", "cannot be read, or is too long")
	}
	list, err := decodePlaces(body)
	if err != nil {
		return nil, ledger.Invalid("body", "%v", err)
	}
	return list, nil
}

// movesOf are those of a settlement by session.
func (of asked) moves() (map[merkle.Hash]use.Move, error) {
	var told About
	if err := json.Unmarshal(of.about, &told); err != nil {
		return nil, err
	}
	_, moves, err := use.DecodeScope(told.Scope)
	bySession := map[merkle.Hash]use.Move{}
	for _, m := range moves {
		bySession[m.Session] = m
	}
	return bySession, err
}

// leaves streams the leaves of sessions, each from a place on to where the settlement has brought it.
func (a *Archive) leaves(w http.ResponseWriter, r *http.Request, of asked) error {
	list, err := places(w, r)
	if err != nil {
		return err
	}
	moves, err := of.moves()
	if err != nil {
		return err
	}
	for _, p := range list {
		if m, ok := moves[p.Session]; !ok || p.Place > m.After.N {
			return ledger.Refuse(ledger.CodeNotFound, "the settlement has no leaves of session %s from %d on", p.Session, p.Place).At("body")
		}
	}
	out := begin(w)
	for _, p := range list {
		if err := a.streamLeaves(r.Context(), out, p.Session, p.Place, moves[p.Session].After.N); err != nil {
			return a.broken(r, of, err)
		}
	}
	if err := out.Flush(); err != nil {
		return a.broken(r, of, err)
	}
	return nil
}

// begin begins a stream of bytes.
func begin(w http.ResponseWriter) *bufio.Writer {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	return bufio.NewWriterSize(&patient{w, http.NewResponseController(w)}, 64<<10)
}

// broken breaks off an answer that has begun, so that the recipient sees that something is missing.
func (a *Archive) broken(r *http.Request, of asked, err error) error {
	a.Log.WarnContext(r.Context(), "archive of evidence: an answer was not given whole", "path", r.URL.Path, "caller", of.msp, "error", err)
	panic(http.ErrAbortHandler)
}

// patient gives each piece the time that one may take, whatever the size of the whole.
type patient struct {
	w          io.Writer
	controller *http.ResponseController
}

func (p *patient) Write(data []byte) (int, error) {
	if err := p.controller.SetWriteDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.w.Write(data)
}

// streamLeaves writes the leaves of a session at the places [from, to). Settlements that were refused may overlap others;
// any of them has the session's leaves.
func (a *Archive) streamLeaves(ctx context.Context, out io.Writer, sid merkle.Hash, from, to uint64) error {
	for from < to {
		var first int64
		var leaves []byte
		err := a.DB.QueryRowContext(ctx, `SELECT first, leaves FROM archive_leaves WHERE session = ? AND first <= ? ORDER BY first DESC, length(leaves) DESC LIMIT 1`,
			sid[:], int64(from)).Scan(&first, &leaves)
		if err != nil {
			return fmt.Errorf("leaves of session %s at %d: %w", sid, from, err)
		}
		end := min(uint64(first)+uint64(len(leaves)/LeafSize), to)
		if end <= from {
			return fmt.Errorf("leaves of session %s at %d are missing", sid, from)
		}
		if _, err := out.Write(leaves[LeafSize*(from-uint64(first)) : LeafSize*(end-uint64(first))]); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// receipts streams the receipts of uses to an attestor.
func (a *Archive) receipts(w http.ResponseWriter, r *http.Request, of asked) error {
	list, err := places(w, r)
	if err != nil {
		return err
	}
	return a.show(w, r, of, list, func(encoded []byte) ([]byte, error) {
		e, err := evidence.Decode(encoded)
		if err != nil {
			return nil, err
		}
		return e.Receipt, nil
	})
}

// texts streams the evidence of uses to an attestor, of no more than it says that it draws.
func (a *Archive) texts(w http.ResponseWriter, r *http.Request, of asked) error {
	list, err := places(w, r)
	if err != nil {
		return err
	}
	rate, err := strconv.ParseInt(r.URL.Query().Get("rate"), 10, 64)
	if err != nil || rate < 1 || rate > use.All {
		return ledger.Invalid("rate", "must be from 1 to %d", use.All)
	}
	if err := of.mustAttest(); err != nil {
		return err
	}
	shown, err := a.note(r.Context(), of, rate, list)
	if err != nil {
		return err
	}
	a.Log.InfoContext(r.Context(), "texts of uses are shown to an attestor", "settlement", of.claim.ID, "attestor", of.msp, "rate", rate, "asked", len(list), "shown", shown)
	return a.show(w, r, of, list, func(encoded []byte) ([]byte, error) { return encoded, nil })
}

// mustAttest refuses whoever is no attestor of the claim, and when there is nothing more to attest.
func (of asked) mustAttest() error {
	if !slices.Contains(of.claim.Attestors, of.msp) {
		return ledger.Refuse(ledger.CodeForbidden, "%s is none of the attestors of settlement %s", of.msp, of.claim.ID)
	}
	if !of.kept || of.claim.State == claim.Released {
		return content.ErrErased
	}
	return nil
}

// show streams what part makes of the evidence of each use; an empty frame for what its session does not disclose.
func (a *Archive) show(w http.ResponseWriter, r *http.Request, of asked, list []Place, part func(encoded []byte) ([]byte, error)) error {
	if err := of.mustAttest(); err != nil {
		return err
	}
	ctx := r.Context()
	known := map[merkle.Hash]kept{}
	for _, p := range list {
		k, ok := known[p.Session]
		if !ok {
			var first int64
			k.session = p.Session
			err := a.DB.QueryRowContext(ctx, `SELECT first, leaves, offsets FROM archive_leaves WHERE settlement = ? AND session = ?`, of.claim.ID, p.Session[:]).Scan(&first, &k.leaves, &k.offsets)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			k.first = uint64(first)
			known[p.Session] = k
		}
		if p.Place < k.first || p.Place >= k.first+uint64(len(k.leaves)/LeafSize) {
			return ledger.Refuse(ledger.CodeNotFound, "the settlement has no use %d of session %s", p.Place, p.Session).At("body")
		}
	}
	sealer, err := a.sealer(ctx, of.claim.ID, false)
	if errors.Is(err, content.ErrNoKey) {
		return content.ErrErased
	}
	if err != nil {
		return err
	}
	file, err := os.Open(a.file(of.claim.ID))
	if err != nil {
		return fmt.Errorf("open the evidence of settlement %s: %w", of.claim.ID, err)
	}
	defer file.Close()
	out := begin(w)
	for _, p := range list {
		var frame []byte
		if k := known[p.Session]; k.offsets != nil {
			if frame, err = a.one(file, sealer, k, p.Place, part); err != nil {
				return a.broken(r, of, fmt.Errorf("use %d of session %s: %w", p.Place, p.Session, err))
			}
		}
		if err := writeFrame(out, frame); err != nil {
			return a.broken(r, of, err)
		}
	}
	if err := out.Flush(); err != nil {
		return a.broken(r, of, err)
	}
	return nil
}

func (a *Archive) one(file io.ReaderAt, sealer evidence.Sealer, k kept, place uint64, part func([]byte) ([]byte, error)) ([]byte, error) {
	index := place - k.first
	leaf, err := use.DecodeLeaf(k.leaves[LeafSize*index:][:LeafSize])
	if err != nil {
		return nil, err
	}
	sealed, err := readAt(file, k.offsets, index)
	if err != nil {
		return nil, err
	}
	encoded, err := sealer.Open(k.session, leaf.Receipt, sealed)
	if err != nil {
		return nil, err
	}
	return part(encoded)
}

// note keeps who was shown what, and refuses more than the rate that the attestor named first allows. What was shown
// before may be asked for again.
func (a *Archive) note(ctx context.Context, of asked, rate int64, list []Place) (shown int64, err error) {
	moves, err := of.moves()
	if err != nil {
		return 0, err
	}
	for _, p := range list {
		if m, ok := moves[p.Session]; !ok || p.Place < m.Before.N || p.Place >= m.After.N {
			return 0, ledger.Refuse(ledger.CodeNotFound, "the settlement has no use %d of session %s", p.Place, p.Session).At("body")
		}
	}
	err = a.DB.InTx(ctx, func(tx *database.Tx) error {
		var declared int64
		shown = 0
		err := tx.QueryRowContext(ctx, `SELECT rate, shown FROM archive_attestors WHERE settlement = ? AND msp = ?`, of.claim.ID, of.msp).Scan(&declared, &shown)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			declared = rate
		case err != nil:
			return err
		case declared != rate:
			return ledger.Refuse(ledger.CodeForbidden, "%s has said that it draws %d in a million of this settlement", of.msp, declared).At("rate")
		}
		fresh, err := a.mark(ctx, tx, of, moves, list)
		if err != nil {
			return err
		}
		if shown += fresh; shown > allowed(of.claim.Uses, rate) {
			return ledger.Refuse(ledger.CodeForbidden, "that are %d texts of %d uses, more than a draw of %d in a million gives", shown, of.claim.Uses, rate).At("rate")
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO archive_attestors (settlement, msp, rate, shown) VALUES (?, ?, ?, ?)
			ON CONFLICT (settlement, msp) DO UPDATE SET shown = excluded.shown`, of.claim.ID, of.msp, rate, shown)
		return err
	})
	return shown, err
}

// allowed is how many texts a draw at a rate may come to.
func allowed(uses, rate int64) int64 {
	mean := float64(uses) * float64(rate) / use.All
	deviation := math.Sqrt(mean * (1 - float64(rate)/use.All))
	return min(uses, int64(math.Ceil(mean+slackDeviations*deviation))+slackUses)
}

// mark sets the bits of places and counts those that were not set.
func (a *Archive) mark(ctx context.Context, tx *database.Tx, of asked, moves map[merkle.Hash]use.Move, list []Place) (fresh int64, err error) {
	bits := map[merkle.Hash][]byte{}
	for _, p := range list {
		m := moves[p.Session]
		set, ok := bits[p.Session]
		if !ok {
			err := tx.QueryRowContext(ctx, `SELECT places FROM archive_shown WHERE settlement = ? AND msp = ? AND session = ?`, of.claim.ID, of.msp, p.Session[:]).Scan(&set)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return 0, err
			}
			if set == nil {
				set = make([]byte, (m.After.N-m.Before.N+7)/8)
			}
			bits[p.Session] = set
		}
		i := p.Place - m.Before.N
		if set[i/8]&(1<<(i%8)) == 0 {
			set[i/8] |= 1 << (i % 8)
			fresh++
		}
	}
	for sid, set := range bits {
		if _, err := tx.ExecContext(ctx, `INSERT INTO archive_shown (settlement, msp, session, places) VALUES (?, ?, ?, ?)
			ON CONFLICT (settlement, msp, session) DO UPDATE SET places = excluded.places`, of.claim.ID, of.msp, sid[:], set); err != nil {
			return 0, err
		}
	}
	return fresh, nil
}
