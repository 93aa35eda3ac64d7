package rest

import (
	"errors"
	"math"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/serving"
)

// ModelFault is a fault of the routes that follow OpenAI's API.
type ModelFault struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param" doc:"The member of the body at fault."`
		Code    *string `json:"code" doc:"A stable word to decide by."`
	} `json:"error"`
}

// modelFaults are the statuses of faults of those routes.
var modelFaults = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
	http.StatusConflict, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable}

// models tells whether this gateway answers, or pays for, requests for models.
func (a *API) models() bool { return a.options.Serving != nil || a.options.Paying != nil }

// addModels adds the interface for models, which is OpenAI's, and what belongs to paid answers.
func (a *API) addModels() {
	if !a.models() {
		return
	}
	object := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
	body := &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{jsonType: {Schema: object}}}
	add := func(op operation) {
		op.tag, op.open, op.openAI = "models (OpenAI)", true, true
		a.add(&op)
	}
	doc := "As OpenAI's API has it; docs/usage.md, Over HTTP, says what differs. usage counts canonical tokens, the units that are billed. " +
		"With the header " + openai.VoucherHeader + " the request speaks to this gateway as a host; without it, it is for people of the gateway's own " +
		"organisation, whose sessions pay, and an API key needs the scope use."
	for _, kind := range []openai.Kind{openai.Chat, openai.Text} {
		id, summary := "complete-chat", "Answers a chat"
		if kind == openai.Text {
			id, summary = "complete-text", "Completes a text"
		}
		add(operation{id: id, method: post, path: kind.Path(), summary: summary, doc: doc, body: body, limit: -1,
			params:  []*huma.Param{headerParam(openai.VoucherHeader, false, "A signed request.")},
			answers: []answer{{status: http.StatusOK, doc: "The answer, or a stream of its parts.", schema: object}}, handle: useModel})
	}
	if a.options.Models != nil {
		a.addModelLists(add, object)
	}
	if a.options.Serving == nil {
		return
	}
	a.addServing(add, object)
}

// addModelLists adds what tells of models.
func (a *API) addModelLists(add func(operation), object *huma.Schema) {
	add(operation{id: "list-open-models", method: get, path: openai.ModelsPath, summary: "Lists the models that have a rate card in force",
		answers: []answer{{status: http.StatusOK, doc: "The list.", schema: object}}, handle: listModels})
	add(operation{id: "get-open-model", method: get, path: openai.ModelsPath + "/{model}", summary: "Shows a model of that list",
		answers: []answer{{status: http.StatusOK, doc: "The model.", schema: object}}, handle: getModel})
}

// addServing adds what belongs to the answers of a host.
func (a *API) addServing(add func(operation), object *huma.Schema) {
	add(operation{id: "list-stored-answers", method: get, path: "/v1/serving/sessions/{session}/answers", summary: "Gives stored answers of a session",
		doc:     "For the gateway of the account's organisation, which has lost them; those that are settled are gone.",
		params:  []*huma.Param{queryParam("from", whole(0, math.MaxInt64), "The first place."), queryParam("most", whole(1, serving.MaxAnswers), "How many at most.")},
		answers: []answer{{status: http.StatusOK, doc: "The answers, in their order.", schema: &huma.Schema{Type: huma.TypeArray, Items: object}}}, handle: storedAnswers})
	add(operation{id: "send-voucher", method: post, path: "/v1/serving/vouchers", summary: "Takes a voucher that comes alone",
		params: []*huma.Param{headerParam(openai.VoucherHeader, true, "The voucher and its signature, base64url.")}, answers: nothingMore, handle: takeVoucher})
	a.add(&operation{id: "get-receipt", method: get, path: "/v1/receipts/{id}", tag: "receipts", scope: identity.Read, either: true,
		summary: "Shows a receipt that this gateway has made", doc: "In its own bytes, ATTR/1, with Accept: application/octet-stream. It holds no text.",
		params: []*huma.Param{headerParam("Accept", false, "application/octet-stream for the receipt's bytes.")},
		answers: []answer{{status: http.StatusOK, doc: "The receipt.", schema: object, headers: map[string]string{"ETag": "The receipt's id."}},
			{status: http.StatusOK, media: bytesType, doc: "The receipt.", schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		problems: []string{string(ledger.CodeNotFound)}, handle: getReceipt})
}

// fault tells a fault in OpenAI's shape.
func (c *call) fault(f *openai.Error) error {
	c.noteFault(f)
	f.Write(c.w)
	return nil
}

func (c *call) noteFault(f *openai.Error) {
	noteOf(c.ctx()).fail(&Problem{Code: string(f.Code), Status: f.Status})
}

// who finds out who calls, for routes whose faults have OpenAI's shape.
func (c *call) who() (identity.Principal, *openai.Error) {
	p, err := c.api.options.Authenticate(c.r)
	if refused := new(identity.Error); errors.As(err, &refused) {
		code := openai.CodeForbidden
		switch refused.Code {
		case identity.CodeUnauthenticated:
			code = openai.CodeUnauthorized
		case identity.CodeInsufficient:
			code = openai.CodeBudget
		case identity.CodeUnavailable:
			code = openai.CodeBusy
		case identity.CodeRate:
			code = openai.CodeRate
		}
		return p, openai.Refuse(code, "", "%s", refused.Message)
	}
	if err != nil {
		return p, serving.Fault(err)
	}
	c.principal = p
	noteOf(c.ctx()).caller = callerName(p)
	return p, nil
}

// memberGateway is the organisation whose gateway calls, the own one too; "" for people.
func (c *call) memberGateway(p identity.Principal) string {
	if p.Gateway != "" {
		return p.Gateway
	}
	if p.Method == identity.Certificate && p.Enrolment() == identity.GatewayEnrolment {
		return p.Account.MSP()
	}
	return ""
}

// useModel answers as a host who shows a voucher, and the gateways of members; for anybody else it pays.
func useModel(c *call) error {
	member := ""
	if len(c.r.Header.Values(openai.VoucherHeader)) == 0 {
		p, fault := c.who()
		if fault != nil {
			return c.fault(fault)
		}
		if member = c.memberGateway(p); member == "" {
			if err := c.api.rates.take(callerName(p)); err != nil {
				return c.fault(openai.Refuse(openai.CodeRate, "", "%s", problemOf(err).Detail))
			}
			if !p.May(identity.Use) {
				return c.fault(openai.Refuse(openai.CodeForbidden, "", "the API key lacks the scope %q", identity.Use))
			}
			if c.api.options.Paying == nil {
				return c.fault(openai.Refuse(openai.CodeNotFound, "model", "this gateway pays for no requests"))
			}
			if fault := c.api.options.Paying(c.w, c.r, p); fault != nil {
				c.noteFault(fault)
			}
			return nil
		}
	}
	if c.api.options.Serving == nil {
		return c.fault(openai.Refuse(openai.CodeSessionUnknown, "", "this gateway hosts no models"))
	}
	if fault := c.api.options.Serving.Answer(c.w, c.r, member != ""); fault != nil {
		c.noteFault(fault)
	}
	return nil
}

// published are the models with a rate card in force, for who may use or read.
func (c *call) published() ([]openai.Model, *openai.Error) {
	p, fault := c.who()
	if fault != nil {
		return nil, fault
	}
	if err := c.api.rates.take(callerName(p)); err != nil {
		return nil, openai.Refuse(openai.CodeRate, "", "%s", problemOf(err).Detail)
	}
	if c.memberGateway(p) == "" && !p.May(identity.Use) && !p.May(identity.Read) {
		return nil, openai.Refuse(openai.CodeForbidden, "", "the API key lacks the scope %q", identity.Use)
	}
	return c.api.options.Models(), nil
}

func listModels(c *call) error {
	list, fault := c.published()
	if fault != nil {
		return c.fault(fault)
	}
	body, err := openai.EncodeModels(list)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, body)
}

func getModel(c *call) error {
	list, fault := c.published()
	if fault != nil {
		return c.fault(fault)
	}
	for _, m := range list {
		if m.ID == c.param("model") {
			body, err := openai.EncodeModel(m)
			if err != nil {
				return err
			}
			return c.send(http.StatusOK, body)
		}
	}
	return c.fault(openai.Refuse(openai.CodeNotFound, "model", "no model of that name has a rate card in force"))
}

func storedAnswers(c *call) error {
	p, fault := c.who()
	if fault != nil {
		return c.fault(fault)
	}
	member := c.memberGateway(p)
	if member == "" {
		return c.fault(openai.Refuse(openai.CodeForbidden, "", "this is for the gateway of the account's organisation"))
	}
	var session merkle.Hash
	from, err := c.number("from", 0, 0, math.MaxInt64)
	if err == nil {
		err = session.UnmarshalText([]byte(c.param("session")))
	}
	most, wrong := c.number("most", serving.MaxAnswers, 1, serving.MaxAnswers)
	if err != nil || wrong != nil {
		return c.fault(openai.Refuse(openai.CodeInvalid, "", "name a session, and from and most within their bounds"))
	}
	list, err := c.api.options.Serving.Answers(c.ctx(), member, session, uint64(from), int(most))
	if err != nil {
		return c.fault(serving.Fault(err))
	}
	return c.answer(http.StatusOK, list)
}

func takeVoucher(c *call) error {
	header := c.r.Header.Values(openai.VoucherHeader)
	if len(header) != 1 {
		return c.fault(openai.Refuse(openai.CodeVoucher, "", "send one header %s", openai.VoucherHeader))
	}
	if err := c.api.options.Serving.Vouch(c.ctx(), header[0]); err != nil {
		return c.fault(serving.Fault(err))
	}
	return c.nothing()
}

func getReceipt(c *call) error {
	var id merkle.Hash
	if err := id.UnmarshalText([]byte(c.param("id"))); err != nil {
		return invalid("id", "a receipt's id has 64 lower-case hexadecimal digits")
	}
	encoded, err := c.api.options.Serving.Receipt(c.ctx(), id)
	if errors.Is(err, serving.ErrNoReceipt) {
		return newProblem(string(ledger.CodeNotFound), "this gateway has no such receipt")
	}
	if err != nil {
		return err
	}
	header := c.w.Header()
	header.Set("ETag", `"`+id.String()+`"`)
	header.Set("Cache-Control", "private, max-age=31536000, immutable")
	header.Set("Vary", "Accept")
	if c.r.Header.Get("Accept") == bytesType {
		header.Set("Content-Type", bytesType)
		header.Set("Content-Length", strconv.Itoa(len(encoded)))
		c.w.WriteHeader(http.StatusOK)
		_, _ = c.w.Write(encoded) // a client that is gone does not read it
		return nil
	}
	r, err := receipt.Decode(encoded)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, r)
}

// describeFaults adds faults of OpenAI's shape to the answers of an operation.
func (a *API) describeFaults(described *huma.Operation) {
	for _, status := range modelFaults {
		key := strconv.Itoa(status)
		r := described.Responses[key]
		if r == nil {
			r = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{}}
			described.Responses[key] = r
		}
		r.Content[jsonType] = &huma.MediaType{Schema: a.schema(reflect.TypeFor[ModelFault](), "")}
	}
}
