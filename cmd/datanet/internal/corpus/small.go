package corpus

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"

	"github.com/datanet-consortium/datanet/attribution/ingest"
)

const (
	// MaxContributors bounds the corpus of a demonstration: each of them gets an account.
	MaxContributors = 100
	// MaxBytes bounds it too: a demonstration is over in a minute.
	MaxBytes = 16 << 20
)

// Contributor is one contributor's name, which never reaches the ledger, and texts in the order of their files' names.
type Contributor struct {
	Name    string
	Records [][]byte
}

// Read reads a whole folder of contributors for a demonstration: every file is one record.
func Read(folder fs.FS) ([]Contributor, error) {
	limits := ingest.DefaultLimits()
	limits.Bytes, limits.FileBytes = MaxBytes, MaxBytes
	f, err := Open(folder, ingest.Rules{}, limits)
	if err != nil {
		return nil, err
	}
	if len(f.Contributors) > MaxContributors {
		return nil, fmt.Errorf("read corpus: %d contributors exceed the limit of %d", len(f.Contributors), MaxContributors)
	}
	left := int64(MaxBytes)
	var all []Contributor
	for _, c := range f.Contributors {
		contributor := Contributor{Name: c.Name}
		manifest, err := f.Contribution(context.Background(), c, func(record []byte) error {
			contributor.Records = append(contributor.Records, bytes.Clone(record))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read corpus: %w", err)
		}
		if left -= manifest.Bytes; left < 0 {
			return nil, fmt.Errorf("read corpus: more than %d MiB: choose a smaller folder for the demonstration", MaxBytes>>20)
		}
		all = append(all, contributor)
	}
	return all, nil
}
