package paying

import (
	"crypto/sha256"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/openai"
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
