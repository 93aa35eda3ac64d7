package verify

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/network/pki"
)

const (
	valid     = peer.TxValidationCode_VALID
	unpolicy  = peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE
	conflict  = peer.TxValidationCode_MVCC_READ_CONFLICT
	filter    = common.BlockMetadataIndex_TRANSACTIONS_FILTER
	signed    = common.BlockMetadataIndex_SIGNATURES
	committed = common.BlockMetadataIndex_COMMIT_HASH
)

func TestAnUntouchedBundleGivesNoFinding(t *testing.T) {
	for ordering := range orderings {
		t.Run(ordering, func(t *testing.T) { untouched(t, newForger(t, recordedNetwork(t, ordering))) })
	}
}

func untouched(t *testing.T, f *forger) {
	report := f.verify()
	require.Empty(t, report.Findings)
	changed := 0
	for _, b := range f.blocks[1:] {
		if isConfiguration(b) {
			changed++
		}
	}
	require.Equal(t, 4, changed, "a member came and left, blocks got another size, an orderer was taken out")
	require.Equal(t, uint64(len(f.blocks)), report.Height)
	require.Positive(t, report.Verdicts[unpolicy.String()])
	require.Positive(t, report.Verdicts[conflict.String()])
	require.Greater(t, report.Rerun, 5)
}

// A forgery is a change to the blocks, and the block at which the rule must find it.
type forgery struct {
	claim  string
	rule   Rule
	change func(f *forger) (block int)
}

// ofSeveral are forgeries only where several orderers have to sign; on Raft one is enough.
var ofSeveral = map[string]bool{"one orderer's signature repeated": true, "a history signed by two of four orderers": true}

func flip(data []byte) { data[len(data)/2] ^= 1 }

var forgeries = []forgery{
	// What hashes and signatures cover, without any key.
	{"a byte of a transaction", RuleData, func(f *forger) int {
		b, tx := f.with(valid)
		flip(f.blocks[b].Data.Data[tx])
		return b
	}},
	{"a byte of a transaction, hashes renewed", RuleOrderers, func(f *forger) int {
		b, tx := f.with(valid)
		flip(f.blocks[b].Data.Data[tx])
		f.rehash(b)
		return b
	}},
	{"a byte of a transaction, hashes and orderers' signatures renewed", RuleEnvelope, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		e := decode(f, f.blocks[b].Data.Data[tx], &common.Envelope{})
		flip(e.Signature)
		f.blocks[b].Data.Data[tx] = encode(f, e)
		f.collude(b)
		return b
	}},
	{"a byte of the data hash", RuleData, func(f *forger) int { flip(f.blocks[3].Header.DataHash); return 3 }},
	{"a byte of the data hash breaks the signatures", RuleOrderers, func(f *forger) int { flip(f.blocks[3].Header.DataHash); return 3 }},
	{"a byte of the data hash breaks the chain", RuleChain, func(f *forger) int { flip(f.blocks[3].Header.DataHash); return 4 }},
	{"a byte of the previous hash", RuleChain, func(f *forger) int { flip(f.blocks[4].Header.PreviousHash); return 4 }},
	{"a byte of the signed metadata", RuleOrderers, func(f *forger) int {
		m := decode(f, f.blocks[4].Metadata.Metadata[signed], &common.Metadata{})
		flip(m.Value)
		f.blocks[4].Metadata.Metadata[signed] = encode(f, m)
		return 4
	}},
	{"orderers' signatures taken away", RuleOrderers, func(f *forger) int {
		m := decode(f, f.blocks[4].Metadata.Metadata[signed], &common.Metadata{})
		m.Signatures = nil
		f.blocks[4].Metadata.Metadata[signed] = encode(f, m)
		return 4
	}},
	{"one orderer's signature repeated", RuleOrderers, func(f *forger) int {
		m := decode(f, f.blocks[4].Metadata.Metadata[signed], &common.Metadata{})
		m.Signatures = []*common.MetadataSignature{m.Signatures[0], m.Signatures[0], m.Signatures[0]}
		f.blocks[4].Metadata.Metadata[signed] = encode(f, m)
		return 4
	}},
	{"a history signed by two of four orderers", RuleOrderers, func(f *forger) int {
		f.blocks[5].Data.Data = f.blocks[6].Data.Data
		f.signBy(5, 2)
		return 5
	}},
	{"signed metadata of another configuration", RuleLastConfig, func(f *forger) int {
		m := decode(f, f.blocks[4].Metadata.Metadata[signed], &common.Metadata{})
		value := decode(f, m.Value, &common.OrdererBlockMetadata{})
		value.LastConfig = &common.LastConfig{Index: 2}
		m.Value = encode(f, value)
		f.blocks[4].Metadata.Metadata[signed] = encode(f, m)
		f.sign(4)
		return 4
	}},
	{"a header without a number", RuleChain, func(f *forger) int {
		f.blocks = f.blocks[:5]
		f.blocks = append(f.blocks, proto.Clone(f.blocks[4]).(*common.Block))
		f.renumber()
		return 5
	}},
	{"another genesis block", RuleGenesis, func(f *forger) int { flip(f.genesis[:]); return 0 }},
	{"a byte of the genesis configuration", RuleData, func(f *forger) int {
		f.blocks[0].Data.Data[0][len(f.blocks[0].Data.Data[0])-5] ^= 1
		return 0
	}},
	// Blocks and transactions dropped, repeated, moved.
	{"a dropped block", RuleChain, func(f *forger) int {
		f.blocks = slices.Delete(f.blocks, 5, 6)
		f.renumber()
		return 5
	}},
	{"two blocks swapped", RuleChain, func(f *forger) int {
		f.blocks[5], f.blocks[6] = f.blocks[6], f.blocks[5]
		f.renumber()
		return 5
	}},
	{"a repeated block, signed", RuleVerdict, func(f *forger) int {
		b, _ := f.calling("proposal:Execute")
		f.blocks = append(f.blocks, proto.Clone(f.blocks[b]).(*common.Block))
		f.renumber()
		f.collude(len(f.blocks) - 1)
		return len(f.blocks) - 1
	}},
	{"the last blocks cut off, though one is known", RuleTip, func(f *forger) int {
		last := f.blocks[len(f.blocks)-1]
		f.tip = &Tip{Number: last.Header.Number, Hash: [32]byte(protoutil.BlockHeaderHash(last.Header))}
		f.blocks = f.blocks[:len(f.blocks)-2]
		return len(f.blocks)
	}},
	{"another last block than the one that is known", RuleTip, func(f *forger) int {
		last := len(f.blocks) - 1
		f.tip = &Tip{Number: uint64(last)}
		return last
	}},
	{"a block without transactions", RuleForm, func(f *forger) int {
		f.blocks[5].Data.Data = nil
		f.blocks[5].Metadata.Metadata[filter] = nil
		f.sign(5)
		return 5
	}},
	{"bytes moved from one transaction to the next", RuleForm, func(f *forger) int {
		data := f.blocks[5].Data.Data[0]
		f.blocks[5].Data.Data = [][]byte{data[:len(data)-3], data[len(data)-3:]}
		return 5
	}},
	// The peers' part: verdicts and commit hashes.
	{"a dropped verdict", RuleForm, func(f *forger) int { f.blocks[5].Metadata.Metadata[filter] = nil; return 5 }},
	{"a valid transaction called invalid", RuleCommitHash, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		f.filter(b)[tx] = byte(conflict)
		return b
	}},
	{"a valid transaction called conflicting, commit hashes renewed", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		f.filter(b)[tx] = byte(conflict)
		f.recommit()
		return b
	}},
	{"a valid transaction called badly signed, commit hashes renewed", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		f.filter(b)[tx] = byte(peer.TxValidationCode_BAD_CREATOR_SIGNATURE)
		f.recommit()
		return b
	}},
	{"a transaction with too few endorsements called valid, commit hashes renewed", RuleVerdict, func(f *forger) int {
		b, tx := f.with(unpolicy)
		f.filter(b)[tx] = byte(valid)
		f.recommit()
		return b
	}},
	{"a conflicting transaction called valid, commit hashes renewed", RuleVerdict, func(f *forger) int {
		b, tx := f.with(conflict)
		f.filter(b)[tx] = byte(valid)
		f.recommit()
		return b
	}},
	{"an organisation's approval of a definition called conflicting, commit hashes renewed", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("ApproveChaincodeDefinitionForMyOrg")
		f.filter(b)[tx] = byte(conflict)
		f.recommit()
		return b
	}},
	{"a definition called a duplicate, commit hashes renewed", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("CommitChaincodeDefinition")
		f.filter(b)[tx] = byte(peer.TxValidationCode_DUPLICATE_TXID)
		f.recommit()
		return b
	}},
	{"a definition ordered a second time, called valid", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("CommitChaincodeDefinition")
		f.append(f.blocks[b].Data.Data[tx], valid)
		return len(f.blocks) - 1
	}},
	{"a byte of a commit hash", RuleCommitHash, func(f *forger) int {
		m := decode(f, f.blocks[5].Metadata.Metadata[committed], &common.Metadata{})
		flip(m.Value)
		f.blocks[5].Metadata.Metadata[committed] = encode(f, m)
		return 5
	}},
	{"something hidden beside a commit hash", RuleForm, func(f *forger) int {
		m := decode(f, f.blocks[5].Metadata.Metadata[committed], &common.Metadata{})
		m.Signatures = []*common.MetadataSignature{{Signature: []byte("hidden")}}
		f.blocks[5].Metadata.Metadata[committed] = encode(f, m)
		return 5
	}},
	{"metadata that nothing covers", RuleForm, func(f *forger) int {
		f.blocks[5].Metadata.Metadata[common.BlockMetadataIndex_ORDERER] = []byte("hidden")
		return 5
	}},
	{"something hidden in the unsigned number of the configuration", RuleForm, func(f *forger) int {
		f.blocks[5].Metadata.Metadata[common.BlockMetadataIndex_LAST_CONFIG] = encode(f, &common.Metadata{Value: []byte("hidden")})
		return 5
	}},
	{"a field that nothing covers", RuleForm, func(f *forger) int {
		f.blocks[5].Header.ProtoReflect().SetUnknown([]byte{0xa2, 0x06, 0x01, 0x78})
		return 5
	}},
	// Transactions made anew with the keys of clients, peers and orderers.
	{"an endorsement taken away from a valid transaction", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		f.blocks[b].Data.Data[tx] = f.put(f.take(b, tx), nil, "operator1", poets, poets)
		f.collude(b)
		return b
	}},
	{"the same organisation's endorsement twice", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		f.blocks[b].Data.Data[tx] = f.put(f.take(b, tx), nil, "operator1", poets, poets, poets)
		f.collude(b)
		return b
	}},
	{"the regulator's endorsement in place of a member's", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		f.blocks[b].Data.Data[tx] = f.put(f.take(b, tx), nil, "operator1", poets, poets, f.recording.topology.Regulator.MSPID)
		f.collude(b)
		return b
	}},
	{"a transaction ordered a second time as valid", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("account:Open")
		f.append(f.blocks[b].Data.Data[tx], valid)
		return len(f.blocks) - 1
	}},
	{"a transaction under another's name", RuleEnvelope, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		p := f.take(b, tx)
		data := f.put(p, []byte("nonce"), "operator1", poets, poets, library)
		e := decode(f, data, &common.Envelope{})
		payload := decode(f, e.Payload, &common.Payload{})
		other, err := f.recording.user(library, "operator1")
		require.NoError(f, err)
		header := decode(f, payload.Header.SignatureHeader, &common.SignatureHeader{})
		header.Creator, err = other.Serialize()
		require.NoError(f, err)
		payload.Header.SignatureHeader = encode(f, header)
		e.Payload = encode(f, payload)
		f.append(encode(f, e), valid)
		return len(f.blocks) - 1
	}},
	{"a transaction id that is not of its nonce", RuleEnvelope, func(f *forger) int {
		return f.appendSigned(func(p *common.Payload) {
			channel := decode(f, p.Header.ChannelHeader, &common.ChannelHeader{})
			channel.TxId = "00" + channel.TxId[2:]
			p.Header.ChannelHeader = encode(f, channel)
		})
	}},
	{"a proposal other than the endorsed one", RuleEnvelope, func(f *forger) int {
		return f.appendSigned(func(p *common.Payload) {
			tx := decode(f, p.Data, &peer.Transaction{})
			action := decode(f, tx.Actions[0].Payload, &peer.ChaincodeActionPayload{})
			flip(action.ChaincodeProposalPayload)
			tx.Actions[0].Payload = encode(f, action)
			p.Data = encode(f, tx)
		})
	}},
	{"a transaction of another channel", RuleEnvelope, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		p := f.take(b, tx)
		p.channel.ChannelId = "elsewhere"
		f.append(f.put(p, []byte("nonce"), "operator1", poets, poets, library), valid)
		return len(f.blocks) - 1
	}},
	{"a certificate that no authority of the channel issued", RuleEnvelope, func(f *forger) int {
		return f.appendSigned(func(p *common.Payload) {
			header := decode(f, p.Header.SignatureHeader, &common.SignatureHeader{})
			header.Creator = []byte("nobody")
			p.Header.SignatureHeader = encode(f, header)
		})
	}},
	{"a call of one chaincode answered by another", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		p := f.take(b, tx)
		p.channel.Extension = encode(f, &peer.ChaincodeHeaderExtension{ChaincodeId: &peer.ChaincodeID{Name: "elsewhere"}})
		f.append(f.put(p, []byte("nonce"), "operator1", poets, poets, library), valid)
		return len(f.blocks) - 1
	}},
	{"credits written through the lifecycle's chaincode", RuleVerdict, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		p := f.take(b, tx)
		p.channel.Extension = encode(f, &peer.ChaincodeHeaderExtension{ChaincodeId: &peer.ChaincodeID{Name: lifecycle}})
		p.result.ChaincodeId.Name = lifecycle
		f.append(f.put(p, []byte("nonce"), "operator1", poets, poets, library), valid)
		return len(f.blocks) - 1
	}},
	{"a definition of the chaincode that one organisation endorsed", RuleLifecycle, func(f *forger) int {
		b, tx := f.calling("CommitChaincodeDefinition")
		data := f.blocks[b].Data.Data[tx]
		e := decode(f, data, &common.Envelope{})
		payload := decode(f, e.Payload, &common.Payload{})
		transaction := decode(f, payload.Data, &peer.Transaction{})
		action := decode(f, transaction.Actions[0].Payload, &peer.ChaincodeActionPayload{})
		action.Action.Endorsements = action.Action.Endorsements[:1]
		transaction.Actions[0].Payload = encode(f, action)
		payload.Data = encode(f, transaction)
		e.Payload = encode(f, payload)
		creator := decode(f, decode(f, payload.Header.SignatureHeader, &common.SignatureHeader{}).Creator, &msp.SerializedIdentity{})
		admin, err := f.recording.admin(creator.Mspid)
		require.NoError(f, err)
		e.Signature, err = admin.Sign(e.Payload)
		require.NoError(f, err)
		f.blocks[b].Data.Data[tx] = encode(f, e)
		f.collude(b)
		return b
	}},
	{"a change of the channel with one consent fewer", RuleConfiguration, func(f *forger) int {
		b := f.configured()
		envelope := decode(f, f.blocks[b].Data.Data[0], &common.Envelope{})
		payload := decode(f, envelope.Payload, &common.Payload{})
		config := decode(f, payload.Data, &common.ConfigEnvelope{})
		inner := decode(f, config.LastUpdate.Payload, &common.Payload{})
		update := decode(f, inner.Data, &common.ConfigUpdateEnvelope{})
		update.Signatures = update.Signatures[:1]
		inner.Data = encode(f, update)
		config.LastUpdate.Payload = encode(f, inner)
		payload.Data = encode(f, config)
		envelope.Payload = encode(f, payload)
		f.blocks[b].Data.Data[0] = encode(f, envelope)
		f.sign(b)
		return b
	}},
	{"a change of the channel left out", RuleLastConfig, func(f *forger) int {
		b := f.configured()
		f.blocks = slices.Delete(f.blocks, b, b+1)
		f.renumber()
		f.sign(b)
		return b
	}},
	{"a configuration that no update makes", RuleConfiguration, func(f *forger) int {
		envelope := decode(f, f.blocks[f.configured()].Data.Data[0], &common.Envelope{})
		payload := decode(f, envelope.Payload, &common.Payload{})
		config := decode(f, payload.Data, &common.ConfigEnvelope{})
		config.Config.Sequence++
		delete(config.Config.ChannelGroup.Groups["Application"].Policies, "Readers")
		f.appendConfig(payload, config)
		return len(f.blocks) - 1
	}},
	{"a configuration whose update nobody signed", RuleConfiguration, func(f *forger) int {
		envelope := decode(f, f.blocks[f.configured()].Data.Data[0], &common.Envelope{})
		payload := decode(f, envelope.Payload, &common.Payload{})
		config := decode(f, payload.Data, &common.ConfigEnvelope{})
		config.Config.Sequence++
		group := proto.Clone(config.Config.ChannelGroup).(*common.ConfigGroup)
		application := group.Groups["Application"]
		application.Version, application.ModPolicy = application.Version+1, "Readers"
		update := &common.ConfigUpdate{ChannelId: f.recording.topology.Channel,
			ReadSet: &common.ConfigGroup{}, WriteSet: &common.ConfigGroup{Groups: map[string]*common.ConfigGroup{"Application": application}}}
		config.Config.ChannelGroup.Groups["Application"] = application
		header := &common.Header{ChannelHeader: encode(f, &common.ChannelHeader{Type: int32(common.HeaderType_CONFIG_UPDATE), ChannelId: update.ChannelId})}
		config.LastUpdate = &common.Envelope{Payload: encode(f, &common.Payload{Header: header,
			Data: encode(f, &common.ConfigUpdateEnvelope{ConfigUpdate: encode(f, update)})})}
		f.appendConfig(payload, config)
		return len(f.blocks) - 1
	}},
	// What a majority of members can do together: all signatures are good, and the rules are not kept.
	{"credits invented by a majority, against the rules", RuleOutcome, invented},
	{"credits invented by a majority, against conservation", RuleConservation, invented},
	{"a mint of another amount than the one decided", RuleOutcome, func(f *forger) int {
		b, tx := f.calling("proposal:Execute")
		p := f.take(b, tx)
		for _, w := range p.own.Writes {
			if kind, _, _ := ledger.Key(w.Key).Split(); kind == "credit" {
				var c token.Credit
				require.NoError(f, ledger.DecodeAnswer(w.Value, &c))
				c.Amount++
				value, err := ledger.Encode(c)
				require.NoError(f, err)
				w.Value = value
			}
		}
		f.blocks[b].Data.Data[tx] = f.put(p, nil, "operator1", poets, poets, library)
		f.collude(b)
		return b
	}},
	{"a proposal executed with one approval", RuleOutcome, func(f *forger) int {
		b, _ := f.calling("proposal:Approve")
		f.blocks = slices.Delete(f.blocks, b, b+1)
		f.renumber()
		f.sign(b)
		execute, _ := f.calling("proposal:Execute")
		return execute
	}},
	{"a vote in another's slot by a majority with its endorsement, under its operator's name", RuleOutcome, func(f *forger) int {
		b, tx := f.calling("proposal:Approve")
		p := f.take(b, tx)
		flip(p.own.Writes[0].Value)
		f.blocks[b].Data.Data[tx] = f.put(p, nil, "operator2", lab, lab, poets, library)
		f.collude(b)
		return b
	}},
	{"a key written beside what the rules give", RuleOutcome, func(f *forger) int {
		b, tx := f.calling("account:Open")
		p := f.take(b, tx)
		p.own.Writes = append(p.own.Writes, &kvrwset.KVWrite{Key: string(ledger.NewKey("zzz", "x")), Value: []byte(`{}`)})
		f.blocks[b].Data.Data[tx] = f.put(p, nil, "consumer1", lab, lab, poets)
		f.collude(b)
		return b
	}},
	{"a slot without its guard", RuleOutcome, func(f *forger) int {
		b, tx := f.calling("proposal:Propose")
		p := f.take(b, tx)
		p.own.MetadataWrites = p.own.MetadataWrites[1:]
		f.blocks[b].Data.Data[tx] = f.put(p, nil, "operator1", poets, poets, library)
		f.collude(b)
		return b
	}},
	{"another answer than the rules give", RuleOutcome, func(f *forger) int {
		b, tx := f.calling("account:Open")
		p := f.take(b, tx)
		p.result.Response.Payload = []byte(`{}`)
		f.blocks[b].Data.Data[tx] = f.put(p, nil, "consumer1", lab, lab, poets)
		f.collude(b)
		return b
	}},
	{"another event than the rules give", RuleOutcome, func(f *forger) int {
		b, tx := f.calling("account:Open")
		p := f.take(b, tx)
		p.result.Events = nil
		f.blocks[b].Data.Data[tx] = f.put(p, nil, "consumer1", lab, lab, poets)
		f.collude(b)
		return b
	}},
	// The bundle itself.
	{"a damaged segment", RuleBundle, func(f *forger) int {
		f.damage = func(dir string) {
			path := filepath.Join(dir, "blocks-00000000000000000000")
			data, err := os.ReadFile(path)
			require.NoError(f, err)
			data[len(data)-1] ^= 1
			require.NoError(f, os.WriteFile(path, data, 0o600))
		}
		return len(f.blocks)
	}},
	{"a missing segment", RuleBundle, func(f *forger) int {
		f.damage = func(dir string) { require.NoError(f, os.Remove(filepath.Join(dir, "blocks-00000000000000000000"))) }
		return 0
	}},
	{"a manifest of another channel", RuleBundle, func(f *forger) int {
		f.change = func(m *bundle.Manifest) { m.Channel = "elsewhere" }
		return 0
	}},
	{"a manifest of another chaincode, so that nothing would be judged", RuleVerdict, func(f *forger) int {
		f.change = func(m *bundle.Manifest) { m.Chaincode = "elsewhere" }
		b, _ := f.calling("member:Found")
		return b
	}},
}

// configured is the block that changed the channel.
func (f *forger) configured() int {
	for i, b := range f.blocks[1:] {
		if isConfiguration(b) {
			return i + 1
		}
	}
	f.Fatal("the channel was not changed")
	return 0
}

// invented adds a credit that nobody minted, endorsed by two of three members.
func invented(f *forger) int {
	b, tx := f.calling("proposal:Execute")
	p := f.take(b, tx)
	owner := ledger.NewAccount(lab, "consumer1")
	id := "00000000000000000000000000000000000000000000000000000000000000ff"
	value, err := ledger.Encode(token.Credit{ID: id, Owner: owner, Amount: 1_000_000, Kind: "mint", From: "nobody"})
	require.NoError(f, err)
	p.own = &kvrwset.KVRWSet{Writes: []*kvrwset.KVWrite{{Key: string(ledger.NewKey("credit", string(owner), id)), Value: value}}}
	f.append(f.put(p, []byte("nonce"), "operator1", poets, poets, library), valid)
	return len(f.blocks) - 1
}

// appendSigned adds a copy of a valid transaction whose payload was changed and which its client signed again.
func (f *forger) appendSigned(change func(*common.Payload)) int {
	b, tx := f.calling("proposal:Execute")
	e := decode(f, f.put(f.take(b, tx), []byte("nonce"), "operator1", poets, poets, library), &common.Envelope{})
	payload := decode(f, e.Payload, &common.Payload{})
	change(payload)
	e.Payload = encode(f, payload)
	client, err := f.recording.user(poets, "operator1")
	require.NoError(f, err)
	e.Signature, err = client.Sign(e.Payload)
	require.NoError(f, err)
	f.append(encode(f, e), valid)
	return len(f.blocks) - 1
}

// appendConfig adds a configuration that an orderer submitted and all orderers signed.
func (f *forger) appendConfig(payload *common.Payload, config *common.ConfigEnvelope) {
	operator := f.recording.topology.Ordering.Operators[0]
	material, err := f.recording.material.Organization(operator.MSPID)
	require.NoError(f, err)
	id, err := pki.LoadIdentity(material.Orderer().MSPDir, operator.MSPID)
	require.NoError(f, err)
	creator, err := id.Serialize()
	require.NoError(f, err)
	payload.Header.SignatureHeader = encode(f, &common.SignatureHeader{Creator: creator, Nonce: []byte{1}})
	payload.Data = encode(f, config)
	envelope := &common.Envelope{Payload: encode(f, payload)}
	envelope.Signature, err = id.Sign(envelope.Payload)
	require.NoError(f, err)
	last := f.blocks[len(f.blocks)-1]
	b := protoutil.NewBlock(last.Header.Number+1, nil)
	b.Data.Data = [][]byte{encode(f, envelope)}
	m := decode(f, last.Metadata.Metadata[signed], &common.Metadata{})
	m.Value = encode(f, &common.OrdererBlockMetadata{LastConfig: &common.LastConfig{Index: b.Header.Number}})
	b.Metadata.Metadata[signed] = encode(f, m)
	b.Metadata.Metadata[filter] = []byte{byte(valid)}
	f.blocks = append(f.blocks, b)
	f.sign(len(f.blocks) - 1)
}

func TestEveryForgeryIsFoundByItsRule(t *testing.T) {
	for ordering := range orderings {
		t.Run(ordering, func(t *testing.T) {
			r := recordedNetwork(t, ordering)
			for _, forgery := range forgeries {
				t.Run(forgery.claim, func(t *testing.T) {
					if ordering == "raft" && ofSeveral[forgery.claim] {
						t.Skip("one orderer's signature is enough on Raft")
					}
					forgery.try(t, newForger(t, r))
				})
			}
		})
	}
}

// ofTransactions are the rules of which every finding names the transaction.
var ofTransactions = map[Rule]bool{RuleEnvelope: true, RuleVerdict: true, RuleLifecycle: true, RuleOutcome: true, RuleConservation: true}

// try makes the forgery and looks for its finding: at the block, and of a rule of transactions at one that was forged there.
func (forgery forgery) try(t *testing.T, f *forger) {
	block := forgery.change(f)
	report := f.verify()
	forged := f.forged(block)
	for _, finding := range report.Findings {
		if finding.Rule != forgery.rule || finding.Block != uint64(block) {
			continue
		}
		if !ofTransactions[finding.Rule] {
			return
		}
		require.NotNil(t, finding.Tx, "%v names no transaction", finding)
		require.Equal(t, f.read(f.blocks[block].Data.Data[*finding.Tx]).id, finding.TxID)
		require.NotEqual(t, Noted, finding.Severity)
		if len(forged) == 0 || slices.Contains(forged, *finding.Tx) {
			return
		}
	}
	t.Fatalf("no finding of %s at block %d, transactions %v, but %v", forgery.rule, block, forged, report.Findings)
}

// forged are the transactions of a block that are not in the recording, or have another verdict there. None when what was
// forged is in another block, as when one before it is left out.
func (f *forger) forged(block int) (changed []int) {
	type judged struct {
		transaction string
		verdict     byte
	}
	recorded := map[judged]bool{}
	for _, b := range f.recording.blocks {
		for i, data := range b.Data.Data {
			recorded[judged{string(data), verdictOf(b, i)}] = true
		}
	}
	if block >= len(f.blocks) {
		return nil
	}
	for i, data := range f.blocks[block].Data.Data {
		if !recorded[judged{string(data), verdictOf(f.blocks[block], i)}] {
			changed = append(changed, i)
		}
	}
	return changed
}

func verdictOf(b *common.Block, tx int) byte {
	if flags := b.Metadata.Metadata[filter]; tx < len(flags) {
		return flags[tx]
	}
	return byte(peer.TxValidationCode_NOT_VALIDATED)
}
