package rest

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// addArtifacts adds what brings a model's artifacts to the gateways of its trainer and its host, and gives them out there.
func (a *API) addArtifacts() {
	if a.options.Artifacts == nil {
		return
	}
	problems := []string{string(ledger.CodeNotFound), string(ledger.CodeState), codeOffset, codeBehind, codeTimeout}
	const readers = "For the roles trainer, host and operator of the organisations of trainer and host. "
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	add := func(op operation) {
		op.tag, op.scope, op.params = "artifacts", identity.Content, append(op.params, a.heightParam())
		op.problems = append(op.problems, problems...)
		a.add(&op)
	}
	add(operation{id: "get-manifest", method: get, path: ofModel + "/manifest", summary: "Gives the training manifest of a model", doc: readers,
		answers: []answer{{status: http.StatusOK, doc: "The bytes whose digest is registered.", schema: &huma.Schema{Type: huma.TypeObject}}}, handle: getManifest})
	add(operation{id: "put-manifest", method: put, path: ofModel + "/manifest", summary: "Brings the training manifest of an own model",
		doc:     "For the roles trainer and operator. The model must be registered: only the bytes whose digest the ledger has are taken.",
		body:    &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{jsonType: {Schema: &huma.Schema{Type: huma.TypeObject}}}},
		answers: good[Items[artifact.Status]](http.StatusOK), handle: putManifest})
	add(operation{id: "list-artifacts", method: get, path: ofModel + "/artifacts", summary: "Lists the artifacts of a model and how much of each is here", doc: readers,
		answers: good[Items[artifact.Status]](http.StatusOK), handle: listArtifacts})
	add(operation{id: "append-artifact", method: http.MethodPatch, path: ofModel + "/artifacts/{digest}", summary: "Sends the next bytes of an artifact of an own model",
		doc: "For the roles trainer and operator. The manifest comes first. The answer comes when the bytes are durable; with the last one the digest is checked, and bytes that have " +
			"another one are thrown away.",
		params:  []*huma.Param{{Name: "offset", In: "query", Required: true, Schema: whole(0, math.MaxInt64), Description: "How many bytes came before."}},
		body:    &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{bytesType: {Schema: binary}}},
		limit:   pieceTime + margin,
		answers: good[artifact.Status](http.StatusOK), handle: appendArtifact})
	ranges := map[string]string{"ETag": "Names the bytes.", "Accept-Ranges": "bytes", "Content-Disposition": "attachment"}
	whole := answer{status: http.StatusOK, doc: "The bytes.", media: bytesType, schema: binary, headers: ranges}
	part := whole
	part.status, part.doc = http.StatusPartialContent, "A part of the bytes."
	add(operation{id: "get-artifact", method: get, path: ofModel + "/artifacts/{digest}", summary: "Gives an artifact of a model", doc: readers, limit: -1,
		answers: []answer{whole, part, {status: http.StatusNotModified, doc: "The caller has it."}}, problems: []string{codeRange},
		params: []*huma.Param{headerParam("Range", false, "One range of bytes; with several, all bytes are given."), headerParam("If-Range", false, "The ETag that the range is of.")},
		handle: getArtifact})
}

// artifactModel is the model that the path names, if the caller works with it here.
func (c *call) artifactModel(own bool, roles ...ledger.Role) (model.Model, error) {
	if err := c.atHeight(); err != nil {
		return model.Model{}, err
	}
	n := model.Named{Name: c.param("organisation") + "/" + c.param("name"), Version: c.param("version")}
	if err := n.Validate(); err != nil {
		return model.Model{}, err
	}
	if !c.principal.Has(roles...) {
		return model.Model{}, newProblem(string(ledger.CodeForbidden), "artifacts are for the role %s", ledger.AnyOf(roles))
	}
	if own && ledger.Owner(n.Name) != c.api.options.Organisation {
		return model.Model{}, newProblem(string(ledger.CodeForbidden), "the model is another organisation's")
	}
	return ask[model.Model](c, "model:Get", n)
}

var artifactReaders = []ledger.Role{ledger.Trainer, ledger.Host, ledger.Operator}

func getManifest(c *call) error {
	m, err := c.artifactModel(false, artifactReaders...)
	if err != nil {
		return err
	}
	_, encoded, err := c.api.options.Artifacts.Manifest(m)
	if err != nil {
		return artifactProblem(err)
	}
	return c.send(http.StatusOK, encoded)
}

func putManifest(c *call) error {
	m, err := c.artifactModel(true, ledger.Trainer, ledger.Operator)
	if err != nil {
		return err
	}
	encoded, err := c.readBody()
	if err != nil {
		return err
	}
	if _, err := c.api.options.Artifacts.PutManifest(m, encoded); err != nil {
		if !errors.Is(err, artifact.ErrNotRegistered) && !errors.Is(err, fs.ErrNotExist) {
			if _, malformed := artifact.DecodeManifest(encoded); malformed != nil {
				return invalid("body", "%v", malformed)
			}
		}
		return artifactProblem(err)
	}
	return c.artifactList(m)
}

func listArtifacts(c *call) error {
	m, err := c.artifactModel(false, artifactReaders...)
	if err != nil {
		return err
	}
	return c.artifactList(m)
}

func (c *call) artifactList(m model.Model) error {
	files, err := c.api.options.Artifacts.Files(m)
	if err != nil {
		return artifactProblem(err)
	}
	return c.answer(http.StatusOK, itemsOf(files))
}

func appendArtifact(c *call) error {
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
	m, err := c.artifactModel(true, ledger.Trainer, ledger.Operator)
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
	done, err := c.api.options.Artifacts.Append(c.ctx(), m, c.param("digest"), offset, http.MaxBytesReader(c.w, c.r.Body, maxPiece))
	if err != nil {
		return artifactProblem(err)
	}
	return c.answer(http.StatusOK, done)
}

func getArtifact(c *call) error {
	m, err := c.artifactModel(false, artifactReaders...)
	if err != nil {
		return err
	}
	file, f, err := c.api.options.Artifacts.OpenFile(m, c.param("digest"))
	if err != nil {
		return artifactProblem(err)
	}
	defer file.Close()
	header := c.w.Header()
	header.Set("ETag", `"`+f.SHA256+`"`)
	header.Set("Cache-Control", "private, no-cache")
	header.Set("Content-Type", bytesType)
	header.Set("Content-Disposition", "attachment")
	return c.serveRange(file, f.Bytes)
}

// serveRange gives bytes, or one range of them.
func (c *call) serveRange(from io.ReadSeeker, size int64) error {
	if strings.Contains(c.r.Header.Get("Range"), ",") {
		c.r.Header.Del("Range") // a server may give the whole instead, and multipart/byteranges helps nobody to go on
	}
	w, body := &ranged{patient: patient{w: c.w, control: http.NewResponseController(c.w)}}, &remembering{ReadSeeker: from}
	http.ServeContent(w, c.r, "", time.Time{}, body)
	if w.refused {
		return newProblem(codeRange, "the content has %d bytes", size)
	}
	return body.err
}

func artifactProblem(err error) error {
	var (
		offset *artifact.OffsetError
		large  *http.MaxBytesError
	)
	switch {
	case errors.As(err, &large):
		return newProblem(codeTooLarge, "send at most %d bytes at a time", large.Limit)
	case errors.As(err, &offset):
		return newProblem(codeOffset, "%s", offset.Error())
	case errors.Is(err, artifact.ErrNoManifest):
		return newProblem(string(ledger.CodeNotFound), "%v", artifact.ErrNoManifest)
	case errors.Is(err, artifact.ErrNoArtifact):
		return newProblem(string(ledger.CodeNotFound), "%v", artifact.ErrNoArtifact)
	case errors.Is(err, artifact.ErrNotRegistered):
		return newProblem(string(ledger.CodeState), "%v", artifact.ErrNotRegistered)
	case errors.Is(err, fs.ErrNotExist):
		return newProblem(string(ledger.CodeNotFound), "the artifact is not here yet")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return bodyError(err)
	}
	return err
}
