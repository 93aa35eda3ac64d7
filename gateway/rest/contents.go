package rest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// Exchange fetches from other members' gateways.
type Exchange interface {
	Release(ctx context.Context, h access.Handover, holders ...string) error
	Fetch(ctx context.Context, store *content.Store, of contribution.Contribution, h access.Handover, holders ...string) (content.Info, error)
	Obtain(ctx context.Context, store *content.Store, h access.Handover, list []contribution.Contribution,
		holders func(context.Context, contribution.Contribution) ([]string, error)) error
	FetchSecret(ctx context.Context, store *content.Store, epoch contribution.Epoch, members ...string) error
}

const (
	linesType = "application/jsonl"
	// downloadStall is how long a client may take for a piece of what it downloads.
	downloadStall = time.Minute
	// fetchTime bounds how long content is fetched from other gateways before anything is sent.
	fetchTime = 5 * time.Minute
	// releaseWindow is how long one release serves a caller; later the rules check the right again.
	releaseWindow = 48 * time.Hour
)

// About is what is told about a content.
type About struct {
	Commitment string             `json:"commitment"`
	Files      []content.File     `json:"files"`
	Descriptor content.Descriptor `json:"descriptor"`
	Records    int                `json:"records"`
	Tokens     int64              `json:"tokens"`
}

// Record is a record of a contribution, a line of a download.
type Record struct {
	Contribution string `json:"contribution" doc:"Its id."`
	Record       int    `json:"record" doc:"The record's number in the contribution, from 0."`
	Text         string `json:"text"`
}

// addContents adds what gives content to those who have a right to it.
func (a *API) addContents() {
	if a.options.Content == nil {
		a.addRelayed()
		return
	}
	right := []*huma.Param{
		queryParam("reason", enum("validation", "training", "holding", "audit"), "Why; without it validation while the vote runs, training with a ticket, and holding otherwise."),
		queryParam("ticket", text(), "The training ticket."), queryParam("grant", text(), "The grant, for holding."), a.heightParam(),
	}
	about := "The contributor's own content is given as it is. To others it is given when the ledger's rules allow it for the reason: a holder records the release there first. "
	problems := append([]string{string(ledger.CodeLicence), codeBehind, codeRange, codeDisagreement}, contentProblems...)
	add := func(op operation) {
		op.method, op.tag, op.scope, op.limit, op.problems = get, "contents", identity.Content, -1, problems
		op.params = append(op.params, right...)
		a.add(&op)
	}
	ranges := map[string]string{"ETag": "Names the bytes.", "Accept-Ranges": "bytes", "Content-Disposition": "attachment"}
	complete := answer{status: http.StatusOK, doc: "The bytes.", media: bytesType, schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}, headers: ranges}
	part := complete
	part.status, part.doc = http.StatusPartialContent, "A part of the bytes."
	add(operation{id: "get-content", path: ofContribution + "/content", summary: "Gives the files of a contribution, as they were uploaded",
		doc: about + "Without file, all files one after another. Ranges are for going on.", answers: []answer{complete, part, {status: http.StatusNotModified, doc: "The caller has it."}},
		params: []*huma.Param{queryParam("file", text(), "One of the files."), headerParam("Range", false, "One range of bytes; with several, all bytes are given."), headerParam("If-Range", false, "The ETag that the range is of.")},
		handle: func(c *call) error { return c.withContent(giveFiles) }})
	add(operation{id: "get-content-about", path: ofContribution + "/about", summary: "Tells author, source, notes and files of a contribution", doc: about,
		answers: good[About](http.StatusOK), handle: func(c *call) error { return c.withContent(giveAbout) }})
	lines := answer{status: http.StatusOK, doc: "A Record in each line.", media: linesType, schema: text()}
	add(operation{id: "get-records", path: ofContribution + "/records", summary: "Gives the records of a contribution as JSON Lines", doc: about,
		answers: []answer{lines}, handle: func(c *call) error { return c.withContent(giveRecords) }})
	opening := opening
	opening.doc, opening.handle = about+opening.doc, func(c *call) error { return c.withContent(giveOpening) }
	add(opening)
	a.add(&operation{id: "get-ticket-content", method: get, path: "/v1/tickets/{id}/contents/{organisation}/{name}", tag: "contents", scope: identity.Content, limit: -1,
		summary: "Gives what a training ticket opens of a datanet, as JSON Lines",
		doc: "All records of the ticket's snapshot of the datanet, in its order. What other members hold is fetched first, under releases that they record on the ledger. " +
			"A download that broke off goes on with after and record; when that contribution has been erased meanwhile, the code is gone, and the download begins anew.",
		answers: []answer{lines}, problems: problems, handle: giveTicket,
		params: []*huma.Param{queryParam("after", text(), "Go on after a record of this contribution: the last one that has come whole."),
			queryParam("record", whole(0, math.MaxInt32), "That record's number in the contribution."), a.heightParam()}})
}

// opening gives what opens a commitment.
var opening = operation{id: "get-opening", path: ofContribution + "/opening", summary: "Gives what opens the commitment of a contribution: salt and records",
	doc:     "In the form OPENED/1 of audit bundles.",
	answers: []answer{{status: http.StatusOK, doc: "Salt and records.", media: bytesType, schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}

// addRelayed adds how a gateway that keeps no content, as the regulator's, gives it for an audit: out of the hands of a holder.
func (a *API) addRelayed() {
	if a.options.Opening == nil {
		return
	}
	op := opening
	op.method, op.tag, op.scope, op.roles, op.limit = get, "contents", identity.Content, mayGet[access.Audit], -1
	op.doc = "A holder's gateway records the release on the ledger, and hands it over; nothing is kept here. " + op.doc
	op.params = []*huma.Param{queryParam("reason", enum("audit"), "Why."), a.heightParam()}
	op.problems = append([]string{codeBehind, string(ledger.CodeLicence)}, contentProblems...)
	op.handle = relayOpening
	a.add(&op)
}

func relayOpening(c *call) error {
	of, err := c.contribution()
	if err != nil {
		return err
	}
	if of.State == contribution.Erased || of.State == contribution.Erasing {
		return contentProblem(content.ErrErased)
	}
	h := access.Handover{Named: access.Named{Datanet: of.Datanet}, Contributions: []string{of.ID}, Reason: access.Audit, To: c.principal.Account}
	h.ID = releaseID(h, time.Now())
	if err := h.Validate(); err != nil {
		return err
	}
	if err := c.writeBy(fetchTime + margin); err != nil {
		return err
	}
	out := &late{call: c}
	if err := c.api.options.Opening(c.ctx(), of, h, out, others(exchange.Holders(of), c.api.options.Organisation)...); err != nil {
		if out.begun != nil {
			return err
		}
		return contentProblem(refusedByHolders(err))
	}
	return out.end()
}

func enum(values ...string) *huma.Schema {
	s := text()
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	return s
}

// ask runs a query of the ledger for the gateway's own purposes, over the index.
func ask[Res any](c *call, function string, request any) (response Res, err error) {
	document, err := ledger.Encode(request)
	if err != nil {
		return response, err
	}
	view, err := c.api.options.Index.View(c.ctx())
	if err != nil {
		return response, err
	}
	answer, err := c.over(view, function, document)
	if err != nil {
		return response, err
	}
	return response, ledger.DecodeAnswer(answer, &response)
}

// contribution looks up the one that the path names.
func (c *call) contribution() (of contribution.Contribution, err error) {
	if err := c.atHeight(); err != nil {
		return of, err
	}
	n := contribution.Named{Datanet: c.param("organisation") + "/" + c.param("name"), ID: c.param("id")}
	if err := n.Validate(); err != nil {
		return of, err
	}
	return ask[contribution.Contribution](c, "contribution:Get", n)
}

// withContent finds the content of the contribution that the path names, if the caller has a right to it.
func (c *call) withContent(give func(*call, *content.Content) error) error {
	of, err := c.contribution()
	if err != nil {
		return err
	}
	h := access.Handover{Contributions: []string{of.ID}, Reason: access.Reason(c.query.Get("reason")), Ticket: c.query.Get("ticket"), Grant: c.query.Get("grant")}
	switch {
	case h.Reason != "":
	case h.Ticket != "":
		h.Reason = access.Training
	case of.State == contribution.Pending:
		h.Reason = access.Validation
	default:
		h.Reason = access.Holding
	}
	found, err := c.obtainSoon(of, h)
	if err != nil {
		return contentProblem(err)
	}
	return give(c, found)
}

// obtainSoon is obtain, bounded by fetchTime.
func (c *call) obtainSoon(of contribution.Contribution, h access.Handover) (*content.Content, error) {
	ctx, cancel := context.WithTimeout(c.ctx(), fetchTime)
	defer cancel()
	if err := c.writeBy(fetchTime + margin); err != nil {
		return nil, err
	}
	return c.obtain(ctx, of, h)
}

// mayGet says who of the organisation gets others' content, by the reason. The ledger's rules see to it that the
// organisation has a right; which of its people use it, no ledger can see.
var mayGet = map[access.Reason][]ledger.Role{
	access.Validation: {ledger.Validator},
	access.Training:   {ledger.Trainer},
	access.Holding:    {ledger.Curator, ledger.Host, ledger.Operator},
	access.Audit:      {ledger.Regulator, ledger.Operator},
}

// obtain opens the content of a contribution for the caller: the contributor's own as it is; for anybody else it is
// fetched from a holder, which records the release; what is here already is released by who may hand it on. What of the
// organisation's own is lost is got back first.
func (c *call) obtain(ctx context.Context, of contribution.Contribution, h access.Handover) (*content.Content, error) {
	store := c.api.options.Content
	if of.State == contribution.Erased || of.State == contribution.Erasing {
		return nil, content.ErrErased
	}
	if h.Reason == access.Validation {
		c.api.ahead.wait(ctx, of, c.principal.Account)
	}
	info, err := store.Find(ctx, of.Name(), of.Commitment)
	held := err == nil && info.State == content.Ready
	switch {
	case errors.Is(err, content.ErrErased):
		return nil, err
	case err != nil && !errors.Is(err, content.ErrNotFound):
		return nil, err
	}
	own := of.Contributor == c.principal.Account
	if roles := mayGet[h.Reason]; !own && !c.principal.Has(roles...) {
		return nil, newProblem(string(ledger.CodeForbidden), "for %s the gateway gives content to the role %s only", ledger.Clip(string(h.Reason)), ledger.AnyOf(roles))
	}
	if losses := c.api.options.Losses; !held && losses != nil && of.Contributor.MSP() == c.api.options.Organisation {
		if err := losses.Return(ctx, of.Name()); err != nil {
			p := newProblem(codeUnavailable, "the gateway has lost the content, and nobody gives it back now; operators see why (datanet contribution lost)")
			p.cause = err
			return nil, p
		}
		if info, err = store.Find(ctx, of.Name(), of.Commitment); err != nil {
			return nil, err
		}
		held = true
	}
	if held && own {
		return store.Open(ctx, info.ID)
	}
	h.Datanet, h.To = of.Datanet, c.principal.Account
	h.ID = releaseID(h, time.Now())
	if err := h.Validate(); err != nil {
		return nil, err
	}
	had, err := ask[access.Had](c, "access:Holders", of.Name())
	if err != nil {
		return nil, err
	}
	holders := exchange.Holders(of, had.Custody...)
	if h.Snapshot != 0 {
		holders = []string{ledger.Owner(of.Datanet)} // who releases snapshots as a whole
	}
	if !held {
		if info, err = c.api.options.Exchange.Fetch(ctx, store, of, h, others(holders, c.api.options.Organisation)...); err != nil {
			return nil, refusedByHolders(err)
		}
		return store.Open(ctx, info.ID)
	}
	if h.Reason == access.Validation && of.State == contribution.Pending {
		released, err := releasedToValidate(ctx, c.api.ledger(), of.Name(), h.To)
		if err != nil {
			return nil, err
		}
		if released {
			return store.Open(ctx, info.ID)
		}
	}
	if err := c.record(ctx, h, holders); err != nil {
		return nil, err
	}
	return store.Open(ctx, info.ID)
}

// record has the release of a content that is here on the ledger: it stands there already, or this gateway records it, or
// one of the other holders does. A replica was released to somebody, and mostly not to be handed on; of the datanet's
// owner too, to whom only snapshots belong as a whole.
func (c *call) record(ctx context.Context, h access.Handover, holders []string) error {
	released, err := c.released(h, holders)
	if err != nil || released {
		return err
	}
	refused := error(ledger.Refuse(ledger.CodeForbidden, "this gateway may not hand it on"))
	if slices.Contains(holders, c.api.options.Organisation) {
		refused = c.api.options.Release(ctx, h)
	}
	var fault *ledger.Fault
	holders = others(holders, c.api.options.Organisation)
	if !errors.As(refused, &fault) || fault.Code != ledger.CodeForbidden || len(holders) == 0 {
		return refused
	}
	if err := c.api.options.Exchange.Release(ctx, h, holders...); err != nil {
		return refusedByHolders(err)
	}
	return nil
}

// releaseID names a release by what it is of and for whom, so that asking again is the same release for some time.
func releaseID(h access.Handover, now time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %q %q %q %q %d", h.Datanet, h.Contributions, h.Snapshot, h.To, h.Reason, h.Ticket, h.Grant, now.Unix()/int64(releaseWindow/time.Second)))
	return hex.EncodeToString(sum[:16])
}

// released tells whether the release stands on the ledger, recorded here or by one of the holders.
func (c *call) released(h access.Handover, holders []string) (bool, error) {
	ids := []string{h.ID}
	for _, msp := range holders {
		ids = append(ids, exchange.ReleaseID(h.ID, msp))
	}
	for _, id := range ids {
		r, err := ask[access.Release](c, "access:GetRelease", access.Named{Datanet: h.Datanet, ID: id})
		var fault *ledger.Fault
		switch {
		case err == nil && r.To == h.To && r.Reason == h.Reason:
			return true, nil
		case err != nil && (!errors.As(err, &fault) || fault.Code != ledger.CodeNotFound):
			return false, err
		}
	}
	return false, nil
}

func others(msps []string, own string) (list []string) {
	for _, msp := range msps {
		if msp != own {
			list = append(list, msp)
		}
	}
	return list
}

// refusedByHolders is the problem of a content that no holder hands over.
func refusedByHolders(err error) error {
	return refusedByOthers(err, "the holder's gateway", "does not hand the content over now")
}

// refusedByOthers is the problem of what gateways of others did not give: the first refusal that says why.
func refusedByOthers(err error, who, now string) error {
	var refusal *exchange.Refusal
	if !errors.As(err, &refusal) {
		var fault *ledger.Fault
		if errors.As(err, &fault) || errors.Is(err, content.ErrErased) || errors.Is(err, context.Canceled) {
			return err
		}
		p := newProblem(codeUnavailable, "%s %s", who, now)
		p.cause = err
		return p
	}
	code := refusal.Code
	if k, known := kinds[code]; !known || k.status >= http.StatusInternalServerError {
		code = codeUnavailable
	}
	p := newProblem(code, "%s: %s", who, refusal.Detail)
	p.cause = err
	return p
}

// fetchSecret has the fingerprint secret of the epoch in force fetched from another member.
func (a *API) fetchSecret(ctx context.Context, on query.Evaluator, epoch contribution.Epoch) error {
	members, err := query.Ask[member.Members](ctx, on, "member:List", ledger.Nothing{})
	if err != nil {
		return err
	}
	if err := a.options.Exchange.FetchSecret(ctx, a.options.Content, epoch, others(members.Members, a.options.Organisation)...); err != nil {
		p := newProblem(codeUnavailable, "no member's gateway hands over the fingerprint secret now")
		p.cause = err
		return p
	}
	return nil
}

func giveFiles(c *call, found *content.Content) error {
	body, name := found.Reader(c.ctx()), found.ID
	if file := c.query.Get("file"); file != "" {
		var err error
		if body, err = found.FileReader(c.ctx(), file); err != nil {
			return contentProblem(err)
		}
		name += "\x00" + file
	}
	defer body.Close()
	sum := sha256.Sum256([]byte(found.Commitment + "\x00" + name))
	header := c.w.Header()
	header.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	header.Set("Cache-Control", "private, no-cache")
	header.Set("Content-Type", bytesType)
	header.Set("Content-Disposition", "attachment")
	return c.serveRange(body, found.Size)
}

// remembering keeps a failure to read, of which [http.ServeContent] tells nobody once the answer has begun.
type remembering struct {
	io.ReadSeeker
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.ReadSeeker.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// ranged leaves the answer to a range that cannot be had to the caller.
type ranged struct {
	patient
	refused bool
}

func (w *ranged) Header() http.Header { return w.w.Header() }

func (w *ranged) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable {
		w.refused = true
		return
	}
	w.w.WriteHeader(status)
}

func (w *ranged) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.patient.Write(p)
}

// patient gives a client some time for each piece, whatever the size of the whole.
type patient struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (p *patient) Write(data []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(downloadStall)); err != nil {
		return 0, err
	}
	return p.w.Write(data)
}

func giveAbout(c *call, found *content.Content) error {
	descriptor, err := found.Descriptor()
	if err != nil {
		return err
	}
	m := found.Manifest()
	return c.answer(http.StatusOK, About{Commitment: found.Commitment, Files: found.Files(), Descriptor: descriptor, Records: m.Records, Tokens: m.Tokens})
}

// giveOpening gives salt and records. A failure amid them breaks the connection off.
func giveOpening(c *call, found *content.Content) error {
	out := c.stream(bytesType)
	opening, err := parts.NewContent(out, found.Salt)
	if err != nil {
		return err
	}
	if err := found.Records(c.ctx(), func(_ int, record []byte) error { return opening.Record(record) }); err != nil {
		return err
	}
	return out.Flush()
}

// lines begins an answer of JSON Lines.
func (c *call) lines() *bufio.Writer { return c.stream(linesType) }

// stream begins an answer of unknown length.
func (c *call) stream(media string) *bufio.Writer {
	c.w.Header().Set("Content-Type", media)
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusOK)
	return bufio.NewWriterSize(&patient{w: c.w, control: http.NewResponseController(c.w)}, 64<<10)
}

func giveRecords(c *call, found *content.Content) error {
	out := c.lines()
	if err := writeRecords(c.ctx(), out, found, -1); err != nil {
		return err
	}
	return out.Flush()
}

// writeRecords writes the records of a content that come after the one of a number.
func writeRecords(ctx context.Context, out io.Writer, found *content.Content, after int) error {
	return found.Records(ctx, func(number int, record []byte) error {
		if number <= after {
			return nil
		}
		if !utf8.Valid(record) {
			return fmt.Errorf("record %d of contribution %s is not UTF-8", number, found.Place.ID)
		}
		line, err := ledger.Encode(Record{found.Place.ID, number, string(record)})
		if err != nil {
			return err
		}
		_, err = out.Write(append(line, '\n'))
		return err
	})
}

// giveTicket gives the records of the snapshot that a ticket names of a datanet. A failure amid them breaks the
// connection off, see [API.serve]: what came before must not pass for the whole.
func giveTicket(c *call) error {
	if err := c.atHeight(); err != nil {
		return err
	}
	opened, err := ask[ticket.Ticket](c, "ticket:Get", ticket.Named{ID: c.param("id")})
	if err != nil {
		return err
	}
	if opened.Trainer != c.principal.Account {
		return newProblem(string(ledger.CodeForbidden), "the ticket is not the caller's")
	}
	datanet := c.param("organisation") + "/" + c.param("name")
	var ids []string
	number := 0
	for _, s := range opened.Sources {
		if s.Datanet == datanet {
			number = s.Number
		}
	}
	if number == 0 {
		return newProblem(string(ledger.CodeNotFound), "the ticket is not for datanet %s", ledger.Clip(datanet))
	}
	if ids, err = c.leaves(snapshot.Named{Datanet: datanet, Number: number}); err != nil {
		return err
	}
	last, after := c.query.Get("after"), -1
	if last != "" {
		record, err := c.number("record", 0, 0, math.MaxInt32)
		if err != nil {
			return err
		}
		if after = int(record); !slices.Contains(ids, last) {
			return newProblem(codeGone, "contribution %s is not in the snapshot any more: begin anew", ledger.Clip(last))
		}
		ids = ids[slices.Index(ids, last):]
	}
	h := access.Handover{Named: access.Named{Datanet: datanet}, Snapshot: number, Reason: access.Training, Ticket: opened.ID}
	whole := true // until the owner's gateway is found to be away
	var out *bufio.Writer
	for i, id := range ids {
		of, err := ask[contribution.Contribution](c, "contribution:Get", contribution.Named{Datanet: datanet, ID: id})
		if err != nil {
			return err
		}
		var found *content.Content
		if whole {
			var problem *Problem
			found, err = c.obtainSoon(of, h)
			whole = !errors.As(err, &problem) || problem.Code != codeUnavailable
		}
		if found == nil && !errors.Is(err, content.ErrErased) {
			// The datanet's owner releases the snapshot with one transaction; where that fails, each contributor's
			// organisation releases its own.
			alone := h
			alone.Snapshot, alone.Contributions = 0, []string{id}
			found, err = c.obtainSoon(of, alone)
		}
		if errors.Is(err, content.ErrErased) && last == id {
			return newProblem(codeGone, "contribution %s is being erased: begin anew", id)
		}
		if errors.Is(err, content.ErrErased) {
			continue // what is being erased is not trained on any more
		}
		if err != nil {
			return contentProblem(err)
		}
		if out == nil {
			out = c.lines()
		}
		if i > 0 {
			after = -1
		}
		if err := writeRecords(c.ctx(), out, found, after); err != nil {
			return err
		}
	}
	if out == nil {
		out = c.lines()
	}
	return out.Flush()
}

// leaves are the contributions of a snapshot that are no tombstones, in its order.
func (c *call) leaves(n snapshot.Named) (ids []string, err error) {
	s, err := ask[snapshot.Snapshot](c, "snapshot:Get", n)
	if err != nil {
		return nil, err
	}
	erased := map[int64]bool{}
	for _, position := range s.Erased {
		erased[position] = true
	}
	position := int64(0)
	for page := 0; position < s.Count; page++ {
		p, err := ask[seal.Page](c, "seal:Page", seal.PageName{Datanet: n.Datanet, Page: page})
		if err != nil {
			return nil, err
		}
		if len(p.Leaves) == 0 {
			return nil, fmt.Errorf("snapshot %d of %s has %d leaves, page %s has none", n.Number, n.Datanet, s.Count, strconv.Itoa(page))
		}
		for _, leaf := range p.Leaves {
			if position < s.Count && !erased[position] && (leaf.From == 0 || n.Number < leaf.From) {
				ids = append(ids, leaf.ID)
			}
			position++
		}
	}
	return ids, nil
}
