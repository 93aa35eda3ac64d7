package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

func TestCreditsGoRound(t *testing.T) {
	call := func(token.Source) fabric.Call { return fabric.Call{Function: "token:Transfer"} }
	owner := &party{account: "AMSP:payer1"}
	purse := &purse{}
	purse.put(coin{owner: owner, id: "first", amount: 10})
	purse.put(coin{owner: owner, id: "second", amount: 10})

	first, err := purse.take()
	require.NoError(t, err)
	require.Equal(t, "first", first.id, "the one that has lain longest is taken")
	var paid string
	attempt, err := first.spend(purse, 4, call, func(txID string) { paid = txID })
	require.NoError(t, err)
	attempt.Settle("tx1", true)
	require.Equal(t, "tx1", paid)
	require.Equal(t, coin{owner: owner, id: "tx1", amount: 6}, purse.coins[1], "the change comes back under the transaction's id")

	second, err := purse.take()
	require.NoError(t, err)
	attempt, err = second.spend(purse, 4, call, func(string) { t.Error("nobody was paid") })
	require.NoError(t, err)
	attempt.Settle("tx2", false)
	require.Equal(t, []coin{{owner: owner, id: "tx1", amount: 6}, second}, purse.coins, "what was not spent comes back")

	_, err = second.spend(purse, 11, call, nil)
	require.ErrorContains(t, err, "pay 11 from a credit of 10")
	purse.coins = nil
	_, err = purse.take()
	require.ErrorContains(t, err, "no credit is left")
}
