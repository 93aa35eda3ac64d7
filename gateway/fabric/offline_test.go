package fabric_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/fabric/fabrictest"
)

func certify(t *testing.T, public any, key any) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// lowest is the half of P-256's order above which peers refuse S.
var lowest = new(big.Int).Rsh(elliptic.P256().Params().N, 1)

func TestCheckSignature(t *testing.T) {
	message := []byte("a proposal")
	t.Run("ECDSA: either value of S is accepted and the smaller returned", func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		certificate := certify(t, key.Public(), key)
		digest := sha256.Sum256(message)
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		require.NoError(t, err)
		var rs struct{ R, S *big.Int }
		_, err = asn1.Unmarshal(signature, &rs)
		require.NoError(t, err)
		rs.S.Sub(elliptic.P256().Params().N, rs.S)
		mirrored, err := asn1.Marshal(rs)
		require.NoError(t, err)
		a, err := fabric.CheckSignature(certificate, message, signature)
		require.NoError(t, err)
		b, err := fabric.CheckSignature(certificate, message, mirrored)
		require.NoError(t, err)
		require.Equal(t, a, b)
		_, err = asn1.Unmarshal(a, &rs)
		require.NoError(t, err)
		require.LessOrEqual(t, rs.S.Cmp(lowest), 0)
		_, err = fabric.CheckSignature(certificate, []byte("another proposal"), signature)
		require.ErrorIs(t, err, fabric.ErrSignature)
	})
	t.Run("Ed25519: over the message itself, not over its hash", func(t *testing.T) {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		certificate := certify(t, public, key)
		signature, err := fabric.CheckSignature(certificate, message, ed25519.Sign(key, message))
		require.NoError(t, err)
		require.Equal(t, ed25519.Sign(key, message), signature)
		digest := sha256.Sum256(message)
		_, err = fabric.CheckSignature(certificate, message, ed25519.Sign(key, digest[:]))
		require.ErrorIs(t, err, fabric.ErrSignature)
	})
	t.Run("keys that peers do not take are refused", func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		require.NoError(t, err)
		digest := sha256.Sum256(message)
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		require.NoError(t, err)
		_, err = fabric.CheckSignature(certify(t, key.Public(), key), message, signature)
		require.ErrorIs(t, err, fabric.ErrSignature)
		_, err = fabric.CheckSignature([]byte("no certificate"), message, signature)
		require.ErrorContains(t, err, "not PEM")
	})
}

func TestOfflineSigning(t *testing.T) {
	network := fabrictest.Start(t, rulestest.New(t).Network)
	user := rulestest.User(rulestest.A, "user", ledger.Consumer)
	holder := network.Enrol(t, user)
	service := network.Client(t, network.Enrol(t, rulestest.User(rulestest.A, "gateway", ledger.Operator)))
	ctx := t.Context()
	sign := func(u fabric.Unsigned) []byte { return ed25519.Sign(holder.Key, u.Message) }

	proposal, err := service.ProposeFor(rulestest.A, holder.Credentials(), fabric.Call{Function: "account:Open", Request: ledger.Nothing{}})
	require.NoError(t, err)
	says, err := fabric.ReadProposal(proposal.Message)
	require.NoError(t, err)
	require.Equal(t, fabric.Contents{TxID: proposal.TxID, Channel: fabrictest.Channel, Chaincode: fabrictest.Chaincode, MspID: rulestest.A,
		Certificate: holder.Credentials(), Function: "account:Open", Document: []byte("{}")}, says)
	transaction, err := service.EndorseSigned(ctx, proposal.Bytes, sign(proposal))
	require.NoError(t, err)
	require.Equal(t, proposal.TxID, transaction.TxID)
	envelope, err := fabric.Seal(transaction.Bytes, sign(transaction))
	require.NoError(t, err)

	parsed, err := fabric.ParseEnvelope(envelope.Bytes)
	require.NoError(t, err)
	require.Equal(t, envelope, parsed)

	for range 3 { // the copies after the first are duplicates, and change no answer
		require.NoError(t, service.Send(ctx, parsed))
		block, err := service.Await(ctx, envelope.TxID)
		require.NoError(t, err)
		status, err := service.StatusFor(rulestest.A, holder.Credentials(), envelope.TxID)
		require.NoError(t, err)
		signed, err := service.AwaitSigned(ctx, status.Bytes, sign(status))
		require.NoError(t, err)
		require.Equal(t, block, signed)
	}
	require.Equal(t, 3, network.Copies(envelope.TxID))
	require.Len(t, network.Valid(), 1)
	var opened account.Account
	require.NoError(t, ledger.DecodeAnswer(envelope.Response, &opened))
	require.Equal(t, user.Account(), opened.Account)

	t.Run("a transaction without its holder's signature is not ordered", func(t *testing.T) {
		forged, err := fabric.Seal(transaction.Bytes, []byte("not a signature"))
		require.NoError(t, err)
		refused := new(fabric.RefusedError)
		require.ErrorAs(t, service.Send(ctx, forged), &refused)
		_, err = fabric.Seal(transaction.Bytes, nil)
		require.ErrorContains(t, err, "not signed")
	})
	t.Run("who waits for a transaction that never comes waits until the context ends", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		_, err := service.Await(ctx, "none")
		unknown := new(fabric.UnknownError)
		require.ErrorAs(t, err, &unknown)
	})
	t.Run("height and events", func(t *testing.T) {
		height, err := service.Height(ctx)
		require.NoError(t, err)
		block, err := service.Await(ctx, envelope.TxID)
		require.NoError(t, err)
		require.Equal(t, block+3, height)
		ctx, cancel := context.WithCancel(ctx)
		events, err := service.Events(ctx, 0)
		require.NoError(t, err)
		event := <-events
		require.Equal(t, []string{envelope.TxID, "account.opened/1"}, []string{event.TxID, event.Name})
		cancel()
		_, more := <-events
		require.False(t, more)
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0x00, 0x12, 0x00})
	f.Add([]byte{0x0a, 0x04, 0x0a, 0x02, 0x08, 0x03})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range []func([]byte) (fabric.Contents, error){fabric.ReadProposal, fabric.ReadTransaction} {
			if contents, err := read(data); err == nil {
				require.NotEmpty(t, contents.TxID)
				require.NotEmpty(t, contents.Chaincode)
			}
		}
		if envelope, err := fabric.ParseEnvelope(data); err == nil {
			require.NotEmpty(t, envelope.TxID)
			require.Equal(t, data, envelope.Bytes)
		}
	})
}
