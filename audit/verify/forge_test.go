package verify

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-config/configtx"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/audit/verify/verifytest"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/network/channel"
)

// appended is a block with one more transaction: a copy of a call that was changed and that organisations endorsed.
func (f *forger) appended(verdict peer.TxValidationCode, change func(p *envelopeParts), endorsers ...string) int {
	b, tx := f.calling("account:Open")
	p := f.take(b, tx)
	p.own = &kvrwset.KVRWSet{}
	p.result.Events = nil
	change(p)
	f.append(f.put(p, []byte("nonce "+fmt.Sprint(len(f.blocks))), "curator1", rulestest.A, endorsers...), verdict)
	return len(f.blocks) - 1
}

// query makes a transaction one that calls a query, of which nobody asks what it writes.
func query(f *forger, p *envelopeParts) {
	input := &peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{Input: &peer.ChaincodeInput{Args: [][]byte{[]byte("account:Get"), []byte(`{}`)}}}}
	p.action.ChaincodeProposalPayload = encode(f, &peer.ChaincodeProposalPayload{Input: encode(f, input)})
}

func inCollection(f *forger, p *envelopeParts, name string, set *kvrwset.HashedRWSet) {
	p.sets.NsRwset[p.at].CollectionHashedRwset = []*rwset.CollectionHashedReadWriteSet{{CollectionName: name, HashedRwset: encode(f, set)}}
}

// mischief is what one organisation can have committed, with its own peers' endorsements, and how gravely an audit takes it.
type mischief struct {
	claim   string
	verdict peer.TxValidationCode
	worst   Severity
	change  func(f *forger, p *envelopeParts)
}

var mischiefs = []mischief{
	{"a chaincode that is not there", peer.TxValidationCode_INVALID_CHAINCODE, "", func(f *forger, p *envelopeParts) {
		id := &peer.ChaincodeID{Name: "nowhere", Version: "1"}
		p.channel.Extension, p.result.ChaincodeId = encode(f, &peer.ChaincodeHeaderExtension{ChaincodeId: id}), id
	}},
	{"a write in the state of a chaincode that is not there", unpolicy, "", func(f *forger, p *envelopeParts) {
		p.sets.NsRwset = append(p.sets.NsRwset, &rwset.NsReadWriteSet{Namespace: "nowhere", Rwset: encode(f, &kvrwset.KVRWSet{Writes: []*kvrwset.KVWrite{{Key: "k", Value: []byte("v")}}})})
	}},
	{"an answer without a version", peer.TxValidationCode_INVALID_CHAINCODE, "", func(f *forger, p *envelopeParts) { p.result.ChaincodeId.Version = "" }},
	{"an answer without a chaincode", peer.TxValidationCode_INVALID_OTHER_REASON, "", func(f *forger, p *envelopeParts) { p.result.ChaincodeId = nil }},
	{"another chaincode's event", peer.TxValidationCode_INVALID_OTHER_REASON, "", func(f *forger, p *envelopeParts) {
		p.result.Events = encode(f, &peer.ChaincodeEvent{ChaincodeId: "nowhere"})
	}},
	{"two sets of one namespace", peer.TxValidationCode_ILLEGAL_WRITESET, "", func(f *forger, p *envelopeParts) {
		p.sets.NsRwset = append(p.sets.NsRwset, p.sets.NsRwset[p.at])
	}},
	{"a header that does not parse", peer.TxValidationCode_BAD_HEADER_EXTENSION, "", func(f *forger, p *envelopeParts) { p.channel.Extension = []byte{0xff} }},
	{"ranges in one namespace before another", unpolicy, "", func(f *forger, p *envelopeParts) {
		ranged := &kvrwset.KVRWSet{RangeQueriesInfo: []*kvrwset.RangeQueryInfo{{StartKey: "a", EndKey: "b", ItrExhausted: true}}}
		p.sets.NsRwset = slices.Insert(p.sets.NsRwset, 0, &rwset.NsReadWriteSet{Namespace: "a", Rwset: encode(f, ranged)})
		p.at++
	}},
	{"a write of its own in a collection that is not there", unpolicy, "", func(f *forger, p *envelopeParts) {
		inCollection(f, p, "secret", &kvrwset.HashedRWSet{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte("k"), ValueHash: []byte("v")}}})
	}},
	// Every organisation has a collection of its own in every chaincode, and endorses alone what is written there.
	{"private data of its own", valid, Broken, func(f *forger, p *envelopeParts) {
		inCollection(f, p, "_implicit_org_"+rulestest.A, &kvrwset.HashedRWSet{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte("k"), ValueHash: []byte("v")}}})
	}},
	{"private data of its own, beside a query", valid, Broken, func(f *forger, p *envelopeParts) {
		query(f, p)
		inCollection(f, p, "_implicit_org_"+rulestest.A, &kvrwset.HashedRWSet{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte("k"), ValueHash: []byte("v")}}})
	}},
	{"private data of another", unpolicy, "", func(f *forger, p *envelopeParts) {
		inCollection(f, p, "_implicit_org_"+rulestest.B, &kvrwset.HashedRWSet{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte("k"), ValueHash: []byte("v")}}})
	}},
}

// One organisation alone must neither end everybody's audits nor make them say less: what follows is verified, and what has no
// effect is no finding. Whoever shows another verdict than the peers gave is found.
func TestOneOrganisationBlindsNoAudit(t *testing.T) {
	for _, m := range mischiefs {
		t.Run(m.claim, func(t *testing.T) {
			make := func(verdict peer.TxValidationCode) *Report {
				_, f := storyOn(t, "bft")
				f.appended(verdict, func(p *envelopeParts) { m.change(f, p) }, rulestest.A)
				f.appended(valid, func(p *envelopeParts) {
					p.own = &kvrwset.KVRWSet{Writes: []*kvrwset.KVWrite{{Key: string(ledger.NewKey("zzz", "x")), Value: []byte(`{}`)}}}
				}, majority...)
				return f.verify()
			}
			report := make(m.verdict)
			last := func(f Finding) bool { return f.Block == report.Height-1 }
			require.True(t, slices.ContainsFunc(report.Findings, func(f Finding) bool { return last(f) && f.Rule == RuleOutcome }), "what follows is verified: %v", report.Findings)
			report.Findings = slices.DeleteFunc(report.Findings, last)
			require.Equal(t, m.worst, report.Worst(), "%v", report.Findings)
			for _, other := range []peer.TxValidationCode{valid, conflict, peer.TxValidationCode_NIL_TXACTION, peer.TxValidationCode_DUPLICATE_TXID} {
				if other != m.verdict {
					lie := make(other)
					require.True(t, slices.ContainsFunc(lie.Findings, func(f Finding) bool { return f.Block == lie.Height-2 && f.Rule == RuleVerdict }), "%s: %v", other, lie.Findings)
				}
			}
		})
	}
}

// Light findings, which any client can have made, must not hide a grave one.
func TestManyLightFindingsHideNoGraveOne(t *testing.T) {
	v := &verifier{report: &Report{}, options: Options{MaxFindings: 2}}
	for range 5 {
		v.find(Finding{Severity: Noted})
		v.find(Finding{Severity: Unclear, Message: "\x1b[2Jno finding\r\n\u202e" + strings.Repeat("x", 10_000)})
	}
	v.find(Finding{Severity: Forged})
	require.Equal(t, Forged, v.report.Worst())
	require.Equal(t, 6, v.report.Suppressed)
	for _, f := range v.report.Findings {
		require.Less(t, len(f.Message), 2100)
		require.NotContains(t, f.String(), "\x1b")
		require.NotContains(t, f.String(), "\r")
	}
}

// crooked are collusions to write in ways in which no rule writes.
var crooked = []collusion{
	{"public state written through a collection without a name", []Rule{RuleOutcome}, func(f *forger, s *told) int {
		key, _ := f.entry("contribution", s.Rejected.Datanet, s.Rejected.ID)
		block := f.appended(valid, func(p *envelopeParts) {
			query(f, p)
			inCollection(f, p, "", &kvrwset.HashedRWSet{HashedWrites: []*kvrwset.KVWriteHash{{KeyHash: []byte(key), ValueHash: []byte(`{"state":"approved"}`)}}})
		}, majority...)
		require.Equal(f, `{"state":"approved"}`, string(f.state().Get(ledger.Key(key)).Value))
		return block
	}},
	{"the right value written twice, which peers take for none", []Rule{RuleOutcome}, func(f *forger, s *told) int {
		b, tx := f.calling("contribution:Submit")
		p := f.take(b, tx)
		p.own.Writes = append(p.own.Writes, p.own.Writes[0])
		f.blocks[b].Data.Data[tx] = f.put(p, nil, "ann", rulestest.B, rulestest.B, rulestest.A)
		f.collude(b)
		return b
	}},
	{"an event of a query, which says that contributions came in another order", []Rule{RuleOutcome}, func(f *forger, s *told) int {
		return f.appended(valid, func(p *envelopeParts) {
			query(f, p)
			p.result.Events = encode(f, &peer.ChaincodeEvent{ChaincodeId: f.chaincode(), EventName: "contribution.submitted/1", Payload: []byte(`{"contributions":[]}`)})
		}, majority...)
	}},
	{"a guard that is no policy over peers", []Rule{RuleOutcome}, func(f *forger, s *told) int {
		key, c := f.entry("contribution", s.Rejected.Datanet, s.Rejected.ID)
		require.NotEmpty(f, c)
		return f.appended(valid, func(p *envelopeParts) {
			p.own.MetadataWrites = []*kvrwset.KVMetadataWrite{{Key: key, Entries: []*kvrwset.KVMetadataEntry{{Name: peer.MetaDataKeys_VALIDATION_PARAMETER.String(), Value: []byte("none")}}}}
		}, majority...)
	}},
}

// Numbers on the ledger of a colluding majority must not end the verification.
func TestNoNumberOnTheLedgerIsTrusted(t *testing.T) {
	s, f := storyOn(t, "raft")
	key := func(kind, number string) string { return string(composite(kind, s.Pool, number)) }
	page := func(n int) map[string]any {
		return map[string]any{"ids": make([]byte, 16*n), "leaves": make([]byte, 32*n)}
	}
	f.written("curator1", rulestest.A, majority, map[string]map[string]any{
		key("snapshot", "0000000099"): {"revision": 1, "count": pageSize + 1, "root": strings.Repeat("0", 64)},
		key("page", "00000000"):       page(pageSize),
		key("page", "00000001"):       page(1),
		key("retired", "00000001"):    {"leaves": []any{map[string]any{"index": int64(math.MaxInt64), "from": 1}}},
	}, nil)
	_, err := newFacts(f.chaincode(), f.state()).leaves(named{s.Pool, 99})
	require.ErrorContains(t, err, "revision")
}

// What nobody signed is not decoded, when it is long: it would take more than a hundred times its size.
func TestALongBlockThatNobodySignedIsNotLookedInto(t *testing.T) {
	for at, block := range map[string]int{"the first": 0, "a later one": 9} {
		t.Run(at, func(t *testing.T) {
			_, f := storyOn(t, "bft")
			f.blocks = f.blocks[:10]
			f.blocks[block].Data.Data = append(f.blocks[block].Data.Data[:0:0], encode(f, &common.Envelope{Payload: make([]byte, mostUnsigned), Signature: []byte{1}}))
			f.rehash(block)
			report := f.verify()
			require.Equal(t, Forged, report.Worst())
			require.True(t, slices.ContainsFunc(report.Findings, func(g Finding) bool { return strings.Contains(g.Message, "too long to be looked into") }), "%v", report.Findings)
			require.Equal(t, uint64(10), report.Height)
		})
	}
}

// A part says no more than the ledger: a small file can stand for any number of empty records or leaves.
func TestPartsOfMoreThanTheLedgerHas(t *testing.T) {
	h := paid(t, "raft")
	for range 100 {
		h.contents[0].Records = append(h.contents[0].Records, nil)
		h.snapshots[0].Leaves = append(h.snapshots[0].Leaves, parts.Leaf{})
	}
	h.snapshots = append(h.snapshots, verifytest.Snapshot{Name: []string{h.Pool, "01"}, Revision: 2, Leaves: h.snapshots[0].Leaves[:3]})
	report := h.verify()
	for _, message := range []string{"more leaves than the ledger's", "do not open the commitment", `"01" is no number`} {
		require.True(t, slices.ContainsFunc(report.Findings, func(g Finding) bool { return g.Severity == Forged && strings.Contains(g.Message, message) }), "%s: %v", message, report.Findings)
	}
	require.Zero(t, report.Held.Recomputed, "its corpus is none")
}

func TestACheckOfPartsThatFailsEndsNothing(t *testing.T) {
	h := paid(t, "raft")
	v := &verifier{report: &Report{}, options: Options{MaxFindings: 10, Temp: t.TempDir()}, state: replay.New(h.topology.Chaincode.Name)} // without facts
	dir := t.TempDir()
	h.write(dir)
	r, err := bundle.Open(dir)
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, v.parts(t.Context(), r))
	require.Equal(t, Forged, v.report.Worst())
}

// reconfigure adds a change of the channel to which administrators of organisations consent.
func (f *forger) reconfigure(change func(channel *common.ConfigGroup), consenting ...string) (block int) {
	at := 0
	for i, b := range f.blocks {
		if isConfiguration(b) {
			at = i
		}
	}
	envelope, name, err := configEnvelope(f.blocks[at])
	require.NoError(f, err)
	edited := configtx.New(envelope.Config)
	change(edited.UpdatedConfig().ChannelGroup)
	encoded, err := edited.ComputeMarshaledUpdate(name)
	require.NoError(f, err)
	update := channel.Update(encoded)
	var consents []*common.ConfigSignature
	for _, msp := range consenting {
		admin, err := f.recording.admin(msp)
		require.NoError(f, err)
		consent, err := update.Sign(admin)
		require.NoError(f, err)
		consents = append(consents, consent)
	}
	sender, err := f.recording.admin(consenting[0])
	require.NoError(f, err)
	signed, err := update.Envelope(sender, consents...)
	require.NoError(f, err)
	c, err := configure(f.blocks[at])
	require.NoError(f, err)
	next, err := c.bundle.ConfigtxValidator().ProposeConfigUpdate(signed)
	require.NoError(f, err)
	last := decode(f, f.blocks[at].Data.Data[0], &common.Envelope{})
	f.appendConfig(decode(f, last.Payload, &common.Payload{}), next)
	f.recommit()
	return len(f.blocks) - 1
}

// member is the group of a member, by its MSP ID.
func (f *forger) member(application *common.ConfigGroup, msp string) (name string, group *common.ConfigGroup) {
	for _, org := range f.recording.topology.Members {
		if org.MSPID == msp {
			return org.Name, application.Groups[org.Name]
		}
	}
	f.Fatalf("no member %s", msp)
	return "", nil
}

// A majority may take a member out of the channel. Put in again with certificates of their own, they could vote in its slots with
// good signatures.
func TestCertificatesAreReplacedWithTheConsentOfWhoseTheyAre(t *testing.T) {
	forged := func(f *forger, application *common.ConfigGroup, group *common.ConfigGroup) {
		_, other := f.member(application, rulestest.C)
		of := decode(f, other.Values["MSP"].Value, &msp.MSPConfig{})
		fabric := decode(f, of.Config, &msp.FabricMSPConfig{})
		fabric.Name = rulestest.B
		of.Config = encode(f, fabric)
		group.Values["MSP"].Value = encode(f, of)
	}
	t.Run("without it", func(t *testing.T) {
		_, f := storyOn(t, "bft")
		var name string
		var group *common.ConfigGroup
		out := f.reconfigure(func(channel *common.ConfigGroup) {
			name, group = f.member(channel.Groups["Application"], rulestest.B)
			group = proto.Clone(group).(*common.ConfigGroup)
			delete(channel.Groups["Application"].Groups, name)
		}, rulestest.A, rulestest.C, f.recording.topology.Regulator.MSPID)
		in := f.reconfigure(func(channel *common.ConfigGroup) {
			forged(f, channel.Groups["Application"], group)
			channel.Groups["Application"].Groups[name] = group
		}, rulestest.A, rulestest.C, f.recording.topology.Regulator.MSPID)
		report := f.verify()
		require.Equal(t, Broken, report.Worst(), "%v", report.Findings)
		for _, g := range report.Findings {
			require.NotEqual(t, uint64(out), g.Block, "to take it out is theirs to decide")
		}
		require.True(t, slices.ContainsFunc(report.Findings, func(g Finding) bool {
			return g.Rule == RuleConfiguration && g.Block == uint64(in) && strings.HasPrefix(g.Message, rulestest.B)
		}), "%v", report.Findings)
	})
	t.Run("with it", func(t *testing.T) {
		_, f := storyOn(t, "raft")
		f.reconfigure(func(channel *common.ConfigGroup) {
			_, group := f.member(channel.Groups["Application"], rulestest.B)
			forged(f, channel.Groups["Application"], group)
		}, rulestest.B)
		require.Empty(t, f.verify().Worst())
	})
	t.Run("the same again", func(t *testing.T) {
		_, f := storyOn(t, "raft")
		var name string
		var group *common.ConfigGroup
		f.reconfigure(func(channel *common.ConfigGroup) {
			name, group = f.member(channel.Groups["Application"], rulestest.B)
			group = proto.Clone(group).(*common.ConfigGroup)
			delete(channel.Groups["Application"].Groups, name)
		}, rulestest.A, rulestest.C, f.recording.topology.Regulator.MSPID)
		f.reconfigure(func(channel *common.ConfigGroup) { channel.Groups["Application"].Groups[name] = group }, rulestest.A, rulestest.C, f.recording.topology.Regulator.MSPID)
		report := f.verify()
		require.Empty(t, report.Worst(), "%v", report.Findings)
	})
}

// What any client can send by the megabyte must not stay in memory.
func TestNothingLongIsRemembered(t *testing.T) {
	long := bytes.Repeat([]byte{7}, longest+1)
	var c cache[int]
	c.get(long, func() int { return 1 })
	c.get([]byte("short"), func() int { return 1 })
	require.Len(t, c.young, 1)

	_, f := storyOn(t, "bft")
	state := func() string {
		var out bytes.Buffer
		require.NoError(t, f.state().Dump(&out, nil))
		return out.String()
	}
	block := f.appended(peer.TxValidationCode_BAD_PROPOSAL_TXID, func(*envelopeParts) {}, rulestest.A)
	envelope := decode(f, f.blocks[block].Data.Data[0], &common.Envelope{})
	payload := decode(f, envelope.Payload, &common.Payload{})
	header := decode(f, payload.Header.ChannelHeader, &common.ChannelHeader{})
	header.TxId = strings.Repeat("0", 70)
	payload.Header.ChannelHeader = encode(f, header)
	envelope.Payload = encode(f, payload)
	client, err := f.recording.user(rulestest.A, "curator1")
	require.NoError(t, err)
	envelope.Signature, err = client.Sign(envelope.Payload)
	require.NoError(t, err)
	f.blocks[block].Data.Data[0] = encode(f, envelope)
	f.collude(block)
	require.NotContains(t, state(), strings.Repeat("0", 70))
	require.Empty(t, f.verify().Worst())
}

func TestAReceiptIsOfOneRevisionOfEachSnapshot(t *testing.T) {
	one, two, three := merkle.Hash{1}, merkle.Hash{2}, merkle.Hash{3}
	c := &corpus{snapshots: []*leaves{{roots: []merkle.Hash{one, two}}, {roots: []merkle.Hash{three}}}}
	require.True(t, c.was([]merkle.Hash{one, three}))
	require.True(t, c.was([]merkle.Hash{two, three}))
	require.False(t, c.was([]merkle.Hash{one}))
	require.False(t, c.was([]merkle.Hash{one, two}))
	require.False(t, c.was([]merkle.Hash{one, two, three}))
	same := &corpus{snapshots: []*leaves{{roots: []merkle.Hash{one}}, {roots: []merkle.Hash{one}}}}
	require.True(t, same.was([]merkle.Hash{one}), "equal snapshots have one root")
}
