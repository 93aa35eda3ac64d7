package integration_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/integration/story"
	"github.com/datanet-consortium/datanet/network"
)

// crowd is how many people of each of the three members contribute and validate at the same time.
const crowd = 10

// contributeAtOnce has thirty people register contributions to one datanet at the same time, then vote on them at the
// same time, then finalise them at the same time. Nobody repeats anything: the first conflict fails the test.
func contributeAtOnce(t *testing.T, c *consortium) {
	var people []story.User
	for i := range crowd {
		for _, msp := range members {
			user := story.User{Name: fmt.Sprintf("crowd%d", i), MSP: msp}
			c.certify(t, msp, network.User{Name: user.Name, Roles: []network.Role{ledger.Contributor, ledger.Validator}})
			people = append(people, user)
		}
	}
	curator := story.User{Name: "curator1", MSP: poets}
	pool := must[datanet.Datanet](t, c, curator, "datanet:Create", datanet.Create{Name: poets + "/crowd-" + freshID()[:8], Content: verse("Verse")})
	epoch := ask[contribution.Epoch](t, c, curator, "contribution:Epoch", ledger.Nothing{}).Epoch

	atOnce(t, c, people, "account:Open", func(int) any { return ledger.Nothing{} })
	names := make([]contribution.Named, len(people))
	atOnce(t, c, people, "contribution:Submit", func(i int) any {
		names[i] = contribution.Named{Datanet: pool.Name, ID: freshID()}
		return contribution.Submit{Datanet: pool.Name, ID: names[i].ID, Content: poem(epoch)}
	})
	// person 3i+j is of member j: each votes on the contributions of the next two people, who are of the other members
	for step := 1; step <= 2; step++ {
		atOnce(t, c, people, "approval:Vote", func(i int) any {
			return voteOn(names[(i+step)%len(people)], approval.Approve)
		})
	}
	atOnce(t, c, people, "approval:Finalise", func(i int) any { return names[i] })
	for i, name := range names {
		final := ask[contribution.Contribution](t, c, people[i], "contribution:Get", name)
		require.Equal(t, contribution.Approved, final.State)
	}
}

// atOnce sends one request of each person at the same time, each once, and waits until every peer has them all.
func atOnce(t *testing.T, c *consortium, people []story.User, function string, request func(i int) any) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	for i, user := range people {
		client, err := c.client(user)
		require.NoError(t, err)
		call := fabric.Call{Function: function, Request: request(i)}
		if c.shift != 0 {
			call.Time = c.Now()
		}
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			committed, err := client.Submit(ctx, call)
			if err != nil {
				return fmt.Errorf("%s by %s: %w", function, user, err)
			}
			return c.awaitEverywhere(ctx, committed.TxID)
		})
	}
	require.NoError(t, group.Wait())
}
