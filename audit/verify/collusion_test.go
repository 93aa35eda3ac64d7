package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/question/questiontest"
	"github.com/datanet-consortium/datanet/audit/verify/verifytest"
	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// told is a ledger on which the story of audits was told, with all keys.
type told struct {
	*recording
	*questiontest.Story
}

var stories = map[string]func() (*told, error){"bft": tellOnce("bft"), "raft": tellOnce("raft")}

func tellOnce(ordering string) func() (*told, error) {
	return sync.OnceValues(func() (*told, error) {
		dir, err := os.MkdirTemp("", "audit-story-")
		if err != nil {
			return nil, err
		}
		storyDirs = append(storyDirs, dir)
		return tell(dir, string(orderings[ordering]), nil)
	})
}

var storyDirs []string

// failing is a test that is not there when a story is told once for many.
type failing struct{}

func (failing) Helper()                           {}
func (failing) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func tell(dir, topology string, more func(c *questiontest.Story)) (*told, error) {
	s := &told{recording: &recording{}}
	n, err := verifytest.New(filepath.Join(dir, "keys"), topology, []string{rulestest.A, rulestest.B, rulestest.C}, rulestest.Regulator,
		func(b *common.Block) { s.blocks = append(s.blocks, b) })
	if err != nil {
		return nil, err
	}
	s.topology, s.material = n.Topology, n.Material
	s.Story = questiontest.TellOn(failing{}, rulestest.On(failing{}, n.Config()))
	if more != nil {
		more(s.Story)
	}
	return s, nil
}

func storyOn(t *testing.T, ordering string) (*told, *forger) {
	s, err := stories[ordering]()
	require.NoError(t, err)
	return s, newForger(t, s.recording)
}

// state is what the blocks leave.
func (f *forger) state() *replay.Replayer {
	state := replay.New(f.chaincode())
	for _, b := range f.blocks {
		require.NoError(f, state.Block(b))
	}
	return state
}

// entry is a value of the state, to be changed.
func (f *forger) entry(kind string, parts ...string) (string, map[string]any) {
	key := composite(kind, parts...)
	e := f.state().Get(key)
	require.NotNil(f, e, "%s", key)
	value := map[string]any{}
	require.NoError(f, json.Unmarshal(e.Value, &value))
	return string(key), value
}

// written makes a transaction that a majority endorses and no rule makes: it calls some function, by somebody, and writes
// what it likes. The state that the rules read is not looked at.
func (f *forger) written(user, msp string, endorsers []string, values map[string]map[string]any, guards map[string]ledger.Policy) int {
	b, tx := f.calling("account:Open")
	p := f.take(b, tx)
	p.own = &kvrwset.KVRWSet{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		w := &kvrwset.KVWrite{Key: key, IsDelete: values[key] == nil}
		if values[key] != nil {
			value, err := json.Marshal(values[key])
			require.NoError(f, err)
			w.Value = value
		}
		p.own.Writes = append(p.own.Writes, w)
	}
	for _, key := range slices.Sorted(maps.Keys(guards)) {
		policy, err := contract.EncodePolicy(guards[key])
		require.NoError(f, err)
		p.own.MetadataWrites = append(p.own.MetadataWrites, &kvrwset.KVMetadataWrite{Key: key,
			Entries: []*kvrwset.KVMetadataEntry{{Name: peer.MetaDataKeys_VALIDATION_PARAMETER.String(), Value: policy}}})
	}
	f.append(f.put(p, []byte("nonce"), user, msp, endorsers...), valid)
	return len(f.blocks) - 1
}

// A majority, and one with the owner of the slots at hand, whose endorsement they need.
var majority, withOwner = []string{rulestest.A, rulestest.C}, []string{rulestest.A, rulestest.B}

type collusion struct {
	claim  string
	rules  []Rule
	change func(f *forger, s *told) (block int)
}

// collusions are what members who hold a majority can do together, and the findings that show it. The first one is a finding of
// the state alone, where there is one: it would be found also if the rules allowed it.
var collusions = []collusion{
	{"a slot that anybody can fill", []Rule{RuleSlots, RuleOutcome}, func(f *forger, s *told) int {
		b, tx := f.calling("contribution:Submit")
		p := f.take(b, tx)
		weak, err := contract.EncodePolicy(ledger.PeerOf(rulestest.A))
		require.NoError(f, err)
		p.own.MetadataWrites[0].Entries[0].Value = weak
		f.blocks[b].Data.Data[tx] = f.put(p, nil, "ann", rulestest.B, rulestest.B, rulestest.A)
		f.collude(b)
		return b
	}},
	{"reads left out, so that no conflict shows", []Rule{RuleOutcome}, func(f *forger, s *told) int {
		b, tx := f.calling("contribution:Submit")
		p := f.take(b, tx)
		p.own.Reads = p.own.Reads[:len(p.own.Reads)-1]
		f.blocks[b].Data.Data[tx] = f.put(p, nil, "ann", rulestest.B, rulestest.B, rulestest.A)
		f.collude(b)
		return b
	}},
	{"an outcome without votes", []Rule{RuleVotes, RuleOutcome}, func(f *forger, s *told) int {
		key, c := f.entry("contribution", s.Rejected.Datanet, s.Rejected.ID)
		c["state"], c["approval"] = "approved", true
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{key: c}, nil)
	}},
	{"a vote in another organisation's slot, which it helped to endorse", []Rule{RuleSlots, RuleOutcome}, func(f *forger, s *told) int {
		key, slot := f.entry("vote", s.Rejected.Datanet, s.Rejected.ID, "000001", rulestest.B)
		slot["validator"] = rulestest.B + ":validator9"
		return f.written("curator1", rulestest.A, withOwner, map[string]map[string]any{key: slot}, nil)
	}},
	{"a slot weakened by its owner and one other", []Rule{RuleSlots, RuleOutcome}, func(f *forger, s *told) int {
		key, _ := f.entry("vote", s.Rejected.Datanet, s.Rejected.ID, "000001", rulestest.B)
		return f.written("curator1", rulestest.A, withOwner, nil, map[string]ledger.Policy{key: ledger.PeerOf(rulestest.A)})
	}},
	{"a replica agreement that its keeper never accepted", []Rule{RuleSlots, RuleOutcome}, func(f *forger, s *told) int {
		id, slots := "000000000000000000000000000000aa", []string{rulestest.A, rulestest.B, rulestest.C}
		head, consent := string(composite("replica", s.Pool, id)), string(composite("replica-consent", s.Pool, id))
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{
			head:    {"datanet": s.Pool, "id": id, "keeper": rulestest.B, "slots": slots, "by": rulestest.A + ":curator1", "tx": id},
			consent: {"datanet": s.Pool, "id": id, "msp": rulestest.B, "by": rulestest.B + ":operator1", "tx": id},
		}, map[string]ledger.Policy{head: ledger.SlotPolicy(rulestest.A, slots), consent: ledger.SlotPolicy(rulestest.B, slots)})
	}},
	{"a consent to no agreement", []Rule{RuleSlots, RuleOutcome}, func(f *forger, s *told) int {
		id, slots := "000000000000000000000000000000aa", []string{rulestest.A, rulestest.B, rulestest.C}
		consent := string(composite("replica-consent", s.Pool, id))
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{
			consent: {"datanet": s.Pool, "id": id, "msp": rulestest.B, "by": "", "tx": id},
		}, map[string]ledger.Policy{consent: ledger.SlotPolicy(rulestest.B, slots)})
	}},
	{"a contributor's organisation that votes on its own", []Rule{RuleVotes, RuleOutcome}, func(f *forger, s *told) int {
		_, slot := f.entry("vote", s.Rejected.Datanet, s.Rejected.ID, "000001", rulestest.B)
		_, c := f.entry("contribution", s.Rejected.Datanet, s.Rejected.ID)
		own := ledger.Account(c["contributor"].(string)).MSP()
		slot["msp"] = own
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{string(composite("vote", s.Rejected.Datanet, s.Rejected.ID, "000001", own)): slot}, nil)
	}},
	{"a datanet in another organisation's name", []Rule{RuleOutcome}, func(f *forger, s *told) int {
		_, d := f.entry("datanet", s.Pool)
		d["name"] = rulestest.B + "/taken"
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{string(composite("datanet", rulestest.B+"/taken")): d}, nil)
	}},
	{"credits minted without a proposal", []Rule{RuleConservation, RuleOutcome}, func(f *forger, s *told) int {
		owner, id := string(s.Ann.Account()), "00000000000000000000000000000000000000000000000000000000000000ff"
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{string(composite("credit", owner, id)): {
			"id": id, "owner": owner, "amount": "1000000", "kind": "mint", "from": "nobody"}}, nil)
	}},
	{"a proposal executed without approvals", []Rule{RuleVotes, RuleOutcome}, func(f *forger, s *told) int {
		b, tx := f.calling("proposal:Propose")
		var content struct{ ID string }
		require.NoError(f, json.Unmarshal(f.read(f.blocks[b].Data.Data[tx]).args[1], &content))
		_, p := f.entry("proposal", content.ID)
		p["id"], p["state"] = "00000000000000000000000000000001", "executed"
		return f.written("operator1", rulestest.A, majority, map[string]map[string]any{string(composite("proposal", "00000000000000000000000000000001")): p}, nil)
	}},
	{"a proposer who approves", []Rule{RuleSeparation, RuleOutcome}, func(f *forger, s *told) int {
		b, tx := f.calling("proposal:Propose")
		var content struct{ ID string }
		require.NoError(f, json.Unmarshal(f.read(f.blocks[b].Data.Data[tx]).args[1], &content))
		key, slot := f.entry("proposal-slot", content.ID, rulestest.A)
		slot["approver"] = rulestest.A + ":operator1"
		return f.written("operator1", rulestest.A, majority, map[string]map[string]any{key: slot}, nil)
	}},
	{"an unguarded record overwritten", []Rule{RuleOutcome}, func(f *forger, s *told) int {
		key, c := f.entry("contribution", s.Erased.Datanet, s.Erased.ID)
		c["contributor"] = string(s.Bob.Account())
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{key: c}, nil)
	}},
	{"a page with what was rejected", []Rule{RuleApproval, RuleOutcome}, func(f *forger, s *told) int {
		_, c := f.entry("sealed", s.Pool, s.Contributions[0])
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{string(composite("sealed", s.Rejected.Datanet, s.Rejected.ID)): c}, nil)
	}},
	{"a ticket under a revoked grant", []Rule{RuleLicence, RuleOutcome}, func(f *forger, s *told) int {
		_, t := f.entry("ticket", s.Idle)
		id := "00000000000000000000000000000002"
		t["id"], t["state"] = id, "open"
		for _, source := range t["sources"].([]any) {
			source.(map[string]any)["grant"] = s.Grant.ID
		}
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{string(composite("ticket", id)): t}, nil)
	}},
	{"a model that descends from itself", []Rule{RuleLineage, RuleOutcome}, func(f *forger, s *told) int {
		_, m := f.entry("model", s.Small.Name, s.Small.Version)
		m["version"] = "9"
		m["bases"] = []any{map[string]any{"name": s.Small.Name, "version": "9"}}
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{string(composite("model", s.Small.Name, "9")): m}, nil)
	}},
	{"a model that descends from itself, offered at once", []Rule{RuleLineage, RuleOutcome}, func(f *forger, s *told) int {
		_, m := f.entry("model", s.Small.Name, s.Small.Version)
		m["version"], m["card"] = "9", 1
		m["bases"] = []any{map[string]any{"name": s.Small.Name, "version": "9"}}
		_, card := f.entry("rate-card", s.Card.Name, s.Card.Version, "000001")
		card["version"], card["host"] = "9", string(ledger.Owner(s.Small.Name))+":host2"
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{string(composite("model", s.Small.Name, "9")): m,
			string(composite("rate-card", s.Small.Name, "9", "000001")): card}, nil)
	}},
	{"a key that has too few parts", []Rule{RuleState, RuleOutcome}, func(f *forger, s *told) int {
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{string(composite("rate-card-consent", s.Card.Name)): {"msp": rulestest.B}}, nil)
	}},
	{"a rate card of no model, and its consent", []Rule{RulePrice, RuleSlots, RuleOutcome}, func(f *forger, s *told) int {
		_, card := f.entry("rate-card", s.Card.Name, s.Card.Version, "000001")
		card["parts"], card["priceIn"] = map[string]any{}, "0"
		_, consent := f.entry("rate-card-consent", s.Card.Name, s.Card.Version, "000001")
		consent["by"] = ""
		at := string(composite("rate-card-consent", s.Card.Name, "9", "000001"))
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{at: consent, string(composite("rate-card", s.Card.Name, "9", "000001")): card},
			map[string]ledger.Policy{at: ledger.SlotPolicy(consent["msp"].(string), nil)})
	}},
	{"a rate card accepted in its host's name", []Rule{RuleSlots, RuleOutcome}, func(f *forger, s *told) int {
		key, consent := f.entry("rate-card-consent", s.Card.Name, s.Card.Version, "000001")
		consent["by"] = string(ledger.Account(consent["msp"].(string) + ":host2"))
		return f.written("trainer1", rulestest.A, []string{rulestest.A, rulestest.C}, map[string]map[string]any{key: consent}, nil)
	}},
	{"a rate card in force that its host never accepted", []Rule{RuleSlots, RuleOutcome}, func(f *forger, s *told) int {
		cardKey, card := f.entry("rate-card", s.Card.Name, s.Card.Version, "000001")
		key, m := f.entry("model", s.Card.Name, s.Card.Version)
		card["card"], m["card"] = 2, 2
		return f.written("trainer1", rulestest.A, majority, map[string]map[string]any{strings.Replace(cardKey, "000001", "000002", 1): card, key: m}, nil)
	}},
	{"a model on data that asks for a part, at no price", []Rule{RulePrice, RuleOutcome}, func(f *forger, s *told) int {
		key, c := f.entry("rate-card", s.Card.Name, s.Card.Version, "000001")
		c["priceIn"], c["priceOut"] = "0", "0"
		return f.written("trainer1", rulestest.A, withOwner, map[string]map[string]any{key: c}, nil)
	}},
	{"a rate card that keeps from data what it asks for", []Rule{RulePrice, RuleOutcome}, func(f *forger, s *told) int {
		key, c := f.entry("rate-card", s.Card.Name, s.Card.Version, "000001")
		parts := c["parts"].(map[string]any)
		parts["owner"], parts["data"] = parts["owner"].(float64)+parts["data"].(float64), 0
		return f.written("trainer1", rulestest.A, withOwner, map[string]map[string]any{key: c}, nil)
	}},
	{"a settlement that pays more than sessions gave", []Rule{RuleSettlement, RuleOutcome}, func(f *forger, s *told) int {
		_, c := f.entry("claim", string(s.Settled.Host), s.Settled.ID)
		id := "00000000000000000000000000000003"
		c["id"], c["left"] = id, "0"
		return f.written("host1", rulestest.C, []string{rulestest.C, rulestest.A}, map[string]map[string]any{string(composite("claim", string(s.Settled.Host), id)): c}, nil)
	}},
	{"content handed over after its erasure", []Rule{RuleErasure, RuleOutcome}, func(f *forger, s *told) int {
		key, c := f.entry("contribution", s.Erased.Datanet, s.Erased.ID)
		c["state"] = "erased"
		release := map[string]any{"datanet": s.Erased.Datanet, "id": "00000000000000000000000000000004", "contributions": []any{s.Erased.ID}, "to": rulestest.C + ":trainer1"}
		return f.written("curator1", rulestest.A, majority, map[string]map[string]any{key: c,
			string(composite("release", s.Erased.Datanet, "00000000000000000000000000000004")): release}, nil)
	}},
	{"a history that its orderers cut off, of which a later block is known", []Rule{RuleTip}, func(f *forger, s *told) int {
		last := f.blocks[len(f.blocks)-1].Header
		f.tip = &Tip{Number: last.Number, Hash: [32]byte(protoutil.BlockHeaderHash(last))}
		f.blocks = f.blocks[:len(f.blocks)-1]
		return len(f.blocks)
	}},
	{"a history that its orderers signed twice, of which the other one is known", []Rule{RuleTip}, func(f *forger, s *told) int {
		last := len(f.blocks) - 1
		f.tip = &Tip{Number: uint64(last), Hash: [32]byte{1}}
		return last
	}},
	{"another channel with the same members, as if it were this one", []Rule{RuleGenesis}, func(f *forger, s *told) int {
		flip(f.genesis[:])
		return 0
	}},
}

func TestWhatAMajorityDoesTogetherIsFound(t *testing.T) {
	for _, c := range slices.Concat(collusions, crooked) {
		t.Run(c.claim, func(t *testing.T) {
			s, f := storyOn(t, "bft")
			block := c.change(f, s)
			report := f.verify()
			worst := Broken
			if c.rules[0] == RuleTip || c.rules[0] == RuleGenesis { // another history than the one that is known
				worst = Forged
			}
			require.Equal(t, worst, report.Worst(), "%v", report.Findings)
			require.False(t, slices.ContainsFunc(report.Findings, func(g Finding) bool { return g.Rule == RuleVerdict }), "%v", report.Findings)
			for _, rule := range c.rules {
				require.True(t, slices.ContainsFunc(report.Findings, func(g Finding) bool {
					return g.Rule == rule && g.Block == uint64(block) && (g.TxID != "" || !ofTransactions[rule])
				}),
					"no finding of %s at block %d, but %v", rule, block, report.Findings)
			}
		})
	}
}

func TestNothingIsValidBeforeTheChaincodeIsDefined(t *testing.T) {
	_, f := storyOn(t, "raft")
	f.blocks = append(f.blocks[:1:1], f.blocks[2])
	f.renumber()
	f.sign(1)
	f.recommit()
	report := f.verify()
	require.True(t, slices.ContainsFunc(report.Findings, func(g Finding) bool {
		return g.Rule == RuleVerdict && g.Block == 1 && strings.Contains(g.Message, "not defined yet")
	}), "%v", report.Findings)
}

func TestAStoryByTheRulesGivesNoFindingButNotes(t *testing.T) {
	for ordering := range orderings {
		t.Run(ordering, func(t *testing.T) {
			_, f := storyOn(t, ordering)
			report := f.verify()
			require.Empty(t, report.Worst(), "%v", report.Findings)
			require.Len(t, report.Findings, 1, "content was released to train on under one ticket that no model cites")
			require.Equal(t, RuleUnused, report.Findings[0].Rule)
		})
	}
}

// A sequencer may leave out what was approved: no rule forbids it, so only the state shows it.
func TestWhatASequencerLeavesOutIsFound(t *testing.T) {
	s, err := tell(t.TempDir(), string(orderings["raft"]), func(s *questiontest.Story) {
		left := s.Approved(failing{}, s.Bob, s.Pool, 2)
		s.Clock = s.Clock.Add(sealingTerm + time.Hour)
		var head seal.Head
		answer, err := s.Evaluate(rulestest.Proposal(failing{}, s.Curator, "seal:Get", seal.Named{Datanet: s.Pool}), "")
		require.NoError(t, err)
		require.NoError(t, ledger.DecodeAnswer(answer, &head))
		s.Must(failing{}, s.Curator, "seal:Append", seal.Append{Datanet: s.Pool, From: head.Count, Contributions: []string{left[1].ID}})
		s.Must(failing{}, s.Curator, "snapshot:Take", snapshot.Named{Datanet: s.Pool, Number: head.Snapshots + 1})
	})
	require.NoError(t, err)
	report := newForger(t, s.recording).verify()
	require.Equal(t, Broken, report.Worst())
	require.Equal(t, RuleSealing, report.Findings[0].Rule)
	require.Equal(t, uint64(len(s.blocks)-1), report.Findings[0].Block)
}
