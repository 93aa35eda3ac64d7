package rest

import (
	"errors"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/paying"
)

// openAIDoc is in the API document what OpenAI's own document says of its operations.
const openAIDoc = " Models are used under /openai/v1 as OpenAI's API has it: POST chat/completions and completions (streams too), GET models; " +
	"base URL and an API key of this gateway with the scope use are all that an OpenAI client needs. Tokens, in usage and prices, are the network's canonical ones."

// addOpenAI adds the part of OpenAI's interface that this network speaks. It is no part of the API document, since its
// faults have OpenAI's shape.
func (a *API) addOpenAI() {
	if a.options.Paying == nil && a.options.Serving == nil {
		return
	}
	a.router.Route("/openai", func(r chi.Router) {
		r.NotFound(a.asOpenAI(func(w http.ResponseWriter, r *http.Request) error {
			return openai.Refuse(openai.CodeNotFound, "", "there is no such path; see docs/usage.md")
		}))
		r.MethodNotAllowed(a.asOpenAI(func(w http.ResponseWriter, r *http.Request) error {
			fault := openai.Refuse(openai.CodeInvalid, "", "the path does not have this method")
			fault.Status = http.StatusMethodNotAllowed
			return fault
		}))
		for _, path := range []string{openai.ChatPath, openai.TextPath} {
			r.Post(strings.TrimPrefix(path, "/openai"), a.asOpenAI(a.complete))
		}
		models := strings.TrimPrefix(openai.ModelsPath, "/openai")
		r.Get(models, a.asOpenAI(a.models))
		r.Get(models+"/*", a.asOpenAI(a.models))
	})
}

// asOpenAI answers failures that were not sent yet in OpenAI's shape.
func (a *API) asOpenAI(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		note := noteOf(r.Context())
		note.operation = "openai"
		err := handle(w, r)
		if err == nil {
			return
		}
		var fault *openai.Error
		if !errors.As(err, &fault) {
			fault = asFault(problemOf(err))
		}
		note.fail(&Problem{Status: fault.Status, Code: string(fault.Code), cause: err})
		if !note.written() {
			fault.Write(w)
		}
	}
}

// asFault is a problem in OpenAI's shape.
func asFault(p *Problem) *openai.Error {
	code := openai.CodeInternal
	switch p.Code {
	case codeUnauthenticated:
		code = openai.CodeUnauthorized
	case string(ledger.CodeForbidden):
		code = openai.CodeForbidden
	case codeRate:
		code = openai.CodeRate
	case codeUnavailable, codeTimeout:
		code = openai.CodeUpstream
	}
	return openai.Refuse(code, "", "%s", p.Error())
}

// complete is for the host's role when a voucher comes with the request, or another member's gateway asks, and for the
// consumer's role else.
func (a *API) complete(w http.ResponseWriter, r *http.Request) error {
	if len(r.Header[openai.VoucherHeader]) > 0 {
		return a.serving(w, r)
	}
	principal, err := a.options.Authenticate(r)
	if err != nil {
		return err
	}
	if principal.Gateway != "" {
		return a.serving(w, r)
	}
	if err := a.user(r, principal); err != nil {
		return err
	}
	if a.options.Paying == nil {
		return openai.Refuse(openai.CodeNotFound, "", "this gateway pays for no uses")
	}
	return a.options.Paying.Complete(w, r, callerOfUse(principal))
}

func (a *API) serving(w http.ResponseWriter, r *http.Request) error {
	if a.options.Serving == nil {
		return openai.Refuse(openai.CodeNotFound, "model", "this gateway serves no models")
	}
	a.options.Serving.ServeHTTP(w, r)
	return nil
}

// user admits a person of the organisation who may use models.
func (a *API) user(r *http.Request, p identity.Principal) error {
	name := callerName(p)
	noteOf(r.Context()).caller = name
	if err := a.rates.take(name); err != nil {
		return err
	}
	if !p.May(identity.Use) {
		return newProblem(string(ledger.CodeForbidden), "the API key lacks the scope %q", identity.Use)
	}
	return nil
}

func callerOfUse(p identity.Principal) paying.Caller {
	caller := paying.Caller{Account: p.Account, Key: p.KeyID}
	if p.Budget != nil {
		budget := uint64(*p.Budget)
		caller.Budget = &budget
	}
	return caller
}

// models lists the models that can be used, or shows one of them.
func (a *API) models(w http.ResponseWriter, r *http.Request) error {
	principal, err := a.options.Authenticate(r)
	if err != nil {
		return err
	}
	if principal.Gateway == "" {
		if err := a.user(r, principal); err != nil {
			return err
		}
	}
	if a.options.Paying == nil {
		return openai.Refuse(openai.CodeNotFound, "", "this gateway pays for no uses")
	}
	list := a.options.Paying.Models()
	answer, err := openai.EncodeModels(list)
	if name := chi.URLParam(r, "*"); name != "" {
		found := false
		for _, m := range list {
			if m.ID == name {
				answer, err = openai.EncodeModel(m)
				found = true
			}
		}
		if !found {
			return openai.Refuse(openai.CodeNotFound, "model", "no rate card in force offers the model %s", ledger.Clip(name))
		}
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(answer) // a client that is gone does not read it
	return nil
}
