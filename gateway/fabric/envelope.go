package fabric

import (
	"context"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"google.golang.org/protobuf/proto"
)

// Envelope is an endorsed and signed transaction, as the ordering service takes it. It is plain data: whoever keeps it
// can send it again, after a restart or through another client, as often as it takes. All copies have one transaction
// id, and peers hold every copy but the first for a duplicate, so it takes effect at most once.
//
// An envelope does not grow too old. Peers refuse a proposal whose timestamp is outside their window, but that is when
// it is endorsed; nobody looks at the time of an envelope again, so one that lay for days may still be committed. What
// ends it is an outcome of its own: valid, or invalid since something that it read has changed. Until its outcome is
// known another envelope for the same request cannot be said to be the only one.
type Envelope struct {
	TxID     string
	Response []byte // the function's answer, which holds when the transaction commits
	Bytes    []byte // the signed common.Envelope
}

// ParseEnvelope reads the bytes of a signed envelope. It does not verify signatures: peers do.
func ParseEnvelope(data []byte) (Envelope, error) {
	envelope := &common.Envelope{}
	if err := proto.Unmarshal(data, envelope); err != nil {
		return Envelope{}, fmt.Errorf("read a signed transaction: %w", err)
	}
	if len(envelope.GetSignature()) == 0 {
		return Envelope{}, errors.New("read a signed transaction: it is not signed")
	}
	contents, err := ReadTransaction(envelope.GetPayload())
	if err != nil {
		return Envelope{}, err
	}
	return Envelope{TxID: contents.TxID, Response: contents.Response, Bytes: data}, nil
}

// Envelope collects endorsements and signs the transaction. Nothing is submitted.
func (c *Client) Envelope(ctx context.Context, call Call) (Envelope, error) {
	e, err := c.Endorse(ctx, call)
	if err != nil {
		return Envelope{}, err
	}
	signature, err := c.identity.Sign(e.transaction.Digest())
	if err != nil {
		return Envelope{}, fmt.Errorf("%s: sign transaction %s: %w", call.Function, e.TxID(), err)
	}
	data, err := e.transaction.Bytes()
	if err != nil {
		return Envelope{}, fmt.Errorf("%s: %w", call.Function, err)
	}
	return Seal(data, signature)
}

// Seal joins an endorsed transaction, given as [Unsigned.Bytes], and its holder's signature.
func Seal(prepared, signature []byte) (Envelope, error) {
	transaction := &gateway.PreparedTransaction{}
	if err := proto.Unmarshal(prepared, transaction); err != nil {
		return Envelope{}, fmt.Errorf("read an endorsed transaction: %w", err)
	}
	data, err := proto.Marshal(&common.Envelope{Payload: transaction.GetEnvelope().GetPayload(), Signature: signature})
	if err != nil {
		return Envelope{}, fmt.Errorf("sign transaction %s: %w", transaction.GetTransactionId(), err)
	}
	return ParseEnvelope(data)
}

// Send hands an envelope to the ordering service, whoever signed it, and does not wait for its commit (see
// [Client.Await]). The error is a [*RefusedError] when the orderers will not take it from anybody, and an
// [*UnknownError] when they may have taken it all the same: BFT ordering reports false failures, also for an envelope
// that was sent before.
func (c *Client) Send(ctx context.Context, e Envelope) error {
	envelope := &common.Envelope{}
	if err := proto.Unmarshal(e.Bytes, envelope); err != nil {
		return fmt.Errorf("send transaction %s: %w", e.TxID, err)
	}
	prepared, err := proto.Marshal(&gateway.PreparedTransaction{TransactionId: e.TxID, Envelope: envelope})
	if err != nil {
		return fmt.Errorf("send transaction %s: %w", e.TxID, err)
	}
	transaction, err := c.gateway.NewSignedTransaction(prepared, envelope.GetSignature())
	if err != nil {
		return fmt.Errorf("send transaction %s: %w", e.TxID, err)
	}
	return order(ctx, transaction)
}
