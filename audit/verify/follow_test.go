package verify

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/audit/bundle"
)

// toldOnce demands that after the first finding that breaks what follows no severity and rule stands twice.
func toldOnce(t *testing.T, report *Report) {
	t.Helper()
	first := slices.IndexFunc(report.Findings, func(f Finding) bool { return breaking[f.Rule] })
	require.GreaterOrEqual(t, first, 0, "%v", report.Findings)
	seen := map[[2]string]bool{}
	for _, f := range report.Findings[first:] {
		kind := [2]string{string(f.Severity), string(f.Rule)}
		require.False(t, seen[kind], "%s", f)
		seen[kind] = true
		for _, also := range f.Also {
			require.Equal(t, kind, [2]string{string(also.Severity), string(also.Rule)})
			require.NotEmpty(t, also.Message)
			require.Empty(t, also.Also)
		}
	}
}

// found tells whether a rule has a finding at a block, by itself or in another.
func (r *Report) found(rule Rule, block int) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool {
		return f.Rule == rule && slices.ContainsFunc(append([]Finding{f}, f.Also...), func(f Finding) bool { return f.Block == uint64(block) })
	})
}

func TestWhatFollowsFromOneCauseIsToldOnce(t *testing.T) {
	for ordering := range orderings {
		for claim, forge := range map[string]func(f *forger){
			"a dropped block":             func(f *forger) { f.blocks = slices.Delete(f.blocks, 5, 6); f.renumber() },
			"a dropped block, all signed": func(f *forger) { f.blocks = slices.Delete(f.blocks, 5, 6); f.renumber(); f.sign(5) },
		} {
			t.Run(ordering+"/"+claim, func(t *testing.T) {
				_, f := storyOn(t, ordering)
				forge(f)
				report := f.verify()
				toldOnce(t, report)
				require.Equal(t, Forged, report.Worst())
				require.Less(t, len(report.Findings), 10, "%v", report.Findings)
				require.Greater(t, report.Count(), 100)
			})
		}
	}
}

func TestWhatFollowsFromAMissingConfigurationIsToldOnce(t *testing.T) {
	for ordering := range orderings {
		t.Run(ordering, func(t *testing.T) {
			r := recordedNetwork(t, ordering)
			f := newForger(t, r)
			missing := f.configured()
			report := f.without(missing)
			toldOnce(t, report)
			require.True(t, report.found(RuleConfiguration, missing+1), "%v", report.Findings)

			f.blocks = slices.Delete(f.blocks, missing, missing+1)
			f.renumber()
			f.sign(missing)
			report = f.verify()
			toldOnce(t, report)
			require.Greater(t, report.Count(), len(report.Findings), "%v", report.Findings)

			f = newForger(t, r)
			flip(f.blocks[missing].Data.Data[0])
			report = f.verify()
			toldOnce(t, report)
			require.Greater(t, report.Count(), len(report.Findings), "%v", report.Findings)
		})
	}
}

func TestAnotherForgeryIsFoundAfterABrokenChain(t *testing.T) {
	_, f := storyOn(t, "raft")
	flip(f.blocks[4].Header.PreviousHash)
	flip(f.blocks[9].Header.PreviousHash)
	end := len(f.blocks) - 1
	flip(f.blocks[end].Data.Data[0])
	report := f.verify()
	toldOnce(t, report)
	for _, block := range []int{4, 5, 9, 10} {
		require.True(t, report.found(RuleChain, block), "%d", block)
	}
	require.True(t, report.found(RuleData, end), "%v", report.Findings)
	chain := report.Findings[slices.IndexFunc(report.Findings, func(f Finding) bool { return f.Rule == RuleChain })]
	require.Contains(t, chain.String(), "also at block 5, block 9, block 10")
}

// without verifies a bundle that lacks a block, whatever the numbers say.
func (f *forger) without(block int) *Report {
	var encoded [][]byte
	for _, b := range slices.Delete(slices.Clone(f.blocks), block, block+1) {
		data, err := proto.Marshal(b)
		require.NoError(f, err)
		encoded = append(encoded, data)
	}
	r, err := bundle.Read(bytes.NewReader(inMemory(f, f.recording, encoded)))
	require.NoError(f, err)
	report, err := Run(f.Context(), r, Options{Genesis: f.genesis, Workers: 2})
	require.NoError(f, err)
	return report
}

func TestAGapIsToldAndWhatIsNotCheckedAfterIt(t *testing.T) {
	for ordering := range orderings {
		t.Run(ordering, func(t *testing.T) {
			_, f := storyOn(t, ordering)
			for block, says := range map[int]string{5: "it follows block 4", 0: "without its configuration no signature is checked"} {
				report := f.without(block)
				require.Len(t, report.Findings, 2, "%v", report.Findings)
				require.Equal(t, RuleChain, report.Findings[0].Rule)
				require.Contains(t, report.Findings[0].Message, says)
				require.Contains(t, report.Findings[1].Message, "from here on neither state nor rules are checked")
			}
		})
	}
}

func TestBlocksThatAreCutOffTakeNothingElseWithThem(t *testing.T) {
	h := paid(t, "raft")
	h.damage = func(dir string) {
		path := filepath.Join(dir, "blocks-00000000000000000000")
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(path, info.Size()/2))
	}
	report := h.verify()
	require.Len(t, report.Findings, 1, "%v", report.Findings)
	require.Equal(t, RuleBundle, report.Findings[0].Rule)
	require.Contains(t, report.Findings[0].Message, "from here on blocks are not checked")
	require.Positive(t, report.Height)
	require.Zero(t, report.Held.Contents)

	// All blocks are there, and one byte after them: what was checked stays checked.
	h = paid(t, "raft")
	h.damage = func(dir string) {
		path := filepath.Join(dir, "blocks-00000000000000000000")
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = file.Write([]byte{0})
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	report = h.verify()
	require.Len(t, report.Findings, 1, "%v", report.Findings)
	require.Equal(t, 3, report.Held.Recomputed)
}

func TestAPartThatIsAwayTakesNothingElseWithIt(t *testing.T) {
	h := paid(t, "raft")
	h.damage = func(dir string) {
		files, err := filepath.Glob(filepath.Join(dir, string(bundle.Settlement)+"-*"))
		require.NoError(t, err)
		require.Len(t, files, 2)
		for _, file := range files {
			require.NoError(t, os.Remove(file))
		}
	}
	report := h.verify()
	require.Len(t, report.Findings, 1, "%v", report.Findings)
	require.Contains(t, report.Findings[0].Message, "this part and those after it, 2 in all, are not checked")
	require.Equal(t, 2, report.Held.Contents)
}
