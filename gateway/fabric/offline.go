package fabric

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
)

// Unsigned is something that waits for the signature of a person whose key is elsewhere. It is plain data and may be
// kept. Such a person signs up to three times, each time a whole message (see [CheckSignature]):
//
//	ProposeFor ──► proposal ── signature ──► EndorseSigned ──► transaction ── signature ──► Seal ──► Envelope ──► Send
//	StatusFor ──► status request ── signature ──► AwaitSigned
//
// The last is for those who want the status under their own name; any client may ask for it.
type Unsigned struct {
	TxID    string
	Message []byte // what to sign
	Bytes   []byte // the whole, for the next step
}

// keyless is an identity whose key is elsewhere.
type keyless struct {
	mspID       string
	certificate []byte
}

func (k keyless) MspID() string       { return k.mspID }
func (k keyless) Credentials() []byte { return k.certificate }
func (k keyless) Sign([]byte) ([]byte, error) {
	return nil, errors.New("sign: the key of this certificate is with its holder")
}

// ProposeFor makes a proposal in the name of a certificate's holder, who has to sign it within the peers' time window.
// certificate is PEM; mspID is the organisation that issued it, which peers check.
func (c *Client) ProposeFor(mspID string, certificate []byte, call Call) (Unsigned, error) {
	holder, err := Connect(c.conn, keyless{mspID, certificate}, c.channel, c.name)
	if err != nil {
		return Unsigned{}, err
	}
	defer holder.Close()
	proposal, err := holder.propose(call)
	if err != nil {
		return Unsigned{}, err
	}
	data, err := proposal.Bytes()
	if err != nil {
		return Unsigned{}, fmt.Errorf("%s: %w", call.Function, err)
	}
	return Unsigned{TxID: proposal.TransactionID(), Message: proposal.Digest(), Bytes: data}, nil
}

// EndorseSigned collects endorsements for a proposal, given as [Unsigned.Bytes], that its holder has signed.
func (c *Client) EndorseSigned(ctx context.Context, proposal, signature []byte) (Unsigned, error) {
	signed, err := c.gateway.NewSignedProposal(proposal, signature)
	if err != nil {
		return Unsigned{}, fmt.Errorf("endorse a signed proposal: %w", err)
	}
	asked, err := ReadProposal(signed.Digest())
	if err != nil {
		return Unsigned{}, err
	}
	transaction, err := signed.EndorseWithContext(ctx)
	if err != nil {
		return Unsigned{}, explainEndorsing(asked.Function, nil, err)
	}
	got, err := ReadTransaction(transaction.Digest())
	if err != nil {
		return Unsigned{}, err
	}
	if !got.Same(asked) {
		return Unsigned{}, fmt.Errorf("%s: the peer answered with another transaction than was proposed", asked.Function)
	}
	data, err := transaction.Bytes()
	if err != nil {
		return Unsigned{}, fmt.Errorf("%s: %w", asked.Function, err)
	}
	return Unsigned{TxID: transaction.TransactionID(), Message: transaction.Digest(), Bytes: data}, nil
}

// StatusFor makes a request for a transaction's status in the name of a certificate's holder.
func (c *Client) StatusFor(mspID string, certificate []byte, txID string) (Unsigned, error) {
	data, err := statusRequest(keyless{mspID, certificate}, c.channel, txID)
	if err != nil {
		return Unsigned{}, err
	}
	commit, err := c.gateway.NewCommit(data)
	if err != nil {
		return Unsigned{}, fmt.Errorf("ask for the status of %s: %w", txID, err)
	}
	return Unsigned{TxID: txID, Message: commit.Digest(), Bytes: data}, nil
}

// AwaitSigned is [Client.Await] with a request that the holder has signed.
func (c *Client) AwaitSigned(ctx context.Context, request, signature []byte) (block uint64, err error) {
	commit, err := c.gateway.NewSignedCommit(request, signature)
	if err != nil {
		return 0, fmt.Errorf("ask for the status of a transaction: %w", err)
	}
	return outcome(ctx, commit)
}

// ErrSignature is a signature that does not verify.
var ErrSignature = errors.New("the signature does not verify with the certificate's key: sign the whole message, with Ed25519 as it is, with ECDSA P-256 its SHA-256, in ASN.1 DER")

// CheckSignature verifies a signature over a message with a certificate's key (PEM) and returns it in the form that peers
// accept: of an ECDSA signature's two values for S they take only the smaller.
func CheckSignature(certificate, message, signature []byte) ([]byte, error) {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return nil, errors.New("check a signature: the certificate is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("check a signature: %w", err)
	}
	switch key := cert.PublicKey.(type) {
	case ed25519.PublicKey:
		if !ed25519.Verify(key, message, signature) {
			return nil, ErrSignature
		}
		return signature, nil
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(message)
		if key.Curve != elliptic.P256() || !ecdsa.VerifyASN1(key, digest[:], signature) {
			return nil, ErrSignature
		}
		return lowS(key, signature)
	default:
		return nil, fmt.Errorf("check a signature: the certificate's key is a %T; use Ed25519 or ECDSA P-256", key)
	}
}

func lowS(key *ecdsa.PublicKey, signature []byte) ([]byte, error) {
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &rs); err != nil || len(rest) > 0 {
		return nil, ErrSignature
	}
	order := key.Curve.Params().N
	if rs.S.Cmp(new(big.Int).Rsh(order, 1)) <= 0 {
		return signature, nil
	}
	rs.S.Sub(order, rs.S)
	return asn1.Marshal(rs)
}
