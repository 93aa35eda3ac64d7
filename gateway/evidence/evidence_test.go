package evidence_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

var subject = evidence.Subject{Model: "M/a@1", Artifacts: []merkle.Hash{{1}, {2}}}

// right is evidence of an answer over a small corpus, and its leaf.
func right(t *testing.T) (*evidence.Evidence, use.Leaf) {
	e := &evidence.Evidence{Path: openai.ChatPath, Body: []byte(`{"model":"M/a@1","messages":[{"role":"user","content":"Who are we few?"}]}`),
		Context: [][]byte{[]byte("be brief")}, Output: []byte("we happy few, we band of brothers"),
		Nonces: attribution.Nonces{Prompt: attribution.Nonce{1}, Context: attribution.Nonce{2}, Output: attribution.Nonce{3}}}
	return e, use.Leaf{In: 4, Out: 7, Receipt: receiptOf(t, e, attribution.Corpus{
		{ID: "1", Account: "M:ann", Records: [][]byte{[]byte("We few, we happy few, we band of brothers;")}}})}
}

// receiptOf gives evidence its receipt over a corpus.
func receiptOf(t *testing.T, e *evidence.Evidence, corpus attribution.Corpus) merkle.Hash {
	view, err := index.InMemory(t.Context(), index.FromCorpus(corpus), index.Options{})
	require.NoError(t, err)
	a, err := e.Answer(subject.Model, merkle.Hash{2}, []merkle.Hash{{7}}, 2)
	require.NoError(t, err)
	r, err := indexed.New(view).Receipt(a)
	require.NoError(t, err)
	e.Receipt, err = r.Encode()
	require.NoError(t, err)
	id, err := r.ID()
	require.NoError(t, err)
	return id
}

// Whoever recomputes a receipt needs memory for each token of the output.
func TestNoAnswerIsLongerThanItsReceiptIsRecomputed(t *testing.T) {
	for tokens, finding := range map[int]string{evidence.MaxOutput: "", evidence.MaxOutput + 1: evidence.WrongUnits} {
		e := &evidence.Evidence{Path: openai.ChatPath, Body: []byte(`{"model":"M/a@1","messages":[{"role":"user","content":"Who?"}]}`), Output: bytes.Repeat([]byte("a "), tokens)}
		err := e.Check(use.Leaf{In: 1, Out: uint64(tokens), Receipt: receiptOf(t, e, nil)}, subject)
		if finding == "" {
			require.NoError(t, err)
			continue
		}
		var wrong *evidence.Wrong
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, finding, wrong.Finding)
	}
}

func TestALeafIsHeldAgainstTheEvidence(t *testing.T) {
	e, leaf := right(t)
	require.NoError(t, e.Check(leaf, subject))
	require.NoError(t, e.CheckFree(subject))
	consumers := *e
	consumers.Context, consumers.Nonces.Context = nil, attribution.Nonce{}
	require.NoError(t, consumers.Check(leaf, subject), "the consumer needs no context")

	for claim, c := range map[string]struct {
		spoil   func(*evidence.Evidence, *use.Leaf, *evidence.Subject)
		finding string
	}{
		"another receipt":        {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { l.Receipt[0]++ }, evidence.WrongReceipt},
		"a receipt that is none": {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { e.Receipt = nil; l.Receipt = emptyHash }, evidence.WrongReceipt},
		"another model":          {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { s.Model = "M/b@1" }, evidence.WrongSubject},
		"another artifact":       {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { s.Artifacts = s.Artifacts[:1] }, evidence.WrongSubject},
		"another prompt": {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) {
			e.Body = []byte(`{"model":"M/a@1","messages":[{"role":"user","content":"Who are we?"}]}`)
		}, evidence.WrongSubject},
		"another output":         {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { e.Output = []byte("we happy few") }, evidence.WrongSubject},
		"another prompt's nonce": {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { e.Nonces.Prompt[5]++ }, evidence.WrongSubject},
		"another output's nonce": {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { e.Nonces.Output[5]++ }, evidence.WrongSubject},
		"no endpoint":            {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { e.Path = "/" }, evidence.WrongSubject},
		"a body that is none":    {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { e.Body = []byte("{") }, evidence.WrongSubject},
		"a token more in":        {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { l.In++ }, evidence.WrongUnits},
		"a token less in":        {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { l.In-- }, evidence.WrongUnits},
		"a token more out":       {func(e *evidence.Evidence, l *use.Leaf, s *evidence.Subject) { l.Out++ }, evidence.WrongUnits},
	} {
		e, leaf := right(t)
		s := evidence.Subject{Model: subject.Model, Artifacts: slices.Clone(subject.Artifacts)}
		c.spoil(e, &leaf, &s)
		var wrong *evidence.Wrong
		require.ErrorAs(t, e.Check(leaf, s), &wrong, claim)
		require.Equal(t, c.finding, wrong.Finding, "%s: %v", claim, wrong)
	}
}

// emptyHash is the SHA-256 of nothing.
var emptyHash = merkle.Root(nil)

func draw(t *rapid.T) *evidence.Evidence {
	bytes := rapid.SliceOfN(rapid.Byte(), 0, 50)
	nonce := rapid.SliceOfN(rapid.Byte(), 16, 16)
	return &evidence.Evidence{Receipt: bytes.Draw(t, "receipt"), Path: rapid.String().Draw(t, "path"), Body: bytes.Draw(t, "body"),
		Context: rapid.SliceOf(bytes).Draw(t, "context"), Output: bytes.Draw(t, "output"),
		Nonces: attribution.Nonces{Prompt: attribution.Nonce(nonce.Draw(t, "prompt")), Context: attribution.Nonce(nonce.Draw(t, "context's")), Output: attribution.Nonce(nonce.Draw(t, "output's"))}}
}

func TestEvidenceHasOneForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := draw(t)
		encoded, err := e.Encode()
		require.NoError(t, err)
		got, err := evidence.Decode(encoded)
		require.NoError(t, err)
		again, err := got.Encode()
		require.NoError(t, err)
		require.Equal(t, encoded, again)
		require.Equal(t, e.Path, got.Path)
		require.Equal(t, e.Nonces, got.Nonces)
		require.Equal(t, len(e.Context), len(got.Context))
		_, err = evidence.Decode(encoded[:rapid.IntRange(0, len(encoded)-1).Draw(t, "cut")])
		require.Error(t, err)
		_, err = evidence.Decode(append(encoded, 0))
		require.Error(t, err)
	})
}

func TestSealedEvidenceOpensOnlyUnderItsKeyAndForItsLeaf(t *testing.T) {
	key := evidence.Key{1}
	s, err := evidence.NewSealer(key)
	require.NoError(t, err)
	sealed := s.Seal(merkle.Hash{1}, merkle.Hash{2}, []byte("the evidence"))
	require.NotContains(t, string(sealed), "evidence")
	opened, err := s.Open(merkle.Hash{1}, merkle.Hash{2}, sealed)
	require.NoError(t, err)
	require.Equal(t, "the evidence", string(opened))
	require.NotEqual(t, sealed, s.Seal(merkle.Hash{1}, merkle.Hash{2}, []byte("the evidence")))

	other, err := evidence.NewSealer(evidence.Key{2})
	require.NoError(t, err)
	_, err = other.Open(merkle.Hash{1}, merkle.Hash{2}, sealed)
	require.Error(t, err)
	_, err = s.Open(merkle.Hash{3}, merkle.Hash{2}, sealed)
	require.Error(t, err)
	_, err = s.Open(merkle.Hash{1}, merkle.Hash{3}, sealed)
	require.Error(t, err)
	_, err = s.Open(merkle.Hash{1}, merkle.Hash{2}, sealed[:10])
	require.Error(t, err)
}

func FuzzDecode(f *testing.F) {
	encoded, err := (&evidence.Evidence{Receipt: []byte{1}, Path: "/p", Context: [][]byte{{2}}}).Encode()
	require.NoError(f, err)
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, encoded []byte) {
		e, err := evidence.Decode(encoded)
		if err != nil {
			return
		}
		again, err := e.Encode()
		require.NoError(t, err)
		require.Equal(t, encoded, again)
		e.CheckFree(subject)
	})
}
