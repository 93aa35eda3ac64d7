package rest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/audit/question/questiontest"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

// withStory puts the story of an audit in the place of the site's ledger.
func withStory(t *testing.T, s *questiontest.Story) func(*rest.Options) {
	return func(o *rest.Options) {
		db := openDatabase(t, "story")
		x, err := index.Open(t.Context(), db, "datanet")
		require.NoError(t, err)
		require.NoError(t, s.Index(t.Context(), x))
		o.Index, o.Chaincode, o.Outbox = x, "datanet", nil
		o.Block = func(_ context.Context, number uint64) (*common.Block, error) { return s.Chain.Blocks[number], nil }
	}
}

// otherGateways show settlements and contents, or refuse.
type otherGateways struct {
	refusal  error
	silent   bool
	handover access.Handover
}

func (g *otherGateways) asked(o *rest.Options) {
	show := func(out io.Writer) error {
		if g.refusal != nil || g.silent {
			return g.refusal
		}
		_, err := io.WriteString(out, "as it was shown")
		return err
	}
	o.Content, o.Reviews, o.Exchange, o.Release, o.Handover = nil, nil, nil, nil, nil // as the regulator's
	o.Settled = func(_ context.Context, _ claim.Claim, out io.Writer) error { return show(out) }
	o.Opening = func(_ context.Context, _ contribution.Contribution, h access.Handover, out io.Writer, _ ...string) error {
		g.handover = h
		return show(out)
	}
}

func TestAuditsAreForRegulatorsAndOperators(t *testing.T) {
	story := questiontest.Tell(t)
	others := &otherGateways{}
	s := newSite(t, withStory(t, story), others.asked)
	settled := "/v1/audit/hosts/" + string(story.Settled.Host) + "/claims/" + story.Settled.ID
	model := "/v1/audit/models/" + story.Small.Name + "/versions/" + story.Small.Version
	paths := []string{model,
		"/v1/audit/datanets/" + story.Pool + "/contributions/" + story.Erased.ID,
		"/v1/audit/people/" + string(story.Ann.Account()), "/v1/audit/unused", settled, "/v1/audit/fees", "/v1/audit/supply", "/v1/audit/period", "/v1/audit/blocks",
		"/v1/audit/transactions/" + story.Copy, "/v1/audit/transactions/1.0", "/v1/audit/roles", "/v1/audit/datanets/" + story.Pool + "/snapshots/1", "/v1/audit/datanets/" + story.Pool + "/snapshots/1/croissant",
		model + "/training-summary", model + "/mlbom", model + "/prov", settled + "/uses",
	}
	for _, path := range paths {
		for _, role := range ledger.Roles {
			a := s.get(string(role)+"1", path)
			if role == ledger.Regulator || role == ledger.Operator {
				require.Equal(t, http.StatusOK, a.status, "%s for %s: %s", path, role, a.body)
			} else {
				require.Equal(t, http.StatusForbidden, a.status, "%s for %s", path, role)
			}
		}
		require.Equal(t, http.StatusUnauthorized, s.get("", path).status)
	}
	t.Run("what other gateways give is told apart from what they refuse", func(t *testing.T) {
		opening := "/v1/datanets/" + story.Pool + "/contributions/" + story.Market.Contributions[1] + "/opening"
		for _, path := range []string{settled + "/uses", opening} {
			a := s.get("regulator1", path)
			require.Equal(t, http.StatusOK, a.status, "%s", a.body)
			require.Equal(t, "as it was shown", string(a.body))
			require.Equal(t, "application/octet-stream", a.header.Get("Content-Type"))
		}
		require.Equal(t, access.Audit, others.handover.Reason)
		require.Contains(t, string(others.handover.To), ":regulator1")
		require.Equal(t, http.StatusForbidden, s.get("consumer1", opening).status)
		require.Equal(t, http.StatusGone, s.get("regulator1", "/v1/datanets/"+story.Pool+"/contributions/"+story.Erased.ID+"/opening").status)
		for refusal, status := range map[error]int{
			&exchange.Refusal{Status: http.StatusForbidden, Code: "forbidden", Detail: "no"}: http.StatusForbidden,
			errors.New("it cannot be reached"):                                               http.StatusServiceUnavailable,
		} {
			others.refusal = refusal
			for _, path := range []string{settled + "/uses", opening} {
				require.Equal(t, status, s.get("regulator1", path).status, "%s: %v", path, refusal)
			}
		}
		others.refusal = archive.ErrMalformed
		require.Contains(t, string(s.get("regulator1", settled+"/uses").body), "shows what is not on the ledger")
		others.refusal, others.silent = nil, true
		require.Equal(t, http.StatusServiceUnavailable, s.get("regulator1", opening).status, "nothing is no answer")
	})
	t.Run("in any form", func(t *testing.T) {
		for accept, media := range map[string]string{"": "application/json", "*/*": "application/json", "text/markdown": "text/markdown; charset=utf-8",
			"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html; charset=utf-8", "text/html;q=0.1, application/json": "application/json"} {
			a := s.get("regulator1", paths[0], "Accept", accept)
			require.Equal(t, http.StatusOK, a.status)
			require.Equal(t, media, a.header.Get("Content-Type"), accept)
			require.Contains(t, string(a.body), story.Small.Name)
		}
	})
	t.Run("of an earlier height", func(t *testing.T) {
		now := decode[question.Supply](t, s.get("regulator1", "/v1/audit/supply"), http.StatusOK)
		then := decode[question.Supply](t, s.get("regulator1", "/v1/audit/supply?height=10"), http.StatusOK)
		require.EqualValues(t, 10, then.Height)
		require.Less(t, then.Tally.Issued, now.Tally.Issued)
		require.Equal(t, http.StatusNotFound, s.get("regulator1", "/v1/audit/supply?height=100000").status)
	})
	t.Run("a period that is named twice, or badly", func(t *testing.T) {
		for _, query := range []string{"first=1&from=2030-01-01T00:00:00Z", "from=yesterday", "first=-1", "first=100000", "cursor=x", "from=2030-02-30", "from=2030-01-02&until=2030-01-01"} {
			require.Contains(t, []int{http.StatusUnprocessableEntity, http.StatusBadRequest, http.StatusNotFound}, s.get("regulator1", "/v1/audit/period?"+query).status, query)
		}
	})
	t.Run("a date is its midnight", func(t *testing.T) {
		day := decode[question.Period](t, s.get("regulator1", "/v1/audit/period?from=1990-01-01"), http.StatusOK)
		midnight := decode[question.Period](t, s.get("regulator1", "/v1/audit/period?from=1990-01-01T00:00:00Z"), http.StatusOK)
		require.Equal(t, midnight.From, day.From)
		require.Equal(t, midnight.LastHash, day.LastHash)
	})
	t.Run("a receipt is sent as its bytes", func(t *testing.T) {
		a := s.send("regulator1", http.MethodPost, "/v1/audit/receipts", string(story.Receipt), "Content-Type", "application/octet-stream")
		r := decode[question.Receipt](t, a, http.StatusOK)
		require.Equal(t, story.Card.Named.String(), r.Model)
		require.Equal(t, http.StatusUnsupportedMediaType, s.send("regulator1", http.MethodPost, "/v1/audit/receipts", "{}").status)
		require.GreaterOrEqual(t, s.send("regulator1", http.MethodPost, "/v1/audit/receipts", "no receipt", "Content-Type", "application/octet-stream").status, 400)
		big := strings.Repeat("x", question.MaxReceipt+1)
		require.Equal(t, http.StatusRequestEntityTooLarge, s.send("regulator1", http.MethodPost, "/v1/audit/receipts", big, "Content-Type", "application/octet-stream").status)
	})
	t.Run("what was proposed comes from the peer's block", func(t *testing.T) {
		shown := decode[question.Transaction](t, s.get("operator1", "/v1/audit/transactions/"+story.Copy), http.StatusOK)
		require.NotNil(t, shown.Proposal)
		require.NotEmpty(t, shown.Proposal.Document)
	})
}
