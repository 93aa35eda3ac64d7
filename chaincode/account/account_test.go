package account_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

func TestTheHistoryOfRolesGrowsOnlyWhenTheyChange(t *testing.T) {
	c := rulestest.New(t)
	as := func(roles ...ledger.Role) ledger.Caller { return rulestest.User(rulestest.A, "ann", roles...) }
	_, fault := c.Try(t, as(ledger.Curator), "account:Refresh", ledger.Nothing{})
	require.Equal(t, ledger.CodeNotFound, fault.Code, "an account that is not open has no history")
	c.Must(t, as(ledger.Curator), "account:Open", ledger.Nothing{})
	c.Must(t, as(ledger.Curator), "account:Open", ledger.Nothing{})
	c.Must(t, as(ledger.Curator), "account:Refresh", ledger.Nothing{})
	c.Must(t, as(ledger.Curator, ledger.Validator), "account:Refresh", ledger.Nothing{})
	c.Must(t, as(ledger.Validator), "account:Open", ledger.Nothing{})
	var page ledger.Page[account.Seen]
	require.NoError(t, ledger.DecodeAnswer(c.Must(t, as(), "account:Roles", account.History{Account: as().Account()}), &page))
	var history [][]ledger.Role
	for i, seen := range page.Items {
		require.Equal(t, i+1, seen.Number)
		history = append(history, seen.Roles)
	}
	require.Equal(t, [][]ledger.Role{{ledger.Curator}, {ledger.Curator, ledger.Validator}, {ledger.Validator}}, history)
	var now account.Account
	require.NoError(t, ledger.DecodeAnswer(c.Must(t, as(), "account:Get", account.Named{Account: as().Account()}), &now))
	require.Equal(t, []ledger.Role{ledger.Validator}, now.Roles)
}
