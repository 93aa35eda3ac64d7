package parts

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
)

func content(t require.TestingT, salt attribution.Salt, records ...[]byte) []byte {
	var out bytes.Buffer
	c, err := NewContent(&out, salt)
	require.NoError(t, err)
	for _, r := range records {
		require.NoError(t, c.Record(r))
	}
	return out.Bytes()
}

func snapshot(t require.TestingT, revision uint32, leaves ...Leaf) []byte {
	var out bytes.Buffer
	s, err := NewSnapshot(&out, revision)
	require.NoError(t, err)
	for _, l := range leaves {
		require.NoError(t, s.Leaf(l))
	}
	return out.Bytes()
}

// settlement is one of a session that had three uses, and got two more.
func settlement(t require.TestingT) []byte {
	before, after := use.Mark{N: 3, Root: merkle.Hash{1}}, use.Mark{N: 5, Amount: 9, Root: merkle.Hash{2}}
	scope := Scope{Sessions: []Session{{"AMSP:ann", "00ff"}}}
	var err error
	scope.Encoded, err = use.EncodeScope(merkle.Hash{7}, []use.Move{{Session: merkle.Hash{3}, Before: before, After: after}})
	require.NoError(t, err)
	var out bytes.Buffer
	s, err := NewSettlement(&out, scope)
	require.NoError(t, err)
	require.NoError(t, s.Peaks([]merkle.Hash{{4}, {5}}))
	for i := range 2 {
		leaf, err := use.Leaf{Session: merkle.Hash{3}, Number: uint64(i)}.Encode()
		require.NoError(t, err)
		u := Use{Leaf: leaf, Receipt: []byte("receipt")}
		if i == 1 {
			u.Receipt, u.Evidence = nil, []byte("text")
		}
		require.NoError(t, s.Use(u))
	}
	return out.Bytes()
}

// rewrite reads a settlement and writes what was read.
func rewrite(in io.Reader, out io.Writer) error {
	var w *Settlement
	return SettlementReader{
		Scope: func(s Scope) (err error) { w, err = NewSettlement(out, s); return err },
		Peaks: func(_ int, _ use.Move, peaks []merkle.Hash) error { return w.Peaks(peaks) },
		Use:   func(_ int, _ uint64, u Use) error { return w.Use(u) },
	}.Read(in)
}

func recontent(in io.Reader, out io.Writer) error {
	var records [][]byte
	salt, err := ReadContent(in, func(r []byte) error { records = append(records, r); return nil })
	if err != nil {
		return err
	}
	c, err := NewContent(out, salt)
	for _, r := range records {
		err = errors.Join(err, c.Record(r))
	}
	return err
}

func resnapshot(in io.Reader, out io.Writer) error {
	var leaves []Leaf
	revision, err := ReadSnapshot(in, func(l Leaf) error {
		leaves = append(leaves, l)
		_, err := l.Hash()
		return err
	})
	if err != nil {
		return err
	}
	s, err := NewSnapshot(out, revision)
	for _, l := range leaves {
		err = errors.Join(err, s.Leaf(l))
	}
	return err
}

func TestEveryFormIsReadAsItWasWritten(t *testing.T) {
	for name, form := range map[string]struct {
		encoded []byte
		again   func(io.Reader, io.Writer) error
	}{
		"content":           {content(t, attribution.Salt{9}, []byte("one"), nil, []byte("three")), recontent},
		"an empty content":  {content(t, attribution.Salt{9}), recontent},
		"snapshot":          {snapshot(t, 2, Leaf{ID: "a", Account: "AMSP:ann", Commitment: merkle.Hash{1}}, Leaf{}), resnapshot},
		"an empty snapshot": {snapshot(t, 1), resnapshot},
		"settlement":        {settlement(t), rewrite},
	} {
		var again bytes.Buffer
		require.NoError(t, form.again(bytes.NewReader(form.encoded), &again), name)
		require.Equal(t, form.encoded, again.Bytes(), name)
		require.ErrorIs(t, form.again(bytes.NewReader(form.encoded[1:]), io.Discard), ErrForm, name)
	}
}

func TestASettlementThatIsNotWholeIsNone(t *testing.T) {
	whole := settlement(t)
	for n := range whole {
		require.ErrorIs(t, rewrite(bytes.NewReader(whole[:n]), io.Discard), ErrForm, "%d of %d bytes", n, len(whole))
	}
	require.ErrorIs(t, rewrite(bytes.NewReader(append(whole, 0)), io.Discard), ErrForm)
}

func TestALengthTakesNoMemory(t *testing.T) {
	claimed := append(content(t, attribution.Salt{}), 0x03, 0xff, 0xff, 0xff)
	require.ErrorIs(t, recontent(bytes.NewReader(claimed), io.Discard), ErrForm)
	claimed = append(content(t, attribution.Salt{}), 0xff, 0xff, 0xff, 0xff)
	require.ErrorContains(t, recontent(bytes.NewReader(claimed), io.Discard), "at most")
	require.Error(t, (&Snapshot{io.Discard}).Leaf(Leaf{ID: strings.Repeat("a", attribution.MaxName+1), Account: "AMSP:ann"}))
}

func FuzzRead(f *testing.F) {
	f.Add(content(f, attribution.Salt{9}, []byte("one"), []byte("two")))
	f.Add(snapshot(f, 2, Leaf{ID: "a", Account: "AMSP:ann", Commitment: merkle.Hash{1}}, Leaf{}))
	f.Add(settlement(f))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		for _, again := range []func(io.Reader, io.Writer) error{rewrite, recontent, resnapshot} {
			var out bytes.Buffer
			if again(bytes.NewReader(encoded), &out) == nil {
				require.Equal(t, encoded, out.Bytes(), "one form only")
			}
		}
	})
}
