package outbox_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/fabric/fabrictest"
	"github.com/datanet-consortium/datanet/gateway/outbox"
)

// holding is a bank on which payer's key is with its holder.
func holding(t *testing.T) (*bank, *fabrictest.Identity) {
	b := open(t)
	holder := b.network.Enrol(t, payer)
	delete(b.clients, payer.Account())
	return b, holder
}

// prepare and the others sign as the holder does: after reading what it says.
func (b *bank) prepare(holder *fabrictest.Identity, req outbox.Request) (id string, signature []byte) {
	b.t.Helper()
	p, err := b.outbox.Prepare(b.t.Context(), req, holder.Credentials())
	require.NoError(b.t, err)
	require.Equal(b.t, outbox.Proposed, p.State)
	says, err := fabric.ReadProposal(p.Message)
	require.NoError(b.t, err)
	require.Equal(b.t, []string{p.TxID, req.Function, string(req.Document)}, []string{says.TxID, says.Function, string(says.Document)})
	return p.TxID, ed25519.Sign(holder.Key, p.Message)
}

func (b *bank) endorse(holder *fabrictest.Identity, id string, signature []byte) []byte {
	b.t.Helper()
	p, err := b.outbox.Endorse(b.t.Context(), holder.Caller.Account(), id, signature)
	require.NoError(b.t, err)
	require.Equal(b.t, outbox.Endorsed, p.State)
	says, err := fabric.ReadTransaction(p.Message)
	require.NoError(b.t, err)
	require.Equal(b.t, id, says.TxID)
	return ed25519.Sign(holder.Key, p.Message)
}

func (b *bank) finish(id string, signature []byte) outbox.Entry {
	b.t.Helper()
	entry, err := b.outbox.SubmitSigned(b.t.Context(), payer.Account(), id, signature)
	require.NoError(b.t, err)
	return entry
}

func TestSigningElsewhere(t *testing.T) {
	t.Run("three steps bring a write to the ledger, each of which may be repeated", func(t *testing.T) {
		b, holder := holding(t)
		req := b.pay(payer, "k")
		id, signature := b.prepare(holder, req)
		again, same := b.prepare(holder, req)
		require.Equal(t, id, again)
		require.Equal(t, signature, same)
		second := b.endorse(holder, id, signature)
		require.Equal(t, second, b.endorse(holder, id, signature))
		entry := b.finish(id, second)
		require.Equal(t, outbox.Committed, entry.State)
		repeated := b.finish(id, second)
		require.True(t, repeated.Repeated)
		require.Equal(t, entry.Response, repeated.Response)
		p, err := b.outbox.Prepare(t.Context(), req, holder.Credentials())
		require.NoError(t, err)
		require.Equal(t, outbox.Committed, p.State)
		require.Empty(t, p.Message, "nothing is left to sign")
		require.Equal(t, 1, b.received())
	})
	t.Run("every step survives a restart", func(t *testing.T) {
		b, holder := holding(t)
		restart := func() { b.stop(); b.start() }
		id, signature := b.prepare(holder, b.pay(payer, "k"))
		restart()
		signature = b.endorse(holder, id, signature)
		restart()
		require.Equal(t, outbox.Committed, b.finish(id, signature).State)
	})
	t.Run("a signature of somebody else is refused at both steps", func(t *testing.T) {
		b, holder := holding(t)
		_, stranger, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		id, signature := b.prepare(holder, b.pay(payer, "k"))
		_, err = b.outbox.Endorse(t.Context(), payer.Account(), id, ed25519.Sign(stranger, []byte("x")))
		require.ErrorIs(t, err, fabric.ErrSignature)
		b.endorse(holder, id, signature)
		_, err = b.outbox.SubmitSigned(t.Context(), payer.Account(), id, signature)
		require.ErrorIs(t, err, fabric.ErrSignature, "the proposal's signature is not the transaction's")
		require.Zero(t, b.received())
	})
	t.Run("another account cannot go on with it", func(t *testing.T) {
		b, holder := holding(t)
		id, signature := b.prepare(holder, b.pay(payer, "k"))
		_, err := b.outbox.Endorse(t.Context(), second.Account(), id, signature)
		require.ErrorIs(t, err, outbox.ErrNone)
	})
	t.Run("steps out of turn are refused", func(t *testing.T) {
		b, holder := holding(t)
		id, signature := b.prepare(holder, b.pay(payer, "k"))
		_, err := b.outbox.SubmitSigned(t.Context(), payer.Account(), id, signature)
		require.ErrorIs(t, err, outbox.ErrOutOfTurn)
		done := b.submit(b.pay(second, "signed by the gateway"))
		_, err = b.outbox.Endorse(t.Context(), second.Account(), done.TxID, signature)
		require.ErrorIs(t, err, outbox.ErrOutOfTurn)
	})
	t.Run("a fault is remembered", func(t *testing.T) {
		b, holder := holding(t)
		req := b.payAmount(payer, "k", 5000)
		id, signature := b.prepare(holder, req)
		for range 2 {
			p, err := b.outbox.Endorse(t.Context(), payer.Account(), id, signature)
			require.NoError(t, err)
			require.Equal(t, outbox.Failed, p.State)
			require.Equal(t, ledger.CodeInsufficient, p.Fault.Code)
		}
	})
	t.Run("a write that lost against another is prepared anew with the same key", func(t *testing.T) {
		b, holder := holding(t)
		req := b.pay(payer, "k")
		id, signature := b.prepare(holder, req)
		signature = b.endorse(holder, id, signature)
		other, otherSignature := b.prepare(holder, b.pay(payer, "other"))
		require.Equal(t, outbox.Committed, b.finish(other, b.endorse(holder, other, otherSignature)).State)
		entry := b.finish(id, signature)
		require.Equal(t, outbox.Failed, entry.State)
		require.Equal(t, "MVCC_READ_CONFLICT", entry.Code)
		anew, signature := b.prepare(holder, req)
		require.NotEqual(t, id, anew)
		entry = b.finish(anew, b.endorse(holder, anew, signature))
		require.Equal(t, outbox.Committed, entry.State)
		require.Equal(t, 2, entry.Attempt)
		require.Equal(t, 2, b.received())
		byOldID, err := b.outbox.Get(t.Context(), payer.Account(), id)
		require.NoError(t, err)
		require.Equal(t, anew, byOldID.TxID, "the id of any attempt finds the write")
	})
	for _, step := range outbox.Steps {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("the gateway dies at %s, the answer of the orderers lost: %v", step, lost), func(t *testing.T) {
				b, holder := holding(t)
				b.network.Submitting = func(string) (bool, error) {
					if lost {
						return true, status.Error(codes.Unavailable, "connection lost")
					}
					return true, nil
				}
				before := len(b.network.Valid())
				req := b.pay(payer, "k")
				id, proposal := b.prepare(holder, req)
				b.outbox.FailAt(func(at outbox.Step) {
					if at == step {
						runtime.Goexit()
					}
				})
				if p, err := b.outbox.Endorse(t.Context(), payer.Account(), id, proposal); err == nil {
					_, err = b.outbox.SubmitSigned(t.Context(), payer.Account(), id, ed25519.Sign(holder.Key, p.Message))
					require.Error(t, err)
				}
				b.stop()
				b.start()
				require.NoError(t, b.outbox.Recover(t.Context()))
				p, err := b.outbox.Endorse(t.Context(), payer.Account(), id, proposal)
				require.NoError(t, err)
				entry := b.finish(id, ed25519.Sign(holder.Key, p.Message))
				require.Equal(t, outbox.Committed, entry.State)
				require.Equal(t, id, entry.TxID)
				require.Equal(t, 1, b.received())
				require.Len(t, b.network.Valid(), before+1)
			})
		}
	}
}

func TestName(t *testing.T) {
	b := open(t)
	name := b.outbox.Name(payer.Account(), "k")
	require.NoError(t, ledger.ValidID("id", name))
	require.NotEqual(t, name, b.outbox.Name(payer.Account(), "l"))
	require.NotEqual(t, name, b.outbox.Name(second.Account(), "k"))
	b.stop()
	b.start()
	require.Equal(t, name, b.outbox.Name(payer.Account(), "k"), "after a restart too")
	require.NotEqual(t, name, open(t).outbox.Name(payer.Account(), "k"), "another gateway's names are others")
}
