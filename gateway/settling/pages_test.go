package settling

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/chaincode/claim"
)

// known are pages by their digests.
type known map[merkle.Hash]payout.Page

func (k known) Page(_ context.Context, _ claim.Claim, digest merkle.Hash) (payout.Page, error) {
	page, ok := k[digest]
	if !ok {
		return page, ErrNoPage
	}
	return page, nil
}

func TestPagesComeFromAttestorsAndOnlyTheRightOnes(t *testing.T) {
	pages, err := payout.Pages([]payout.Payment{{Payee: "AMSP:ann", Amount: 3}, {Payee: "AMSP:bob", Amount: 4}})
	require.NoError(t, err)
	digest, err := pages[0].Digest()
	require.NoError(t, err)
	attestor, caller := known{digest: pages[0]}, "CMSP"
	server := httptest.NewServer(PagesHandler(attestor, func(*http.Request) (string, bool) { return caller, caller != "" }))
	defer server.Close()
	of := claim.Claim{Named: claim.Named{Host: "CMSP:host1", ID: strings.Repeat("ab", 16)}, Attestors: []string{"AMSP", "BMSP"}}
	a := Attestors{Own: known{}, Client: server.Client(), Addresses: map[string]string{"BMSP": server.URL}}
	page, err := a.Page(t.Context(), of, digest)
	require.NoError(t, err)
	require.Equal(t, pages[0], page)
	_, err = a.Page(t.Context(), of, merkle.Hash{1})
	require.ErrorIs(t, err, ErrNoPage)
	other := pages[0]
	other.Payments = []payout.Payment{{Payee: "AMSP:mallory", Amount: 7}}
	attestor[digest] = other
	_, err = a.Page(t.Context(), of, digest)
	require.ErrorContains(t, err, "another page")
	a.Own = known{digest: pages[0]}
	page, err = a.Page(t.Context(), of, digest)
	require.NoError(t, err, "what the own gateway knows is asked of nobody")
	require.Equal(t, pages[0], page)
	a.Own, caller = known{}, ""
	_, err = a.Page(t.Context(), of, digest)
	require.ErrorContains(t, err, "403")
}
