// Package ingest turns files into the records of a contribution and says in a manifest how it did, so that
// anyone who has the files and the manifest arrives at the same records.
//
// A record is a text as exact bytes. A text or Markdown file is one record, or one for each block between
// blank lines when that is asked for; a source file is always one; a line of JSON Lines is the string in
// its named field; a row of CSV is the values of its named columns with a newline between them. Only UTF-8 is
// read. Records too short to hold a passage are refused, since anyone could claim them.
//
// Files are read in pieces: of a text cut at blank lines, JSON Lines and CSV no more than a record is in
// memory at a time.
package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// Rules say what a record is.
type Rules struct {
	// Split makes a record of each block between blank lines of text and Markdown files.
	Split bool `json:"split,omitempty"`
	// Field names the text in JSON Lines; needed for such files only.
	Field string `json:"field,omitempty"`
	// Columns name the texts in CSV, in the order in which they are joined; needed for such files only.
	Columns []string `json:"columns,omitempty"`
	// SkipShort leaves out records too short to hold a passage, and counts them, instead of failing.
	SkipShort bool `json:"skip_short,omitempty"`
}

// Limits bound a contribution.
type Limits struct {
	Files       int
	FileBytes   int64
	RecordBytes int
	Records     int
	Bytes       int64 // of all records together
}

// DefaultLimits are those of a network: a million records, 16 MiB each, 1 GiB together.
func DefaultLimits() Limits {
	return Limits{Files: 100_000, FileBytes: 1 << 30, RecordBytes: 16 << 20, Records: 1_000_000, Bytes: 1 << 30}
}

// A Manifest says which records a contribution consists of and how they came from files.
type Manifest struct {
	Version int    `json:"version"` // 1
	Rules   Rules  `json:"rules"`
	Files   []File `json:"files"`
	Records int    `json:"records"`
	Bytes   int64  `json:"bytes"`  // of all records
	Tokens  int64  `json:"tokens"` // canonical tokens of all records
	// Root is the Merkle root of RFC 6962 over the records, to which the contribution commits with a salt.
	Root merkle.Hash `json:"root"`
}

// A File is one of those that a contribution was read from, in the order in which they were.
type File struct {
	Name    string      `json:"name"`
	Format  Format      `json:"format"`
	Bytes   int64       `json:"bytes"`
	SHA256  merkle.Hash `json:"sha256"`
	Records int         `json:"records"`
	Skipped int         `json:"skipped,omitempty"` // records left out because they are too short
}

// An Error is what is wrong with a file, and where.
type Error struct {
	File   string
	Record int // number within the file from 1, 0 when the error is none of a record
	Err    error
}

func (e *Error) Error() string {
	if e.Record > 0 {
		return fmt.Sprintf("%s, record %d: %v", e.File, e.Record, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.File, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Read reads the named files of a folder in the given order and calls each with every record, which is only
// valid during the call. It fails with an *Error when a file cannot be taken, with each's error when that fails.
func Read(ctx context.Context, folder fs.FS, names []string, rules Rules, limits Limits, each func(record []byte) error) (*Manifest, error) {
	if len(names) > limits.Files {
		return nil, fmt.Errorf("%d files are more than %d: give them in several contributions", len(names), limits.Files)
	}
	c := collector{rules: rules, limits: limits, each: each, manifest: Manifest{Version: 1, Rules: rules, Files: []File{}}}
	for _, name := range names {
		if err := c.file(ctx, folder, name); err != nil {
			return nil, err
		}
	}
	c.manifest.Root = c.tree.Root()
	return &c.manifest, nil
}

// A collector checks and counts the records of a contribution.
type collector struct {
	rules    Rules
	limits   Limits
	each     func([]byte) error
	manifest Manifest
	tree     merkle.Frontier
}

var (
	errShort = fmt.Errorf("is too short to be told from other texts: a record needs %d words and %d letters; "+
		"join it with what belongs to it, or ask for short records to be left out", attribution.PassageTokens, attribution.PassageRunes)
	errRecordSize = errors.New("is larger than a record may be")
	errFileSize   = errors.New("is larger than a file may be: split it")
)

// errEach marks the errors of the caller's function.
type errEach struct{ error }

func (c *collector) file(ctx context.Context, folder fs.FS, name string) error {
	format, err := FormatOf(name)
	if err != nil {
		return &Error{File: name, Err: err}
	}
	file, err := folder.Open(name)
	if err != nil {
		return fmt.Errorf("read contribution: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return fmt.Errorf("read contribution: %w", err)
	} else if !info.Mode().IsRegular() {
		return &Error{File: name, Err: errors.New("is not a regular file")}
	}
	f := File{Name: name, Format: format}
	digest := sha256.New()
	source := newUTF8Reader(&meter{ctx: ctx, in: io.TeeReader(file, digest), left: c.limits.FileBytes, read: &f.Bytes})
	number := 1 // of the record that is read
	err = read(source, format, c.rules, c.limits.RecordBytes, func(record []byte) error {
		taken, err := c.record(record)
		if err != nil {
			return err
		}
		number++
		if taken {
			f.Records++
		} else {
			f.Skipped++
		}
		return nil
	})
	var mine errEach
	switch {
	case errors.As(err, &mine):
		return mine.error
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		if isOfRecord(err) {
			return &Error{File: name, Record: number, Err: err}
		}
		return &Error{File: name, Err: err}
	}
	f.SHA256 = merkle.Hash(digest.Sum(nil))
	c.manifest.Files = append(c.manifest.Files, f)
	return nil
}

func isOfRecord(err error) bool { return errors.Is(err, errShort) || errors.Is(err, errRecordSize) }

func (c *collector) record(record []byte) (taken bool, err error) {
	if len(record) > c.limits.RecordBytes {
		return false, errRecordSize
	}
	tokens, ok := measure(record)
	if !ok {
		if c.rules.SkipShort {
			return false, nil
		}
		return false, errShort
	}
	m := &c.manifest
	if m.Records++; m.Records > c.limits.Records {
		return false, fmt.Errorf("the contribution has more than %d records: give them in several contributions", c.limits.Records)
	}
	if m.Bytes += int64(len(record)); m.Bytes > c.limits.Bytes {
		return false, fmt.Errorf("the contribution has more than %d bytes: give it in several contributions", c.limits.Bytes)
	}
	m.Tokens += int64(tokens)
	c.tree.Append(merkle.Leaf(record))
	if err := c.each(record); err != nil {
		return false, errEach{err}
	}
	return true, nil
}

// measure counts the tokens of a record and tells whether it holds a passage: the whole record is at least as
// long as its shortest passage.
func measure(record []byte) (tokens int, holds bool) {
	runes := 0
	for s := text1.NewScanner(record); s.Next(); tokens++ {
		runes += len(s.Runes())
	}
	return tokens, tokens >= attribution.PassageTokens && runes >= attribution.PassageRunes
}

// A Contributor is one file or sub-folder of a folder of contributors.
type Contributor struct {
	Name  string   // without the file's ending
	Files []string // all files, also those of folders further down, by name
}

// Contributors lists who contributes to a folder, by name. Hidden files and files named README are left out,
// and so are folders without files.
func Contributors(folder fs.FS) ([]Contributor, error) {
	var all []Contributor
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == "." {
			return nil
		}
		if base, _, _ := strings.Cut(path.Base(name), "."); base == "" || base == "README" {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() {
			return nil
		}
		contributor, _, inside := strings.Cut(name, "/")
		if !inside {
			contributor = strings.TrimSuffix(name, path.Ext(name))
		}
		i := slices.IndexFunc(all, func(c Contributor) bool { return c.Name == contributor })
		switch {
		case i < 0:
			all = append(all, Contributor{Name: contributor, Files: []string{name}})
		case !inside || !strings.Contains(all[i].Files[0], "/"):
			return fmt.Errorf("%s is there twice, as a file and as a folder or with two endings: rename one", contributor)
		default:
			all[i].Files = append(all[i].Files, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list contributors: %w", err)
	}
	if len(all) == 0 {
		return nil, errors.New("list contributors: the folder is empty: it needs a file or sub-folder for each contributor")
	}
	for _, c := range all {
		if err := attribution.CheckAccount(c.Name); err != nil {
			return nil, fmt.Errorf("list contributors: the name %q %w: rename it", c.Name, err)
		}
		slices.Sort(c.Files)
	}
	slices.SortFunc(all, func(a, b Contributor) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
