package bundle

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Pack writes the bundle in a folder as one file: a tar archive with the manifest first, then the files that it names,
// in its order. Equal folders give equal archives.
func Pack(dir string, out io.Writer) error {
	data, err := readBounded(filepath.Join(dir, manifestName))
	if err != nil {
		return err
	}
	manifest, err := Decode(data)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	if err := w.WriteHeader(header(manifestName, int64(len(data)))); err != nil {
		return fmt.Errorf("pack the manifest: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("pack the manifest: %w", err)
	}
	files := manifest.Segments
	for _, p := range manifest.Parts {
		files = append(files, p.segment())
	}
	if manifest.State != nil {
		files = append([]Segment{*manifest.State}, files...)
	}
	if manifest.Base != nil {
		files = append([]Segment{*manifest.Base}, files...)
	}
	for _, s := range files {
		if err := pack(w, dir, s); err != nil {
			return fmt.Errorf("pack segment %s: %w", s.File, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack the bundle: %w", err)
	}
	return nil
}

func pack(w *tar.Writer, dir string, s Segment) (err error) {
	file, err := os.Open(filepath.Join(dir, s.File))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := w.WriteHeader(header(s.File, s.Bytes)); err != nil {
		return err
	}
	_, err = io.CopyN(w, file, s.Bytes)
	return err
}

func header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, Format: tar.FormatPAX}
}
