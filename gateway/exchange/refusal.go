package exchange

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/content"
)

// Refusal is how a gateway answers that hands nothing over.
type Refusal struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (r *Refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Detail) }

// statuses are those of the ledger's codes.
var statuses = map[ledger.Code]int{
	ledger.CodeInvalid: http.StatusUnprocessableEntity, ledger.CodeForbidden: http.StatusForbidden, ledger.CodeLicence: http.StatusForbidden,
	ledger.CodeNotFound: http.StatusNotFound, ledger.CodeExists: http.StatusConflict, ledger.CodeState: http.StatusConflict,
}

// RefusalOf tells the other side what it can understand, and nothing of what lies inside.
func RefusalOf(err error) *Refusal {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	var fault *ledger.Fault
	if errors.As(err, &fault) && statuses[fault.Code] != 0 {
		detail := fault.Message
		if fault.Field != "" {
			detail = fault.Field + ": " + detail
		}
		return &Refusal{statuses[fault.Code], string(fault.Code), detail}
	}
	switch {
	case errors.Is(err, content.ErrErased):
		return &Refusal{http.StatusGone, "erased", content.ErrErased.Error()}
	case errors.Is(err, content.ErrNotFound), errors.Is(err, content.ErrNoSecret):
		return &Refusal{http.StatusNotFound, string(ledger.CodeNotFound), "this gateway does not have it: ask another member's"}
	}
	return &Refusal{http.StatusInternalServerError, string(ledger.CodeInternal), "the gateway failed; its log says why"}
}

func atField(err error, field string) error {
	var fault *ledger.Fault
	if errors.As(err, &fault) {
		return fault.At(field)
	}
	return err
}

type problem struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	Refusal
}

// Refuse answers with a refusal, as a problem.
func Refuse(w http.ResponseWriter, r *Refusal) {
	document, err := json.Marshal(problem{"about:blank", http.StatusText(r.Status), *r})
	if err != nil { // a detail that is not UTF-8
		document = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(r.Status)
	_, _ = w.Write(document)
}

// maxProblem bounds what is read of a refusal, and mostDetail what is handed on of its sentence.
const (
	maxProblem = 64 << 10
	mostDetail = 400
)

// ReadRefusal reads how another gateway refused.
func ReadRefusal(response *http.Response) error {
	refusal := &Refusal{}
	document, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	if err != nil || json.Unmarshal(document, refusal) != nil {
		refusal = &Refusal{}
	}
	refusal.Status = response.StatusCode
	if len(refusal.Detail) > mostDetail {
		refusal.Detail = strings.ToValidUTF8(refusal.Detail[:mostDetail], "") + "…"
	}
	refusal.Code = ledger.Clip(refusal.Code)
	return refusal
}
