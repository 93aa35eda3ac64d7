package index_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
)

// drawCorpus returns contributions whose texts repeat each other. Their ids begin with prefix.
func drawCorpus(r *rand.Rand, prefix string, contributions int) attribution.Corpus {
	var list []string
	text := func() []byte {
		var words []string
		for range r.IntN(4) {
			if len(list) > 0 && r.IntN(2) == 0 {
				from := strings.Fields(list[r.IntN(len(list))])
				a := r.IntN(len(from) + 1)
				words = append(words, from[a:a+r.IntN(len(from)+1-a)]...)
			}
			for range r.IntN(12) {
				words = append(words, fmt.Sprint("word", r.IntN(60)))
			}
		}
		list = append(list, strings.Join(words, " "))
		return []byte(list[len(list)-1])
	}
	var corpus attribution.Corpus
	for i := range contributions {
		c := attribution.Contribution{ID: fmt.Sprint(prefix, i), Account: string(rune('a' + r.IntN(4)))}
		for range r.IntN(4) {
			c.Records = append(c.Records, text())
		}
		corpus = append(corpus, c)
	}
	return corpus
}

// answers are outputs that repeat a corpus.
func answers(r *rand.Rand, corpus attribution.Corpus) []attribution.Answer {
	var list []attribution.Answer
	for range 10 {
		var words []string
		for range 3 {
			if len(corpus) == 0 {
				break
			}
			records := corpus[r.IntN(len(corpus))].Records
			if len(records) == 0 {
				continue
			}
			from := strings.Fields(string(records[r.IntN(len(records))]))
			a := r.IntN(len(from) + 1)
			words = append(words, from[a:a+r.IntN(len(from)+1-a)]...)
		}
		list = append(list, attribution.Answer{Output: []byte(strings.Join(words, " ")), Tau: uint8(r.IntN(4))})
	}
	return list
}

func receipts(t require.TestingT, view *index.View, list []attribution.Answer) []*receipt.Receipt {
	engine := indexed.New(view)
	var all []*receipt.Receipt
	for _, a := range list {
		r, err := engine.Receipt(a)
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

func plainReceipts(t require.TestingT, corpus attribution.Corpus, list []attribution.Answer) []*receipt.Receipt {
	engine, err := plain.New(corpus)
	require.NoError(t, err)
	var all []*receipt.Receipt
	for _, a := range list {
		r, err := engine.Receipt(a)
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

func requireAnswers(t require.TestingT, x *index.Index, r *rand.Rand, corpus attribution.Corpus) {
	list := answers(r, corpus)
	view, err := x.View()
	require.NoError(t, err)
	require.Equal(t, len(corpus), view.Contributions())
	require.Equal(t, plainReceipts(t, corpus, list), receipts(t, view, list))
	slow, err := plain.New(corpus)
	require.NoError(t, err)
	for c := range corpus {
		wantDerived, wantTokens := slow.Derived(c)
		derived, tokens := view.Derived(c)
		require.Equal(t, wantDerived, derived, "derived tokens of contribution %d", c)
		require.Equal(t, wantTokens, tokens, "tokens of contribution %d", c)
	}
	require.NoError(t, view.Close())
}

func TestNoAnswerDependsOnHowTheCorpusIsSegmented(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		run++
		folder := filepath.Join(dir, fmt.Sprint(run))
		options := index.Options{Memory: int64(rapid.SampledFrom([]int{1, 24 * 50, 24 * 500, 0}).Draw(t, "memory")), MergeFailed: func(err error) {
			panic(err)
		}}
		corpus := drawCorpus(r, "c", rapid.IntRange(0, 6).Draw(t, "contributions"))
		x, err := index.Build(context.Background(), folder, index.FromCorpus(corpus), options)
		require.NoError(t, err)
		requireAnswers(t, x, r, corpus)
		for step := range rapid.IntRange(0, 8).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "append", "merge", "erase", "reopen"}).Draw(t, "step") {
			case "append":
				more := drawCorpus(r, fmt.Sprint("s", step, "c"), r.IntN(3))
				require.NoError(t, x.Append(context.Background(), index.FromCorpus(more)))
				corpus = append(corpus, more...)
			case "merge":
				require.NoError(t, x.Merge(context.Background()))
			case "erase":
				var ids []string
				corpus = slices.DeleteFunc(corpus, func(c attribution.Contribution) bool {
					if r.IntN(4) > 0 {
						return false
					}
					ids = append(ids, c.ID)
					return true
				})
				require.NoError(t, x.Erase(context.Background(), ids...))
			case "reopen":
				require.NoError(t, x.Close())
				x, err = index.Open(folder, options)
				require.NoError(t, err)
			}
			requireAnswers(t, x, r, corpus)
		}
		require.NoError(t, x.Close())
	})
}

func segmentFiles(t *testing.T, dir string) map[string]string {
	paths, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	require.NoError(t, err)
	files := make(map[string]string)
	for _, path := range paths {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		files[filepath.Base(path)] = string(b)
	}
	return files
}

func TestAMergedIndexIsTheOneBuiltAtOnceByteForByte(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	corpus := drawCorpus(r, "c", 40)
	whole, parts := t.TempDir(), t.TempDir()
	x, err := index.Build(t.Context(), whole, index.FromCorpus(corpus), index.Options{})
	require.NoError(t, err)
	require.NoError(t, x.Close())

	x, err = index.Build(t.Context(), parts, index.FromCorpus(corpus[:7]), index.Options{Memory: 1})
	require.NoError(t, err)
	require.Greater(t, len(segmentFiles(t, parts)), 5)
	require.NoError(t, x.Close())
	x, err = index.Open(parts, index.Options{})
	require.NoError(t, err)
	for from := 7; from < len(corpus); from += 11 {
		require.NoError(t, x.Append(t.Context(), index.FromCorpus(corpus[from:from+11])))
	}
	require.NoError(t, x.Merge(t.Context()))
	require.NoError(t, x.Close())
	merged := segmentFiles(t, parts)
	require.Len(t, merged, 1)
	for _, content := range merged {
		require.Equal(t, segmentFiles(t, whole)["00000000.segment"], content)
	}
}

func TestSegmentsOfLikeSizeAreMergedInTheBackground(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(15, 16))
	corpus := drawCorpus(r, "c", 24)
	x, err := index.Build(t.Context(), dir, index.FromCorpus(nil), index.Options{MergeFailed: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	for _, c := range corpus {
		require.NoError(t, x.Append(t.Context(), index.FromCorpus(attribution.Corpus{c})))
	}
	require.Eventually(t, func() bool {
		paths, err := filepath.Glob(filepath.Join(dir, "*.segment"))
		return err == nil && len(paths) < 12
	}, time.Minute, time.Millisecond)
	requireAnswers(t, x, r, corpus)
	require.NoError(t, x.Close())
}

func TestErasedTextIsInNoFile(t *testing.T) {
	dir := t.TempDir()
	corpus := attribution.Corpus{
		{ID: "a", Account: "x", Records: [][]byte{[]byte("what everybody may read for ever and ever")}},
		{ID: "b", Account: "y", Records: [][]byte{[]byte("what nobody may read, a secretword among others")}},
	}
	x, err := index.Build(t.Context(), dir, index.FromCorpus(corpus), index.Options{})
	require.NoError(t, err)
	require.ErrorContains(t, x.Erase(t.Context(), "b", "c"), "not in the index")
	require.NoError(t, x.Erase(t.Context(), "b"))
	require.NoError(t, x.Close())
	files := segmentFiles(t, dir)
	require.Len(t, files, 1)
	for _, content := range files {
		require.Contains(t, content, "everybody")
		require.NotContains(t, content, "secretword")
	}
}

func TestAViewStaysAsItIs(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	corpus := drawCorpus(r, "c", 12)
	x, err := index.Build(t.Context(), t.TempDir(), index.FromCorpus(corpus[:6]), index.Options{Memory: 1})
	require.NoError(t, err)
	list := answers(r, corpus)
	want := plainReceipts(t, corpus[:6], list)
	view, err := x.View()
	require.NoError(t, err)

	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 20 {
				require.Equal(t, want, receipts(t, view, list))
			}
		})
	}
	for _, c := range corpus[6:] {
		require.NoError(t, x.Append(t.Context(), index.FromCorpus(attribution.Corpus{c})))
	}
	require.NoError(t, x.Erase(t.Context(), "c0"))
	require.NoError(t, x.Merge(t.Context()))
	readers.Wait()
	require.NoError(t, x.Close())
	require.Equal(t, want, receipts(t, view, list), "also after the index is closed")
	require.NoError(t, view.Close())
	require.NoError(t, view.Close(), "closing twice is no harm")
	_, err = x.View()
	require.ErrorContains(t, err, "closed")
}

func TestWhatCannotBeAppendedLeavesTheIndexAsItIs(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(7, 8))
	corpus := drawCorpus(r, "c", 4)
	x, err := index.Build(t.Context(), dir, index.FromCorpus(corpus), index.Options{})
	require.NoError(t, err)
	before := segmentFiles(t, dir)
	broken := errors.New("disk on fire")
	one := func(id, account string, err error) index.Source {
		return func(yield func(index.Contribution, error) bool) {
			yield(index.Contribution{ID: id, Account: account, Records: func(yield func([]byte, error) bool) {
				_ = yield([]byte("some text"), nil) && err != nil && yield(nil, err)
			}}, nil)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for claim, c := range map[string]struct {
		ctx    context.Context
		source index.Source
		want   string
	}{
		"an id that is there":       {t.Context(), one("c1", "a", nil), "twice"},
		"an id without a character": {t.Context(), one("", "a", nil), "empty"},
		"an account with a NUL":     {t.Context(), one("d", "a\x00", nil), "NUL"},
		"a record that fails":       {t.Context(), one("d", "a", broken), "disk on fire"},
		"a source that fails":       {t.Context(), func(yield func(index.Contribution, error) bool) { yield(index.Contribution{}, broken) }, "disk on fire"},
		"work that is called off":   {ended, one("d", "a", nil), "canceled"},
	} {
		t.Run(claim, func(t *testing.T) {
			require.ErrorContains(t, x.Append(c.ctx, c.source), c.want)
			require.Equal(t, before, segmentFiles(t, dir))
			requireAnswers(t, x, r, corpus)
		})
	}
	require.NoError(t, x.Append(t.Context(), one("d", "a", nil)), "it goes on after errors")
	require.NoError(t, x.Close())
}

func TestOnlyOneAtATimeChangesAnIndex(t *testing.T) {
	dir := t.TempDir()
	corpus := drawCorpus(rand.New(rand.NewPCG(9, 10)), "c", 3)
	first, err := index.Build(t.Context(), dir, index.FromCorpus(corpus[:1]), index.Options{})
	require.NoError(t, err)
	second, err := index.Open(dir, index.Options{})
	require.NoError(t, err, "reading is for all")
	require.ErrorContains(t, second.Append(t.Context(), index.FromCorpus(corpus[1:2])), "another process")
	_, err = index.Build(t.Context(), dir, index.FromCorpus(corpus), index.Options{})
	require.ErrorContains(t, err, "another process")
	require.NoError(t, first.Append(t.Context(), index.FromCorpus(corpus[1:2])))
	require.NoError(t, first.Close())
	require.ErrorContains(t, second.Append(t.Context(), index.FromCorpus(corpus[2:])), "open it again")
	require.NoError(t, second.Close())
	third, err := index.Open(dir, index.Options{})
	require.NoError(t, err)
	require.NoError(t, third.Append(t.Context(), index.FromCorpus(corpus[2:])))
	require.NoError(t, third.Close())
}

func TestADamagedIndexIsAClearErrorAndCanBeBuiltAgain(t *testing.T) {
	dir := t.TempDir()
	_, err := index.Open(dir, index.Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	r := rand.New(rand.NewPCG(11, 12))
	corpus := drawCorpus(r, "c", 5)
	build := func() {
		x, err := index.Build(t.Context(), dir, index.FromCorpus(corpus), index.Options{})
		require.NoError(t, err)
		requireAnswers(t, x, r, corpus)
		require.NoError(t, x.Close())
	}
	build()
	for claim, damage := range map[string]func(path string, content []byte) error{
		"a changed byte":  func(path string, b []byte) error { b[len(b)/2] ^= 1; return os.WriteFile(path, b, 0o600) },
		"a missing end":   func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)-1], 0o600) },
		"more at the end": func(path string, b []byte) error { return os.WriteFile(path, append(b, 0), 0o600) },
		"a foreign file":  func(path string, b []byte) error { return os.WriteFile(path, make([]byte, len(b)), 0o600) },
		"a missing file":  func(path string, b []byte) error { return os.Remove(path) },
	} {
		for _, pattern := range []string{"*.segment", "manifest"} {
			if claim == "a missing file" && pattern == "manifest" {
				continue // then there is no index
			}
			t.Run(claim+" in "+pattern, func(t *testing.T) {
				paths, err := filepath.Glob(filepath.Join(dir, pattern))
				require.NoError(t, err)
				require.Len(t, paths, 1)
				content, err := os.ReadFile(paths[0])
				require.NoError(t, err)
				require.NoError(t, damage(paths[0], content))
				_, err = index.Open(dir, index.Options{})
				require.ErrorIs(t, err, index.ErrDamaged)
				build()
			})
		}
	}
}

func TestProgressCountsUpToTheWholeCorpus(t *testing.T) {
	corpus := drawCorpus(rand.New(rand.NewPCG(13, 14)), "c", 30)
	bytes, records := int64(0), int64(0)
	for _, c := range corpus {
		for _, r := range c.Records {
			bytes += int64(len(r))
			records++
		}
	}
	var last index.Progress
	view, err := index.InMemory(t.Context(), index.FromCorpus(corpus), index.Options{Memory: 24 * 100, Progress: func(p index.Progress) {
		require.GreaterOrEqual(t, p.Bytes, last.Bytes)
		require.GreaterOrEqual(t, p.Tokens, last.Tokens)
		last = p
	}})
	require.NoError(t, err)
	n, _ := view.Size()
	require.Equal(t, index.Progress{Phase: index.Reading, Bytes: bytes, Records: records, Tokens: int64(n)}, last)
}

// A record of more than two pieces is cut for the workers, only where no token can be.
func TestALongRecordIsOneRecord(t *testing.T) {
	var b strings.Builder
	for i := range 400_000 {
		fmt.Fprintf(&b, "w%d٠é%s", i%1000, []string{" ", "\n", "x", ", "}[i%4])
	}
	text := []byte(b.String())
	corpus := attribution.Corpus{{ID: "a", Account: "x", Records: [][]byte{text, []byte("more")}}}
	view, err := index.InMemory(t.Context(), index.FromCorpus(corpus), index.Options{})
	require.NoError(t, err)
	engine, err := plain.New(corpus)
	require.NoError(t, err)
	n, v := view.Size()
	wantN, wantV := engine.Size()
	require.Equal(t, wantN, n)
	require.Equal(t, wantV, v)
	answer := []attribution.Answer{{Output: text[3_000_000:3_000_500]}}
	require.Equal(t, plainReceipts(t, corpus, answer), receipts(t, view, answer))
}

func TestANameOfTheCorpusThatIsWrongIsRefused(t *testing.T) {
	twice := attribution.Corpus{{ID: "a", Account: "x"}, {ID: "a", Account: "y"}}
	_, err := index.InMemory(t.Context(), index.FromCorpus(twice), index.Options{})
	require.ErrorContains(t, err, "twice")
}
