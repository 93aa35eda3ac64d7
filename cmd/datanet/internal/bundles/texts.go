package bundles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/gateway/evidence"
)

// textFile is where the text of a use is kept, by its receipt's id.
func textFile(folder string, id merkle.Hash) string {
	return filepath.Join(folder, id.String()+".evidence")
}

// KeepText keeps what a party to a use may show an auditor, as EVIDENCE/1, readable for its owner alone.
func KeepText(folder string, e *evidence.Evidence) error {
	encoded, err := e.Encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("keep a text: %w", err)
	}
	if err := os.WriteFile(textFile(folder, receipt.ID(e.Receipt)), encoded, 0o600); err != nil {
		return fmt.Errorf("keep a text: %w", err)
	}
	return nil
}

// TextsIn gives the texts that were kept in a folder.
func TextsIn(folder string) func(id merkle.Hash) ([]byte, error) {
	return func(id merkle.Hash) ([]byte, error) {
		file, err := os.Open(textFile(folder, id))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read a text: %w", err)
		}
		defer file.Close()
		encoded, err := io.ReadAll(io.LimitReader(file, parts.MaxEvidence+1))
		if err != nil {
			return nil, fmt.Errorf("read a text: %w", err)
		}
		if e, err := evidence.Decode(encoded); len(encoded) > parts.MaxEvidence || err != nil || receipt.ID(e.Receipt) != id {
			return nil, fmt.Errorf("%s is not the text of its receipt", file.Name())
		}
		return encoded, nil
	}
}
