package paying

import (
	"crypto/ed25519"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// TestARequestMayBeAnsweredWhileItsAnswerIsFetched has requests end while a fetch looks for what they asked.
func TestARequestMayBeAnsweredWhileItsAnswerIsFetched(t *testing.T) {
	c, p := &Consumer{}, &prepaid{flights: map[uint64]*flight{}}
	body := []byte("{}")
	asked := use.Request{Number: 1, Body: sha256.Sum256(body)}
	for range 2000 {
		f := &flight{p: p, number: asked.Number, request: &openai.Request{Kind: openai.Chat}, body: body}
		p.flights[f.number] = f
		var both sync.WaitGroup
		both.Go(func() { c.land(f) })
		found, path, sent := p.asked(asked)
		both.Wait()
		if found != nil {
			require.Equal(t, openai.ChatPath, path)
			require.Equal(t, body, sent)
		}
	}
	f := &flight{p: p, number: asked.Number, request: &openai.Request{Kind: openai.Chat}, body: []byte("[]")}
	p.flights[f.number] = f
	found, _, _ := p.asked(asked)
	require.Nil(t, found, "it is another request of that number")
}

// empty is a host that has answered nothing.
type empty struct{}

func (empty) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: io.NopCloser(strings.NewReader("[]"))}, nil
}

// TestOnlyFormerRequestsAreGivenUp: a request that has its number and is about to be sent is none.
func TestOnlyFormerRequestsAreGivenUp(t *testing.T) {
	w, err := wallet.Open(&journaltest.Memory{})
	require.NoError(t, err)
	spending := ed25519.NewKeyFromSeed(make([]byte, 32))
	key, err := use.NewKey(spending.Public())
	require.NoError(t, err)
	sid, err := w.Track("datanet", use.Terms{Account: "BMSP:reader", Host: "CMSP:host", Key: key, Window: 4, Expires: 1_900_000_000, Grace: 24, Escrow: 100_000}, wallet.Prices{In: 1, Out: 1})
	require.NoError(t, err)
	require.NoError(t, w.SetBudget("alice", wallet.Budget{Total: 10, Request: 1}))
	ask := func() {
		_, err := w.Ask(time.Unix(1_899_990_000, 0), sid, "alice", 1, merkle.Hash{}, spending)
		require.NoError(t, err)
	}
	ask()
	at, err := w.Session(sid)
	require.NoError(t, err)
	c := &Consumer{options: Options{Wallet: w, Host: empty{}}}
	p := &prepaid{sid: sid, line: &line{}, former: at.Waiting, flights: map[uint64]*flight{}}
	ask()
	require.NoError(t, c.catchUp(t.Context(), p))
	left, err := w.Session(sid)
	require.NoError(t, err)
	require.Len(t, left.Waiting, 1)
	require.NotEqual(t, at.Waiting[0].Number, left.Waiting[0].Number)
}
