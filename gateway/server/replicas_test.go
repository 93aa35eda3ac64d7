package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// TestWhatCannotBeHadIsAskedForAgainLaterAndLater: the origin's gateway is not known here, so nothing is ever had.
func TestWhatCannotBeHadIsAskedForAgainLaterAndLater(t *testing.T) {
	poet := rulestest.User(rulestest.C, "poet", ledger.Contributor)
	curator := rulestest.User(rulestest.B, "curator1", ledger.Curator)
	pool := rulestest.B + "/verse"
	agreed := replica.Named{Datanet: pool, ID: "00112233445566778899aabbccddeeff"}
	var first contribution.Named
	s := newSite(t, func(c *rulestest.Consortium) {
		c.OpenAll(t, poet)
		c.Pool(t) // begins a fingerprint epoch
		c.Must(t, curator, "datanet:Create", datanet.Create{Name: pool, Content: rulestest.Verse(c.Members()...)})
		first = c.Approved(t, poet, pool, 1)[0]
		c.Must(t, curator, "replica:Offer", replica.Offer{Named: agreed, Keeper: rulestest.A})
	}, nil)
	r := s.server.newReplicas()
	now := time.Now()
	require.NoError(t, r.look(t.Context(), now))
	require.Empty(t, r.missing, "nothing is agreed on")

	at, err := s.server.index.Last(t.Context())
	require.NoError(t, err)
	s.must(rulestest.User(rulestest.A, "operator1", ledger.Operator), "replica:Accept", agreed)
	s.soon(func() bool {
		found, err := s.server.index.Entries(t.Context(), index.Filter{Kind: "replica-consent", State: "agreed"}, ledger.PageRequest{})
		return err == nil && len(found.Items) == 1
	})
	_, err = r.note(t.Context(), at)
	require.NoError(t, err)
	require.True(t, r.all)
	wait := replicaSoon
	for range 3 {
		require.NoError(t, r.look(t.Context(), now))
		require.Equal(t, []contribution.Named{first}, r.missing)
		require.Equal(t, now.Add(wait), r.next)
		require.NoError(t, r.look(t.Context(), now.Add(wait-time.Millisecond)))
		require.Equal(t, now.Add(wait), r.next, "nothing is asked for before its time")
		now, wait = now.Add(wait), 2*wait
	}
}
