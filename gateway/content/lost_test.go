package content_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/content"
)

// of is a contribution as the ledger has it.
func of(place contribution.Named, p content.Prepared) contribution.Contribution {
	return contribution.Contribution{Submit: contribution.Submit{Datanet: place.Datanet, ID: place.ID, Content: p.Content(contribution.Provenance{}, nil)}, Contributor: ann}
}

// returned has a content come as from another member.
func (f *fixture) returned(t *testing.T, c contribution.Contribution, head content.Head, text string) content.Info {
	t.Helper()
	info, err := f.BeginReplica(t.Context(), c, head)
	require.NoError(t, err)
	info, err = f.AppendReplica(t.Context(), info.ID, info.Received, bytes.NewReader([]byte(text)))
	require.NoError(t, err)
	info, err = f.FinishReplica(t.Context(), info.ID)
	require.NoError(t, err)
	return info
}

func TestWhatIsNotWholeIsLostUntilItIsWholeAgain(t *testing.T) {
	text := poems(3)
	for claim, damage := range map[string]struct {
		does func([]byte) []byte // nil: the object is gone
		read bool                // only reading finds it
	}{
		"gone":    {nil, false},
		"shorter": {func(b []byte) []byte { return b[:len(b)-1] }, false},
		"altered": {func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, true},
	} {
		t.Run(claim, func(t *testing.T) {
			f := open(t, content.Options{Organisation: "AMSP", PartBytes: 100})
			id, place, p := f.assigned(t, text)
			check := func(read bool, want content.State) {
				t.Helper()
				checked, err := f.Check(t.Context(), id, read)
				require.NoError(t, err)
				require.Equal(t, want, checked.State)
			}
			check(true, content.Ready)
			object := f.objects(t)[0]
			before, err := f.bucket.ReadAll(t.Context(), object)
			require.NoError(t, err)
			require.NoError(t, f.bucket.Delete(t.Context(), object))
			if damage.does != nil {
				require.NoError(t, f.bucket.WriteAll(t.Context(), object, damage.does(bytes.Clone(before)), nil))
			}
			if damage.read {
				check(false, content.Ready)
				c, err := f.Open(t.Context(), id)
				require.NoError(t, err)
				reader := c.Reader(t.Context())
				_, err = io.ReadAll(reader)
				require.ErrorIs(t, err, content.ErrDamaged)
				require.NoError(t, reader.Close())
				require.Equal(t, id, <-f.Suspects())
			}
			check(damage.read, content.Lost)
			_, err = f.Find(t.Context(), place, p.Commitment)
			require.ErrorIs(t, err, content.ErrNotFound)
			_, err = f.Open(t.Context(), id)
			require.ErrorIs(t, err, content.ErrUnfinished)
			backup, err := f.Backup(t.Context(), io.Discard, true, nil)
			require.NoError(t, err)
			require.Equal(t, []string{id}, backup.Damaged)

			check(false, content.Lost)
			require.Empty(t, f.Suspects(), "a check tells what it finds itself, and suspects nothing to be checked again")
			require.NoError(t, f.bucket.WriteAll(t.Context(), object, before, nil))
			check(false, content.Ready)
			require.Equal(t, text, f.text(t, id))
		})
	}
}

// A file that is a link to itself cannot be read by anybody, so the test holds for root too.
func TestAContentThatCannotBeReadIsToldAndNotLost(t *testing.T) {
	f := open(t, content.Options{Organisation: "AMSP", PartBytes: 100})
	text := poems(3)
	id, place, p := f.assigned(t, text)
	file := filepath.Join(f.folder, "objects", f.objects(t)[0])
	require.NoError(t, os.Rename(file, file+".away"))
	require.NoError(t, os.Symlink(filepath.Base(file), file))
	for _, read := range []bool{false, true} {
		checked, err := f.Check(t.Context(), id, read)
		require.ErrorIs(t, err, content.ErrUnreadable)
		require.Equal(t, content.Ready, checked.State)
		require.Equal(t, place, checked.Place)
	}
	_, err := f.Find(t.Context(), place, p.Commitment)
	require.NoError(t, err, "nothing is fetched in its place")
	require.NoError(t, os.Rename(file+".away", file))
	checked, err := f.Check(t.Context(), id, true)
	require.NoError(t, err)
	require.Equal(t, content.Ready, checked.State)
	require.Equal(t, text, f.text(t, id))
}

func TestWhatComesBackTakesThePlaceOfWhatWasLost(t *testing.T) {
	f := open(t, content.Options{Organisation: "AMSP", PartBytes: 100})
	text := poems(3)
	id, place, p := f.assigned(t, text)
	c, err := f.Open(t.Context(), id)
	require.NoError(t, err)
	head := c.Head()
	lost := f.objects(t)
	require.NoError(t, f.bucket.Delete(t.Context(), lost[0]))
	checked, err := f.Check(t.Context(), id, false)
	require.NoError(t, err)
	require.Equal(t, content.Lost, checked.State)

	info := f.returned(t, of(place, p), head, text)
	require.NotEqual(t, id, info.ID)
	require.False(t, info.Replica)
	require.Equal(t, ann, info.Account)
	back, err := f.Open(t.Context(), info.ID)
	require.NoError(t, err)
	require.Equal(t, p, back.Prepared())
	require.Equal(t, text, f.text(t, info.ID))
	for _, object := range f.objects(t) {
		require.NotContains(t, lost, object, "what was lost is destroyed")
	}
	_, err = f.Check(t.Context(), id, false)
	require.ErrorIs(t, err, content.ErrNotFound)
	require.NoError(t, f.Erase(t.Context(), place))
	_, err = f.BeginReplica(t.Context(), of(place, p), head)
	require.ErrorIs(t, err, content.ErrErased, "what is erased does not come back")
}

func TestACrashLeavesNoContentBesideTheOneThatTookItsPlace(t *testing.T) {
	f := open(t, content.Options{Organisation: "AMSP"})
	text := poems(3)
	id, place, p := f.assigned(t, text)
	c, err := f.Open(t.Context(), id)
	require.NoError(t, err)
	require.NoError(t, f.bucket.Delete(t.Context(), f.objects(t)[0]))
	_, err = f.Check(t.Context(), id, false)
	require.NoError(t, err)
	info, err := f.BeginReplica(t.Context(), of(place, p), c.Head())
	require.NoError(t, err)
	_, err = f.AppendReplica(t.Context(), info.ID, 0, strings.NewReader(text))
	require.NoError(t, err)
	f.FailAt("a content is ready", func() { panic("crash") })
	require.Panics(t, func() { _, _ = f.FinishReplica(t.Context(), info.ID) })
	f.FailAt("", func() {})

	by, err := f.Check(t.Context(), id, false)
	require.NoError(t, err)
	require.Equal(t, info.ID, by.ID)
	_, err = f.Check(t.Context(), id, false)
	require.ErrorIs(t, err, content.ErrNotFound)
	require.Equal(t, text, f.text(t, info.ID))
}

// TestWhatComesBackWhileTheLostIsReadAgainStays: the clock is asked when it was read and nothing is noted yet.
func TestWhatComesBackWhileTheLostIsReadAgainStays(t *testing.T) {
	meanwhile := func() {}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f := open(t, content.Options{Organisation: "AMSP", Now: func() time.Time {
		then := meanwhile
		meanwhile = func() {}
		then()
		return now
	}})
	text := poems(3)
	id, place, p := f.assigned(t, text)
	c, err := f.Open(t.Context(), id)
	require.NoError(t, err)
	object := f.objects(t)[0]
	before, err := f.bucket.ReadAll(t.Context(), object)
	require.NoError(t, err)
	require.NoError(t, f.bucket.Delete(t.Context(), object))
	_, err = f.Check(t.Context(), id, false)
	require.NoError(t, err)
	require.NoError(t, f.bucket.WriteAll(t.Context(), object, before, nil))
	var came content.Info
	meanwhile = func() { came = f.returned(t, of(place, p), c.Head(), text) }

	_, err = f.Check(t.Context(), id, true)
	require.NoError(t, err)
	require.NotEmpty(t, came.ID)
	info, err := f.Find(t.Context(), place, p.Commitment)
	require.NoError(t, err)
	require.Equal(t, text, f.text(t, info.ID))
}

func TestAnErasureReachesWhatIsLost(t *testing.T) {
	f := open(t, content.Options{PartBytes: 100})
	id, place, _ := f.assigned(t, poems(3))
	require.NoError(t, f.bucket.Delete(t.Context(), f.objects(t)[0]))
	_, err := f.Check(t.Context(), id, false)
	require.NoError(t, err)
	require.NoError(t, f.Erase(t.Context(), place))
	require.Empty(t, f.objects(t))
}

func TestWhatIsLostIsRestoredFromABackup(t *testing.T) {
	f := open(t, content.Options{PartBytes: 100})
	text := poems(3)
	id, place, p := f.assigned(t, text)
	backup := f.backup(t, true)
	require.NoError(t, f.bucket.Delete(t.Context(), f.objects(t)[0]))
	_, err := f.Check(t.Context(), id, false)
	require.NoError(t, err)
	restored, err := f.Restore(t.Context(), bytes.NewReader(backup), asked(), nil)
	require.NoError(t, err)
	require.Equal(t, 1, restored.Items)
	info, err := f.Find(t.Context(), place, p.Commitment)
	require.NoError(t, err)
	require.Equal(t, text, f.text(t, info.ID))
}

func TestWhatHasWaitedLongestIsReadFirst(t *testing.T) {
	f := open(t, content.Options{})
	var all []string
	for range 3 {
		id, _, _ := f.assigned(t, poems(1))
		all = append(all, id)
		f.clock = f.clock.Add(time.Hour)
	}
	due, err := f.Unverified(t.Context(), f.clock.Add(-90*time.Minute), 2)
	require.NoError(t, err)
	require.Equal(t, all[:2], due)
	_, err = f.Check(t.Context(), all[0], true)
	require.NoError(t, err)
	due, err = f.Unverified(t.Context(), f.clock.Add(-90*time.Minute), 2)
	require.NoError(t, err)
	require.Equal(t, all[1:2], due)
}

// TestAKeyThatDoesNotOpenIsALoss: the file of master keys was lost, and made anew.
func TestAKeyThatDoesNotOpenIsALoss(t *testing.T) {
	f := open(t, content.Options{})
	id, _, _ := f.assigned(t, poems(1))
	keys, err := content.CreateMasterKeys(filepath.Join(t.TempDir(), "master.keys"))
	require.NoError(t, err)
	again := openOn(t, f.folder, f.db, keys, content.Options{})
	checked, err := again.Check(t.Context(), id, false)
	require.NoError(t, err)
	require.Equal(t, content.Lost, checked.State)
}
