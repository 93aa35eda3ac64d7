// Package block reads a peer's block as Go values: who sent each transaction, which function it called, what it wrote,
// which event it emitted, and the peers' verdict.
//
// What it returns was agreed on by the channel: signatures of orderers, and other metadata that differs between peers,
// are left out. It checks that the block is whole (its data has the header's hash), not who made it: it takes the word
// of the organisation's own peer. What an invalid transaction says of itself is a claim.
package block

import (
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Block is a committed block.
type Block struct {
	Number       uint64
	Hash         [32]byte // of the header
	PreviousHash [32]byte // of the block before, zero in block 0
	DataHash     [32]byte // of the transactions
	Transactions []Transaction
}

// Transaction is a transaction of a block, valid or not.
type Transaction struct {
	Position int    // in the block, from 0
	ID       string // "" for a configuration
	// Code is the peers' verdict, as VALID or MVCC_READ_CONFLICT.
	Code string
	// Configuration marks a change of the channel; only ID, Time and Creator are set then.
	Configuration bool
	Time          time.Time // the proposal's timestamp, which the client chose; zero if there is none
	Creator       Creator
	Function      string // of our chaincode, "" when the transaction called another one
	Document      []byte // the function's request
	Response      []byte // the function's answer
	Event         *ledger.Event
	// Writes are those in our chaincode's state, by key, each key once. They took effect if the transaction is valid.
	Writes []Write
	// Guards are the key policies that it sets in our chaincode's state, by key, each key once, likewise.
	Guards []Guard
	// Endorsers and Reads are only filled in by [Decoder.Whole].
	Endorsers []Creator
	Reads     []Read
}

// Read is a key of our chaincode's state that was read, and its version: the transaction that had written it.
type Read struct {
	Key      ledger.Key
	There    bool // there was a value
	Block    uint64
	Position int
}

// Valid tells whether the transaction took effect.
func (t Transaction) Valid() bool { return t.Code == peer.TxValidationCode_VALID.String() }

// Creator is who signed a proposal.
type Creator struct {
	MSP       string
	Enrolment string // "" when the certificate has none
	Roles     string // the attribute ledger.RolesAttribute of the certificate, as it stands there
}

// Account is the creator's account, "" when the certificate names none.
func (c Creator) Account() ledger.Account {
	account := ledger.NewAccount(c.MSP, c.Enrolment)
	if account.Validate("") != nil {
		return ""
	}
	return account
}

// Write is a new value of a key, or its deletion.
type Write struct {
	Key    ledger.Key
	Value  []byte
	Delete bool
}

// Guard is a new endorsement policy of a key, or its removal.
type Guard struct {
	Key ledger.Key
	// Policy is as the state holds it, nil when it is removed; contract.DecodePolicy reads those that the rules set. It
	// has no effect on a key that is absent after the transaction, and is dropped with the key.
	Policy []byte
}

// Decoder decodes the blocks of a channel for one chaincode. It is not safe for concurrent use.
type Decoder struct {
	chaincode string
	whole     bool
	creators  map[string]Creator // by serialized identity: reading a certificate costs more than all the rest
}

// NewDecoder is a decoder that looks for the named chaincode.
func NewDecoder(chaincode string) *Decoder {
	return &Decoder{chaincode: chaincode, creators: map[string]Creator{}}
}

// Whole makes the decoder read who endorsed and what was read, too.
func (d *Decoder) Whole() *Decoder {
	d.whole = true
	return d
}

// Decode reads a block as a peer delivers it; an orderer's has no verdicts and is refused. A transaction that the peers
// found malformed has only what could be read of it; a valid one's writes must be readable, or the block is refused.
func (d *Decoder) Decode(b *common.Block) (Block, error) {
	number := b.GetHeader().GetNumber()
	fail := func(format string, args ...any) (Block, error) {
		return Block{}, fmt.Errorf("decode block %d: %w", number, fmt.Errorf(format, args...))
	}
	if b.GetHeader() == nil {
		return fail("it has no header")
	}
	block := Block{Number: number}
	previous := b.GetHeader().GetPreviousHash()
	if len(previous) != len(block.PreviousHash) && (number != 0 || len(previous) != 0) {
		return fail("the hash of the block before has %d bytes", len(previous))
	}
	copy(block.PreviousHash[:], previous)
	envelopes := b.GetData().GetData()
	if block.DataHash = dataHash(envelopes); string(block.DataHash[:]) != string(b.GetHeader().GetDataHash()) {
		return fail("the data does not have the hash that the header gives")
	}
	var err error
	if block.Hash, err = HeaderHash(number, previous, block.DataHash[:]); err != nil {
		return fail("%w", err)
	}
	codes, err := codesOf(b, len(envelopes))
	if err != nil {
		return fail("%w", err)
	}
	block.Transactions = make([]Transaction, len(envelopes))
	for i, envelope := range envelopes {
		tx, err := d.transaction(envelope)
		tx.Position, tx.Code = i, codes[i]
		if err != nil && tx.Valid() {
			return fail("transaction %d: %w", i, err)
		}
		block.Transactions[i] = tx
	}
	return block, nil
}

func dataHash(envelopes [][]byte) [32]byte {
	h := sha256.New()
	for _, envelope := range envelopes {
		h.Write(envelope)
	}
	return [32]byte(h.Sum(nil))
}

// HeaderHash is SHA-256 over the header's ASN.1 DER, as Fabric chains blocks. Block 0 has no previous hash.
func HeaderHash(number uint64, previous, data []byte) ([32]byte, error) {
	der, err := asn1.Marshal(struct {
		Number                 *big.Int
		PreviousHash, DataHash []byte
	}{new(big.Int).SetUint64(number), previous, data})
	if err != nil {
		return [32]byte{}, fmt.Errorf("hash the header: %w", err)
	}
	return sha256.Sum256(der), nil
}

// codesOf reads the peers' verdicts from the metadata.
func codesOf(b *common.Block, count int) ([]string, error) {
	metadata := b.GetMetadata().GetMetadata()
	if len(metadata) <= int(common.BlockMetadataIndex_TRANSACTIONS_FILTER) {
		return nil, fmt.Errorf("it has no verdicts: was it read from an orderer?")
	}
	filter := metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
	if len(filter) != count {
		return nil, fmt.Errorf("%d verdicts for %d transactions: was it read from an orderer?", len(filter), count)
	}
	codes := make([]string, count)
	for i, code := range filter {
		codes[i] = peer.TxValidationCode(code).String()
	}
	return codes, nil
}
