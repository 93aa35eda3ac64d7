package verify

import (
	"bytes"
	"encoding/hex"
	"io"
	"slices"
	"testing"

	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/question/questiontest"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

// from verifies the blocks from one on, with the state before it if wanted; change may alter that.
func (f *forger) from(first int, change func(state []byte) []byte) *Report {
	state := replay.New(f.chaincode())
	var commit []byte
	for _, b := range f.recording.blocks[:first] {
		require.NoError(f, state.Block(b))
		if b.Header.Number > 0 {
			var err error
			commit, err = replay.HeldCommitHash(b)
			require.NoError(f, err)
		}
	}
	dir := f.TempDir()
	w, err := bundle.Create(dir, bundle.Manifest{Channel: f.recording.topology.Channel, Chaincode: f.chaincode(),
		Genesis: hex.EncodeToString(f.genesis[:]), First: uint64(first), Unproved: []string{}})
	require.NoError(f, err)
	require.NoError(f, w.Base(f.recording.blocks[0]))
	if change != nil {
		var dumped bytes.Buffer
		require.NoError(f, state.Dump(&dumped, commit))
		require.NoError(f, w.State(func(out io.Writer) error {
			_, err := out.Write(change(dumped.Bytes()))
			return err
		}))
	}
	for _, b := range f.blocks[first:] {
		require.NoError(f, w.Append(b))
	}
	require.NoError(f, w.Close())
	var packed bytes.Buffer
	require.NoError(f, bundle.Pack(dir, &packed))
	r, err := bundle.Read(&packed)
	require.NoError(f, err)
	report, err := Run(f.Context(), r, Options{Genesis: f.genesis, Workers: 2, Tip: f.tip})
	require.NoError(f, err)
	return report
}

func TestARangeIsVerifiedFromTheStateBeforeIt(t *testing.T) {
	s, f := storyOn(t, "raft")
	first := len(s.blocks) / 2
	unchanged := func(state []byte) []byte { return state }
	report := f.from(first, unchanged)
	require.Empty(t, report.Worst(), "%v", report.Findings)
	require.Equal(t, len(s.blocks)-first, report.Rerun, "every transaction was run again")
	without := f.from(first, nil)
	require.Empty(t, without.Worst(), "%v", without.Findings)
	require.Zero(t, without.Rerun)
	require.NotEqual(t, report.Unproved, without.Unproved)

	t.Run("founding again in it", func(t *testing.T) {
		again := func(s *questiontest.Story) {
			s.Must(failing{}, rulestest.User(rulestest.A, "operator1", ledger.Operator), "member:Found", ledger.Nothing{})
		}
		s, err := tell(t.TempDir(), string(orderings["raft"]), again)
		require.NoError(t, err)
		report := newForger(t, s.recording).from(len(s.blocks)-2, unchanged)
		require.Empty(t, report.Worst(), "%v", report.Findings)
		require.Positive(t, report.Rerun)
	})
	t.Run("a forged write in it is found", func(t *testing.T) {
		s, f := storyOn(t, "raft")
		i := slices.IndexFunc(collusions, func(c collusion) bool { return slices.Contains(c.rules, RuleConservation) })
		block := collusions[i].change(f, s)
		report := f.from(first, unchanged)
		require.Equal(t, Broken, report.Worst())
		require.Equal(t, uint64(block), report.Findings[0].Block)
	})
	t.Run("a block that is known", func(t *testing.T) {
		for _, test := range []struct {
			claim string
			at    int
			right bool
			worst Severity
		}{
			{"the first one", first, true, ""},
			{"the first one, another", first, false, Forged},
			{"the one before", first - 1, true, ""},
			{"the one before, another", first - 1, false, Forged},
			{"one that it cannot show", first - 2, true, Unclear},
		} {
			s, f := storyOn(t, "raft")
			f.tip = &Tip{Number: uint64(test.at), Hash: [32]byte(protoutil.BlockHeaderHash(s.blocks[test.at].Header))}
			if !test.right {
				f.tip.Hash[0] ^= 1
			}
			report := f.from(first, unchanged)
			require.Equal(t, test.worst, report.Worst(), "%s: %v", test.claim, report.Findings)
			if test.worst != "" {
				require.Equal(t, RuleTip, report.Findings[0].Rule, test.claim)
			}
		}
	})
	t.Run("a state that is not that of the blocks before", func(t *testing.T) {
		_, f := storyOn(t, "raft")
		report := f.from(first, func(state []byte) []byte { return bytes.ReplaceAll(state, []byte("approved"), []byte("rejected")) })
		require.NotEmpty(t, report.Worst())
	})
	t.Run("a state that does not parse", func(t *testing.T) {
		_, f := storyOn(t, "raft")
		report := f.from(first, func(state []byte) []byte { return state[:len(state)-1] })
		require.Equal(t, RuleBundle, report.Findings[0].Rule)
	})
}

func FuzzRestore(f *testing.F) {
	s, err := stories["raft"]()
	require.NoError(f, err)
	state := replay.New(s.topology.Chaincode.Name)
	for _, b := range s.blocks[:6] {
		require.NoError(f, state.Block(b))
	}
	var dumped bytes.Buffer
	require.NoError(f, state.Dump(&dumped, protoutil.BlockHeaderHash(s.blocks[5].Header)))
	f.Add(dumped.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, commit, err := replay.Restore(s.topology.Chaincode.Name, bytes.NewReader(data), s.blocks[0])
		if err != nil {
			return
		}
		var again bytes.Buffer
		require.NoError(t, r.Dump(&again, commit))
		second, _, err := replay.Restore(s.topology.Chaincode.Name, &again, s.blocks[0])
		require.NoError(t, err)
		require.Equal(t, r.Height(), second.Height())
	})
}
