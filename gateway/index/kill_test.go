package index_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
	"github.com/datanet-consortium/datanet/gateway/index"
)

var kills = flag.Int("kills", 24, "how often the indexer is killed on each kind of database")

// childVariable makes the test's program an indexer: "file of blocks|URL".
const childVariable = "DATANET_INDEX_CHILD"

// child indexes the blocks of a file until it is killed or all are indexed; it says when it begins.
func child() {
	file, url, _ := strings.Cut(os.Getenv(childVariable), "|")
	if err := indexFile(file, url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func indexFile(file, url string) error {
	blocks, err := readBlocks(file)
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, url)
	if err != nil {
		return err
	}
	x, err := index.Open(ctx, db, "datanet")
	if err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	fmt.Println("opened")
	go func() { done <- x.Follow(following, source(blocks)) }()
	if err := x.WaitHeight(ctx, uint64(len(blocks))); err != nil {
		return err
	}
	stop()
	return errors.Join(<-done, db.Close())
}

// source gives blocks and then waits, as a peer does.
type source []*common.Block

func (s source) Blocks(ctx context.Context, from uint64) (<-chan *common.Block, error) {
	blocks := make(chan *common.Block)
	go func() {
		defer close(blocks)
		for _, b := range s[min(from, uint64(len(s))):] {
			select {
			case blocks <- b:
			case <-ctx.Done():
				return
			}
		}
		<-ctx.Done()
	}()
	return blocks, nil
}

func readBlocks(path string) ([]*common.Block, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader := bufio.NewReader(file)
	var blocks []*common.Block
	for {
		b := &common.Block{}
		if err := protodelim.UnmarshalFrom(reader, b); err == io.EOF {
			return blocks, nil
		} else if err != nil {
			return nil, err
		}
		blocks = append(blocks, b)
	}
}

// TestKillsLeaveTheIndexWhole kills an indexing process at random moments, in the midst of its writing, and lets it go
// on. After each kill the index must stand at the end of a block and hold what an index without kills holds there.
func TestKillsLeaveTheIndexWhole(t *testing.T) {
	s := tell(t)
	count, enough := *kills, 600
	if testing.Short() {
		count, enough = 4, 150
	}
	for len(s.chain.Blocks) < enough {
		s.Approved(t, ann, s.pool, 5)
	}
	file := filepath.Join(t.TempDir(), "blocks")
	out, err := os.Create(file)
	require.NoError(t, err)
	for _, b := range s.chain.Blocks {
		_, err := protodelim.MarshalTo(out, b)
		require.NoError(t, err)
	}
	require.NoError(t, out.Close())
	whole := newWhole(t, s.chain.Blocks)

	databasetest.EachURL(t, func(t *testing.T, url string) {
		began := time.Now()
		require.False(t, runChild(t, file, url, time.Hour), "it ends by itself")
		within := time.Since(began) // kills come this soon; adapted, so that most come while it is writing
		killed, late, heights := 0, 0, map[uint64]bool{}
		for {
			height := whole.check(t, url)
			heights[height] = true
			if killed == count {
				break
			}
			if runChild(t, file, url, rand.N(within)) {
				killed++
				continue
			}
			late++
			within = max(within*3/4, 2*time.Millisecond)
			require.Less(t, late, 10*count, "the indexer ends before it is killed")
		}
		t.Logf("%d kills while it was writing, at %d different heights; %d came too late", killed, len(heights), late)
	})
}

// check compares an index that nobody writes with the whole one, empties it when it is complete, and returns its height.
func (w *whole) check(t *testing.T, url string) uint64 {
	db, err := database.Open(t.Context(), url)
	require.NoError(t, err)
	defer db.Close()
	x, err := index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	var height uint64
	var held string
	var digests [][32]byte
	for settled := false; !settled; { // a server may still be committing what the killed one sent last
		height, err = x.Height(t.Context())
		require.NoError(t, err)
		digests = nil
		for h := range height + 1 {
			digest, err := x.Digest(t.Context(), h)
			require.NoError(t, err)
			digests = append(digests, digest)
		}
		held = content(t, db)
		after, err := x.Height(t.Context())
		require.NoError(t, err)
		settled = after == height
	}
	require.Equal(t, w.digests[:height+1], digests)
	require.Equal(t, w.content(t, height), held, "at height %d", height)
	if height == uint64(len(w.blocks)) {
		require.NoError(t, x.Reset(t.Context()))
	}
	return height
}

// runChild runs an indexer and kills it a while after it has begun; it reports whether blocks were left.
func runChild(t *testing.T, file, url string, after time.Duration) bool {
	program, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(program)
	command.Env = append(os.Environ(), childVariable+"="+file+"|"+url)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	lines := bufio.NewScanner(output)
	require.True(t, lines.Scan(), "the indexer did not begin")
	kill := time.AfterFunc(after, func() { _ = command.Process.Kill() })
	for lines.Scan() { // until the process is gone
	}
	err = command.Wait()
	kill.Stop()
	if err != nil {
		require.Equal(t, "signal: killed", err.Error())
	}
	return err != nil
}

// whole is what an index without kills holds at each height that was asked for.
type whole struct {
	blocks   []*common.Block
	digests  [][32]byte // at each height
	contents map[uint64]string
}

func newWhole(t *testing.T, blocks []*common.Block) *whole {
	w := &whole{blocks: blocks, contents: map[uint64]string{}}
	w.at(t, uint64(len(blocks)), func(x *index.Index, _ *database.DB) {
		for h := range uint64(len(blocks)) + 1 {
			digest, err := x.Digest(t.Context(), h)
			require.NoError(t, err)
			w.digests = append(w.digests, digest)
		}
	})
	return w
}

// at makes an index of the first blocks.
func (w *whole) at(t *testing.T, height uint64, see func(*index.Index, *database.DB)) {
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "whole.db"))+"?synchronous=normal")
	require.NoError(t, err)
	defer db.Close()
	x, err := index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	fill(t, x, source(w.blocks[:height]), height)
	see(x, db)
}

func (w *whole) content(t *testing.T, height uint64) string {
	if w.contents[height] == "" {
		w.at(t, height, func(_ *index.Index, db *database.DB) { w.contents[height] = content(t, db) })
	}
	return w.contents[height]
}

// fill follows a source until so many blocks are indexed.
func fill(t *testing.T, x *index.Index, from index.Source, height uint64) {
	following, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Follow(following, from) }()
	require.NoError(t, x.WaitHeight(t.Context(), height))
	stop()
	require.NoError(t, <-done)
}

// content is a digest of all rows of all tables.
func content(t *testing.T, db *database.DB) string {
	h := sha256.New()
	for _, query := range []string{
		`SELECT number, hash, digest FROM blocks ORDER BY number`,
		`SELECT place, txid, time, msp, account, function, event, payload, code FROM transactions ORDER BY place`,
		`SELECT key, place, value FROM versions ORDER BY key, place`,
		`SELECT key, kind, datanet, organisation, account, state, parent, number, created, changed FROM entries ORDER BY key`,
		`SELECT place, key, account FROM movements ORDER BY place, key`,
	} {
		rows, err := db.QueryContext(t.Context(), query)
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			row := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			require.NoError(t, rows.Scan(into...))
			for _, value := range row {
				if bytes, ok := value.([]byte); ok {
					value = string(bytes)
				}
				fmt.Fprintf(h, "%q,", fmt.Sprint(value))
			}
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		fmt.Fprintln(h)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
