package index

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// A manifest names the files of an index. It is replaced as a whole, so an index changes at once or not at all.
type manifest struct {
	// Generation counts the changes.
	Generation uint64 `json:"generation"`
	// Distinct is the number of distinct tokens over all segments.
	Distinct uint64        `json:"distinct"`
	Segments []segmentFile `json:"segments"`
	// Next is the number of the next segment file, never used before.
	Next uint64 `json:"next"`
}

type segmentFile struct {
	Name string `json:"name"`
	// Size and Header, the sum in the file's header, tell the file from another one of that name.
	Size   int64  `json:"size"`
	Header uint32 `json:"header"`
}

const (
	manifestName  = "manifest"
	manifestMagic = "datanet index 1 "
	// maxManifest bounds what is read. A million segments would fit.
	maxManifest = 1 << 27
)

var segmentName = regexp.MustCompile(`^[0-9]{8,20}\.segment$`)

// readManifest fails with ErrDamaged for what is no manifest and with fs.ErrNotExist where there is none.
func readManifest(dir string) (manifest, error) {
	file, err := os.Open(filepath.Join(dir, manifestName))
	if err != nil {
		return manifest{}, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxManifest+1))
	if err != nil {
		return manifest{}, err
	}
	return decodeManifest(text)
}

func decodeManifest(text []byte) (m manifest, err error) {
	head, body, ok := bytes.Cut(text, []byte("\n"))
	if !ok || len(text) > maxManifest || !bytes.HasPrefix(head, []byte(manifestMagic)) {
		return m, damaged("its manifest does not begin with %q", manifestMagic)
	}
	if string(head[len(manifestMagic):]) != fmt.Sprintf("%x", sha256.Sum256(body)) {
		return m, damaged("the digest of its manifest is wrong")
	}
	if err := json.Unmarshal(body, &m, json.RejectUnknownMembers(true)); err != nil {
		return m, damaged("read its manifest: %w", err)
	}
	for _, s := range m.Segments {
		if !segmentName.MatchString(s.Name) || s.Size < 0 {
			return m, damaged("its manifest names a file %q of %d bytes", s.Name, s.Size)
		}
	}
	return m, nil
}

func (m manifest) encode() ([]byte, error) {
	body, err := json.Marshal(m, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(fmt.Appendf(nil, "%s%x\n", manifestMagic, sha256.Sum256(body)), body...), nil
}

// write makes m the manifest of a folder. The change is durable once the folder is synced.
func (m manifest) write(dir string) (err error) {
	text, err := m.encode()
	if err != nil {
		return err
	}
	temporary := filepath.Join(dir, manifestName+temporarySuffix)
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return os.Rename(temporary, filepath.Join(dir, manifestName))
}

const temporarySuffix = ".new"

// clean removes what builds that did not finish have left.
func (m manifest) clean(dir string) error {
	known := make(map[string]bool)
	for _, s := range m.Segments {
		known[s.Name] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if segmentName.MatchString(e.Name()) && !known[e.Name()] {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// unusedNumber returns a number that no segment file in a folder has.
func unusedNumber(dir string) (uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	next := uint64(0)
	for _, e := range entries {
		digits, _ := strings.CutSuffix(e.Name(), ".segment")
		if number, err := strconv.ParseUint(digits, 10, 63); err == nil {
			next = max(next, number+1)
		}
	}
	return next, nil
}
