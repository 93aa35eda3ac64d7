package bundle

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"
)

// A segment ends when it has this many bytes or blocks.
const (
	segmentBytes  = 64 << 20
	segmentBlocks = 10_000
)

// Writer appends blocks to a bundle in a folder. It is not safe for concurrent use.
type Writer struct {
	dir      string
	manifest Manifest
	open     *segment
	held     map[string]bool // files of parts
}

type segment struct {
	file   *os.File
	buffer *bufio.Writer
	digest hash.Hash
	info   Segment
}

// Create begins a bundle in a folder, or goes on with the one that is there. The given manifest says what is to be
// exported: channel, chaincode, genesis and first block; one that is there must agree.
func Create(dir string, want Manifest) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the bundle: %w", err)
	}
	w := &Writer{dir: dir, held: map[string]bool{}}
	data, err := readBounded(filepath.Join(dir, manifestName))
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := onlyOurs(dir); err != nil {
			return nil, err
		}
		want.Format, want.Height, want.Segments, want.Base, want.State, want.Parts, want.Holder = Format, want.First, []Segment{}, nil, nil, nil, ""
		w.manifest = want
		return w, nil
	case err != nil:
		return nil, err
	}
	there, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s holds a bundle that cannot be continued: %w", dir, err)
	}
	if there.Channel != want.Channel || there.Chaincode != want.Chaincode || there.Genesis != want.Genesis || there.First != want.First {
		return nil, fmt.Errorf("%s holds a bundle of channel %s (genesis %s, from block %d), not of %s (genesis %s, from block %d): choose another folder",
			dir, there.Channel, there.Genesis, there.First, want.Channel, want.Genesis, want.First)
	}
	there.Unproved = want.Unproved
	w.manifest = *there
	for _, p := range there.Parts {
		w.held[p.File] = true
	}
	return w, nil
}

// onlyOurs refuses a folder with files that no interrupted export has left.
func onlyOurs(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look into the folder of the bundle: %w", err)
	}
	for _, file := range files {
		ours := func(prefix string) bool { return strings.HasPrefix(file.Name(), prefix) }
		if !slices.ContainsFunc([]string{manifestName, baseName, stateName, "blocks-", string(Snapshot) + "-", string(Content) + "-", string(Settlement) + "-"}, ours) {
			return fmt.Errorf("%s holds %s, which is no file of a bundle: choose another folder", dir, file.Name())
		}
	}
	return nil
}

// Next is the number of the block that is due.
func (w *Writer) Next() uint64 {
	if w.open != nil {
		return w.open.info.First + w.open.info.Count
	}
	return w.manifest.Height
}

// Base stores the configuration block with which a bundle that does not begin with block 0 begins. It comes before the
// first block.
func (w *Writer) Base(block *common.Block) error {
	if w.manifest.First == 0 || w.manifest.Base != nil || block.GetHeader().GetNumber() >= w.manifest.First {
		return errors.New("this bundle takes no such configuration to begin with")
	}
	s, err := w.begin(baseName, block.GetHeader().GetNumber())
	if err != nil {
		return err
	}
	if err := errors.Join(s.append(block), s.close()); err != nil {
		return err
	}
	w.manifest.Base = &s.info
	return nil
}

// State stores the state before the first block of a bundle that does not begin with block 0. It comes after the
// configuration and before the first block.
func (w *Writer) State(write func(io.Writer) error) error {
	if w.manifest.Base == nil || w.manifest.State != nil || w.Next() != w.manifest.First {
		return errors.New("this bundle takes no state to begin with")
	}
	s, err := w.begin(stateName, w.manifest.First)
	if err != nil {
		return err
	}
	s.info.Count = 1
	counted := &counter{out: s.buffer}
	err = write(counted)
	s.info.Bytes = counted.bytes
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	w.manifest.State = &s.info
	return nil
}

// HasState tells whether the state to begin with is there.
func (w *Writer) HasState() bool { return w.manifest.State != nil }

type counter struct {
	out   io.Writer
	bytes int64
}

func (c *counter) Write(data []byte) (int, error) {
	n, err := c.out.Write(data)
	c.bytes += int64(n)
	return n, err
}

// HasBase tells whether the configuration to begin with is there.
func (w *Writer) HasBase() bool { return w.manifest.Base != nil }

// Append stores the next block.
func (w *Writer) Append(block *common.Block) error {
	if number := block.GetHeader().GetNumber(); number != w.Next() {
		return fmt.Errorf("block %d where block %d is due", number, w.Next())
	}
	if w.manifest.First != 0 && w.manifest.Base == nil {
		return errors.New("a bundle that does not begin with block 0 needs a configuration first")
	}
	if w.open == nil {
		var err error
		if w.open, err = w.begin(segmentName(w.Next()), w.Next()); err != nil {
			return err
		}
	}
	if err := w.open.append(block); err != nil {
		return err
	}
	if w.open.info.Bytes >= segmentBytes || w.open.info.Count >= segmentBlocks {
		return w.Flush()
	}
	return nil
}

// Flush makes everything appended so far durable and part of the bundle.
func (w *Writer) Flush() error {
	if w.open != nil {
		if err := w.open.close(); err != nil {
			return err
		}
		w.manifest.Segments = append(w.manifest.Segments, w.open.info)
		w.manifest.Height = w.open.info.First + w.open.info.Count
		w.open = nil
	}
	data, err := w.manifest.encode()
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(w.dir, manifestName), data); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	return nil
}

// Close flushes, and gives up a segment that cannot be completed.
func (w *Writer) Close() error { return w.Flush() }

func (w *Writer) begin(name string, first uint64) (*segment, error) {
	file, err := os.OpenFile(filepath.Join(w.dir, name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin a segment: %w", err)
	}
	s := &segment{file: file, digest: sha256.New(), info: Segment{File: name, First: first}}
	s.buffer = bufio.NewWriterSize(io.MultiWriter(file, s.digest), 1<<20)
	return s, nil
}

func (s *segment) append(block *common.Block) error {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(block)
	if err != nil {
		return fmt.Errorf("encode block %d: %w", block.GetHeader().GetNumber(), err)
	}
	if len(data) > MaxBlock {
		return fmt.Errorf("block %d has %d bytes, at most %d are supported", block.GetHeader().GetNumber(), len(data), MaxBlock)
	}
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(data)))
	for _, part := range [][]byte{length[:], data} {
		if _, err := s.buffer.Write(part); err != nil {
			return fmt.Errorf("write block %d: %w", block.GetHeader().GetNumber(), err)
		}
	}
	s.info.Count++
	s.info.Bytes += int64(len(length) + len(data))
	return nil
}

func (s *segment) close() error {
	s.info.SHA256 = ""
	err := errors.Join(s.buffer.Flush(), s.file.Sync(), s.file.Close())
	if err != nil {
		return fmt.Errorf("complete segment %s: %w", s.info.File, err)
	}
	s.info.SHA256 = hex.EncodeToString(s.digest.Sum(nil))
	return nil
}

// replaceFile writes a file so that after a crash there is the old or the new one.
func replaceFile(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".manifest-*")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// readBounded reads a manifest file.
func readBounded(path string) ([]byte, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	return data, nil
}
