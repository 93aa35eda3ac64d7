package verify

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/audit/verify/verifytest"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/evidence"
)

// holding is a bundle of a paid story, to be changed.
type holding struct {
	*testing.T
	*paidStory
	snapshots   []verifytest.Snapshot
	contents    []verifytest.Content
	settlements []verifytest.Settlement
	receipts    *bundle.Receipts
	holder      string
	damage      func(dir string)
}

func hold(t *testing.T, s *paidStory) *holding {
	h := &holding{T: t, paidStory: s, receipts: &bundle.Receipts{Before: uint64(len(s.blocks))}, holder: rulestest.Regulator}
	for _, c := range s.Texts {
		h.contents = append(h.contents, s.content(c))
	}
	h.snapshots = []verifytest.Snapshot{{Name: []string{s.Pool, "1"}, Revision: 2, Leaves: []parts.Leaf{s.Leaf(s.Texts[1]), s.Leaf(s.Texts[0]), {}}}}
	for _, one := range s.Settlements {
		copied := verifytest.Settlement{Name: slices.Clone(one.Name), Scope: parts.Scope{Encoded: bytes.Clone(one.Scope.Encoded), Sessions: slices.Clone(one.Scope.Sessions)}}
		for i := range one.Uses {
			copied.Peaks = append(copied.Peaks, slices.Clone(one.Peaks[i]))
			var uses []parts.Use
			for _, u := range one.Uses[i] {
				uses = append(uses, parts.Use{Leaf: bytes.Clone(u.Leaf), Receipt: bytes.Clone(u.Receipt), Evidence: bytes.Clone(u.Evidence)})
			}
			copied.Uses = append(copied.Uses, uses)
		}
		h.settlements = append(h.settlements, copied)
	}
	return h
}

// content is a copy of what opens a contribution.
func (s *paidStory) content(c attribution.Contribution) verifytest.Content {
	held := s.Content(c)
	held.Records = nil
	for _, record := range c.Records {
		held.Records = append(held.Records, bytes.Clone(record))
	}
	return held
}

// write makes the bundle, with digests that fit.
func (h *holding) write(dir string) {
	genesis := protoutil.BlockHeaderHash(h.blocks[0].Header)
	w, err := bundle.Create(dir, bundle.Manifest{Channel: h.topology.Channel, Chaincode: h.topology.Chaincode.Name, Genesis: hex.EncodeToString(genesis), Unproved: []string{}})
	require.NoError(h, err)
	for _, b := range h.blocks {
		require.NoError(h, w.Append(b))
	}
	for _, one := range h.snapshots {
		require.NoError(h, w.Part(bundle.Snapshot, one.Name, one.Write))
	}
	require.NoError(h, w.Holder(h.holder))
	for _, one := range h.contents {
		require.NoError(h, w.Part(bundle.Content, one.Name, one.Write))
	}
	for _, one := range h.settlements {
		require.NoError(h, w.Part(bundle.Settlement, one.Name, one.Write))
	}
	w.Receipts(h.receipts)
	require.NoError(h, w.Close())
	if h.damage != nil {
		h.damage(dir)
	}
}

func (h *holding) verify() *Report {
	dir, temp := h.TempDir(), h.TempDir()
	h.write(dir)
	r, err := bundle.Open(dir)
	require.NoError(h, err)
	defer r.Close()
	report, err := Run(h.Context(), r, Options{Genesis: [32]byte(protoutil.BlockHeaderHash(h.blocks[0].Header)), Workers: 2, Temp: temp})
	require.NoError(h, err)
	left, err := os.ReadDir(temp)
	require.NoError(h, err)
	require.Empty(h, left, "no corpus is left behind")
	return report
}

func paid(t *testing.T, ordering string) *holding {
	s, err := paidStories[ordering]()
	require.NoError(t, err)
	return hold(t, s)
}

func TestUntouchedPartsGiveNoFindingAndReceiptsAreRecomputed(t *testing.T) {
	for ordering := range orderings {
		t.Run(ordering, func(t *testing.T) {
			report := paid(t, ordering).verify()
			require.Empty(t, report.Findings)
			require.Equal(t, &Held{Snapshots: 1, Contents: 2, Settlements: 2, Uses: 7, Receipts: 7, Recomputed: 3, Tables: 2,
				NotRecomputed: map[string]int{earlierRoot: 4}}, report.Held, "what is on an earlier revision cannot be recomputed any more")
		})
	}
}

func TestWhatIsNotThereIsSaidAndNoFinding(t *testing.T) {
	h := paid(t, "raft")
	h.contents = h.contents[:1]
	for i := range h.settlements[1].Uses {
		h.settlements[1].Uses[i][0].Evidence = nil
	}
	report := h.verify()
	require.Empty(t, report.Findings)
	require.Zero(t, report.Held.Recomputed)
	require.Equal(t, map[string]int{earlierRoot: 3, withoutContent: 2, withoutText: 2}, report.Held.NotRecomputed)
	require.Contains(t, strings.Join(report.Unproved, "\n"), "2 receipts not computed again: "+withoutText)

	h = paid(t, "raft")
	h.receipts, h.settlements = nil, h.settlements[1:]
	require.Empty(t, h.verify().Findings, "a bundle that does not say it has all settlements need not")
}

// What a member of the network or an auditor got by a release of the whole snapshot, or has of its own people, is no finding.
func TestWhoHasContentsByRightGivesNoFinding(t *testing.T) {
	h := paid(t, "raft")
	h.holder = auditor
	require.Empty(t, h.verify().Findings)
	h = paid(t, "raft")
	h.holder, h.contents = rulestest.B, h.contents[:1]
	require.Empty(t, h.verify().Findings)
	h = paid(t, "raft")
	h.holder, h.contents = "", nil
	require.Empty(t, h.verify().Findings, "a bundle without contents names nobody")
}

// partForgery is a change to what a bundle holds beside blocks, with digests renewed, and where the rule must find it.
type partForgery struct {
	claim    string
	rule     Rule
	severity Severity
	change   func(h *holding) (key, message string)
}

// latest is the second settlement, and where the session that was settled before stands in it.
func (h *holding) latest() (*verifytest.Settlement, int) {
	s := &h.settlements[1]
	return s, slices.IndexFunc(s.Peaks, func(p []merkle.Hash) bool { return len(p) > 0 && len(s.Uses) > 1 })
}

func (h *holding) claimKey(i int) string { return "claim/" + strings.Join(h.settlements[i].Name, "/") }

func (h *holding) contentKey(i int) string {
	return "contribution/" + strings.Join(h.contents[i].Name, "/")
}

var partForgeries = []partForgery{
	{"an edited receipt", RuleReceipt, Forged, func(h *holding) (string, string) {
		s, i := h.latest()
		flip(s.Uses[i][0].Receipt)
		return h.claimKey(1), "use 2 of session"
	}},
	{"two receipts swapped", RuleReceipt, Forged, func(h *holding) (string, string) {
		s, i := h.latest()
		s.Uses[i][0].Receipt, s.Uses[i][1].Receipt = s.Uses[i][1].Receipt, s.Uses[i][0].Receipt
		return h.claimKey(1), "use 3 of session"
	}},
	{"a receipt withheld", RuleWithheld, Unclear, func(h *holding) (string, string) {
		s, i := h.latest()
		s.Uses[i][0].Receipt = nil
		return h.claimKey(1), "1 of its 4 receipts"
	}},
	{"a settlement withheld", RuleWithheld, Unclear, func(h *holding) (string, string) {
		key := h.claimKey(0)
		h.settlements = h.settlements[1:]
		return key, "no leaves and receipts"
	}},
	{"a fee in a leaf", RuleLeaves, Forged, func(h *holding) (string, string) {
		s, i := h.latest()
		s.Uses[i][0].Leaf[102]++ // the last byte of the fee
		return h.claimKey(1), "do not give the root"
	}},
	{"two uses swapped, leaf, receipt and text", RuleLeaves, Forged, func(h *holding) (string, string) {
		s, i := h.latest()
		slices.Reverse(s.Uses[i])
		return h.claimKey(1), "do not give the root"
	}},
	{"a use left out", RuleLeaves, Forged, func(h *holding) (string, string) {
		s := &h.settlements[0]
		s.Uses[0] = s.Uses[0][:len(s.Uses[0])-1]
		return "settlement/" + strings.Join(s.Name, "/"), "the part is not of its form"
	}},
	{"a use too many", RuleLeaves, Forged, func(h *holding) (string, string) {
		s := &h.settlements[0]
		last := len(s.Uses) - 1
		s.Uses[last] = append(s.Uses[last], s.Uses[last][0])
		return "settlement/" + strings.Join(s.Name, "/"), "something follows its end"
	}},
	{"the peaks of another tree", RuleLeaves, Forged, func(h *holding) (string, string) {
		s, i := h.latest()
		flip(s.Peaks[i][0][:])
		return h.claimKey(1), "the peaks do not give the root"
	}},
	{"another session's name", RuleLeaves, Forged, func(h *holding) (string, string) {
		s, _ := h.latest()
		s.Scope.Sessions[0], s.Scope.Sessions[1] = s.Scope.Sessions[1], s.Scope.Sessions[0]
		return h.claimKey(1), "which is another one"
	}},
	{"a settlement under another's name", RuleLeaves, Forged, func(h *holding) (string, string) {
		h.settlements[0].Name, h.settlements[1].Name = h.settlements[1].Name, h.settlements[0].Name
		return h.claimKey(0), "the scope is not the settlement's"
	}},
	{"a settlement that nobody made", RuleLeaves, Forged, func(h *holding) (string, string) {
		invented := h.settlements[1]
		invented.Name = []string{invented.Name[0], "00000000000000000000000000000009"}
		h.settlements = append(h.settlements, invented)
		return "claim/" + strings.Join(invented.Name, "/"), "no such settlement"
	}},
	{"a byte of a text", RuleText, Forged, func(h *holding) (string, string) {
		s, i := h.latest()
		retext(h, &s.Uses[i][1], func(e *evidence.Evidence) { e.Output[0]++ })
		return h.claimKey(1), "commitment to the output does not open"
	}},
	{"another prompt", RuleText, Forged, func(h *holding) (string, string) {
		s, i := h.latest()
		retext(h, &s.Uses[i][1], func(e *evidence.Evidence) {
			e.Body = bytes.Replace(e.Body, []byte("once more"), []byte("once less"), 1)
		})
		return h.claimKey(1), "commitment to the prompt does not open"
	}},
	{"a context that was not the one", RuleText, Forged, func(h *holding) (string, string) {
		s, i := h.latest()
		retext(h, &s.Uses[i][1], func(e *evidence.Evidence) { e.Context[0][0]++ })
		return h.claimKey(1), "commitment to the context does not open"
	}},
	{"the text of another use", RuleText, Forged, func(h *holding) (string, string) {
		s, i := h.latest()
		s.Uses[i][1].Evidence = s.Uses[i][0].Evidence
		return h.claimKey(1), "the text of another receipt"
	}},
	{"what is no text", RuleText, Forged, func(h *holding) (string, string) {
		s, i := h.latest()
		s.Uses[i][1].Evidence = s.Uses[i][1].Evidence[1:]
		return h.claimKey(1), "decode evidence"
	}},
	{"a byte of a content", RuleContent, Forged, func(h *holding) (string, string) {
		flip(h.contents[0].Records[0])
		return h.contentKey(0), "do not open the commitment"
	}},
	{"another salt", RuleContent, Forged, func(h *holding) (string, string) {
		flip(h.contents[1].Salt[:])
		return h.contentKey(1), "do not open the commitment"
	}},
	{"a record left out", RuleContent, Forged, func(h *holding) (string, string) {
		h.contents[0].Records = h.contents[0].Records[:1]
		return h.contentKey(0), "do not open the commitment"
	}},
	{"a content that nobody registered", RuleContent, Forged, func(h *holding) (string, string) {
		h.contents[1].Name[1] = "00000000000000000000000000000009"
		return h.contentKey(1), "no such contribution"
	}},
	{"two contents exchanged", RuleContent, Forged, func(h *holding) (string, string) {
		h.contents[0].Name, h.contents[1].Name = h.contents[1].Name, h.contents[0].Name
		return h.contentKey(0), "do not open the commitment"
	}},
	{"contents in another order", RuleContent, Forged, func(h *holding) (string, string) {
		slices.Reverse(h.contents)
		return h.contentKey(1), "come in the order in which they were registered"
	}},
	{"a content that was released to another organisation", RuleReleased, Unclear, func(h *holding) (string, string) {
		h.holder = rulestest.B // that of the other content's contributor
		return h.contentKey(1), `no release of it to "BMSP"`
	}},
	{"contents that nobody is said to have got", RuleReleased, Unclear, func(h *holding) (string, string) {
		h.holder = ""
		return h.contentKey(0), "names no organisation"
	}},
	{"a content whose erasure is complete", RuleErasure, Broken, func(h *holding) (string, string) {
		h.contents = append(h.contents, h.content(h.gone))
		return "erasure/" + h.Pool + "/" + h.gone.ID, "its erasure is complete"
	}},
	{"a snapshot in which a leaf is another's", RuleSnapshot, Forged, func(h *holding) (string, string) {
		h.snapshots[0].Leaves[0].Account = string(ann.Account())
		return "snapshot/" + h.Pool + "/0000000001", "the leaves give the root"
	}},
	{"a snapshot with a leaf where a tombstone is", RuleSnapshot, Forged, func(h *holding) (string, string) {
		h.snapshots[0].Leaves[2] = h.Leaf(h.gone)
		return "snapshot/" + h.Pool + "/0000000001", "the leaves give the root"
	}},
	{"a snapshot without its last leaf", RuleSnapshot, Forged, func(h *holding) (string, string) {
		h.snapshots[0].Leaves = h.snapshots[0].Leaves[:2]
		return "snapshot/" + h.Pool + "/0000000001", "the leaves give the root"
	}},
	{"a later revision shown as an earlier one", RuleSnapshot, Forged, func(h *holding) (string, string) {
		h.snapshots[0].Revision = 1
		return "snapshot/" + h.Pool + "/0000000001", "that of revision 1"
	}},
	{"a revision that nobody made", RuleSnapshot, Forged, func(h *holding) (string, string) {
		h.snapshots[0].Revision = 3
		return "snapshot/" + h.Pool + "/0000000001", "has 2 revisions"
	}},
	{"a snapshot that nobody took", RuleSnapshot, Forged, func(h *holding) (string, string) {
		h.snapshots[0].Name[1] = "7"
		return "snapshot/" + h.Pool + "/0000000007", "no snapshot 7"
	}},
	{"a byte of a file, with the digest that it had", RuleBundle, Forged, func(h *holding) (string, string) {
		h.damage = func(dir string) {
			files, err := filepath.Glob(filepath.Join(dir, "content-*"))
			require.NoError(h, err)
			data, err := os.ReadFile(files[0])
			require.NoError(h, err)
			flip(data)
			require.NoError(h, os.WriteFile(files[0], data, 0o600))
		}
		return "", "its digest is"
	}},
	{"a file that is cut off", RuleBundle, Forged, func(h *holding) (string, string) {
		h.damage = func(dir string) {
			files, err := filepath.Glob(filepath.Join(dir, "settlement-*"))
			require.NoError(h, err)
			require.NoError(h, os.Truncate(files[0], 200))
		}
		return "", "its digest is"
	}},
}

// retext changes a text and leaves it a text.
func retext(h *holding, u *parts.Use, do func(e *evidence.Evidence)) {
	e, err := evidence.Decode(bytes.Clone(u.Evidence))
	require.NoError(h, err)
	do(e)
	u.Evidence, err = e.Encode()
	require.NoError(h, err)
}

func TestEveryForgedPartIsFound(t *testing.T) {
	for _, forged := range partForgeries {
		t.Run(forged.claim, func(t *testing.T) {
			h := paid(t, "bft")
			key, message := forged.change(h)
			report := h.verify()
			require.True(t, slices.ContainsFunc(report.Findings, func(f Finding) bool {
				return f.Rule == forged.rule && f.Severity == forged.severity && f.Key == key && strings.Contains(f.Message, message)
			}), "no finding of %s at %s, but %v", forged.rule, key, report.Findings)
			for _, f := range report.Findings {
				require.NotContains(t, []Rule{RuleOutcome, RuleVerdict, RuleConservation, RuleTable}, f.Rule, "%s", f)
				require.NotContains(t, f.Message, "rose", "no finding quotes a text")
			}
		})
	}
}

// payHost makes a receipt pay the host in place of the contributors.
func payHost(r *receipt.Receipt) { pay(r, verifytest.Host) }

// pay gives all that a receipt pays to one person.
func pay(r *receipt.Receipt, one ledger.Caller) {
	for i := range r.Spans {
		credit := uint64(0)
		for _, p := range r.Spans[i].Payees {
			credit += p.Credit
		}
		r.Spans[i].Payees = []receipt.Payee{{Account: string(one.Account()), Credit: credit}}
	}
	r.Shares = receipt.Shares(r.Spans)
}

// What a damaged file held counts for nothing, also when its receipts wait for others to be recomputed with.
func TestReceiptsOfADamagedFileAreNoFindings(t *testing.T) {
	s, err := tellPaid(t.TempDir(), string(orderings["raft"]), verifytest.Cheats{Receipt: func(r *receipt.Receipt) { pay(r, bob) }})
	require.NoError(t, err)
	of := func(h *holding) (found []Rule) {
		for _, f := range h.verify().Findings {
			found = append(found, f.Rule)
		}
		return found
	}
	require.Equal(t, []Rule{RuleReceipt, RuleReceipt}, of(hold(t, s)))
	h := hold(t, s)
	h.damage = func(dir string) {
		files, err := filepath.Glob(filepath.Join(dir, "settlement-*"))
		require.NoError(h, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(h, err)
			require.NoError(h, os.WriteFile(file, append(data, 0), 0o600))
		}
	}
	require.Equal(t, []Rule{RuleBundle, RuleBundle}, of(h))
}

// Who makes a bundle can put any leaves in it: those that do not give the settled root show nothing about a later settlement.
func TestForgedLeavesOfOneSettlementAreNoFindingsAboutALaterOne(t *testing.T) {
	h := paid(t, "raft")
	for i := range h.settlements[0].Uses {
		for j := range h.settlements[0].Uses[i] {
			leaf, err := use.DecodeLeaf(h.settlements[0].Uses[i][j].Leaf)
			require.NoError(t, err)
			leaf.Number += 2 // that of a use which the later one bills
			h.settlements[0].Uses[i][j].Leaf, err = leaf.Encode()
			require.NoError(t, err)
		}
	}
	report := h.verify()
	require.Equal(t, Forged, report.Worst())
	for _, f := range report.Findings {
		require.NotEqual(t, h.claimKey(1), f.Key, "%s", f)
	}
}

func TestTablesThatAreNotComparedAreSaidToBeUnclear(t *testing.T) {
	h := paid(t, "raft")
	defer func(most int) { mostShares = most }(mostShares)
	mostShares = 2
	report := h.verify()
	require.Equal(t, Unclear, report.Worst(), "%v", report.Findings)
	for _, f := range report.Findings {
		require.Equal(t, RuleTable, f.Rule, "%s", f)
	}
	require.Len(t, report.Findings, len(h.settlements), "each once")
	require.Zero(t, report.Held.Tables)
}

// What host, validators and attestors do together against their duty passes all rules of the ledger. Who has contents and texts
// finds it.
func TestWhatHostAndAttestorsDoTogetherIsFound(t *testing.T) {
	dir := t.TempDir() // of keys, which all have
	for claim, test := range map[string]struct {
		cheats verifytest.Cheats
		rule   Rule
	}{
		"a receipt pays another account":     {verifytest.Cheats{Receipt: payHost}, RuleReceipt},
		"a receipt pays another contributor": {verifytest.Cheats{Receipt: func(r *receipt.Receipt) { pay(r, bob) }}, RuleReceipt},
		"a receipt is of a larger corpus":    {verifytest.Cheats{Receipt: func(r *receipt.Receipt) { r.N++ }}, RuleReceipt},
		"tokens that nobody wrote are paid for": {verifytest.Cheats{Leaf: func(l *use.Leaf) {
			l.In++
			l.Fee += 1000
		}}, RuleFee},
		"a fee that is not that of its tokens": {verifytest.Cheats{Leaf: func(l *use.Leaf) { l.Fee++ }}, RuleFee},
		"a request is counted twice":           {verifytest.Cheats{Leaf: func(l *use.Leaf) { l.Number = 5 }}, RuleLeaves},
		"a request is counted again by a later settlement": {verifytest.Cheats{Leaf: func(l *use.Leaf) {
			if l.Number == 2 { // of the first session, which was settled when it had two
				l.Number = 0
			}
		}}, RuleLeaves},
		"the table pays one more and another less": {verifytest.Cheats{Table: func(p []payout.Payment) {
			p[0].Amount++
			p[1].Amount--
		}}, RuleTable},
		"contents have more tokens than the ledger says": {verifytest.Cheats{Tokens: 1}, RuleContent},
	} {
		t.Run(claim, func(t *testing.T) {
			s, err := tellPaid(dir, string(orderings["raft"]), test.cheats)
			require.NoError(t, err)
			report := hold(t, s).verify()
			require.Equal(t, Broken, report.Worst(), "%v", report.Findings)
			for _, f := range report.Findings {
				require.Equal(t, test.rule, f.Rule, "%s", f)
				require.Positive(t, f.Block)
			}
		})
	}
}

// What was revised since cannot be recomputed, and without a text nothing can: what a receipt shows by itself is looked at
// all the same.
func TestWhatAReceiptShowsWithoutItsTextIsFound(t *testing.T) {
	dir := t.TempDir()
	for claim, cheat := range map[string]func(r *receipt.Receipt){"another account": payHost, "another strictness": func(r *receipt.Receipt) { r.Tau++ }} {
		t.Run(claim, func(t *testing.T) {
			s, err := tellPaid(dir, string(orderings["raft"]), verifytest.Cheats{Receipt: cheat})
			require.NoError(t, err)
			h := hold(t, s)
			h.contents, h.settlements = nil, h.settlements[:1] // all on an earlier revision
			h.receipts = nil
			for _, session := range h.settlements[0].Uses {
				for i := range session {
					session[i].Evidence = nil
				}
			}
			report := h.verify()
			require.Equal(t, Broken, report.Worst(), "%v", report.Findings)
			require.Equal(t, RuleReceipt, report.Findings[0].Rule)
		})
	}
}

func TestContributionsToTwoDatanetsMayHaveTheSameID(t *testing.T) {
	var out bytes.Buffer
	one := &corpus{live: map[ledger.Key]bool{}, twice: map[string]bool{"x": true}, out: streaming.NewWriter(&out)}
	c := &corpora{known: map[string]*corpus{"": one}}
	want := attribution.Corpus{}
	for _, datanet := range []string{"AMSP/verse", "BMSP/verse"} {
		one.live[composite("contribution", datanet, "x")] = true
		record, _, err := c.take(datanet, "x", "AMSP:ann")
		require.NoError(t, err)
		require.NoError(t, record([]byte(rose+datanet)))
		want = append(want, attribution.Contribution{ID: datanet + "/x", Account: "AMSP:ann", Records: [][]byte{[]byte(rose + datanet)}})
	}
	require.NoError(t, one.out.Close())
	require.Empty(t, one.live)
	built, err := streaming.Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	expected, err := streaming.New(want)
	require.NoError(t, err)
	a := attribution.Answer{Model: "AMSP/verse@1", Output: []byte(rose + "BMSP/verse"), Tau: 2}
	got, err := built.Receipt(t.Context(), a)
	require.NoError(t, err)
	same, err := expected.Receipt(t.Context(), a)
	require.NoError(t, err)
	require.NotEmpty(t, got.Spans)
	require.Equal(t, same, got)
}

func TestAPlanIsWhatTheVerifierWantsToSee(t *testing.T) {
	h := paid(t, "raft")
	dir := t.TempDir()
	h.snapshots, h.contents, h.settlements, h.receipts = nil, nil, nil, nil
	h.write(dir)
	r, err := bundle.Open(dir)
	require.NoError(t, err)
	defer r.Close()
	p, err := NewPlan(t.Context(), r, rulestest.B, nil, nil)
	require.NoError(t, err)
	want := paid(t, "raft")
	require.Len(t, p.Settlements, 2)
	for i, s := range p.Settlements {
		require.Equal(t, want.settlements[i].Name, []string{s.Host, s.ID})
	}
	require.Len(t, p.Snapshots, 1)
	require.Equal(t, want.snapshots[0].Leaves, p.Snapshots[0].Leaves)
	require.Equal(t, 2, p.Snapshots[0].Revision)
	require.Len(t, p.Contents, 2)
	for i, c := range p.Contents {
		require.Equal(t, want.contents[i].Name, []string{c.Datanet, c.ID})
		require.Equal(t, ledger.Account(c.Contributor).MSP() == rulestest.B, c.Had, "its own, and no other was released to it")
	}
	r, err = bundle.Open(dir)
	require.NoError(t, err)
	defer r.Close()
	_, err = NewPlan(t.Context(), r, rulestest.B, []string{"AMSP/other@1"}, nil)
	require.EqualError(t, err, "there is no model AMSP/other@1 in the blocks of the bundle")
}
