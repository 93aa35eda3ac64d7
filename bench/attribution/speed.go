package main

import (
	"context"
	"encoding/json"
	"fmt"
	"index/suffixarray"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/text1"
	"github.com/datanet-consortium/datanet/bench/figure"
	"github.com/datanet-consortium/datanet/bench/process"
)

const megabyte = 1 << 20

// textEndings are the files of the large text.
var textEndings = []string{".go", ".md", ".txt", ".html", ".c", ".h", ".s", ".proto", ".yaml", ".json"}

// largeText yields the files of folders in order, one record each, until there are limit bytes. A folder's
// sub-folders are contributions. stop is called with each record, for who wants to keep some.
func largeText(folders []string, limit int, keep func(contribution string, text []byte)) index.Source {
	return func(yield func(index.Contribution, error) bool) {
		total := 0
		for _, folder := range folders {
			entries, err := os.ReadDir(folder)
			if err != nil {
				yield(index.Contribution{}, err)
				return
			}
			for _, e := range entries {
				if total >= limit {
					return
				}
				id := filepath.Join(folder, e.Name())
				id = id[max(0, len(id)-attribution.MaxName):]
				records := func(yield func([]byte, error) bool) {
					err := filepath.WalkDir(filepath.Join(folder, e.Name()), func(path string, d fs.DirEntry, err error) error {
						if err != nil || !d.Type().IsRegular() || !slices.Contains(textEndings, filepath.Ext(path)) {
							return err
						}
						text, err := os.ReadFile(path)
						if err != nil || len(text) == 0 || !utf8.Valid(text) {
							return err
						}
						total += len(text)
						if keep != nil {
							keep(id, text)
						}
						if !yield(text, nil) || total >= limit {
							return fs.SkipAll
						}
						return nil
					})
					if err != nil {
						yield(nil, err)
					}
				}
				if !yield(index.Contribution{ID: id, Account: "Text:" + id[max(0, len(id)-100):], Records: records}, nil) {
					return
				}
			}
		}
	}
}

// built is what a build of its own process reports.
type built struct {
	Seconds  float64
	Bytes    int64
	Tokens   uint64
	Segments int
	Memory   float64 // at its peak, GB
}

// buildChild builds the large text's index in a folder and prints what that took.
func buildChild(ctx context.Context, dir string, b *bench) error {
	var bytes int64
	start := time.Now()
	x, err := index.Build(ctx, dir, largeText(b.text, b.megabytes*megabyte, nil), index.Options{Progress: func(p index.Progress) { bytes = p.Bytes }})
	if err != nil {
		return err
	}
	report := built{Seconds: time.Since(start).Seconds(), Bytes: bytes}
	view, err := x.View()
	if err != nil {
		return err
	}
	report.Tokens, _ = view.Size()
	report.Segments = len(view.Segments())
	if err := view.Close(); err != nil {
		return err
	}
	if err := x.Close(); err != nil {
		return err
	}
	report.Memory = process.Peak()
	return json.NewEncoder(os.Stdout).Encode(report)
}

// build runs buildChild in a process of its own, whose memory is measured.
func (b *bench) build(ctx context.Context, dir string, megabytes int) (report built, state *os.ProcessState, err error) {
	program, err := os.Executable()
	if err != nil {
		return report, nil, err
	}
	command := exec.CommandContext(ctx, program, "--build", dir, "--megabytes", fmt.Sprint(megabytes), "--text", strings.Join(b.text, string(os.PathListSeparator)))
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return report, nil, fmt.Errorf("build an index of %d MB: %w", megabytes, err)
	}
	return report, command.ProcessState, json.Unmarshal(out, &report)
}

func speed(ctx context.Context, b *bench) error {
	root, err := os.MkdirTemp("", "datanet-bench-attribution-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	dir := ""
	for _, megabytes := range []int{b.megabytes / 20, b.megabytes / 4, b.megabytes} {
		dir = filepath.Join(root, fmt.Sprint(megabytes))
		report, state, err := b.build(ctx, dir, megabytes)
		if err != nil {
			return err
		}
		if report.Bytes < int64(megabytes)*megabyte {
			return fmt.Errorf("%w: the large text has only %d MB", errNoInput, report.Bytes/megabyte)
		}
		name := fmt.Sprintf("build at %d MB, %.1f M tokens, origins included", megabytes, float64(report.Tokens)/1e6)
		var seconds, gigabytes target
		if megabytes == 200 {
			seconds, gigabytes = atMost(16), atMost(1.2)
		}
		others := []string{fmt.Sprintf("processor time %.1f s", (state.UserTime() + state.SystemTime()).Seconds())}
		if megabytes == b.megabytes {
			elapsed, err := b.standardLibrary(ctx)
			if err != nil {
				return err
			}
			others = append(others, fmt.Sprintf("standard library's suffix array of the bytes alone %.1f s of processor time", elapsed))
		}
		b.table.add(name, seconds, report.Seconds, "s", others...)
		b.table.add(fmt.Sprintf("memory of the build at %d MB", megabytes), gigabytes, report.Memory, "GB")
	}
	return b.look(ctx, dir)
}

// standardLibrary measures index/suffixarray on the bytes of the large text.
func (b *bench) standardLibrary(ctx context.Context) (seconds float64, err error) {
	var all []byte
	for c, err := range largeText(b.text, b.megabytes*megabyte, func(_ string, text []byte) { all = append(all, text...) }) {
		if err != nil {
			return 0, err
		}
		for range c.Records {
			if err := context.Cause(ctx); err != nil {
				return 0, err
			}
		}
	}
	start := process.Time()
	suffixarray.New(all)
	return (process.Time() - start).Seconds(), nil
}

// look measures receipts over an index in a folder, in pieces.
func (b *bench) look(ctx context.Context, dir string) error {
	var records []string
	seen := 0
	r := rand.New(rand.NewPCG(5, 1))
	keep := func(_ string, text []byte) {
		// Every record is kept with the same chance.
		if seen++; len(records) < 2000 {
			records = append(records, string(text))
		} else if at := r.IntN(seen); at < len(records) {
			records[at] = string(text)
		}
	}
	for c, err := range largeText(b.text, b.megabytes*megabyte, keep) {
		if err != nil {
			return err
		}
		for range c.Records {
		}
	}
	var outputs [][]byte
	for range b.outputs {
		outputs = append(outputs, mixed(r, records))
	}
	records = nil
	runtime.GC()

	start := time.Now()
	x, err := index.Open(dir, index.Options{})
	if err != nil {
		return err
	}
	defer x.Close()
	opened := time.Since(start)
	view, err := x.View()
	if err != nil {
		return err
	}
	defer view.Close()
	engine := indexed.New(view)
	var tokenising, tracing []float64
	var receipts []time.Duration
	for range 5 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		tokens := 0
		start := process.Time()
		for _, output := range outputs {
			for s := text1.NewScanner(output); s.Next(); {
				tokens++
			}
		}
		tokenising = append(tokenising, (process.Time()-start).Seconds()*1e6/float64(tokens))
		start = process.Time()
		for _, output := range outputs {
			if _, err := engine.Trace(output, nil, attribution.DefaultTau); err != nil {
				return err
			}
		}
		tracing = append(tracing, (process.Time()-start).Seconds()*1e6/float64(tokens))
		for _, output := range outputs {
			start := time.Now()
			r, err := engine.Receipt(attribution.Answer{Output: output, Tau: attribution.DefaultTau})
			if err != nil {
				return err
			}
			if _, err := r.Encode(); err != nil {
				return err
			}
			receipts = append(receipts, time.Since(start))
		}
	}
	slices.Sort(receipts)
	limit := target{}
	receipt := target{}
	if b.megabytes == 200 {
		limit, receipt = atMost(.4), atMost(2)
	}
	at := fmt.Sprintf("at %d MB", b.megabytes)
	b.table.add("spans, origins and shares "+at+", of tokens", limit, figure.Median(tracing)-figure.Median(tokenising), "µs of processor per token")
	b.table.add("tokenising the output", target{}, figure.Median(tokenising), "µs of processor per token")
	b.table.add("receipt p95 "+at+", from text to bytes", receipt, receipts[len(receipts)*95/100].Seconds()*1e3, "ms")
	b.table.add("opening and checking the index "+at, target{}, opened.Seconds()*1e3, "ms")
	return b.generation(ctx, view, outputs)
}

// mixed makes an answer of excerpts of 8 to 40 words from records between words drawn one by one.
func mixed(r *rand.Rand, records []string) []byte {
	var out []string
	draw := func() []string {
		for {
			text := records[r.IntN(len(records))]
			at := r.IntN(len(text))
			if list := strings.Fields(text[at:min(len(text), at+2000)]); len(list) > 50 {
				return list[1:] // the first word may be cut
			}
		}
	}
	for range 1 + r.IntN(5) {
		for range 8 + r.IntN(33) {
			out = append(out, draw()[0])
		}
		list := draw()
		n := 8 + r.IntN(33)
		from := r.IntN(len(list) - n)
		out = append(out, list[from:from+n]...)
	}
	return []byte(strings.Join(out, " "))
}
