package bundle

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// ErrDamaged is a bundle whose files are not what its manifest says.
var ErrDamaged = errors.New("the bundle is damaged")

// Reader reads a bundle once, in order. It is not safe for concurrent use.
type Reader struct {
	Manifest *Manifest
	source   source
	close    func() error
}

// source gives the files of a bundle in the manifest's order.
type source interface {
	next(want Segment) (io.Reader, error)
	// done fails if anything follows.
	done() error
}

// Open opens a bundle, a folder or one file.
func Open(path string) (*Reader, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open the bundle: %w", err)
	}
	if info.IsDir() {
		data, err := readBounded(filepath.Join(path, manifestName))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is no bundle, or one whose export has only begun: it has no %s", path, manifestName)
		}
		if err != nil {
			return nil, err
		}
		manifest, err := decoded(data)
		if err != nil {
			return nil, err
		}
		folder := &folder{dir: path}
		return &Reader{Manifest: manifest, source: folder, close: folder.closeFile}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the bundle: %w", err)
	}
	r, err := Read(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	r.close = file.Close
	return r, nil
}

// Read reads a packed bundle from a stream.
func Read(in io.Reader) (*Reader, error) {
	a := &archive{tar: tar.NewReader(in)}
	header, err := a.header(manifestName)
	if err != nil {
		return nil, err
	}
	if header.Size > maxManifest {
		return nil, fmt.Errorf("manifest of %d bytes, at most %d are accepted", header.Size, maxManifest)
	}
	data, err := io.ReadAll(a.tar)
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	manifest, err := decoded(data)
	if err != nil {
		return nil, err
	}
	return &Reader{Manifest: manifest, source: a, close: func() error { return nil }}, nil
}

// decoded reads a manifest; one that is wrong in a format that is known is damaged.
func decoded(data []byte) (*Manifest, error) {
	m, err := Decode(data)
	if err != nil && (m == nil || m.Format == Format) {
		err = fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return m, err
}

// Close releases the bundle.
func (r *Reader) Close() error { return r.close() }

// Base reads the configuration block with which the bundle begins, nil if it begins with block 0. It comes before
// [Reader.Blocks].
func (r *Reader) Base() (*common.Block, error) {
	if r.Manifest.Base == nil {
		return nil, nil
	}
	var base *common.Block
	for block, err := range r.segment(*r.Manifest.Base) {
		if err != nil {
			return nil, err
		}
		base = block
	}
	return base, nil
}

// State has the state to begin with read, if there is one. It comes after [Reader.Base] and before [Reader.Blocks]. The
// digest is compared when all was read.
func (r *Reader) State(read func(io.Reader) error) error {
	if r.Manifest.State == nil {
		return nil
	}
	s := *r.Manifest.State
	file, err := r.source.next(s)
	if err != nil {
		return err
	}
	digest := sha256.New()
	in := io.TeeReader(io.LimitReader(file, s.Bytes+1), digest)
	if err := read(in); err != nil {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	if got := hex.EncodeToString(digest.Sum(nil)); got != s.SHA256 {
		return fmt.Errorf("the state's digest is %s, the manifest says %s: %w", got, s.SHA256, ErrDamaged)
	}
	return nil
}

// Blocks gives the blocks in order and ends after an error, which is [ErrDamaged] when the files are not what the
// manifest says. The blocks of a segment come before its digest is known: a caller that needs an undamaged bundle waits
// for the end.
func (r *Reader) Blocks() iter.Seq2[*common.Block, error] {
	return func(yield func(*common.Block, error) bool) {
		for _, s := range r.Manifest.Segments {
			for block, err := range r.segment(s) {
				if !yield(block, err) || err != nil {
					return
				}
			}
		}
		if len(r.Manifest.Parts) > 0 {
			return
		}
		if err := r.source.done(); err != nil {
			yield(nil, err)
		}
	}
}

func (r *Reader) segment(s Segment) iter.Seq2[*common.Block, error] {
	return func(yield func(*common.Block, error) bool) {
		damaged := func(format string, args ...any) {
			yield(nil, fmt.Errorf("segment %s: %w: %w", s.File, fmt.Errorf(format, args...), ErrDamaged))
		}
		file, err := r.source.next(s)
		if err != nil {
			yield(nil, err)
			return
		}
		digest := sha256.New()
		in := bufio.NewReaderSize(io.TeeReader(io.LimitReader(file, s.Bytes+1), digest), 1<<20)
		left := s.Bytes
		var data []byte // one after the other: decoding copies
		for i := range s.Count {
			var length [4]byte
			if _, err := io.ReadFull(in, length[:]); err != nil {
				damaged("block %d: %w", s.First+i, err)
				return
			}
			size := int64(binary.BigEndian.Uint32(length[:]))
			if left -= int64(len(length)) + size; size > MaxBlock || left < 0 {
				damaged("block %d claims %d bytes", s.First+i, size)
				return
			}
			data = slices.Grow(data[:0], int(size))[:size]
			if _, err := io.ReadFull(in, data); err != nil {
				damaged("block %d: %w", s.First+i, err)
				return
			}
			if pieces(data, 3) > MaxPieces {
				damaged("block %d has more than %d transactions, signatures and other fields", s.First+i, MaxPieces)
				return
			}
			block := &common.Block{}
			if err := proto.Unmarshal(data, block); err != nil {
				damaged("block %d: %w", s.First+i, err)
				return
			}
			if !yield(block, nil) {
				return
			}
		}
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) || left != 0 {
			damaged("it does not end after %d blocks", s.Count)
			return
		}
		if got := hex.EncodeToString(digest.Sum(nil)); got != s.SHA256 {
			damaged("its digest is %s, the manifest says %s", got, s.SHA256)
		}
	}
}

// pieces counts the fields of a message down to some depth, as far as it can be read: each takes far more memory than it has
// bytes once it is decoded.
func pieces(data []byte, depth int) (count int) {
	for len(data) > 0 && count <= MaxPieces {
		_, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return count
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(1, kind, data); n < 0 {
			return count
		}
		if value, whole := protowire.ConsumeBytes(data); depth > 1 && kind == protowire.BytesType && whole > 0 {
			count += pieces(value, depth-1)
		}
		data, count = data[n:], count+1
	}
	return count
}

// openRegular opens a file of a bundle; a pipe would be waited for, a link may lead anywhere.
func openRegular(path string) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	return os.Open(path)
}

type folder struct {
	dir  string
	file *os.File
}

func (f *folder) next(want Segment) (io.Reader, error) {
	if err := f.closeFile(); err != nil {
		return nil, err
	}
	file, err := openRegular(filepath.Join(f.dir, want.File))
	if errors.Is(err, fs.ErrPermission) { // nothing is wrong with the bundle, but with who reads it
		return nil, fmt.Errorf("open the bundle: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	f.file = file
	return file, nil
}

func (f *folder) done() error { return f.closeFile() }

func (f *folder) closeFile() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

type archive struct{ tar *tar.Reader }

// header goes on to the next file, which must have the name.
func (a *archive) header(name string) (*tar.Header, error) {
	header, err := a.tar.Next()
	if err != nil {
		return nil, fmt.Errorf("%s is due: %w: %w", name, err, ErrDamaged)
	}
	if header.Name != name || header.Typeflag != tar.TypeReg {
		return nil, fmt.Errorf("%q where the file %s is due: %w", header.Name, name, ErrDamaged)
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") { // a few bytes that stand for any number of zeros
			return nil, fmt.Errorf("%s is no regular file but a sparse one: %w", name, ErrDamaged)
		}
	}
	return header, nil
}

func (a *archive) next(want Segment) (io.Reader, error) {
	header, err := a.header(want.File)
	if err != nil {
		return nil, err
	}
	if header.Size != want.Bytes {
		return nil, fmt.Errorf("segment %s has %d bytes, the manifest says %d: %w", want.File, header.Size, want.Bytes, ErrDamaged)
	}
	return a.tar, nil
}

func (a *archive) done() error {
	if header, err := a.tar.Next(); err == nil {
		return fmt.Errorf("%q follows the last segment: %w", header.Name, ErrDamaged)
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the end of the bundle: %w: %w", err, ErrDamaged)
	}
	return nil
}
