// Package corpus reads what the contributors of the demonstration bring: a folder with one file or sub-folder for each
// of them.
package corpus

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/attribution/text1"
)

const (
	// MaxContributors bounds a corpus: each of them gets an account.
	MaxContributors = 100
	// MaxBytes bounds a corpus. Receipts are made by an engine without an index, which is meant for some megabytes.
	MaxBytes = 16 << 20

	// A shorter record holds no passage that could be told apart, so anyone could claim it.
	minTokens, minRunes = 5, 12
)

// Contributor is one contributor's name, which never reaches the ledger, and texts in the order of their files' names.
type Contributor struct {
	Name    string
	Records [][]byte
}

// Read takes every file of the folder as a contributor with one record, and every sub-folder as a contributor with one
// record for each file in it. Hidden files and files named README are left out. Contributors come in the order of
// their names.
func Read(folder fs.FS) ([]Contributor, error) {
	entries, err := list(folder, ".")
	if err != nil {
		return nil, err
	}
	r := reader{folder: folder, left: MaxBytes}
	var all []Contributor
	for _, entry := range entries {
		c := Contributor{Name: strings.TrimSuffix(entry, path.Ext(entry))}
		if strings.ContainsFunc(c.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return nil, fmt.Errorf("read corpus: the name %q cannot be printed: rename it", entry)
		}
		if slices.ContainsFunc(all, func(other Contributor) bool { return other.Name == c.Name }) {
			return nil, fmt.Errorf("read corpus: %s is there twice, as a file and as a folder or with two endings", c.Name)
		}
		if c.Records, err = r.records(entry); err != nil {
			return nil, err
		}
		if len(c.Records) > 0 {
			all = append(all, c)
		}
	}
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("read corpus: the folder is empty: it needs a file or sub-folder for each contributor")
	case len(all) > MaxContributors:
		return nil, fmt.Errorf("read corpus: %d contributors exceed the limit of %d", len(all), MaxContributors)
	}
	return all, nil
}

func list(folder fs.FS, name string) ([]string, error) {
	entries, err := fs.ReadDir(folder, name)
	if err != nil {
		return nil, fmt.Errorf("read corpus: %w", err)
	}
	var names []string
	for _, entry := range entries {
		base, _, _ := strings.Cut(entry.Name(), ".")
		if base != "" && base != "README" {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

type reader struct {
	folder fs.FS
	left   int64 // how many bytes may still be read
}

func (r *reader) records(name string) ([][]byte, error) {
	info, err := fs.Stat(r.folder, name)
	if err != nil {
		return nil, fmt.Errorf("read corpus: %w", err)
	}
	if !info.IsDir() {
		record, err := r.record(name)
		return [][]byte{record}, err
	}
	names, err := list(r.folder, name)
	if err != nil {
		return nil, err
	}
	var records [][]byte
	for _, file := range names {
		record, err := r.record(path.Join(name, file))
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

func (r *reader) record(name string) ([]byte, error) {
	info, err := fs.Stat(r.folder, name)
	if err != nil {
		return nil, fmt.Errorf("read corpus: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read corpus: %s is not a file: a contributor's folder holds text files and nothing else", name)
	}
	file, err := r.folder.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read corpus: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, r.left+1))
	if err != nil {
		return nil, fmt.Errorf("read corpus: %s: %w", name, err)
	}
	if r.left -= int64(len(text)); r.left < 0 {
		return nil, fmt.Errorf("read corpus: more than %d MiB: choose a smaller folder for the demonstration", MaxBytes>>20)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("read corpus: %s is not a text in UTF-8", name)
	}
	tokens, runes := 0, 0
	for s := text1.NewScanner(text); s.Next() && (tokens < minTokens || runes < minRunes); tokens++ {
		runes += len(s.Runes())
	}
	if tokens < minTokens || runes < minRunes {
		return nil, fmt.Errorf("read corpus: %s is too short to be told apart from other texts: it needs %d words", name, minTokens)
	}
	return text, nil
}
