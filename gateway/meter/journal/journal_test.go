package journal_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
)

// replayed opens a medium and returns its records.
func replayed(m journal.Medium) (l *journal.Log, records [][]byte, err error) {
	l, err = journal.Open(m, func(_ int64, r []byte) error { records = append(records, bytes.Clone(r)); return nil })
	return l, records, err
}

func TestWhatWasWaitedForIsReplayedAfterACrashAtAnyByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		medium := &journaltest.Memory{}
		l, _, err := replayed(medium)
		require.NoError(t, err)
		budget := rapid.IntRange(0, 600).Draw(t, "crashes after")
		medium.Budget = &budget
		var written [][]byte
		durable := 0
		for range 40 {
			record := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "record")
			_, ticket, err := l.Append(record)
			if err != nil {
				break
			}
			written = append(written, record)
			if rapid.Bool().Draw(t, "wait") {
				if l.Wait(ticket) != nil {
					break
				}
				durable = len(written)
			}
			if rapid.IntRange(0, 9).Draw(t, "rewrite") == 0 {
				if l.Rewrite(func(add func([]byte) (int64, error)) error {
					for _, r := range written {
						if _, err := add(r); err != nil {
							return err
						}
					}
					return nil
				}) != nil {
					break
				}
				durable = len(written)
			}
		}
		rest := medium.Restart(rapid.IntRange(0, medium.Unsynced()).Draw(t, "lost"))
		again, records, err := replayed(rest)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(records), durable)
		require.LessOrEqual(t, len(records), len(written))
		for i, r := range records {
			require.True(t, bytes.Equal(written[i], r), "record %d", i)
		}
		offset, ticket, err := again.Append([]byte("more"))
		require.NoError(t, err)
		require.NoError(t, again.Wait(ticket))
		read, err := again.Read(offset)
		require.NoError(t, err)
		require.Equal(t, "more", string(read))
		_, records2, err := replayed(journaltest.Holding(rest.Bytes()))
		require.NoError(t, err)
		require.Len(t, records2, len(records)+1)
	})
}

func TestDamageBeforeTheLastFrameIsNotTakenForATornEnd(t *testing.T) {
	medium := &journaltest.Memory{}
	l, _, err := replayed(medium)
	require.NoError(t, err)
	starts := []int64{l.Size()}
	for i := range 3 {
		_, ticket, err := l.Append(fmt.Appendf(nil, "record %d", i))
		require.NoError(t, err)
		require.NoError(t, l.Wait(ticket))
		starts = append(starts, l.Size())
	}
	whole := medium.Bytes()
	for at := range whole {
		broken := bytes.Clone(whole)
		broken[at] ^= 0x40
		_, records, err := replayed(journaltest.Holding(broken))
		if int64(at) < starts[2] {
			require.ErrorIs(t, err, journal.ErrDamaged, "byte %d", at)
		} else {
			require.NoError(t, err)
			require.Len(t, records, 2)
		}
	}
}

func TestOneSyncServesAllWhoWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	file, err := journal.OpenFile(path)
	require.NoError(t, err)
	l, _, err := replayed(file)
	require.NoError(t, err)
	_, err = journal.OpenFile(path)
	require.ErrorContains(t, err, "in use")
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			_, ticket, err := l.Append(fmt.Appendf(nil, "%d", i))
			if err == nil {
				err = l.Wait(ticket)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, l.Syncs(), uint64(200))
	for range 3 {
		_, _, err := l.Append([]byte("together"))
		require.NoError(t, err)
	}
	before := l.Syncs()
	require.NoError(t, l.Flush())
	require.Equal(t, before+1, l.Syncs())
	require.NoError(t, l.Rewrite(func(add func([]byte) (int64, error)) error { _, err := add([]byte("all")); return err }))
	_, ticket, err := l.Append([]byte("and more"))
	require.NoError(t, err)
	require.NoError(t, l.Wait(ticket))
	require.NoError(t, l.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	file, err = journal.OpenFile(path)
	require.NoError(t, err)
	l, records, err := replayed(file)
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("all"), []byte("and more")}, records)
	require.NoError(t, l.Close())
}

func TestAfterAFailedWriteNothingMoreIsTaken(t *testing.T) {
	medium := &journaltest.Memory{}
	l, _, err := replayed(medium)
	require.NoError(t, err)
	budget := 3
	medium.Budget = &budget
	_, ticket, err := l.Append([]byte("lost"))
	require.NoError(t, err)
	require.ErrorIs(t, l.Wait(ticket), journaltest.ErrCrashed)
	_, _, err = l.Append([]byte("more"))
	require.ErrorIs(t, err, journaltest.ErrCrashed)
}

// FuzzOpen opens arbitrary bytes: what is accepted is replayed alike a second time.
func FuzzOpen(f *testing.F) {
	medium := &journaltest.Memory{}
	l, _, err := replayed(medium)
	require.NoError(f, err)
	f.Add(medium.Bytes())
	for _, record := range []string{"one", "", "three"} {
		_, ticket, err := l.Append([]byte(record))
		require.NoError(f, err)
		require.NoError(f, l.Wait(ticket))
		f.Add(medium.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		medium := journaltest.Holding(data)
		_, records, err := replayed(medium)
		if err != nil {
			return
		}
		_, again, err := replayed(journaltest.Holding(medium.Bytes()))
		require.NoError(t, err)
		require.Equal(t, records, again)
	})
}
