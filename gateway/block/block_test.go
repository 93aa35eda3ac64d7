package block_test

import (
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/gateway/block"
	"github.com/datanet-consortium/datanet/gateway/block/blocktest"
)

var sent = memledger.Envelope{
	Proposal: memledger.Proposal{TxID: "tx1", Time: time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC),
		Caller: ledger.Caller{MSP: "AMSP", Enrolment: "ann"}, Function: "token:Transfer", Document: []byte(`{"id":"1"}`)},
	Response: []byte(`{"ok":1}`),
	Event:    &ledger.Event{Name: "token.transferred/1", Payload: []byte(`{}`)},
	Transaction: memledger.Transaction{Writes: []memledger.Write{
		{Key: "\x00b\x00", Value: []byte("2")}, {Key: "\x00a\x00", Delete: true}, {Key: "\x00c\x00"}},
		Policies: []memledger.PolicyWrite{{Key: "\x00b\x00", Policy: &policy}, {Key: "\x00a\x00"}}},
}

var policy = ledger.SlotPolicy("AMSP", []string{"AMSP", "BMSP", "CMSP"})

func chain() *blocktest.Chain {
	c := blocktest.New("datanet")
	c.Append(&memledger.Block{Number: 1, Envelopes: []*memledger.Envelope{&sent, &sent},
		Flags: []memledger.Flag{memledger.Valid, memledger.MVCCReadConflict}})
	return c
}

func TestDecode(t *testing.T) {
	c := chain()
	d := block.NewDecoder("datanet")

	t.Run("a configuration has no effect on the state", func(t *testing.T) {
		b, err := d.Decode(c.Blocks[0])
		require.NoError(t, err)
		require.Len(t, b.Transactions, 1)
		require.True(t, b.Transactions[0].Configuration)
		require.True(t, b.Transactions[0].Valid())
		require.Empty(t, b.Transactions[0].Writes)
	})

	b, err := d.Decode(c.Blocks[1])
	require.NoError(t, err)
	genesis, err := d.Decode(c.Blocks[0])
	require.NoError(t, err)
	parameter, err := contract.EncodePolicy(policy)
	require.NoError(t, err)
	want := block.Transaction{
		ID: "tx1", Code: "VALID", Time: sent.Proposal.Time, Creator: block.Creator{MSP: "AMSP", Enrolment: "ann"},
		Function: "token:Transfer", Document: sent.Proposal.Document, Response: sent.Response, Event: sent.Event,
		Writes: []block.Write{{Key: "\x00a\x00", Delete: true}, {Key: "\x00b\x00", Value: []byte("2")}, {Key: "\x00c\x00", Delete: true}},
		Guards: []block.Guard{{Key: "\x00a\x00"}, {Key: "\x00b\x00", Policy: parameter}},
	}

	t.Run("a transaction is read whole, its writes and policies by key", func(t *testing.T) { require.Equal(t, want, b.Transactions[0]) })
	t.Run("the account is organisation and enrolment", func(t *testing.T) {
		require.Equal(t, ledger.Account("AMSP:ann"), b.Transactions[0].Creator.Account())
	})
	t.Run("an invalid transaction keeps its verdict", func(t *testing.T) {
		require.Equal(t, "MVCC_READ_CONFLICT", b.Transactions[1].Code)
		require.False(t, b.Transactions[1].Valid())
		require.Equal(t, 1, b.Transactions[1].Position)
	})
	t.Run("blocks are chained by the header's hash", func(t *testing.T) { require.Equal(t, genesis.Hash, b.PreviousHash) })
	t.Run("another chaincode's transaction has no function and no writes", func(t *testing.T) {
		other, err := block.NewDecoder("other").Decode(c.Blocks[1])
		require.NoError(t, err)
		require.Empty(t, other.Transactions[0].Function)
		require.Empty(t, other.Transactions[0].Writes)
		require.Nil(t, other.Transactions[0].Event)
	})
	t.Run("of two writes to one key the last one counts", func(t *testing.T) {
		twice := sent
		twice.Transaction.Writes = []memledger.Write{{Key: "k", Value: []byte("1")}, {Key: "k", Value: []byte("2")}}
		c := blocktest.New("datanet")
		b, err := d.Decode(c.Append(&memledger.Block{Number: 1, Envelopes: []*memledger.Envelope{&twice}, Flags: []memledger.Flag{memledger.Valid}}))
		require.NoError(t, err)
		require.Equal(t, []block.Write{{Key: "k", Value: []byte("2")}}, b.Transactions[0].Writes)
	})
	t.Run("a malformed transaction is kept with its verdict", func(t *testing.T) {
		c := blocktest.New("datanet")
		b, err := d.Decode(c.Add([][]byte{[]byte("garbage")}, []byte{byte(peer.TxValidationCode_BAD_PAYLOAD)}))
		require.NoError(t, err)
		require.Equal(t, []block.Transaction{{Code: "BAD_PAYLOAD"}}, b.Transactions)
	})
}

func TestDecodeRefuses(t *testing.T) {
	for name, spoil := range map[string]func(b *common.Block){
		"a block without a header":              func(b *common.Block) { b.Header = nil },
		"a block without verdicts":              func(b *common.Block) { b.Metadata.Metadata[2] = nil },
		"a block without metadata":              func(b *common.Block) { b.Metadata = nil },
		"a block with a verdict too many":       func(b *common.Block) { b.Metadata.Metadata[2] = []byte{0, 0, 0} },
		"a block whose data was changed":        func(b *common.Block) { b.Data.Data[0][10] ^= 1 },
		"a block whose previous hash was cut":   func(b *common.Block) { b.Header.PreviousHash = b.Header.PreviousHash[1:] },
		"a valid transaction that is malformed": func(b *common.Block) { *b = *blocktest.New("x").Add([][]byte{[]byte("garbage")}, []byte{0}) },
	} {
		t.Run(name, func(t *testing.T) {
			b := chain().Blocks[1]
			spoil(b)
			_, err := block.NewDecoder("datanet").Decode(b)
			require.Error(t, err)
		})
	}
}

// FuzzDecode decodes any bytes as a block; as a block's only envelope they get past the hash of the data.
func FuzzDecode(f *testing.F) {
	for _, b := range chain().Blocks {
		data, err := proto.Marshal(b)
		require.NoError(f, err)
		f.Add(data, byte(0))
		for i, envelope := range b.Data.Data {
			f.Add(envelope, byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, code byte) {
		d := block.NewDecoder("datanet")
		b := &common.Block{}
		if proto.Unmarshal(data, b) == nil {
			_, _ = d.Decode(b)
		}
		decoded, err := d.Decode(blocktest.New("datanet").Add([][]byte{data}, []byte{code}))
		if err != nil {
			require.Equal(t, byte(peer.TxValidationCode_VALID), code)
			return
		}
		writes := decoded.Transactions[0].Writes
		for i, w := range writes {
			require.Equal(t, w.Delete, len(w.Value) == 0)
			require.True(t, i == 0 || writes[i-1].Key < w.Key)
		}
		guards := decoded.Transactions[0].Guards
		for i, g := range guards {
			require.True(t, i == 0 || guards[i-1].Key < g.Key)
		}
	})
}
