package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// contents measures an upload and a download of a large text, beside copies of its file.
func (b *site) contents(ctx context.Context, r *report) error {
	if b.megabytes == 0 {
		return nil
	}
	author, err := b.person(contributors[0])
	if err != nil {
		return err
	}
	defer author.Close()
	var plain, synced, uploads, finishes, downloads []burst
	for turn := range b.repetitions {
		original := filepath.Join(b.dir, fmt.Sprintf("text%d.txt", turn))
		size, err := write(original, int64(b.megabytes)<<20, uint64(turn))
		if err != nil {
			return err
		}
		timed := func(into *[]burst, do func() error) error {
			begun := time.Now()
			err := do()
			took := time.Since(begun)
			*into = append(*into, burst{count: int(size), elapsed: took, latencies: []time.Duration{took}})
			return err
		}
		s := contribution.Named{Datanet: b.datanet, ID: newID()}
		upload := client.Upload{ID: newID(), Files: []client.File{{Name: "text.txt", Bytes: size}}, Rules: ingest.Rules{Split: true}}
		var prepared client.Prepared
		fetched := original + ".fetched"
		for _, step := range []struct {
			into *[]burst
			do   func() error
		}{
			{&plain, func() error { return copyFile(original, original+".copy", false) }},
			{&synced, func() error { return copyFile(original, original+".synced", true) }},
			{&uploads, func() error {
				file, err := os.Open(original)
				if err != nil {
					return err
				}
				return errors.Join(author.Upload(ctx, upload, file, nil), file.Close())
			}},
			{&finishes, func() (err error) {
				prepared, err = author.FinishUpload(ctx, upload.ID, client.Finish{Descriptor: client.Descriptor{Author: "Ann Onymous"}, Datanet: s.Datanet, Contribution: s.ID})
				return err
			}},
			{nil, func() error {
				_, written, err := client.Write[contribution.Contribution](ctx, author, http.MethodPut, "/v1/datanets/"+s.Datanet+"/contributions/"+s.ID, "", prepared.Content(provenance))
				if err != nil {
					return err
				}
				_, _, err = client.Get[contribution.Contribution](ctx, author, "/v1/datanets/"+s.Datanet+"/contributions/"+s.ID, map[string][]string{"min_height": {fmt.Sprint(written.Height())}})
				return err
			}},
			{&downloads, func() error { return author.Download(ctx, client.ContentPath(s.Datanet, s.ID), nil, fetched, nil) }},
		} {
			var dropped []burst
			if step.into == nil {
				step.into = &dropped
			}
			if err := timed(step.into, step.do); err != nil {
				return err
			}
		}
		if err := same(original, fetched); err != nil {
			return err
		}
		for _, path := range []string{original, original + ".copy", original + ".synced", fetched} {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		mega := func(all []burst) float64 { return all[turn].rate() / 1e6 }
		b.say(fmt.Sprintf("%d/%d copy %.0f MB/s, with sync %.0f, upload %.0f, prepare %.0f, download %.0f", turn+1, b.repetitions,
			mega(plain), mega(synced), mega(uploads), mega(finishes), mega(downloads)))
	}
	first := len(r.lines)
	r.add("copy of the file", plain, "", nil)
	r.add("copy of the file, synced", synced, "", nil)
	r.add("upload", uploads, "copy", plain)
	r.add("upload, beside a synced copy", uploads, "synced copy", synced)
	r.add("reading of what was uploaded", finishes, "", nil)
	r.add("download, to a synced file", downloads, "copy", plain)
	r.add("download, beside a synced copy", downloads, "synced copy", synced)
	for i := range r.lines[first:] {
		l := &r.lines[first+i]
		l.rate, l.unit, l.p50, l.p99 = l.rate/1e6, "MB/s", 0, 0
	}
	return nil
}

// write makes a text of verses that equals no other, of at least so many bytes, and returns how many it has.
func write(path string, size int64, seed uint64) (written int64, err error) {
	words := []string{"river", "garden", "rose", "night", "wine", "lover", "nightingale", "candle", "moth", "caravan", "desert", "morning", "pearl", "ocean", "mirror"}
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	random, out := rand.New(rand.NewPCG(seed, uint64(time.Now().UnixNano()))), bufio.NewWriterSize(file, 1<<20)
	for written < size {
		for line := range 24 {
			n, err := fmt.Fprintf(out, "the %s of the %s knows %d %s and keeps the %s\n", words[random.IntN(len(words))], words[random.IntN(len(words))],
				random.IntN(1_000_000), words[random.IntN(len(words))], words[line%len(words)])
			if err != nil {
				return 0, err
			}
			written += int64(n)
		}
		if err := out.WriteByte('\n'); err != nil {
			return 0, err
		}
		written++
	}
	return written, out.Flush()
}

func copyFile(from, to string, sync bool) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	// Through memory, as everything else that is measured: the system could copy by itself, or not at all.
	if _, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, make([]byte, 1<<20)); err != nil || !sync {
		return err
	}
	return out.Sync()
}

// same fails unless both files have the same bytes.
func same(a, b string) error {
	one, err := os.Open(a)
	if err != nil {
		return err
	}
	defer one.Close()
	other, err := os.Open(b)
	if err != nil {
		return err
	}
	defer other.Close()
	first, second := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(one, first)
		m, _ := io.ReadFull(other, second)
		if string(first[:n]) != string(second[:m]) {
			return errors.New("what was downloaded is not what was uploaded")
		}
		if err != nil {
			return nil // the end of both
		}
	}
}
