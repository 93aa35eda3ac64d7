package rest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/audit/export"
	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/block"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/serving"
)

// The media types in which an answer of an audit can be had.
const (
	markdownType = "text/markdown"
	htmlType     = "text/html"
)

var auditTypes = []string{jsonType, markdownType, htmlType}

// auditors may ask what an audit asks. All that is answered stands on the ledger, which every member reads; but put
// together by person it is for those who account for it.
var auditors = []ledger.Role{ledger.Regulator, ledger.Operator}

const ofAudit = "/v1/audit"

// audited adds a question. ask gets the ledger at the height that the caller names, or at the latest.
func audited[T question.Answer](a *API, id, path, summary, doc string, params []*huma.Param, ask func(*call, *question.Auditor) (T, error)) {
	op := &operation{id: id, method: get, path: ofAudit + path, tag: "audit", summary: summary, doc: doc, scope: identity.Read, roles: auditors,
		params:  append([]*huma.Param{queryParam("height", whole(1, math.MaxInt64), "Answer as of this many blocks, not of all that are indexed."), a.heightParam()}, params...),
		answers: one[T](), problems: append([]string{string(ledger.CodeNotFound), string(ledger.CodeState)}, indexProblems...)}
	op.answers[0].also = auditTypes[1:]
	op.handle = func(c *call) error {
		auditor, err := c.auditor()
		if err != nil {
			return err
		}
		answer, err := ask(c, auditor)
		if err != nil {
			return err
		}
		return c.report(answer)
	}
	a.add(op)
}

// auditor opens the ledger at the height that the caller asks about.
func (c *call) auditor() (*question.Auditor, error) {
	view, err := c.view()
	if err != nil {
		return nil, err
	}
	height, err := c.number("height", 0, 1, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	if height > 0 {
		if view, err = c.api.options.Index.ViewAt(c.ctx(), uint64(height)); err != nil {
			return nil, err
		}
	}
	return question.New(view, c.api.options.Channel), nil
}

// report sends an answer as the caller prefers it.
func (c *call) report(answer question.Answer) error {
	var data []byte
	var err error
	media := jsonType
	if accept := c.r.Header.Get("Accept"); accept != "" {
		media = negotiation.SelectQValueFast(accept, auditTypes)
	}
	switch media {
	case markdownType:
		data = answer.Report().Markdown()
	case htmlType:
		data, err = answer.Report().HTML()
	default:
		return c.answer(http.StatusOK, answer)
	}
	if err != nil {
		return err
	}
	return c.sendAs(media+"; charset=utf-8", data)
}

func (a *API) addAudit() {
	a.addAuditOfData()
	a.addAuditOfMoney()
	a.addAuditOfChain()
}

func pageDocs() []*huma.Param {
	return []*huma.Param{queryParam("limit", whole(0, ledger.MaxPage), queryDocs["limit"]), queryParam("cursor", text(), queryDocs["cursor"])}
}

func (c *call) pageOnly() (ledger.PageRequest, error) {
	limit, err := c.number("limit", 0, 0, ledger.MaxPage)
	return ledger.PageRequest{Limit: int(limit), Cursor: c.query.Get("cursor")}, err
}

func (a *API) addAuditOfData() {
	audited(a, "audit-model", "/models/{organisation}/{name}/versions/{version}", "What a model was made of, and by which right",
		"Its snapshots, tickets, licences and grants in force at training, and the contributions with origin, votes and concerns.", pageDocs(),
		func(c *call, auditor *question.Auditor) (question.Model, error) {
			page, err := c.pageOnly()
			if err != nil {
				return question.Model{}, err
			}
			return auditor.Model(c.ctx(), c.auditedModel(), page)
		})
	audited(a, "audit-contribution", "/datanets/{organisation}/{name}/contributions/{id}", "What became of a contribution", "", nil,
		func(c *call, auditor *question.Auditor) (question.Contribution, error) {
			return auditor.Contribution(c.ctx(), contribution.Named{Datanet: c.param("organisation") + "/" + c.param("name"), ID: c.param("id")})
		})
	audited(a, "audit-person", "/people/{account}", "What is held of a person, who received it, and what was erased", "The account is a pseudonym; the organisation that enrolled it can resolve it.", pageDocs(),
		func(c *call, auditor *question.Auditor) (question.Person, error) {
			page, err := c.pageOnly()
			if err != nil {
				return question.Person{}, err
			}
			return auditor.Person(c.ctx(), ledger.Account(c.param("account")), page)
		})
	audited(a, "audit-unused", "/unused", "Which data was released for training and is cited by no model", "", pageDocs(),
		func(c *call, auditor *question.Auditor) (question.Unused, error) {
			page, err := c.pageOnly()
			if err != nil {
				return question.Unused{}, err
			}
			return auditor.Unused(c.ctx(), page)
		})
	audited(a, "audit-snapshot", "/datanets/{organisation}/{name}/snapshots/{number}", "What a snapshot holds, by how it was collected, its languages and licences", "", nil, (*call).auditedSnapshot)
	audited(a, "audit-training-summary", "/models/{organisation}/{name}/versions/{version}/training-summary", "The summary of training content of Article 53(1)(d) of Regulation (EU) 2024/1689",
		"In the sections of the Commission's template; what the ledger does not know is a gap for the provider to fill.", nil,
		func(c *call, auditor *question.Auditor) (question.Training, error) {
			return auditor.Training(c.ctx(), c.auditedModel())
		})
	a.addExports()
	if a.options.HostReceipt != nil || a.options.Serving != nil {
		audited(a, "audit-host-receipt", "/hosts/{organisation}/receipts/{id}", "What an answer of a model owes to whom, by its receipt, which the host's gateway shows",
			"The organisation is the host's, by its MSP ID.", nil, auditHostReceipt)
	}
	op := &operation{id: "audit-receipt", method: post, path: ofAudit + "/receipts", tag: "audit", summary: "What an answer of a model owes to whom, by its receipt",
		doc: "The body is the receipt's bytes. Nothing is written.", scope: identity.Read, roles: auditors, params: []*huma.Param{a.heightParam(), queryParam("height", whole(1, math.MaxInt64), "Answer as of this many blocks.")},
		body:    &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{bytesType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}},
		answers: one[question.Receipt](), problems: append([]string{string(ledger.CodeState)}, indexProblems...)}
	op.answers[0].also = auditTypes[1:]
	op.handle = func(c *call) error {
		data, err := c.readBytes(question.MaxReceipt)
		if err != nil {
			return err
		}
		auditor, err := c.auditor()
		if err != nil {
			return err
		}
		answer, err := auditor.Receipt(c.ctx(), data)
		if err != nil {
			return err
		}
		return c.report(answer)
	}
	a.add(op)
}

// auditHostReceipt gets the receipt from the gateway of the host that made it. Its id is the digest of its bytes, so
// nobody can show another one.
func auditHostReceipt(c *call, auditor *question.Auditor) (question.Receipt, error) {
	var id merkle.Hash
	if err := id.UnmarshalText([]byte(c.param("id"))); err != nil {
		return question.Receipt{}, invalid("id", "a receipt's id has 64 lower-case hexadecimal digits")
	}
	var data []byte
	var err error
	switch host := c.param("organisation"); {
	case host == c.api.options.Organisation && c.api.options.Serving != nil:
		if data, err = c.api.options.Serving.Receipt(c.ctx(), id); errors.Is(err, serving.ErrNoReceipt) {
			err = newProblem(string(ledger.CodeNotFound), "this gateway has no such receipt")
		}
	case c.api.options.HostReceipt != nil:
		data, err = c.api.options.HostReceipt(c.ctx(), host, id)
	default:
		err = newProblem(string(ledger.CodeNotFound), "this gateway knows no other gateways")
	}
	if err != nil {
		return question.Receipt{}, err
	}
	if receipt.ID(data) != id {
		return question.Receipt{}, newProblem(codeDisagreement, "the host's gateway shows another receipt under this id")
	}
	return auditor.Receipt(c.ctx(), data)
}

// auditedSnapshot answers for the snapshot that the path names.
func (c *call) auditedSnapshot(auditor *question.Auditor) (question.Snapshot, error) {
	number, err := strconv.Atoi(c.param("number"))
	if err != nil {
		return question.Snapshot{}, invalid("number", "must be a whole number")
	}
	return auditor.Snapshot(c.ctx(), snapshot.Named{Datanet: c.param("organisation") + "/" + c.param("name"), Number: number})
}

// addExports adds what others read: a snapshot's and a model's description in formats of theirs.
func (a *API) addExports() {
	exported := func(id, path, summary, media string, write func(*call, *question.Auditor) ([]byte, error)) {
		a.add(&operation{id: id, method: get, path: ofAudit + path, tag: "audit", summary: summary, scope: identity.Read, roles: auditors,
			params:   []*huma.Param{queryParam("height", whole(1, math.MaxInt64), "Describe it as of this many blocks, not of all that are indexed."), a.heightParam()},
			answers:  []answer{{status: http.StatusOK, doc: "The description.", schema: &huma.Schema{Type: huma.TypeObject}, media: media, headers: listHeaders}},
			problems: append([]string{string(ledger.CodeNotFound), string(ledger.CodeState)}, indexProblems...),
			handle: func(c *call) error {
				auditor, err := c.auditor()
				if err != nil {
					return err
				}
				data, err := write(c, auditor)
				if err != nil {
					return err
				}
				return c.sendAs(media, data)
			}})
	}
	exported("export-croissant", "/datanets/{organisation}/{name}/snapshots/{number}/croissant", "Describes a snapshot as Croissant 1.1", export.CroissantType,
		func(c *call, auditor *question.Auditor) ([]byte, error) {
			answer, err := c.auditedSnapshot(auditor)
			if err != nil {
				return nil, err
			}
			return export.Croissant(answer)
		})
	ofModel := func(write func(question.Model) ([]byte, error)) func(*call, *question.Auditor) ([]byte, error) {
		return func(c *call, auditor *question.Auditor) ([]byte, error) {
			answer, err := auditor.Model(c.ctx(), c.auditedModel(), ledger.PageRequest{Limit: ledger.MaxPage})
			if err != nil {
				return nil, err
			}
			return write(answer)
		}
	}
	exported("export-mlbom", "/models/{organisation}/{name}/versions/{version}/mlbom", "Lists what a model was made of as CycloneDX 1.7 (ML-BOM)", export.MLBOMType, ofModel(export.MLBOM))
	exported("export-prov", "/models/{organisation}/{name}/versions/{version}/prov", "Tells a model's provenance as W3C PROV-JSON", export.ProvType, ofModel(export.Prov))
}

// readBytes reads a body of bytes whole.
func (c *call) readBytes(most int64) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != bytesType {
		return nil, newProblem(codeMediaType, "send %s", bytesType)
	}
	if err := c.readBy(c.api.options.BodyTimeout); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, most))
	if err != nil {
		return nil, bodyError(err)
	}
	return data, c.readAll()
}

func (c *call) auditedModel() model.Named {
	return model.Named{Name: c.param("organisation") + "/" + c.param("name"), Version: c.param("version")}
}

// addUses adds the uses of settlements, in the form in which a bundle has them.
func (a *API) addUses() {
	if a.options.Settled == nil {
		return
	}
	a.add(&operation{id: "audit-claim-uses", method: get, path: ofAudit + "/hosts/{host}/claims/{id}/uses", tag: "audit", scope: identity.Read, roles: auditors, limit: -1,
		summary: "Gives the leaves and receipts of a settlement, as a bundle has them",
		doc:     "In the form SETTLED/1 of audit bundles. The host's gateway is asked for them. They hold no text.",
		params:  []*huma.Param{a.heightParam()}, problems: append([]string{string(ledger.CodeNotFound), string(ledger.CodeForbidden), codeDisagreement, codeUnavailable}, indexProblems...),
		answers: []answer{{status: http.StatusOK, doc: "The uses.", media: bytesType, schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		handle: func(c *call) error {
			if err := c.atHeight(); err != nil {
				return err
			}
			n := claim.Named{Host: ledger.Account(c.param("host")), ID: c.param("id")}
			if err := n.Validate(); err != nil {
				return err
			}
			found, err := ask[claim.Detail](c, "claim:Get", n)
			if err != nil {
				return err
			}
			if found.Uses == 0 {
				return newProblem(string(ledger.CodeNotFound), "the settlement has no uses")
			}
			out := &late{call: c}
			if err := a.options.Settled(c.ctx(), found.Claim, out); err != nil {
				if out.begun != nil {
					return err
				}
				return refusedByHost(err)
			}
			return out.end()
		}})
}

// late begins an answer with the first bytes of it, so that until then a problem can be told.
type late struct {
	call  *call
	begun *bufio.Writer
}

func (l *late) Write(p []byte) (int, error) {
	if l.begun == nil {
		l.begun = l.call.stream(bytesType)
	}
	return l.begun.Write(p)
}

// end ends the answer.
func (l *late) end() error {
	if l.begun == nil {
		return newProblem(codeUnavailable, "the other gateway has sent nothing")
	}
	return l.begun.Flush()
}

// refusedByHost is the problem of a settlement that its host's gateway does not show.
func refusedByHost(err error) error {
	if errors.Is(err, archive.ErrMalformed) {
		p := newProblem(codeDisagreement, "the host's gateway shows what is not on the ledger")
		p.cause = err
		return p
	}
	return refusedByOthers(err, "the host's gateway", "does not show the settlement now")
}

func (a *API) addAuditOfMoney() {
	a.addUses()
	audited(a, "audit-claim", "/hosts/{host}/claims/{id}", "What became of a settlement: who recomputed it, who objected, who was paid", "", nil,
		func(c *call, auditor *question.Auditor) (question.Claim, error) {
			return auditor.Claim(c.ctx(), claim.Named{Host: ledger.Account(c.param("host")), ID: c.param("id")})
		})
	audited(a, "audit-fees", "/fees", "Where fees went", "", append(pageDocs(), queryParam("host", text(), "Of one host, by its account."),
		queryParam("model", text(), "Of one model, as AILabMSP/verse@1.0; a page may then be short or empty while there are more.")),
		func(c *call, auditor *question.Auditor) (question.Fees, error) {
			page, err := c.pageOnly()
			if err != nil {
				return question.Fees{}, err
			}
			of := question.FeesOf{Host: ledger.Account(c.query.Get("host")), Page: page}
			if name := c.query.Get("model"); name != "" {
				if of.Model, err = modelNamed(name); err != nil {
					return question.Fees{}, err
				}
			}
			return auditor.Fees(c.ctx(), of)
		})
	audited(a, "audit-supply", "/supply", "Whether credits were created or lost", "", nil,
		func(c *call, auditor *question.Auditor) (question.Supply, error) { return auditor.Supply(c.ctx()) })
}

func (a *API) addAuditOfChain() {
	audited(a, "audit-period", "/period", "All events of a period, with the proof that none is missing",
		"The period is given by blocks, first to before end, or by times, from to before until.",
		append(pageDocs(), queryParam("first", whole(0, math.MaxInt64), "The number of the first block."), queryParam("end", whole(1, math.MaxInt64), "The number of the block before which it ends."),
			queryParam("from", text(), "The beginning: a time, or a date, which begins at midnight UTC."), queryParam("until", text(), "The end, which is no part of it: a time or a date.")), auditPeriod)
	audited(a, "audit-blocks", "/blocks", "The headers of blocks, from which the chain of hashes can be computed again", "The hash of a block is SHA-256 over the ASN.1 DER of number, previous and data.",
		append(pageDocs()[:1], queryParam("first", whole(0, math.MaxInt64), "The number of the first block.")),
		func(c *call, auditor *question.Auditor) (question.Blocks, error) {
			first, err := c.number("first", 0, 0, math.MaxInt64)
			if err != nil {
				return question.Blocks{}, err
			}
			limit, err := c.number("limit", ledger.DefaultPage, 1, ledger.MaxPage)
			if err != nil {
				return question.Blocks{}, err
			}
			return auditor.Blocks(c.ctx(), uint64(first), int(limit))
		})
	audited(a, "audit-transaction", "/transactions/{transaction}", "A transaction's history, from the proposal to the state", "The transaction is named by its id, or by its place, as 61.0: block and position in it, from 0.", nil,
		func(c *call, auditor *question.Auditor) (question.Transaction, error) {
			return auditor.Transaction(c.ctx(), c.param("transaction"), a.rawBlock())
		})
	audited(a, "audit-roles", "/roles", "Who held which role when, and breaches of the separation of duties", "", append(pageDocs(), queryParam("account", text(), "One account; without it all, page by page.")),
		func(c *call, auditor *question.Auditor) (question.Roles, error) {
			page, err := c.pageOnly()
			if err != nil {
				return question.Roles{}, err
			}
			return auditor.Roles(c.ctx(), ledger.Account(c.query.Get("account")), page)
		})
}

func auditPeriod(c *call, auditor *question.Auditor) (question.Period, error) {
	page, err := c.pageOnly()
	if err != nil {
		return question.Period{}, err
	}
	of := question.PeriodOf{Page: page}
	for name, into := range map[string]*uint64{"first": &of.First, "end": &of.End} {
		n, err := c.number(name, 0, 0, math.MaxInt64)
		if err != nil {
			return question.Period{}, err
		}
		*into = uint64(n)
	}
	for name, into := range map[string]*time.Time{"from": &of.From, "until": &of.Until} {
		if *into, err = c.moment(name); err != nil {
			return question.Period{}, err
		}
	}
	return auditor.Period(c.ctx(), of)
}

// rawBlock reads blocks from the peer, nil when the gateway has no way to.
func (a *API) rawBlock() func(context.Context, uint64) (*block.Block, error) {
	if a.options.Block == nil {
		return nil
	}
	return func(ctx context.Context, number uint64) (*block.Block, error) {
		b, err := a.options.Block(ctx, number)
		if err != nil {
			return nil, err
		}
		decoded, err := block.NewDecoder(a.options.Chaincode).Whole().Decode(b)
		return &decoded, err
	}
}

// sendAs sends a document of any media type.
func (c *call) sendAs(media string, data []byte) error {
	header := c.w.Header()
	header.Set("Content-Type", media)
	header.Set("Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(data) // a client that is gone does not read it
	return nil
}

// modelNamed reads name@version.
func modelNamed(text string) (model.Named, error) {
	name, version, _ := strings.Cut(text, "@")
	n := model.Named{Name: name, Version: version}
	if n.Validate() != nil {
		return n, invalid("model", "must be a name and version such as AILabMSP/verse@1.0")
	}
	return n, nil
}
