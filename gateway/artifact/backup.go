package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/content"
)

// Part is a part of a file of a model on its way into a backup and back: of the artifact with the digest, or of the
// manifest, which has none and comes before the artifacts that it lists.
type Part struct {
	Model  model.Named `json:"model"`
	Digest string      `json:"digest,omitzero"`
	content.FilePiece
}

// BackedUp tells what a backup has of artifacts.
type BackedUp struct {
	Items int
	Bytes int64
	// Damaged are files that are left out, since they have changed on disk.
	Damaged []string
}

// Backup hands out the artifacts of an organisation's models that are here whole, part by part. It may run while others are
// coming.
func (s *Store) Backup(ctx context.Context, organisation string, each func(Part) error) (b BackedUp, err error) {
	models, err := s.models(organisation)
	if err != nil {
		return b, fmt.Errorf("back up artifacts: %w", err)
	}
	for _, n := range models {
		if err := s.backUp(ctx, n, &b, each); err != nil {
			return b, fmt.Errorf("back up the artifacts of %s: %w", n, err)
		}
	}
	return b, nil
}

// models are those of an organisation that have a folder.
func (s *Store) models(organisation string) (list []model.Named, err error) {
	names, err := os.ReadDir(filepath.Join(s.folder, organisation))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !name.IsDir() {
			continue
		}
		versions, err := os.ReadDir(filepath.Join(s.folder, organisation, name.Name()))
		if err != nil {
			return nil, err
		}
		for _, version := range versions {
			n := model.Named{Name: organisation + "/" + name.Name(), Version: version.Name()}
			if version.IsDir() && n.Validate() == nil {
				list = append(list, n)
			}
		}
	}
	return list, nil
}

func (s *Store) backUp(ctx context.Context, n model.Named, b *BackedUp, each func(Part) error) error {
	encoded, err := readBounded(filepath.Join(s.Folder(n), ManifestName), MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	manifest, err := DecodeManifest(encoded)
	if err != nil {
		b.Damaged = append(b.Damaged, fmt.Sprintf("%s of %s", ManifestName, n))
		return nil
	}
	if err := each(Part{Model: n, FilePiece: content.FilePiece{Last: true, Data: encoded}}); err != nil {
		return err
	}
	handed := map[string]bool{}
	for _, f := range manifest.Files {
		if handed[f.SHA256] {
			continue
		}
		handed[f.SHA256] = true
		err := Check(ctx, s.place(n, f), f.SHA256)
		switch {
		case errors.Is(err, fs.ErrNotExist): // has not come whole
			continue
		case errors.Is(err, ErrNotRegistered):
			b.Damaged = append(b.Damaged, fmt.Sprintf("%s of %s", f.Name, n))
			continue
		case err == nil:
			err = content.ReadPieces(s.place(n, f), func(p content.FilePiece) error { return each(Part{n, f.SHA256, p}) })
		}
		if err != nil {
			return err
		}
		b.Items++
		b.Bytes += f.Bytes
	}
	return nil
}

// Restore takes a part of a backup back, of a model as the ledger has it: what does not have the registered digests is not
// taken, with [ErrNotRegistered]. The parts of a file come in their order, after the manifest. An artifact that is whole here
// stays; one that has changed on disk, or has not come whole, is replaced. It tells whether this part was an artifact's last.
func (s *Store) Restore(ctx context.Context, m model.Model, p Part) (taken bool, err error) {
	if p.Digest == "" {
		_, err := s.PutManifest(m, p.Data)
		return false, err
	}
	files, err := s.named(m, p.Digest)
	if err != nil {
		return false, err
	}
	if p.Offset == 0 {
		if err := s.clear(ctx, m.Named, files); err != nil {
			return false, err
		}
	}
	if _, whole, err := s.received(m.Named, files[0]); err != nil || whole {
		return false, err
	}
	done, err := s.Append(ctx, m, p.Digest, p.Offset, bytes.NewReader(p.Data))
	if err == nil && p.Last && done.Received < done.Bytes {
		err = io.ErrUnexpectedEOF
	}
	return p.Last && err == nil, err
}

// clear removes what is here of equal files, unless it is what is registered.
func (s *Store) clear(ctx context.Context, n model.Named, files []File) error {
	switch err := Check(ctx, s.place(n, files[0]), files[0].SHA256); {
	case err == nil:
		return s.name(n, files)
	case !errors.Is(err, ErrNotRegistered) && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	places := []string{s.part(n, files[0].SHA256)}
	for _, f := range files {
		places = append(places, s.place(n, f))
	}
	for _, place := range places {
		if err := os.Remove(place); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what is not the registered artifact: %w", err)
		}
	}
	return nil
}
