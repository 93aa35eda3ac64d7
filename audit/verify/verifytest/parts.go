package verifytest

import (
	"io"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/audit/parts"
)

// Snapshot, Content and Settlement are parts of a bundle by their names.
type (
	Snapshot struct {
		Name     []string
		Revision uint32
		Leaves   []parts.Leaf
	}
	Content struct {
		Name    []string
		Salt    attribution.Salt
		Records [][]byte
	}
	Settlement struct {
		Name  []string
		Scope parts.Scope
		Peaks [][]merkle.Hash // by session
		Uses  [][]parts.Use
	}
)

// Write writes the part in its form.
func (s Snapshot) Write(out io.Writer) error {
	w, err := parts.NewSnapshot(out, s.Revision)
	for _, l := range s.Leaves {
		if err == nil {
			err = w.Leaf(l)
		}
	}
	return err
}

// Write writes the part in its form.
func (c Content) Write(out io.Writer) error {
	w, err := parts.NewContent(out, c.Salt)
	for _, record := range c.Records {
		if err == nil {
			err = w.Record(record)
		}
	}
	return err
}

// Write writes the part in its form.
func (s Settlement) Write(out io.Writer) error {
	w, err := parts.NewSettlement(out, s.Scope)
	for i, uses := range s.Uses {
		if err == nil {
			err = w.Peaks(s.Peaks[i])
		}
		for _, u := range uses {
			if err == nil {
				err = w.Use(u)
			}
		}
	}
	return err
}
