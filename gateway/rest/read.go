package rest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// heightHeader names the height of the state that an answer comes from.
const heightHeader = "Datanet-Height"

var readHeaders = map[string]string{
	heightHeader: "The number of blocks of the state that the answer comes from; missing with at=ledger.",
	"ETag":       "Names this answer; send it in If-None-Match.",
}

// read is the operation of a query: the ledger's own function, run over the index or on the peer.
func (a *API) read(b *binding) *operation {
	op := b.operation(identity.Read)
	at := text()
	at.Enum = []any{"index", "ledger"}
	op.params = append(op.params,
		queryParam("at", at, "Where to read: the gateway's index (index, the standard), or the peer's state (ledger)."),
		queryParam("min_height", whole(0, math.MaxInt64), "Wait until the index has this many blocks; a write's Datanet-Block plus 1 shows what it wrote."),
		headerParam("If-None-Match", false, "The ETag of an answer that the caller has."))
	op.answers = []answer{
		{status: http.StatusOK, doc: "The answer.", of: b.function.Response, headers: readHeaders},
		{status: http.StatusNotModified, doc: "The caller has it.", headers: readHeaders},
	}
	op.problems = []string{string(ledger.CodeNotFound), string(ledger.CodeState), codeBehind, codeTimeout, codeDisagreement}
	op.handle = func(c *call) error {
		document, err := b.request(c)
		if err != nil {
			return err
		}
		response, err := c.evaluate(b, document)
		if err != nil {
			return err
		}
		return c.sendTagged(response, b.immutable)
	}
	return op
}

// evaluate runs the function where the caller wants it.
func (c *call) evaluate(b *binding, document []byte) ([]byte, error) {
	switch c.query.Get("at") {
	case "", "index":
	case "ledger":
		return c.api.options.Peer.Evaluate(c.ctx(), b.function.Name, document)
	default:
		return nil, invalid("at", "must be index or ledger")
	}
	view, err := c.view()
	if err != nil {
		return nil, err
	}
	return c.over(view, b.function.Name, document)
}

// over runs a query function over the index.
func (c *call) over(view *index.View, function string, document []byte) ([]byte, error) {
	over := query.Functions{Registry: c.api.registry, Channel: c.api.options.Channel, Caller: callerOf(c.principal)}
	return over.Over(c.ctx(), view, function, document)
}

// ledger answers the ledger's query functions over the index, as the gateway itself.
func (a *API) ledger() query.Evaluator {
	return &query.Functions{Index: a.options.Index, Registry: a.registry, Channel: a.options.Channel,
		Caller: ledger.Caller{MSP: a.options.Organisation, Enrolment: identity.GatewayEnrolment, Roles: []ledger.Role{ledger.Operator}}}
}

// view opens the index at the height that the caller waits for, and names its height in the answer.
func (c *call) view() (*index.View, error) {
	if err := c.awaitHeight(); err != nil {
		return nil, err
	}
	view, err := c.api.options.Index.View(c.ctx())
	if err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	c.w.Header().Set(heightHeader, strconv.FormatUint(view.Height(), 10))
	return view, nil
}

func (c *call) awaitHeight() error {
	height, err := c.number("min_height", 0, 0, math.MaxInt64)
	if err != nil || height == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), c.api.options.HeightWait)
	defer cancel()
	err = c.api.options.Index.WaitHeight(ctx, uint64(height))
	if errors.Is(err, context.DeadlineExceeded) {
		return newProblem(codeBehind, "the index has not got %d blocks yet", height)
	}
	return err
}

// sendTagged answers with an ETag, or that the caller has it already.
func (c *call) sendTagged(document []byte, immutable bool) error {
	sum := sha256.Sum256(document)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	header := c.w.Header()
	header.Set("ETag", tag)
	header.Set("Cache-Control", "private, no-cache")
	if immutable {
		header.Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	if matches(c.r.Header.Get("If-None-Match"), tag) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return c.send(http.StatusOK, document)
}

// matches tells whether an If-None-Match names the tag.
func matches(header, tag string) bool {
	for _, one := range strings.Split(header, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

func callerOf(p identity.Principal) ledger.Caller {
	return ledger.Caller{MSP: p.Account.MSP(), Enrolment: p.Enrolment(), Roles: p.Roles}
}
