package rest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

func TestEveryOrganisationIsAskedWhichFunctionsItsChaincodeOffers(t *testing.T) {
	s := newSite(t, func(o *rest.Options) {
		o.Organisations = []string{rulestest.A, rulestest.B, rulestest.C}
		o.EvaluateAt = func(_ context.Context, organisation, function string, _ []byte) ([]byte, error) {
			require.Equal(t, "org.hyperledger.fabric:GetMetadata", function)
			if organisation == rulestest.C {
				return nil, errors.New("connection refused to 10.0.0.1")
			}
			return []byte("functions"), nil
		}
	})
	a := s.get("consumer1", "/v1/organisations")
	found := decode[rest.Items[rest.Organisation]](t, a, http.StatusOK).Items
	require.Len(t, found, 3)
	require.Equal(t, rulestest.A, found[0].MSPID)
	require.Len(t, found[0].Chaincode, 64)
	require.Equal(t, found[0].Chaincode, found[1].Chaincode)
	require.Empty(t, found[2].Chaincode)
	require.NotEmpty(t, found[2].Fault)
	require.NotContains(t, string(a.body), "10.0.0.1", "what went wrong inside is for the log")
	require.Contains(t, s.logs.String(), "10.0.0.1")
}
