package exchange_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/content"
)

// spoil takes all objects of a gateway's store away.
func (g *gateway) spoil(t *testing.T, c contribution.Contribution) {
	t.Helper()
	info, err := g.Find(t.Context(), c.Name(), c.Commitment)
	require.NoError(t, err)
	list := g.bucket.List(nil)
	for object, err := list.Next(t.Context()); err == nil; object, err = list.Next(t.Context()) {
		require.NoError(t, g.bucket.Delete(t.Context(), object.Key))
	}
	checked, err := g.Check(t.Context(), info.ID, false)
	require.NoError(t, err)
	require.Equal(t, content.Lost, checked.State)
}

func (n *network) lost(t *testing.T, g *gateway) []contribution.Named {
	t.Helper()
	lost, err := g.keeper().Lost(t.Context())
	require.NoError(t, err)
	return lost
}

func (n *network) returned(t *testing.T, g *gateway) []string {
	t.Helper()
	missing, err := g.keeper().Return(t.Context(), n.lost(t, g))
	require.NoError(t, err)
	var ids []string
	for _, m := range missing {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestWhatTheOriginHasLostComesBackFromAKeeper(t *testing.T) {
	n := start(t)
	b, c := n.gateways[rulestest.B], n.gateways[rulestest.C]
	kept := n.submit(t, poem)
	alone := n.submit(t, poem+"Another line that nobody has written before this one\n")
	erased := n.submit(t, poem+"A third line that is erased before the end of this test\n")
	n.seal(t, kept, 1)
	n.agree(t, rulestest.C)
	require.Empty(t, n.look(t, c.keeper()))
	require.Empty(t, n.lost(t, b))
	before, err := b.Find(t.Context(), kept.Name(), kept.Commitment)
	require.NoError(t, err)

	b.spoil(t, kept)
	for _, each := range []contribution.Contribution{alone, erased} {
		info, err := b.Find(t.Context(), each.Name(), each.Commitment)
		require.NoError(t, err)
		checked, err := b.Check(t.Context(), info.ID, false)
		require.NoError(t, err)
		require.Equal(t, content.Lost, checked.State)
	}
	n.Must(t, ann, "erasure:Request", erased.Name())
	require.ElementsMatch(t, []contribution.Named{kept.Name(), alone.Name()}, n.lost(t, b))

	away := c.away()
	away.Store(true)
	require.ElementsMatch(t, []string{kept.ID, alone.ID}, n.returned(t, b))
	away.Store(false)
	require.Equal(t, []string{alone.ID}, n.returned(t, b), "nobody else has it")
	info, err := b.Find(t.Context(), kept.Name(), kept.Commitment)
	require.NoError(t, err)
	require.Equal(t, poem, b.text(t, info))
	require.False(t, info.Replica, "it is the contributor's as before")
	require.NotEqual(t, before.ID, info.ID, "under a key of its own")
	last := n.releases(t, kept)
	require.Contains(t, []access.Reason{last[0].Reason, last[len(last)-1].Reason}, access.Return)
	count := len(last)
	require.Equal(t, []string{alone.ID}, n.returned(t, b))
	require.Len(t, n.releases(t, kept), count, "what is there is not released again")

	c.spoil(t, kept)
	require.False(t, c.has(t, kept))
	require.Empty(t, n.look(t, c.keeper()))
	require.True(t, c.has(t, kept), "a keeper gets back what it keeps")

	done, err := b.Destroy(t.Context(), b.service())
	require.NoError(t, err)
	require.Equal(t, []contribution.Named{erased.Name()}, done)
}

func TestAKeeperThatLiesGivesNothingBack(t *testing.T) {
	n := start(t)
	b, c := n.gateways[rulestest.B], n.gateways[rulestest.C]
	kept := n.submit(t, poem)
	n.seal(t, kept, 1)
	n.agree(t, rulestest.C)
	require.Empty(t, n.look(t, c.keeper()))
	b.spoil(t, kept)
	c.serve = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			_, _ = w.Write(bytes.ReplaceAll(answer.Body.Bytes(), []byte("rose"), []byte("weed")))
		})
	}
	missing, err := b.keeper().Return(t.Context(), []contribution.Named{kept.Name(), kept.Name()})
	require.NoError(t, err)
	require.Len(t, missing, 1, "each is told once")
	require.Contains(t, missing[0].Why, content.ErrMismatch.Error())
	require.False(t, b.has(t, kept))
}

func TestNobodyElseIsGivenWhatIsSaidToReturn(t *testing.T) {
	n := start(t)
	a, b, c := n.gateways[rulestest.A], n.gateways[rulestest.B], n.gateways[rulestest.C]
	kept := n.submit(t, poem)
	n.seal(t, kept, 1)
	n.agree(t, rulestest.C)
	require.Empty(t, n.look(t, c.keeper()))
	h := access.Handover{Named: access.Named{Datanet: n.pool, ID: newID()}, Contributions: []string{kept.ID}, To: service(rulestest.A).Account(), Reason: access.Return}
	for _, holder := range []string{rulestest.B, rulestest.C} {
		_, err := a.client.Fetch(t.Context(), a.Store, kept, h, holder)
		require.ErrorContains(t, err, "it returns to nobody else")
	}
	h.To = service(rulestest.B).Account()
	_, err := a.client.Fetch(t.Context(), a.Store, kept, h, rulestest.C)
	require.ErrorContains(t, err, "recipient's organisation only")
	require.False(t, a.has(t, kept))
	require.True(t, b.has(t, kept))
}
