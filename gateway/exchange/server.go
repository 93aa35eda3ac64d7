package exchange

import (
	"bufio"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// validity is how long contents are handed over under a release. Whoever needs one later asks for a new release, so
// that the rules check the right again.
const validity = 72 * time.Hour

// stall is how long a recipient may take for a piece of a content before it is given up.
const stall = time.Minute

// Server hands over what this gateway holds.
type Server struct {
	db     *database.DB
	store  *content.Store
	ledger Ledger
	caller Caller
	log    *slog.Logger
	now    func() time.Time
	routes *http.ServeMux
}

// Handler serves the routes of the exchange. Nobody gets anything of whom caller does not say who it is.
func Handler(ctx context.Context, db *database.DB, store *content.Store, ledger Ledger, caller Caller, log *slog.Logger) (*Server, error) {
	if err := db.Migrate(ctx, migrations, "exchange"); err != nil {
		return nil, fmt.Errorf("open the exchange: %w", err)
	}
	s := &Server{db: db, store: store, ledger: ledger, caller: caller, log: log, now: time.Now, routes: http.NewServeMux()}
	s.routes.Handle("POST "+releasesPath, s.handle(s.release))
	s.routes.Handle("GET "+contentsPath+"{commitment}", s.handle(s.content))
	s.routes.Handle("GET "+contentsPath+"{commitment}/opening", s.handle(s.opening))
	s.routes.Handle("GET "+secretsPath+"{epoch}", s.handle(s.secret))
	return s, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.routes.ServeHTTP(w, r) }

// handle answers as the gateway of a known organisation, or not at all.
func (s *Server) handle(answer func(w http.ResponseWriter, r *http.Request, msp string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		msp, ok := s.caller(r)
		if !ok || msp == "" {
			Refuse(w, &Refusal{Status: http.StatusForbidden, Code: string(ledger.CodeForbidden), Detail: "only gateways of other members are served here"})
			return
		}
		err := answer(w, r, msp)
		if err == nil {
			return
		}
		refusal := RefusalOf(err)
		if refusal.Status >= 500 {
			s.log.ErrorContext(r.Context(), "exchange", "path", r.URL.Path, "caller", msp, "error", err)
		}
		Refuse(w, refusal)
	}
}

// release records a release on the ledger and notes it.
func (s *Server) release(w http.ResponseWriter, r *http.Request, msp string) error {
	document, err := io.ReadAll(http.MaxBytesReader(w, r.Body, ledger.MaxDocument))
	if err != nil {
		return &Refusal{http.StatusRequestEntityTooLarge, string(ledger.CodeInvalid), "a release is a document of at most 1 MiB"}
	}
	var h access.Handover
	if err := ledger.Decode(document, &h); err != nil {
		return err
	}
	if err := h.Validate(); err != nil {
		return err
	}
	if h.To.MSP() != msp {
		return ledger.Refuse(ledger.CodeForbidden, "contents are handed to the gateway of the recipient's organisation only").At("to")
	}
	noted, err := s.noted(r.Context(), h.Named, msp)
	switch {
	case err == nil:
		if same, err := ledger.Same(noted, h); err != nil || !same {
			return errors.Join(err, ledger.Refuse(ledger.CodeExists, "release %s says something else: choose a new id", h.ID).At("id"))
		}
		return reply(w, h)
	case !errors.Is(err, errNotNoted):
		return err
	}
	for i, id := range h.Contributions {
		if _, err := s.held(r.Context(), contribution.Named{Datanet: h.Datanet, ID: id}); err != nil {
			return atField(err, fmt.Sprintf("contributions.%d", i))
		}
	}
	if err := s.ledger.Release(r.Context(), h); err != nil {
		return err
	}
	if document, err = ledger.Encode(h); err != nil {
		return err
	}
	_, err = s.db.ExecContext(r.Context(), `INSERT INTO exchange_releases (datanet, id, msp, document, recorded) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (datanet, id) DO NOTHING`, h.Datanet, h.ID, msp, document, s.now().UnixMilli())
	if err != nil {
		return fmt.Errorf("note release %s: %w", h.ID, err)
	}
	return reply(w, h)
}

// errNotNoted says that this gateway has recorded no such release.
var errNotNoted error = ledger.Refuse(ledger.CodeNotFound, "this gateway has recorded no such release: ask for it first").At("release")

// noted is a release of this gateway that still holds.
func (s *Server) noted(ctx context.Context, n access.Named, msp string) (h access.Handover, err error) {
	var owner string
	var document []byte
	var recorded int64
	err = s.db.QueryRowContext(ctx, `SELECT msp, document, recorded FROM exchange_releases WHERE datanet = ? AND id = ?`, n.Datanet, n.ID).Scan(&owner, &document, &recorded)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && owner != msp:
		return h, errNotNoted
	case err != nil:
		return h, fmt.Errorf("look for release %s: %w", n.ID, err)
	case s.now().Sub(time.UnixMilli(recorded)) > validity:
		return h, ledger.Refuse(ledger.CodeForbidden, "release %s is older than %d hours: ask for one under a new id", n.ID, int(validity.Hours())).At("release")
	}
	return h, ledger.Decode(document, &h)
}

// held finds the content of a contribution as the ledger has it now.
func (s *Server) held(ctx context.Context, n contribution.Named) (content.Info, error) {
	c, err := s.ledger.Contribution(ctx, n)
	if err != nil {
		return content.Info{}, err
	}
	if c.State == contribution.Erasing || c.State == contribution.Erased {
		return content.Info{}, ledger.Refuse(ledger.CodeState, "contribution %s is %s", c.ID, c.State)
	}
	info, err := s.store.Find(ctx, n, c.Commitment)
	if errors.Is(err, content.ErrNotFound) || err == nil && info.State != content.Ready {
		err = ledger.Refuse(ledger.CodeNotFound, "this gateway does not hold contribution %s: ask another holder", n.ID)
	}
	return info, err
}

// released finds the content that a request names and that one of our releases covers.
func (s *Server) released(r *http.Request, msp string) (*content.Content, error) {
	query := r.URL.Query()
	n := contribution.Named{Datanet: query.Get("datanet"), ID: query.Get("contribution")}
	if err := n.Validate(); err != nil {
		return nil, err
	}
	h, err := s.noted(r.Context(), access.Named{Datanet: n.Datanet, ID: query.Get("release")}, msp)
	if err != nil {
		return nil, err
	}
	if err := s.covers(r.Context(), h, n.ID); err != nil {
		return nil, err
	}
	info, err := s.held(r.Context(), n)
	if err != nil {
		return nil, err
	}
	if info.Commitment != r.PathValue("commitment") {
		return nil, ledger.Refuse(ledger.CodeNotFound, "contribution %s has another commitment by now", n.ID).At("commitment")
	}
	return s.store.Open(r.Context(), info.ID)
}

// content streams one content under a release.
func (s *Server) content(w http.ResponseWriter, r *http.Request, msp string) error {
	offset := int64(0)
	if text := r.URL.Query().Get("offset"); text != "" {
		var err error
		if offset, err = strconv.ParseInt(text, 10, 64); err != nil || offset < 0 {
			return ledger.Invalid("offset", "must be a number of bytes")
		}
	}
	c, err := s.released(r, msp)
	if err != nil {
		return err
	}
	if offset > c.Size {
		return ledger.Invalid("offset", "the content has %d bytes", c.Size)
	}
	head, err := encodeHead(c.Head())
	if err != nil {
		return err
	}
	body := c.Reader(r.Context())
	defer body.Close()
	if _, err := body.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	w.Header().Set("Content-Type", frameType)
	w.Header().Set("Content-Length", strconv.FormatInt(int64(len(head))+c.Size-offset, 10))
	w.WriteHeader(http.StatusOK)
	out := &patient{w: w, controller: http.NewResponseController(w)}
	_, err = out.Write(head)
	if err == nil {
		_, err = io.CopyBuffer(out, struct{ io.Reader }{body}, make([]byte, 64<<10))
	}
	return s.whole(r, c, msp, err)
}

// opening streams what opens a commitment under a release, and nothing else of the content.
func (s *Server) opening(w http.ResponseWriter, r *http.Request, msp string) error {
	c, err := s.released(r, msp)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(&patient{w: w, controller: http.NewResponseController(w)}, 64<<10)
	opened, err := parts.NewContent(out, c.Salt)
	if err == nil {
		err = c.Records(r.Context(), func(_ int, record []byte) error { return opened.Record(record) })
	}
	if err == nil {
		err = out.Flush()
	}
	return s.whole(r, c, msp, err)
}

// whole breaks off an answer that has begun and cannot be given whole. The recipient sees that bytes are missing and goes on
// later.
func (s *Server) whole(r *http.Request, c *content.Content, msp string, err error) error {
	if err != nil {
		s.log.WarnContext(r.Context(), "exchange: a content was not handed over whole", "contribution", c.Place.ID, "caller", msp, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// covers tells whether a contribution is one of those released.
func (s *Server) covers(ctx context.Context, h access.Handover, id string) error {
	in := slices.Contains(h.Contributions, id)
	if h.Snapshot != 0 {
		var err error
		if in, err = s.ledger.InSnapshot(ctx, snapshot.Named{Datanet: h.Datanet, Number: h.Snapshot}, id); err != nil {
			return err
		}
	}
	if !in {
		return ledger.Refuse(ledger.CodeForbidden, "release %s does not cover contribution %s", h.ID, id).At("contribution")
	}
	return nil
}

// A patient writer gives each piece the time that one may take, whatever the size of the whole.
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

// handedSecret is a fingerprint secret on its way.
type handedSecret struct {
	Epoch  int      `json:"epoch"`
	Secret [32]byte `json:"secret"`
}

// secret hands over the fingerprint secret of the epoch in force.
func (s *Server) secret(w http.ResponseWriter, r *http.Request, msp string) error {
	active, err := s.ledger.Active(r.Context(), msp)
	if err != nil {
		return err
	}
	if !active {
		return ledger.Refuse(ledger.CodeForbidden, "%s is not a member in good standing", msp)
	}
	epoch, err := s.ledger.Epoch(r.Context())
	if err != nil {
		return err
	}
	if epoch.Epoch == 0 || r.PathValue("epoch") != strconv.Itoa(epoch.Epoch) {
		return ledger.Refuse(ledger.CodeNotFound, "the fingerprint epoch in force is %d", epoch.Epoch).At("epoch")
	}
	secret, err := s.store.Secret(r.Context(), epoch.Check)
	if err != nil {
		return err
	}
	return reply(w, handedSecret{epoch.Epoch, secret})
}

func reply(w http.ResponseWriter, v any) error {
	document, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) // a recipient that has gone asks again
	return nil
}
