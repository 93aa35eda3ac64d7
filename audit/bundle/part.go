package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kind is what a part is.
type Kind string

// The kinds of parts, in the order in which a bundle has them. Package parts has their forms.
const (
	Snapshot   Kind = "snapshot"   // the leaves of a snapshot; named by datanet and number
	Content    Kind = "content"    // what opens a contribution's commitment; named by datanet and id
	Settlement Kind = "settlement" // a settlement's uses and receipts; named by the host's account and id
)

var kinds = []Kind{Snapshot, Content, Settlement}

// MaxParts bounds the parts of a bundle, so that its manifest stays small.
const MaxParts = 40_000

// Part is a file of something that is on no ledger.
type Part struct {
	Kind   Kind     `json:"kind"`
	Name   []string `json:"name"`
	File   string   `json:"file"`
	Bytes  int64    `json:"bytes"`
	SHA256 string   `json:"sha256"` // hex, of the whole file
}

// partFile is the only name that the file of a part may have.
func partFile(kind Kind, name []string) string {
	sum := sha256.Sum256([]byte(strings.Join(name, "\x00")))
	return string(kind) + "-" + hex.EncodeToString(sum[:16])
}

func (p Part) segment() Segment { return Segment{File: p.File, Bytes: p.Bytes, SHA256: p.SHA256} }

// Receipts says which settlements a bundle is to hold: those before a block, of some models or of all.
type Receipts struct {
	Before uint64   `json:"before"`           // settlements in earlier blocks
	Models []string `json:"models,omitempty"` // NAME@VERSION; none means all
}

func checkParts(list []Part) error {
	if len(list) > MaxParts {
		return fmt.Errorf("%d parts, at most %d are accepted", len(list), MaxParts)
	}
	seen := map[string]bool{}
	last := 0
	for _, p := range list {
		kind := slices.Index(kinds, p.Kind)
		switch {
		case kind < last:
			return fmt.Errorf("part %q is of no kind, or out of order", p.File)
		case p.File != partFile(p.Kind, p.Name) || len(p.Name) != 2:
			return fmt.Errorf("part %q is not called as its name demands", p.File)
		case seen[p.File]:
			return fmt.Errorf("part %q stands twice", p.File)
		case p.Bytes < 0 || p.Bytes > MaxSegment || !isDigest(p.SHA256):
			return fmt.Errorf("part %q: size or digest is out of bounds", p.File)
		}
		seen[p.File], last = true, kind
	}
	return nil
}

// Receipts says which settlements the bundle is to hold, nil for none.
func (w *Writer) Receipts(r *Receipts) { w.manifest.Receipts = r }

// Holder says to which organisation, by its MSP ID, the contents are given that follow. All contents of a bundle are one's.
func (w *Writer) Holder(msp string) error {
	before := w.manifest.Holder
	if before != msp && slices.ContainsFunc(w.manifest.Parts, func(p Part) bool { return p.Kind == Content }) {
		return fmt.Errorf("the bundle has contents that %q got, and none that %s gets may join them: choose another folder", before, msp)
	}
	w.manifest.Holder = msp
	return nil
}

// HasPart tells whether a part is there.
func (w *Writer) HasPart(kind Kind, name ...string) bool { return w.held[partFile(kind, name)] }

// Part stores a part, in place of one of the same name, which stays when the new one cannot be written. It belongs to the
// bundle after the next [Writer.Flush].
func (w *Writer) Part(kind Kind, name []string, write func(io.Writer) error) error {
	file := partFile(kind, name)
	if !w.held[file] && len(w.manifest.Parts) >= MaxParts {
		return fmt.Errorf("the bundle would have more than %d parts: export the receipts of fewer models", MaxParts)
	}
	s, err := w.begin(file+".new", 0)
	if err != nil {
		return err
	}
	counted := &counter{out: s.buffer}
	path := filepath.Join(w.dir, file)
	if err := errors.Join(write(counted), s.close()); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	if w.held[file] {
		// The manifest must not name a file while it changes.
		delete(w.held, file)
		w.manifest.Parts = slices.DeleteFunc(w.manifest.Parts, func(p Part) bool { return p.File == file })
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("store a part: %w", err)
	}
	after := len(w.manifest.Parts)
	for after > 0 && slices.Index(kinds, w.manifest.Parts[after-1].Kind) > slices.Index(kinds, kind) {
		after--
	}
	w.manifest.Parts = slices.Insert(w.manifest.Parts, after, Part{Kind: kind, Name: name, File: file, Bytes: counted.bytes, SHA256: s.info.SHA256})
	w.held[file] = true
	return nil
}

// Arrange puts the parts of a kind into the order of names and removes all that are not named. Order says nothing of names
// that have no part.
func (w *Writer) Arrange(kind Kind, names [][]string) error {
	place := map[string]int{}
	for i, name := range names {
		place[partFile(kind, name)] = i
	}
	var kept, gone []Part
	for _, p := range w.manifest.Parts {
		if _, named := place[p.File]; named || p.Kind != kind {
			kept = append(kept, p)
		} else {
			gone = append(gone, p)
			delete(w.held, p.File)
		}
	}
	slices.SortStableFunc(kept, func(a, b Part) int {
		if a.Kind != b.Kind {
			return slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind)
		}
		if a.Kind != kind {
			return 0
		}
		return place[a.File] - place[b.File]
	})
	w.manifest.Parts = kept
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range gone {
		if err := os.Remove(filepath.Join(w.dir, p.File)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove a part: %w", err)
		}
	}
	return nil
}

// Parts gives each the parts in order; it comes after [Reader.Blocks]. What each has read is known to be undamaged only when
// settled, which it returns, is called with nil; else settled gets an [ErrDamaged].
func (r *Reader) Parts(each func(p Part, in io.Reader) (settled func(error), err error)) error {
	for _, p := range r.Manifest.Parts {
		file, err := r.source.next(p.segment())
		if err != nil {
			return err
		}
		digest := sha256.New()
		in := io.TeeReader(io.LimitReader(file, p.Bytes+1), digest)
		settled, err := each(p, in)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, in); err != nil {
			return fmt.Errorf("read part %s: %w", p.File, err)
		}
		if got := hex.EncodeToString(digest.Sum(nil)); got != p.SHA256 {
			err = fmt.Errorf("part %s: its digest is %s, the manifest says %s: %w", p.File, got, p.SHA256, ErrDamaged)
		}
		settled(err)
	}
	return r.source.done()
}
