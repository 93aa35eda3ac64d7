// Package corpus reads a folder of contributors, with one file or sub-folder for each of them, as a corpus: a
// contribution for each, named after it, in the order of their names.
package corpus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/ingest"
)

// Folder is a folder of contributors. What is a record follows from the rules.
type Folder struct {
	Contributors []ingest.Contributor

	files  fs.FS
	rules  ingest.Rules
	limits ingest.Limits
}

// zwnj is the zero-width non-joiner, which Persian has inside words.
const zwnj = '\u200c'

// Open lists a folder's contributors. Its files are read when they are needed, each contribution within the limits.
func Open(files fs.FS, rules ingest.Rules, limits ingest.Limits) (*Folder, error) {
	contributors, err := ingest.Contributors(files)
	if err != nil {
		return nil, fmt.Errorf("read corpus: %w", err)
	}
	for _, c := range contributors {
		if strings.ContainsFunc(c.Name, func(r rune) bool { return !unicode.IsPrint(r) && r != zwnj }) {
			return nil, fmt.Errorf("read corpus: the name %q cannot be printed: rename it", c.Name)
		}
	}
	return &Folder{Contributors: contributors, files: files, rules: rules, limits: limits}, nil
}

// OpenFile takes a file, or a folder with all that is in it, as the one contribution of a contributor.
func OpenFile(name string, rules ingest.Rules, limits ingest.Limits) (*Folder, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read contribution: %w", err)
	}
	base := filepath.Base(filepath.Clean(name))
	if !info.IsDir() {
		c := ingest.Contributor{Name: base, Files: []string{base}}
		return &Folder{Contributors: []ingest.Contributor{c}, files: os.DirFS(filepath.Dir(name)), rules: rules, limits: limits}, nil
	}
	f, err := Open(os.DirFS(name), rules, limits)
	if err != nil {
		return nil, err
	}
	all := ingest.Contributor{Name: base}
	for _, c := range f.Contributors {
		all.Files = append(all.Files, c.Files...)
	}
	f.Contributors = []ingest.Contributor{all}
	return f, nil
}

// Contribution reads a contributor's records: each is called with every one, which is only valid during the call.
func (f *Folder) Contribution(ctx context.Context, c ingest.Contributor, each func(record []byte) error) (*ingest.Manifest, error) {
	return ingest.Read(ctx, f.files, c.Files, f.rules, f.limits, each)
}

var errEnough = errors.New("enough")

// Source yields the corpus. read is called with the manifest of each contribution that has been read.
func (f *Folder) Source(ctx context.Context, read func(*ingest.Manifest)) index.Source {
	return func(yield func(index.Contribution, error) bool) {
		for _, c := range f.Contributors {
			failed := false
			records := func(yield func([]byte, error) bool) {
				manifest, err := f.Contribution(ctx, c, func(record []byte) error {
					if !yield(bytes.Clone(record), nil) {
						return errEnough
					}
					return nil
				})
				switch {
				case err == nil:
					read(manifest)
				case !errors.Is(err, errEnough):
					failed = true
					yield(nil, err)
				}
			}
			if !yield(index.Contribution{ID: c.Name, Account: c.Name, Records: records}, nil) || failed {
				return
			}
		}
	}
}

// Records returns some of a contributor's records by their numbers. What is asked for and not there is missing.
func (f *Folder) Records(ctx context.Context, contributor string, numbers []uint32) (map[uint32][]byte, error) {
	records := make(map[uint32][]byte)
	i := slices.IndexFunc(f.Contributors, func(c ingest.Contributor) bool { return c.Name == contributor })
	if i < 0 || len(numbers) == 0 {
		return records, nil
	}
	number, last := uint32(0), slices.Max(numbers)
	_, err := f.Contribution(ctx, f.Contributors[i], func(record []byte) error {
		if slices.Contains(numbers, number) {
			records[number] = bytes.Clone(record)
		}
		if number == last {
			return errEnough
		}
		number++
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return records, nil
}
