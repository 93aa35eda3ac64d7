package verify

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/meter/numbers"
)

// encodedPart is the file of a part.
type encodedPart struct {
	bundle.Part
	data []byte
}

// TestEveryByteOfAPartIsCovered changes each byte of all parts, whose digests a forger would renew. What may differ without a
// finding is what of a request is no prompt.
func TestEveryByteOfAPartIsCovered(t *testing.T) {
	s := paid(t, "raft")
	state := replay.New(s.topology.Chaincode.Name)
	f := newFacts(s.topology.Chaincode.Name, state)
	for _, b := range s.blocks {
		prepared, err := state.Prepare(b)
		require.NoError(t, err)
		changes, err := state.Apply(prepared)
		require.NoError(t, err)
		f.changed(b.Header.Number, changes, func(int) string { return "" })
		f.events(b)
	}
	var files []encodedPart
	add := func(kind bundle.Kind, name []string, write func(*bytes.Buffer) error) {
		var out bytes.Buffer
		require.NoError(t, write(&out))
		files = append(files, encodedPart{bundle.Part{Kind: kind, Name: name}, out.Bytes()})
	}
	for _, one := range s.snapshots {
		add(bundle.Snapshot, one.Name, func(out *bytes.Buffer) error { return one.Write(out) })
	}
	for _, one := range s.contents {
		add(bundle.Content, one.Name, func(out *bytes.Buffer) error { return one.Write(out) })
	}
	for _, one := range s.settlements {
		add(bundle.Settlement, one.Name, func(out *bytes.Buffer) error { return one.Write(out) })
	}
	h := &holder{v: &verifier{facts: f, report: &Report{}, options: Options{MaxFindings: 10}}, facts: f, of: s.holder, held: &Held{NotRecomputed: map[string]int{}}, places: map[string]settlement{}}
	h.corpora = newCorpora(f, t.TempDir())
	defer func() { require.NoError(t, h.corpora.close()) }()
	manifest := &bundle.Manifest{}
	for _, file := range files {
		manifest.Parts = append(manifest.Parts, file.Part)
	}
	require.NoError(t, h.plan(manifest))
	found := func(file encodedPart, data []byte) bool {
		h.found, h.kept, h.bills = nil, nil, map[merkle.Hash]*numbers.Seen{} // each reading is the first one
		return h.part(t.Context(), file.Part, bytes.NewReader(data)) != nil || h.recomputeAll(t.Context()) != nil || len(h.found) > 0
	}
	for _, file := range files {
		require.False(t, found(file, file.data), "%v", h.found)
	}
	flips := 0
	for _, file := range files {
		for i := range file.data {
			changed := bytes.Clone(file.data)
			changed[i] ^= 1 << (i % 8)
			h.last = nil
			flips++
			if !found(file, changed) && !samePrompts(t, file, changed) {
				t.Errorf("byte %d of %d of %s: not covered", i, len(changed), readableName(file.Part))
			}
		}
	}
	t.Logf("%d changed bytes of %d parts", flips, len(files))
}

// samePrompts tells whether a settlement differs only in what of a request is no prompt.
func samePrompts(t *testing.T, file encodedPart, changed []byte) bool {
	if file.Kind != bundle.Settlement {
		return false
	}
	texts := func(data []byte) (list [][]byte, rest []byte) {
		require.NoError(t, parts.SettlementReader{Scope: func(parts.Scope) error { return nil }, Peaks: func(int, use.Move, []merkle.Hash) error { return nil }, Use: func(_ int, _ uint64, u parts.Use) error {
			e, err := evidence.Decode(bytes.Clone(u.Evidence))
			require.NoError(t, err)
			prompt, err := e.Prompt()
			require.NoError(t, err)
			list = append(list, prompt...)
			e.Body, e.Path = nil, ""
			encoded, err := e.Encode()
			require.NoError(t, err)
			rest = append(append(append(rest, u.Leaf...), u.Receipt...), encoded...)
			return nil
		}}.Read(bytes.NewReader(data)))
		return list, rest
	}
	before, rest := texts(file.data)
	after, restAfter := texts(changed)
	return bytes.Equal(rest, restAfter) && slices.EqualFunc(before, after, bytes.Equal)
}
