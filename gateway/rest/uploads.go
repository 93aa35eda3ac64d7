package rest

import (
	"errors"
	"io"
	"math"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

const (
	bytesType = "application/octet-stream"
	// maxPiece bounds a piece of an upload, in bytes; what is larger comes in several.
	maxPiece = 64 << 20
	// pieceTime is how long a piece may take.
	pieceTime = 5 * time.Minute
	// finishTime is how long the records of a contribution may take to be read.
	finishTime = 10 * time.Minute
)

// contentProblems are the codes of problems of what works on contents.
var contentProblems = []string{string(ledger.CodeNotFound), string(ledger.CodeState), string(ledger.CodeExists), codeOffset, codeGone, codeTimeout}

// BeginUpload begins an upload.
type BeginUpload struct {
	Files []content.File `json:"files" doc:"In the order in which their bytes will come. The endings of the names say what they are."`
	Rules ingest.Rules   `json:"rules" doc:"What a record is."`
}

// Upload is an upload as far as it has come.
type Upload struct {
	ID       string        `json:"id"`
	State    content.State `json:"state" enum:"uploading,ready,lost"`
	Size     int64         `json:"size" doc:"Bytes of all files."`
	Received int64         `json:"received" doc:"Bytes that are stored durably."`
}

func uploadOf(i content.Info) Upload { return Upload{i.ID, i.State, i.Size, i.Received} }

// FinishUpload says for what the bytes were sent.
type FinishUpload struct {
	Descriptor   content.Descriptor `json:"descriptor"`
	Datanet      string             `json:"datanet,omitzero" doc:"The datanet that the content is for."`
	Contribution string             `json:"contribution,omitzero" doc:"The id of the contribution that it will be registered as; a content is for one."`
}

// addUploads adds what brings content into the store.
func (a *API) addUploads() {
	if a.options.Content == nil {
		return
	}
	id := pathParam("id", text(), "16 random bytes as 32 lower-case hex digits, chosen by the client.")
	add := func(op operation) {
		op.tag, op.scope, op.params = "uploads", identity.Content, append(op.params, id)
		op.problems = append(op.problems, contentProblems...)
		a.add(&op)
	}
	const path = "/v1/uploads/{id}"
	add(operation{id: "begin-upload", method: put, path: path, summary: "Begins an upload, or finds the one that the same request began",
		request: reflect.TypeFor[BeginUpload](), answers: good[Upload](http.StatusOK), handle: beginUpload})
	add(operation{id: "get-upload", method: get, path: path, summary: "Shows how far an upload has come", answers: good[Upload](http.StatusOK), handle: getUpload})
	add(operation{id: "append-upload", method: http.MethodPatch, path: path, summary: "Sends the next bytes of an upload",
		doc:    "The answer comes when they are durable. Bytes at another offset are refused with the code offset; ask then how far the upload has come.",
		params: []*huma.Param{{Name: "offset", In: "query", Required: true, Schema: whole(0, math.MaxInt64), Description: "How many bytes came before."}},
		body:   &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{bytesType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}},
		limit:  pieceTime + margin, answers: good[Upload](http.StatusOK), handle: appendUpload})
	add(operation{id: "finish-upload", method: post, path: path + "/finish", summary: "Reads the records of an upload and prepares its registration",
		doc:     "Answers with what the contribution will tell the ledger. It may be repeated.",
		request: reflect.TypeFor[FinishUpload](), limit: finishTime, answers: good[content.Prepared](http.StatusOK), problems: []string{codeConflict}, handle: finishUpload})
	add(operation{id: "discard-upload", method: http.MethodDelete, path: path, summary: "Destroys what was uploaded and is no contribution",
		doc:     "Also what was meant for a contribution that the ledger does not have, for instance since it refused it.",
		answers: nothingMore, handle: discardUpload})
	a.add(&operation{id: "draw-fingerprint-secret", method: post, path: "/v1/fingerprint-secrets", tag: "uploads", scope: identity.Admin,
		summary: "Draws the secret of a next fingerprint epoch", doc: "Needs the role operator. The secret stays in the gateways; the answer is its check value, for a proposal fingerprint.rotate.",
		answers: good[contribution.Rotation](http.StatusCreated), handle: func(c *call) error {
			if !c.principal.Has(ledger.Operator) {
				return newProblem(string(ledger.CodeForbidden), "only operators draw secrets")
			}
			check, err := c.api.options.Content.DrawSecret(c.ctx())
			if err != nil {
				return contentProblem(err)
			}
			return c.answer(http.StatusCreated, contribution.Rotation{Check: check})
		}})
}

func beginUpload(c *call) error {
	var request BeginUpload
	if err := c.decode(&request); err != nil {
		return err
	}
	id := c.param("id")
	if err := ledger.ValidID("id", id); err != nil {
		return err
	}
	info, err := c.api.options.Content.Begin(c.ctx(), c.principal.Account, content.Upload{ID: id, Files: request.Files, Rules: request.Rules})
	if err != nil {
		return contentProblem(err)
	}
	return c.answer(http.StatusOK, uploadOf(info))
}

func getUpload(c *call) error {
	info, err := c.api.options.Content.Status(c.ctx(), c.principal.Account, c.param("id"))
	if err != nil {
		return contentProblem(err)
	}
	return c.answer(http.StatusOK, uploadOf(info))
}

func appendUpload(c *call) error {
	if c.r.Header.Get("Content-Type") != bytesType {
		return newProblem(codeMediaType, "send %s", bytesType)
	}
	if !c.query.Has("offset") {
		return invalid("offset", "say how many bytes came before")
	}
	offset, err := c.number("offset", 0, 0, math.MaxInt64)
	if err != nil {
		return err
	}
	if err := c.readBy(pieceTime); err != nil {
		return err
	}
	if err := c.writeBy(pieceTime + margin); err != nil {
		return err
	}
	defer c.readAll() // a connection that cannot is closed anyway
	info, err := c.api.options.Content.Append(c.ctx(), c.principal.Account, c.param("id"), offset, http.MaxBytesReader(c.w, c.r.Body, maxPiece))
	if err != nil {
		return contentProblem(err)
	}
	return c.answer(http.StatusOK, uploadOf(info))
}

func finishUpload(c *call) error {
	var request FinishUpload
	if err := c.decode(&request); err != nil {
		return err
	}
	if (request.Datanet == "") != (request.Contribution == "") {
		return invalid("contribution", "name datanet and contribution, or neither")
	}
	place := contribution.Named{Datanet: request.Datanet, ID: request.Contribution}
	if request.Datanet != "" {
		if err := place.Validate(); err != nil {
			return err
		}
	}
	if err := c.writeBy(finishTime + margin); err != nil {
		return err
	}
	epoch, err := ask[contribution.Epoch](c, "contribution:Epoch", ledger.Nothing{})
	if err != nil {
		return err
	}
	if epoch.Epoch == 0 {
		return newProblem(string(ledger.CodeState), "no fingerprint epoch is in force yet: the members have to agree on one first")
	}
	store, account, id := c.api.options.Content, c.principal.Account, c.param("id")
	prepared, err := store.Finish(c.ctx(), account, id, request.Descriptor, epoch)
	if errors.Is(err, content.ErrNoSecret) {
		if err := c.api.fetchSecret(c.ctx(), c.api.ledger(), epoch); err != nil {
			return err
		}
		prepared, err = store.Finish(c.ctx(), account, id, request.Descriptor, epoch)
	}
	if err == nil && request.Datanet != "" {
		err = store.Assign(c.ctx(), account, id, place)
	}
	if err != nil {
		return contentProblem(err)
	}
	return c.answer(http.StatusOK, prepared)
}

// discardUpload destroys what is no contribution. What was meant for one that the ledger's peer does not know was refused;
// a transaction that is still on its way then registers a contribution without content, which only its contributor can do.
func discardUpload(c *call) error {
	store, account, id := c.api.options.Content, c.principal.Account, c.param("id")
	err := store.Discard(c.ctx(), account, id)
	if errors.Is(err, content.ErrAssigned) {
		var info content.Info
		if info, err = store.Status(c.ctx(), account, id); err != nil {
			return contentProblem(err)
		}
		if err = c.refused(info.Place); err != nil {
			return err
		}
		if err = store.Unassign(c.ctx(), account, id, info.Place); err == nil {
			err = store.Discard(c.ctx(), account, id)
		}
	}
	if err != nil {
		return contentProblem(err)
	}
	return c.nothing()
}

// refused fails unless the peer has no such contribution.
func (c *call) refused(place contribution.Named) error {
	document, err := ledger.Encode(place)
	if err != nil {
		return err
	}
	_, err = c.api.options.Peer.Evaluate(c.ctx(), "contribution:Get", document)
	var fault *ledger.Fault
	switch {
	case err == nil:
		return contentProblem(content.ErrAssigned)
	case errors.As(err, &fault) && fault.Code == ledger.CodeNotFound:
		return nil
	}
	return err
}

// writeBy sets when the answer must have been sent.
func (c *call) writeBy(limit time.Duration) error {
	return http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(limit))
}

// contentProblem is the problem of a failure of the content store.
func contentProblem(err error) error {
	var (
		offset  *content.OffsetError
		request *content.RequestError
		quota   *content.QuotaError
		record  *ingest.Error
		large   *http.MaxBytesError
	)
	switch {
	case errors.As(err, &large):
		return newProblem(codeTooLarge, "send at most %d bytes at a time", large.Limit)
	case errors.As(err, &offset):
		return newProblem(codeOffset, "%s", offset.Error())
	case errors.As(err, &request):
		return invalid(request.Field, "%s", request.Message)
	case errors.As(err, &quota):
		return newProblem(string(ledger.CodeState), "%s", quota.Error())
	case errors.As(err, &record):
		return invalid("files", "%s", record.Error())
	case errors.Is(err, content.ErrNotFound), errors.Is(err, content.ErrNoFile):
		return newProblem(string(ledger.CodeNotFound), "%v", err)
	case errors.Is(err, content.ErrErased):
		return newProblem(codeGone, "%v", content.ErrErased)
	case errors.Is(err, content.ErrUnfinished), errors.Is(err, content.ErrFinished), errors.Is(err, content.ErrAssigned):
		return newProblem(string(ledger.CodeState), "%v", err)
	case errors.Is(err, content.ErrExists):
		return newProblem(string(ledger.CodeExists), "%v", content.ErrExists)
	case errors.Is(err, content.ErrNoSecret):
		return newProblem(codeUnavailable, "no member's gateway hands over the fingerprint secret now")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return bodyError(err)
	}
	return err
}
