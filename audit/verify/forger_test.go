package verify

import (
	"encoding/hex"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/network/pki"
)

// forger changes a copy of a recording's blocks, with all the keys of the network at hand.
type forger struct {
	*testing.T
	recording *recording
	blocks    []*common.Block
	genesis   [32]byte // that the auditor knows
	// damage, when set, changes the files of the bundle.
	damage func(dir string)
	change func(m *bundle.Manifest)
	tip    *Tip
	config *configuration
}

func newForger(t *testing.T, r *recording) *forger {
	f := &forger{T: t, recording: r, genesis: [32]byte(protoutil.BlockHeaderHash(r.blocks[0].Header))}
	for _, b := range r.blocks {
		f.blocks = append(f.blocks, proto.Clone(b).(*common.Block))
	}
	return f
}

func decode[M proto.Message](t require.TestingT, data []byte, into M) M {
	require.NoError(t, proto.Unmarshal(data, into))
	return into
}

func encode(t require.TestingT, m proto.Message) []byte {
	data, err := proto.Marshal(m)
	require.NoError(t, err)
	return data
}

// with finds the first transaction of our chaincode with a verdict.
func (f *forger) with(code peer.TxValidationCode) (block, tx int) {
	for i, b := range f.blocks {
		for j, data := range b.Data.Data {
			if b.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER][j] == byte(code) && f.read(data).chaincode == f.chaincode() {
				return i, j
			}
		}
	}
	f.Fatalf("no transaction is %s", code)
	return 0, 0
}

func (f *forger) chaincode() string { return f.recording.topology.Chaincode.Name }

// calling finds the valid call of a function.
func (f *forger) calling(function string) (block, tx int) {
	for i, b := range f.blocks {
		for j, data := range b.Data.Data {
			t := f.read(data)
			if b.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER][j] == 0 && len(t.args) > 0 && string(t.args[0]) == function {
				return i, j
			}
		}
	}
	f.Fatalf("no call of %s", function)
	return 0, 0
}

func (f *forger) read(data []byte) *transaction {
	if f.config == nil {
		var err error
		f.config, err = configure(f.recording.blocks[0])
		require.NoError(f, err)
	}
	return open(data, f.config)
}

func (f *forger) filter(block int) []byte {
	return f.blocks[block].Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
}

// rehash gives blocks from one on the data hashes and links that their changed contents need.
func (f *forger) rehash(from int) {
	for i := from; i < len(f.blocks); i++ {
		b := f.blocks[i]
		b.Header.DataHash = protoutil.ComputeBlockDataHash(b.Data)
		if i > 0 {
			b.Header.PreviousHash = protoutil.BlockHeaderHash(f.blocks[i-1].Header)
		}
	}
}

// sign has all orderers sign the blocks from one on, as a colluding ordering service would.
func (f *forger) sign(from int) { f.signBy(from, len(f.recording.topology.Ordering.Operators)) }

func (f *forger) signBy(from, orderers int) {
	f.rehash(from)
	for i := max(from, 1); i < len(f.blocks); i++ {
		b := f.blocks[i]
		m := decode(f, b.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES], &common.Metadata{})
		m.Signatures = nil
		for _, operator := range f.recording.topology.Ordering.Operators[:orderers] {
			material, err := f.recording.material.Organization(operator.MSPID)
			require.NoError(f, err)
			id, err := pki.LoadIdentity(material.Orderer().MSPDir, operator.MSPID)
			require.NoError(f, err)
			creator, err := id.Serialize()
			require.NoError(f, err)
			header := encode(f, &common.SignatureHeader{Creator: creator, Nonce: []byte{1}})
			data := append(append(append([]byte{}, m.Value...), header...), protoutil.BlockHeaderBytes(b.Header)...)
			signature, err := id.Sign(data)
			require.NoError(f, err)
			m.Signatures = append(m.Signatures, &common.MetadataSignature{SignatureHeader: header, Signature: signature})
		}
		b.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES] = encode(f, m)
	}
}

// recommit gives all blocks the commit hashes that their verdicts and writes need, as a lying peer would.
func (f *forger) recommit() {
	state := replay.New(f.chaincode())
	var before []byte
	for _, b := range f.blocks {
		prepared, err := state.Prepare(b)
		require.NoError(f, err)
		changes, err := state.Apply(prepared)
		require.NoError(f, err)
		if b.Header.Number > 0 {
			before = replay.CommitHash(before, verdictsOf(b), changes)
			b.Metadata.Metadata[common.BlockMetadataIndex_COMMIT_HASH] = encode(f, &common.Metadata{Value: before})
		}
	}
}

// collude is [forger.sign] and [forger.recommit]: what the whole network could do together.
func (f *forger) collude(from int) {
	f.sign(from)
	f.recommit()
}

// envelopeParts are those of an envelope that can be changed and put together again.
type envelopeParts struct {
	payload  *common.Payload
	channel  *common.ChannelHeader
	header   *common.SignatureHeader
	tx       *peer.Transaction
	action   *peer.ChaincodeActionPayload
	response *peer.ProposalResponsePayload
	result   *peer.ChaincodeAction
	sets     *rwset.TxReadWriteSet
	own      *kvrwset.KVRWSet // of our chaincode
	at       int              // its place in sets
}

func (f *forger) take(block, tx int) *envelopeParts {
	e := decode(f, f.blocks[block].Data.Data[tx], &common.Envelope{})
	p := &envelopeParts{payload: decode(f, e.Payload, &common.Payload{})}
	p.channel = decode(f, p.payload.Header.ChannelHeader, &common.ChannelHeader{})
	p.header = decode(f, p.payload.Header.SignatureHeader, &common.SignatureHeader{})
	p.tx = decode(f, p.payload.Data, &peer.Transaction{})
	p.action = decode(f, p.tx.Actions[0].Payload, &peer.ChaincodeActionPayload{})
	p.response = decode(f, p.action.Action.ProposalResponsePayload, &peer.ProposalResponsePayload{})
	p.result = decode(f, p.response.Extension, &peer.ChaincodeAction{})
	p.sets = decode(f, p.result.Results, &rwset.TxReadWriteSet{})
	for i, set := range p.sets.NsRwset {
		if set.Namespace == f.chaincode() {
			p.at, p.own = i, decode(f, set.Rwset, &kvrwset.KVRWSet{})
		}
	}
	require.NotNil(f, p.own)
	return p
}

// put encodes the parts: the client signs anew, and so do the peers of the endorsing organisations, with a new
// transaction id when a nonce is given.
func (f *forger) put(p *envelopeParts, nonce []byte, user, msp string, endorsers ...string) []byte {
	client, err := f.recording.user(msp, user)
	require.NoError(f, err)
	if p.header.Creator, err = client.Serialize(); err != nil {
		f.Fatal(err)
	}
	if nonce != nil {
		p.header.Nonce = nonce
	}
	p.channel.TxId = protoutil.ComputeTxID(p.header.Nonce, p.header.Creator)
	p.payload.Header.ChannelHeader, p.payload.Header.SignatureHeader = encode(f, p.channel), encode(f, p.header)
	p.tx.Actions[0].Header = p.payload.Header.SignatureHeader
	p.response.ProposalHash, err = protoutil.GetProposalHash2(p.payload.Header, p.action.ChaincodeProposalPayload)
	require.NoError(f, err)
	p.sets.NsRwset[p.at].Rwset = encode(f, p.own)
	p.result.Results = encode(f, p.sets)
	p.response.Extension = encode(f, p.result)
	p.action.Action.ProposalResponsePayload = encode(f, p.response)
	p.action.Action.Endorsements = nil
	for _, org := range endorsers {
		material, err := f.recording.material.Organization(org)
		require.NoError(f, err)
		id, err := pki.LoadIdentity(material.Peer().MSPDir, org)
		require.NoError(f, err)
		endorser, err := id.Serialize()
		require.NoError(f, err)
		signature, err := id.Sign(append(append([]byte{}, p.action.Action.ProposalResponsePayload...), endorser...))
		require.NoError(f, err)
		p.action.Action.Endorsements = append(p.action.Action.Endorsements, &peer.Endorsement{Endorser: endorser, Signature: signature})
	}
	p.tx.Actions[0].Payload = encode(f, p.action)
	p.payload.Data = encode(f, p.tx)
	e := &common.Envelope{Payload: encode(f, p.payload)}
	e.Signature, err = client.Sign(e.Payload)
	require.NoError(f, err)
	return encode(f, e)
}

// append adds a block with one transaction and a verdict, ordered by all orderers.
func (f *forger) append(envelope []byte, verdict peer.TxValidationCode) {
	last := f.blocks[len(f.blocks)-1]
	b := protoutil.NewBlock(last.Header.Number+1, protoutil.BlockHeaderHash(last.Header))
	b.Data.Data = [][]byte{envelope}
	b.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES] = last.Metadata.Metadata[common.BlockMetadataIndex_SIGNATURES]
	b.Metadata.Metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = []byte{byte(verdict)}
	f.blocks = append(f.blocks, b)
	f.collude(len(f.blocks) - 1)
}

// verify writes what the forger made to a bundle and verifies it.
func (f *forger) verify() *Report {
	dir := f.TempDir()
	first := f.blocks[0].Header.GetNumber()
	want := bundle.Manifest{Channel: f.recording.topology.Channel, Chaincode: f.chaincode(), Genesis: hex.EncodeToString(f.genesis[:]), First: first, Unproved: []string{}}
	writeBundle(f, dir, want, f.blocks)
	if f.damage != nil {
		f.damage(dir)
	}
	r, err := bundle.Open(dir)
	require.NoError(f, err)
	defer r.Close()
	if f.change != nil {
		f.change(r.Manifest)
	}
	report, err := Run(f.Context(), r, Options{Genesis: f.genesis, Workers: 2, Tip: f.tip})
	require.NoError(f, err)
	return report
}

// writeBundle writes blocks as they are, whatever their numbers say.
func writeBundle(t *forger, dir string, want bundle.Manifest, blocks []*common.Block) {
	w, err := bundle.Create(dir, want)
	require.NoError(t, err)
	for i, b := range blocks {
		numbered := b
		if b.Header.GetNumber() != uint64(i) {
			t.Fatalf("block %d at place %d: the writer refuses it", b.Header.GetNumber(), i)
		}
		require.NoError(t, w.Append(numbered))
	}
	require.NoError(t, w.Close())
}

// renumber gives the blocks the numbers of their places.
func (f *forger) renumber() {
	for i, b := range f.blocks {
		b.Header.Number = uint64(i)
	}
}
