// Package artifact is what training makes of released data, from the trainer's folder to the host's gateway.
//
// Life of an artifact: the trainer's program writes files into a folder. [Read] hashes them, checks the headers of
// safetensors files, and knows a PEFT adapter when it sees one. Digests, and that of the manifest that lists them, are
// registered with the model; the manifest is kept beside the files. Then the folder goes to the own organisation's
// gateway file by file ([Store]), and a gateway that serves the model fetches it from there: what does not have the
// registered digests is nowhere taken. Backups of the owner's gateway hold the files, so that a gateway which has lost its
// disk serves them again.
//
// Artifacts are not encrypted, since the program that runs a model reads them from disk: files are for their owner only
// (folders 0700, files 0600), and other gateways get them only to host the model.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

const (
	// ManifestName is the file beside the artifacts that lists them.
	ManifestName = "manifest.json"
	// MaxManifest bounds it, in bytes.
	MaxManifest = 1 << 20

	manifestFormat = "datanet-training/1"
	maxConfig      = 1 << 20
	maxName        = 200
)

// The methods that programs of ours know.
const (
	InfGram = "infgram/1"
	LoRA    = "peft-lora"
	Other   = "other"
)

// Manifest says what a model was trained on and how, and lists its artifacts. The ledger has the SHA-256 of its bytes.
type Manifest struct {
	Format    string            `json:"format"`
	Method    string            `json:"method"`
	Purpose   licence.Purpose   `json:"purpose,omitzero"`
	Tickets   []string          `json:"tickets,omitzero"`
	Snapshots []Snapshot        `json:"snapshots,omitzero"`
	Corpus    model.Corpus      `json:"corpus,omitzero"` // see [Digester] for the digest
	Options   map[string]string `json:"options,omitzero"`
	Program   string            `json:"program"` // name and version of what wrote the manifest
	Adapter   Adapter           `json:"adapter,omitzero"`
	Files     []File            `json:"files"` // by name; their digests are the model's artifacts
}

// Snapshot is one of those that the model was trained on, in the revision that was released.
type Snapshot struct {
	snapshot.Named
	Revision int    `json:"revision"`
	Root     string `json:"root"`
}

// File is an artifact.
type File struct {
	Name   string `json:"name"` // in the folder, parts separated by slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
}

// Digests are those of the files, as the ledger wants them: each once.
func (m *Manifest) Digests() (digests []string) {
	for _, f := range m.Files {
		if !slices.Contains(digests, f.SHA256) {
			digests = append(digests, f.SHA256)
		}
	}
	return digests
}

// Encode returns the manifest's bytes and their SHA-256 in hex.
func (m *Manifest) Encode() (encoded []byte, digest string, err error) {
	m.Format = manifestFormat
	if encoded, err = json.Marshal(m, jsontext.WithIndent("  "), json.Deterministic(true)); err != nil {
		return nil, "", fmt.Errorf("encode the manifest: %w", err)
	}
	encoded = append(encoded, '\n')
	if _, err := DecodeManifest(encoded); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(encoded)
	return encoded, hex.EncodeToString(sum[:]), nil
}

// DecodeManifest reads a manifest, strictly.
func DecodeManifest(encoded []byte) (*Manifest, error) {
	if len(encoded) > MaxManifest {
		return nil, fmt.Errorf("a manifest has at most %d bytes", MaxManifest)
	}
	m := &Manifest{}
	if err := json.Unmarshal(encoded, m, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("read the manifest: its format is %.50q, not %q", m.Format, manifestFormat)
	}
	if len(m.Files) == 0 || len(m.Digests()) > model.MaxArtifacts || len(m.Files) > 2*model.MaxArtifacts {
		return nil, fmt.Errorf("read the manifest: a model has 1 to %d artifacts", model.MaxArtifacts)
	}
	for i, f := range m.Files {
		sum, err := hex.DecodeString(f.SHA256)
		switch {
		case checkName(f.Name) != nil:
			return nil, fmt.Errorf("read the manifest: %w", checkName(f.Name))
		case i > 0 && f.Name <= m.Files[i-1].Name:
			return nil, errors.New("read the manifest: files are in the order of their names, each once")
		case f.Bytes < 0 || err != nil || len(sum) != sha256.Size || hex.EncodeToString(sum) != f.SHA256:
			return nil, fmt.Errorf("read the manifest: file %q has no size or no digest", f.Name)
		}
	}
	return m, nil
}

// checkName refuses names that are no relative path inside a folder on every system, and the manifest's own.
func checkName(name string) error {
	bad := name == "" || len(name) > maxName || !utf8.ValidString(name) || !fs.ValidPath(name) || name == "." || name == ManifestName ||
		strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f || strings.ContainsRune(`<>:"\|?*`, r) })
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ")
	}
	if bad {
		return fmt.Errorf("%.100q is no name of an artifact: use letters, digits, - _ . and folders, none of which begins with a dot", name)
	}
	return nil
}

// Read makes the manifest of a trainer's folder. Where the folder has a manifest already, exactly the files that it lists
// are the artifacts, and they must be as it says; else all files are. progress is told the bytes that were hashed; it may
// be nil. What the files themselves say, as an adapter's base, is in the manifest; the rest is for the caller to fill in.
func Read(ctx context.Context, dir string, progress func(bytes int64)) (*Manifest, error) {
	encoded, err := readBounded(filepath.Join(dir, ManifestName), MaxManifest)
	switch {
	case err == nil:
		listed, err := DecodeManifest(encoded)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, ManifestName), err)
		}
		for i, f := range listed.Files {
			now, err := readFile(ctx, dir, f.Name, progress)
			if err != nil {
				return nil, err
			}
			if now != listed.Files[i] {
				return nil, fmt.Errorf("%s is not the file that %s lists: train again, or remove the manifest", f.Name, ManifestName)
			}
		}
		return listed, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	m := &Manifest{Format: manifestFormat, Method: Other}
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if len(m.Files) == model.MaxArtifacts {
			return fmt.Errorf("more than %d files: a model has no more artifacts; pack them, or leave checkpoints out", model.MaxArtifacts)
		}
		f, err := readFile(ctx, dir, filepath.ToSlash(relative), progress)
		m.Files = append(m.Files, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the artifacts: %w", err)
	}
	if len(m.Files) == 0 {
		return nil, fmt.Errorf("read the artifacts: %s has no files", dir)
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return m, m.recognise(dir)
}

// recognise fills in what a PEFT adapter says of itself, and checks that it is one.
func (m *Manifest) recognise(dir string) error {
	if !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == AdapterConfig }) {
		return nil
	}
	config, err := readBounded(filepath.Join(dir, AdapterConfig), maxConfig)
	if err != nil {
		return err
	}
	if m.Adapter, err = readAdapter(config); err != nil {
		return err
	}
	m.Method = LoRA
	const weights = "adapter_model.safetensors"
	if !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == weights }) {
		return fmt.Errorf("the adapter has no %s: save it with safe_serialization", weights)
	}
	tensors, err := checkFile(filepath.Join(dir, weights))
	if err != nil {
		return err
	}
	return checkLoRA(tensors)
}

func checkFile(name string) (map[string]Tensor, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	tensors, err := CheckSafetensors(file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return tensors, nil
}

// readFile hashes a file of a folder. A safetensors file must be one.
func readFile(ctx context.Context, dir, name string, progress func(int64)) (File, error) {
	if err := checkName(name); err != nil {
		return File{}, err
	}
	place := filepath.Join(dir, filepath.FromSlash(name))
	if info, err := os.Lstat(place); err != nil {
		return File{}, err
	} else if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is not a regular file", name)
	}
	if path.Ext(name) == ".safetensors" {
		if _, err := checkFile(place); err != nil {
			return File{}, err
		}
	}
	file, err := os.Open(place)
	if err != nil {
		return File{}, err
	}
	defer file.Close()
	digest := sha256.New()
	n, err := io.Copy(digest, &watched{ctx, file, progress})
	if err != nil {
		return File{}, fmt.Errorf("hash %s: %w", name, err)
	}
	return File{Name: name, Bytes: n, SHA256: hex.EncodeToString(digest.Sum(nil))}, nil
}

// watched tells of progress and ends with its context.
type watched struct {
	ctx      context.Context
	from     io.Reader
	progress func(int64)
}

func (w *watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.from.Read(p)
	if w.progress != nil {
		w.progress(int64(n))
	}
	return n, err
}

func readBounded(name string, most int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return data, err
}
