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
	"path/filepath"
	"slices"
	"sync"

	"github.com/datanet-consortium/datanet/chaincode/model"
)

// Errors by which callers decide; a file that is not here yet is [fs.ErrNotExist].
var (
	ErrNotRegistered = errors.New("these are not the bytes whose digest is registered with the model")
	ErrNoManifest    = errors.New("the model's manifest is not here yet: send it first")
	ErrNoArtifact    = errors.New("the model has no such artifact")
)

// OffsetError is an upload at another offset than the one that it has reached.
type OffsetError struct{ Received int64 }

func (e *OffsetError) Error() string {
	return fmt.Sprintf("%d bytes are here: go on from there", e.Received)
}

// Store keeps artifacts as files: FOLDER/ORGANISATION/NAME/VERSION has the files of a model under their own names, so that
// a server of models can read them there. What has not come whole lies apart. It is safe for concurrent use by one process.
type Store struct {
	folder string

	mutex sync.Mutex
	busy  map[string]*sync.Mutex // by file that is written
}

// Status is an artifact and how much of it is here.
type Status struct {
	File
	Received int64 `json:"received"` // bytes that are stored durably; all of them only once their digest was checked
}

// parts is the folder of what has not come whole. No model's name begins like this.
const parts = ".parts"

// Open opens a store, and makes its folder if there is none.
func Open(folder string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(folder, parts), 0o700); err != nil {
		return nil, fmt.Errorf("open the artifacts: %w", err)
	}
	return &Store{folder: folder, busy: map[string]*sync.Mutex{}}, nil
}

// Folder is where the files of a model lie.
func (s *Store) Folder(n model.Named) string {
	return filepath.Join(s.folder, filepath.FromSlash(n.Name), n.Version)
}

func (s *Store) part(n model.Named, digest string) string {
	sum := sha256.Sum256([]byte(n.String() + "\x00" + digest))
	return filepath.Join(s.folder, parts, hex.EncodeToString(sum[:]))
}

// lock gives one file to one writer.
func (s *Store) lock(name string) (unlock func()) {
	s.mutex.Lock()
	m := s.busy[name]
	if m == nil {
		m = &sync.Mutex{}
		s.busy[name] = m
	}
	s.mutex.Unlock()
	m.Lock()
	return m.Unlock
}

// PutManifest keeps a model's manifest, which must be the one that is registered and list the artifacts that are.
func (s *Store) PutManifest(m model.Model, encoded []byte) (*Manifest, error) {
	if sum := sha256.Sum256(encoded); hex.EncodeToString(sum[:]) != m.Manifest {
		return nil, fmt.Errorf("the manifest of %s: %w", m.Named, ErrNotRegistered)
	}
	manifest, err := DecodeManifest(encoded)
	if err != nil {
		return nil, err
	}
	listed, registered := manifest.Digests(), slices.Sorted(slices.Values(m.Artifacts))
	if slices.Sort(listed); !slices.Equal(listed, registered) {
		return nil, fmt.Errorf("the manifest of %s lists other artifacts than are registered: %w", m.Named, ErrNotRegistered)
	}
	place := filepath.Join(s.Folder(m.Named), ManifestName)
	defer s.lock(place)()
	if known, err := readBounded(place, MaxManifest); err == nil && string(known) == string(encoded) {
		return manifest, nil
	}
	part := s.part(m.Named, ManifestName)
	if err := os.WriteFile(part, encoded, 0o600); err != nil {
		return nil, fmt.Errorf("keep the manifest: %w", err)
	}
	if err := settle(part, place); err != nil {
		return nil, fmt.Errorf("keep the manifest: %w", err)
	}
	return manifest, nil
}

// settle makes a file durable under its name.
func settle(part, place string) error {
	if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(part, place)
}

// Manifest is a model's manifest and its bytes; the error is [ErrNoManifest] when it is not here.
func (s *Store) Manifest(m model.Model) (manifest *Manifest, encoded []byte, err error) {
	encoded, err = readBounded(filepath.Join(s.Folder(m.Named), ManifestName), MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNoManifest
	}
	if err != nil {
		return nil, nil, err
	}
	if sum := sha256.Sum256(encoded); hex.EncodeToString(sum[:]) != m.Manifest {
		return nil, nil, fmt.Errorf("the manifest of %s: %w", m.Named, ErrNotRegistered)
	}
	manifest, err = DecodeManifest(encoded)
	return manifest, encoded, err
}

// Files tells how much of each artifact is here.
func (s *Store) Files(m model.Model) ([]Status, error) {
	manifest, _, err := s.Manifest(m)
	if err != nil {
		return nil, err
	}
	list := make([]Status, len(manifest.Files))
	for i, f := range manifest.Files {
		received, _, err := s.received(m.Named, f)
		if err != nil {
			return nil, err
		}
		list[i] = Status{f, received}
	}
	return list, nil
}

// received is how many bytes of a file are here, and whether it is whole.
func (s *Store) received(n model.Named, f File) (count int64, whole bool, err error) {
	info, err := os.Stat(s.place(n, f))
	if err == nil {
		return info.Size(), true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, false, err
	}
	info, err = os.Stat(s.part(n, f.SHA256))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return info.Size(), false, nil
}

func (s *Store) place(n model.Named, f File) string {
	return filepath.Join(s.Folder(n), filepath.FromSlash(f.Name))
}

// named are the files that have a digest.
func (s *Store) named(m model.Model, digest string) (files []File, err error) {
	manifest, _, err := s.Manifest(m)
	if err != nil {
		return nil, err
	}
	for _, f := range manifest.Files {
		if f.SHA256 == digest {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil, ErrNoArtifact
	}
	return files, nil
}

// Append adds bytes to an artifact, which must follow on those that are here, and tells how many are here then. Those that
// came before a failure stay. When all are here their digest is checked: the wrong ones are thrown away, with
// [ErrNotRegistered], and the right ones get their name.
func (s *Store) Append(ctx context.Context, m model.Model, digest string, offset int64, bytes io.Reader) (Status, error) {
	files, err := s.named(m, digest)
	if err != nil {
		return Status{}, err
	}
	f := files[0]
	part := s.part(m.Named, digest)
	defer s.lock(part)()
	received, whole, err := s.received(m.Named, f)
	if err != nil {
		return Status{}, err
	}
	if whole {
		if offset != received {
			return Status{f, received}, &OffsetError{received}
		}
		return Status{f, received}, s.name(m.Named, files)
	}
	if offset != received {
		return Status{f, received}, &OffsetError{received}
	}
	received, err = add(ctx, part, f.Bytes-received, bytes)
	if err != nil || received < f.Bytes {
		return Status{f, received}, err
	}
	if err := Check(ctx, part, digest); err != nil {
		if errors.Is(err, ErrNotRegistered) {
			err = errors.Join(err, os.Remove(part))
			received = 0
		}
		return Status{f, received}, err
	}
	if err := settle(part, s.place(m.Named, f)); err != nil {
		return Status{f, received}, fmt.Errorf("keep artifact %s: %w", f.Name, err)
	}
	return Status{f, received}, s.name(m.Named, files)
}

// name gives equal files their other names.
func (s *Store) name(n model.Named, files []File) error {
	for _, other := range files[1:] {
		place := s.place(n, other)
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			return fmt.Errorf("keep artifact %s: %w", other.Name, err)
		}
		if err := os.Link(s.place(n, files[0]), place); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("keep artifact %s: %w", other.Name, err)
		}
	}
	return nil
}

// add appends at most so many bytes to a file, durably.
func add(ctx context.Context, name string, most int64, bytes io.Reader) (size int64, err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, fmt.Errorf("keep an artifact: %w", err)
	}
	_, copied := io.CopyN(file, &watched{ctx: ctx, from: bytes}, most)
	if errors.Is(copied, io.EOF) {
		copied = nil
	}
	if copied == nil {
		// What comes after the file's end is none of it.
		var more [1]byte
		if n, _ := bytes.Read(more[:]); n > 0 {
			copied = fmt.Errorf("more bytes than the manifest says: %w", ErrNotRegistered)
		}
	}
	info, err := file.Stat()
	if err = errors.Join(copied, err, file.Sync(), file.Close()); info != nil {
		size = info.Size()
	}
	return size, err
}

// Check reads a file and compares its SHA-256; the error is [ErrNotRegistered] when it is another one.
func Check(ctx context.Context, name, digest string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, &watched{ctx: ctx, from: file}); err != nil {
		return fmt.Errorf("check an artifact: %w", err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != digest {
		return ErrNotRegistered
	}
	return nil
}

// OpenFile opens a whole artifact. The error is [fs.ErrNotExist] as long as it is not here.
func (s *Store) OpenFile(m model.Model, digest string) (*os.File, File, error) {
	files, err := s.named(m, digest)
	if errors.Is(err, ErrNoManifest) {
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	if err != nil {
		return nil, File{}, err
	}
	file, err := os.Open(s.place(m.Named, files[0]))
	return file, files[0], err
}

// Small reads an artifact of at most so many bytes and checks its digest; a larger one gives nothing. The error is
// [fs.ErrNotExist] as long as it is not here.
func (s *Store) Small(m model.Model, digest string, most int64) ([]byte, error) {
	file, f, err := s.OpenFile(m, digest)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if f.Bytes > most {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, fmt.Errorf("read artifact %s: %w", f.Name, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("artifact %s of %s has changed on disk: %w", f.Name, m.Named, ErrNotRegistered)
	}
	return data, nil
}

// Complete tells whether all artifacts of a model are here.
func (s *Store) Complete(m model.Model) (bool, error) {
	manifest, _, err := s.Manifest(m)
	if errors.Is(err, ErrNoManifest) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, f := range manifest.Files {
		if _, whole, err := s.received(m.Named, f); err != nil || !whole {
			return false, err
		}
	}
	return true, nil
}
