package rest_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

func TestFaultsOfTheInterfaceForModelsHaveOpenAIsShape(t *testing.T) {
	paying := func(o *rest.Options) {
		o.Paying = func(w http.ResponseWriter, _ *http.Request, p identity.Principal) *openai.Error {
			f := openai.Refuse(openai.CodeQuota, "", "%s has no session", p.Account)
			f.Write(w)
			return f
		}
	}
	s := newSite(t, withServing(t), paying)
	const body = `{"model":"M/a@1","messages":[{"role":"user","content":"x"}]}`
	send := func(who, method, path, body string, headers ...string) (int, *openai.Error) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
		require.NoError(t, err)
		if who != "" {
			request.Header.Set("Authorization", "Bearer "+who)
		}
		for i := 0; i < len(headers); i += 2 {
			request.Header.Add(headers[i], headers[i+1])
		}
		response, err := s.client.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		var all bytes.Buffer
		_, err = all.ReadFrom(response.Body)
		require.NoError(t, err)
		if response.StatusCode < 400 {
			return response.StatusCode, nil
		}
		require.Contains(t, all.String(), `"error"`)
		return response.StatusCode, openai.ReadError(response.StatusCode, all.Bytes())
	}
	for _, c := range []struct {
		who, method, path, body string
		headers                 []string
		status                  int
		code                    openai.Code
	}{
		{"", http.MethodPost, openai.ChatPath, body, nil, 401, openai.CodeUnauthorized},
		{"consumer1", http.MethodPost, openai.ChatPath, body, nil, 429, openai.CodeQuota},
		{"", http.MethodPost, openai.ChatPath, body, []string{openai.VoucherHeader, "x"}, 400, openai.CodeVoucher},
		{"", http.MethodGet, openai.ModelsPath, "", nil, 401, openai.CodeUnauthorized},
		{"consumer1", http.MethodGet, openai.ModelsPath, "", nil, 200, ""},
		{"consumer1", http.MethodGet, openai.ModelsPath + "/M%2Fa@1", "", nil, 404, openai.CodeNotFound},
		{"", http.MethodPost, "/v1/serving/vouchers", "", nil, 400, openai.CodeVoucher},
		{"", http.MethodPost, "/v1/serving/vouchers", "", []string{openai.VoucherHeader, "x"}, 400, openai.CodeVoucher},
		{"consumer1", http.MethodGet, "/v1/serving/sessions/" + merkle.Hash{}.String() + "/answers", "", nil, 403, openai.CodeForbidden},
	} {
		status, fault := send(c.who, c.method, c.path, c.body, c.headers...)
		require.Equal(t, c.status, status, "%s %s: %v", c.method, c.path, fault)
		if fault != nil {
			require.Equal(t, c.code, fault.Code)
		}
	}
	require.Equal(t, "not_found", s.get("consumer1", "/v1/receipts/"+merkle.Hash{}.String()).problem.Code)
	require.Equal(t, "invalid", s.get("consumer1", "/v1/receipts/x").problem.Code)
	require.Equal(t, http.StatusUnauthorized, s.get("", "/v1/receipts/"+merkle.Hash{}.String()).status)
}
