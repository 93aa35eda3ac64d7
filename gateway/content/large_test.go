package content_test

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"hash"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/gateway/content"
)

var large = flag.Int64("content.large", 32<<20, "bytes of the large upload; 1000000000 in a soak test")

// endless is verse of any length that repeats no block, made as it is read, with a digest of what was.
type endless struct {
	left   int64
	block  []byte
	n      int
	digest hash.Hash
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if len(e.block) == 0 {
		e.block = fmt.Appendf(e.block, "%s, said the poet of the %d years\nand went away without another word\n\n", verse, e.n)
		e.n++
	}
	n := copy(p[:min(int64(len(p)), e.left)], e.block)
	e.digest.Write(p[:n])
	e.block = e.block[n:]
	e.left -= int64(n)
	return n, nil
}

// heap is the memory in use, in bytes.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// watch measures the heap all the time and returns the highest value when it is stopped.
func watch() (stop func() uint64) {
	highest, end := heap(), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				highest = max(highest, heap())
			case <-end:
				return
			}
		}
	})
	return func() uint64 {
		close(end)
		group.Wait()
		return highest
	}
}

func TestALargeContentTakesConstantMemory(t *testing.T) {
	f := open(t, content.Options{Limits: ingest.Limits{Files: 1, FileBytes: 2 << 30, RecordBytes: 1 << 20, Records: 1 << 30, Bytes: 2 << 30}})
	u := split(content.File{Name: "a.txt", Bytes: *large})
	u.Rules.SkipShort = true // the last block may be cut anywhere
	_, err := f.Begin(t.Context(), ann, u)
	require.NoError(t, err)
	runtime.GC()
	before, stop := heap(), watch()
	source := &endless{left: *large, digest: sha256.New()}
	step := func(what string, started time.Time) {
		t.Logf("%s: %d MB/s", what, int64(float64(*large)/1e6/time.Since(started).Seconds()))
	}

	started := time.Now()
	info, err := f.Append(t.Context(), ann, u.ID, 0, source)
	require.NoError(t, err)
	require.Equal(t, *large, info.Received)
	step("upload", started)

	started = time.Now()
	p, err := f.Finish(t.Context(), ann, u.ID, content.Descriptor{}, f.epoch)
	require.NoError(t, err)
	require.Greater(t, p.Records, *large/200)
	step("records, commitment and fingerprint", started)

	started = time.Now()
	c, err := f.Open(t.Context(), u.ID)
	require.NoError(t, err)
	r := c.Reader(t.Context())
	defer r.Close()
	digest := sha256.New()
	_, err = io.Copy(digest, struct{ io.Reader }{r})
	require.NoError(t, err)
	require.True(t, bytes.Equal(source.digest.Sum(nil), digest.Sum(nil)))
	step("download", started)

	started = time.Now()
	out := &counter{}
	_, err = f.Backup(t.Context(), out, true, nil)
	require.NoError(t, err)
	require.Greater(t, out.n, *large)
	step("backup", started)

	highest := stop()
	t.Logf("the heap: %d MiB before, at most %d MiB", before>>20, highest>>20)
	require.Less(t, highest, before+24<<20, "the heap grows by less than the content")
}

// counter counts what is written.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
