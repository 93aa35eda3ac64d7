package integration_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
)

// spendingKey signs vouchers.
type spendingKey struct{ ed25519.PrivateKey }

func newSpendingKey(t *testing.T) spendingKey {
	_, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return spendingKey{private}
}

func (k spendingKey) key(t *testing.T) use.Key {
	key, err := use.NewKey(k.Public())
	require.NoError(t, err)
	return key
}

// present is a voucher of a session for so many uses, over a tree of which the ledger sees only the root.
func (k spendingKey) present(t *testing.T, s session.Session, n int64, amount money.Amount) session.Presented {
	v := use.Voucher{Session: s.ID, Card: s.Card, N: uint64(n), Amount: uint64(amount), Root: merkle.Leaf([]byte(s.Name))}
	signature, err := use.Sign(k, v)
	require.NoError(t, err)
	return session.Presented{Named: s.Named, N: n, Amount: amount, Root: v.Root, Signature: hex.EncodeToString(signature)}
}
