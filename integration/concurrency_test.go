package integration_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/integration/story"
)

// operations is how many token operations the concurrent clients commit; the soak run asks for more.
var operations = flag.Int("operations", 300, "token operations that concurrent clients commit")

// competeForCredits has clients of all members pay each other at the same time, two for each account so that they
// also compete for its balance and credits. Every client repeats what lost a conflict.
func competeForCredits(t *testing.T, c *consortium) {
	names := []string{"contributor1", "contributor2", "contributor3", "consumer1"}
	var users []story.User
	for _, msp := range members {
		for _, name := range names {
			users = append(users, story.User{Name: name, MSP: msp})
		}
	}
	for _, user := range users {
		must[any](t, c, user, "account:Open", ledger.Nothing{})
	}
	for _, user := range users[:4] {
		grant(t, c, accountOf(user), 1_000_000)
	}
	var done, conflicts atomic.Int64
	group, ctx := errgroup.WithContext(t.Context())
	for i := range 2 * len(users) {
		user := users[i/2]
		client, err := c.client(user)
		require.NoError(t, err)
		group.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			for done.Load() < int64(*operations) {
				lost, err := operate(ctx, client, random, user, users)
				if err != nil {
					return fmt.Errorf("%s: %w", user, err)
				}
				conflicts.Add(int64(lost))
				done.Add(1)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	t.Logf("%d operations committed by %d clients; %d lost a conflict and were repeated", done.Load(), 2*len(users), conflicts.Load())
	require.NoError(t, c.tally(t).Check())
}

// operate commits one operation: a transfer from the balance with credits folded in, one apart from it, or a fold.
// It returns how often the operation lost a conflict.
func operate(ctx context.Context, client *fabric.Client, random *rand.Rand, user story.User, users []story.User) (lost int, err error) {
	for {
		function, request, err := draw(ctx, client, random, user, users)
		if err != nil {
			return lost, err
		}
		_, err = client.Submit(ctx, fabric.Call{Function: function, Request: request})
		var fault *ledger.Fault
		switch {
		case err == nil:
			return lost, nil
		case fabric.Again(err):
			lost++
		case errors.As(err, &fault) && (fault.Code == ledger.CodeNotFound || fault.Code == ledger.CodeInsufficient):
			lost++ // the other client of this account has spent it meanwhile
		default:
			return lost, err
		}
	}
}

func draw(ctx context.Context, client *fabric.Client, random *rand.Rand, user story.User, users []story.User) (string, any, error) {
	me := accountOf(user)
	page, err := fabric.Query[ledger.Page[token.Credit]](ctx, client, "", "token:Credits",
		token.Listing{Account: me, PageRequest: ledger.PageRequest{Limit: 20}})
	if err != nil {
		return "", nil, err
	}
	holding, err := fabric.Query[token.Holding](ctx, client, "", "token:Balance", token.Owned{Account: me})
	if err != nil {
		return "", nil, err
	}
	random.Shuffle(len(page.Items), func(i, j int) { page.Items[i], page.Items[j] = page.Items[j], page.Items[i] })
	var source token.Source
	var have money.Amount
	for _, credit := range page.Items[:min(len(page.Items), random.IntN(4))] {
		source.Credits = append(source.Credits, credit.ID)
		have += credit.Amount
	}
	source.Apart = len(source.Credits) > 0 && random.IntN(2) == 0
	if !source.Apart {
		have += holding.Balance
	}
	payee := users[random.IntN(len(users))]
	switch {
	case have == 0 && len(page.Items) == 0:
		return "account:Open", ledger.Nothing{}, nil // nothing to spend yet; a repeated opening is a transaction too
	case have == 0 || payee == user:
		if len(source.Credits) == 0 {
			return "account:Open", ledger.Nothing{}, nil
		}
		return "token:Fold", token.Fold{ID: freshID(), Credits: source.Credits}, nil
	}
	return "token:Transfer", token.Transfer{ID: freshID(), Source: source,
		Payment: token.Payment{To: accountOf(payee), Amount: 1 + money.Amount(random.Int64N(int64(have)))}}, nil
}

// grant mints credits for an account.
func grant(t *testing.T, c *consortium, to ledger.Account, amount money.Amount) {
	t.Helper()
	content, digest := mintOf(t, c, to, amount)
	must[any](t, c, operator(1, poets), "proposal:Propose", content)
	for _, msp := range []string{poets, library} {
		must[any](t, c, operator(2, msp), "proposal:Approve", approvalOf(content.ID, digest))
	}
	must[any](t, c, operator(1, poets), "proposal:Execute", named(content.ID))
}

func accountOf(user story.User) ledger.Account { return ledger.NewAccount(user.MSP, user.Name) }
