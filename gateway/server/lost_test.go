package server

import (
	"net/http"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

// TestWhatIsLostIsToldToOperators: the store has never had what the ledger knows of, and nobody holds it.
func TestWhatIsLostIsToldToOperators(t *testing.T) {
	poet := rulestest.User(rulestest.A, "poet", ledger.Contributor)
	var names []contribution.Named
	s := newSite(t, func(c *rulestest.Consortium) {
		c.OpenAll(t, poet)
		names = c.Approved(t, poet, c.Pool(t), 2)
		c.Must(t, poet, "erasure:Request", names[1])
	}, nil)
	lost := func(c *http.Client, method, path, body string) (l rest.Lost) {
		t.Helper()
		a := s.send(c, method, path, body)
		require.Equal(t, http.StatusOK, a.status, "%s", a.body)
		require.NoError(t, json.Unmarshal(a.body, &l))
		return l
	}
	operator, curator := s.client("operator1"), s.client("curator1")
	for _, read := range []string{"{}", `{"read":true}`} {
		l := lost(operator, http.MethodPost, "/v1/lost-contents/recover", read)
		require.Equal(t, 1, l.Count)
		require.Zero(t, l.Returned)
		require.False(t, l.Looked.IsZero())
		require.Equal(t, []rest.LostContent{{Datanet: names[0].Datanet, ID: names[0].ID, Contributor: poet.Account(), State: contribution.Approved,
			Why: "nobody else holds it to hand it on"}}, l.Items)
	}
	require.Equal(t, 1, lost(operator, http.MethodGet, "/v1/lost-contents", "").Count)
	require.Contains(t, string(s.send(operator, http.MethodGet, "/metrics", "").body), "datanet_gateway_contents_lost 1")
	require.Equal(t, http.StatusForbidden, s.send(curator, http.MethodGet, "/v1/lost-contents", "").status)
	require.Equal(t, http.StatusForbidden, s.send(curator, http.MethodPost, "/v1/lost-contents/recover", "{}").status)
	content := s.send(curator, http.MethodGet, "/v1/datanets/"+names[0].Datanet+"/contributions/"+names[0].ID+"/content", "")
	require.Equal(t, http.StatusServiceUnavailable, content.status)
	require.Contains(t, content.problem.Detail, "has lost the content")

	// What is erased before it came back is lost no more.
	s.must(poet, "erasure:Request", names[0])
	s.soon(func() bool { return lost(operator, http.MethodPost, "/v1/lost-contents/recover", "{}").Count == 0 })
}
