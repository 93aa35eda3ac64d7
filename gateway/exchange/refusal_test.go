package exchange_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/exchange"
)

func TestARefusalIsHandedOnAsASentenceOfBoundedLength(t *testing.T) {
	sentence := "only the owner of PoetrySocietyMSP/persian-poetry holds content without a grant, and no grant is in force"
	for detail, want := range map[string]string{sentence: sentence, strings.Repeat("é", 5000): strings.Repeat("é", 200) + "…", "": ""} {
		answer := httptest.NewRecorder()
		exchange.Refuse(answer, &exchange.Refusal{Status: http.StatusForbidden, Code: "forbidden", Detail: detail})
		var refusal *exchange.Refusal
		require.ErrorAs(t, exchange.ReadRefusal(answer.Result()), &refusal)
		require.Equal(t, exchange.Refusal{Status: http.StatusForbidden, Code: "forbidden", Detail: want}, *refusal)
	}
}
