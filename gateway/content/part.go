package content

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/minio/sio"
	"gocloud.dev/gcerrors"
)

// objects is where the store's objects lie in the bucket: objects/<content>/<random>.
const objects = "objects/"

// A part is a piece of a content: one object, never changed. Its key is derived from the content's by the object's
// random name and the part's number, so objects cannot be exchanged for each other, and no key encrypts twice.
type part struct {
	Number int64  `json:"number"`
	Object string `json:"object"`
	Size   int64  `json:"size"` // of the plain text, at least 1
}

// sealedSize is the size of the object.
func (p part) sealedSize() (int64, error) {
	size, err := sio.EncryptedSize(uint64(p.Size))
	if err != nil || size > math.MaxInt64 {
		return 0, fmt.Errorf("part %d of %d bytes: %w", p.Number, p.Size, ErrDamaged)
	}
	return int64(size), nil
}

// DARE 2.0 cuts into packages that are sealed one by one.
const (
	packageSize   = 64 << 10
	sealedPackage = packageSize + 32
)

func newID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func (k key) config(number int64, object string) (sio.Config, error) {
	derived, err := k.derive(fmt.Sprintf("DATANET-PART/1 %d %s", number, object))
	return dare(derived), err
}

func dare(k key) sio.Config {
	return sio.Config{MinVersion: sio.Version20, MaxVersion: sio.Version20, CipherSuites: []byte{sio.AES_256_GCM}, Key: k[:]}
}

// writePart encrypts all that src gives into a new object of the content, durably. An error of src leaves nothing.
func (s *Store) writePart(ctx context.Context, id string, k key, number int64, src io.Reader) (part, error) {
	p := part{Number: number, Object: objects + id + "/" + newID()}
	config, err := k.config(number, p.Object)
	if err != nil {
		return p, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := newDurableWriter(ctx, s.bucket, p.Object)
	if err != nil {
		return p, fmt.Errorf("write to the content bucket: %w", err)
	}
	counted := &counter{in: src}
	if _, err := sio.Encrypt(w, counted, config); err != nil {
		cancel() // Close then discards
		w.Writer.Close()
		return p, fmt.Errorf("write to the content bucket: %w", err)
	}
	if err := w.Close(); err != nil {
		return p, fmt.Errorf("write to the content bucket: %w", err)
	}
	p.Size = counted.n
	return p, nil
}

// readPart decrypts a part from a byte of its plain text on.
func (s *Store) readPart(ctx context.Context, k key, p part, from int64) (io.ReadCloser, error) {
	first := from / packageSize
	if from < 0 || from >= p.Size || first > math.MaxUint32 {
		return nil, fmt.Errorf("read part %d from byte %d of %d: out of range", p.Number, from, p.Size)
	}
	config, err := k.config(p.Number, p.Object)
	if err != nil {
		return nil, err
	}
	config.SequenceNumber = uint32(first)
	object, err := s.bucket.NewRangeReader(ctx, p.Object, first*sealedPackage, -1, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("part %d is missing: %w", p.Number, ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("read from the content bucket: %w", err)
	}
	plain, err := sio.DecryptReader(object, config)
	if err != nil {
		object.Close()
		return nil, fmt.Errorf("read from the content bucket: %w", err)
	}
	r := &partReader{object: object, plain: plain, left: p.Size - first*packageSize}
	if _, err := io.CopyN(io.Discard, r, from-first*packageSize); err != nil {
		object.Close()
		return nil, err
	}
	return r, nil
}

// A partReader gives exactly the bytes that a part is known to have.
type partReader struct {
	object io.Closer
	plain  io.Reader
	left   int64
}

func (r *partReader) Read(p []byte) (int, error) {
	n, err := r.plain.Read(p)
	r.left -= int64(n)
	var unauthentic sio.Error
	switch {
	case r.left < 0, errors.As(err, &unauthentic), err == io.EOF && r.left > 0:
		return 0, fmt.Errorf("decrypt: %w", ErrDamaged)
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("read from the content bucket: %w", err)
	}
	return n, err
}

func (r *partReader) Close() error { return r.object.Close() }

// A counter counts what is read.
type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}

// parts lists the parts of a content by number.
func (s *Store) parts(ctx context.Context, q querier, id string) ([]part, error) {
	rows, err := q.QueryContext(ctx, `SELECT number, object, size FROM content_parts WHERE item = ? ORDER BY number`, id)
	if err != nil {
		return nil, fmt.Errorf("list the parts of content %s: %w", id, err)
	}
	defer rows.Close()
	var parts []part
	for rows.Next() {
		var p part
		if err := rows.Scan(&p.Number, &p.Object, &p.Size); err != nil {
			return nil, fmt.Errorf("list the parts of content %s: %w", id, err)
		}
		parts = append(parts, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the parts of content %s: %w", id, err)
	}
	return parts, nil
}

// whole tells whether all objects are there in their sizes.
func (s *Store) whole(ctx context.Context, parts []part) (bool, error) {
	for _, p := range parts {
		attributes, err := s.bucket.Attributes(ctx, p.Object)
		if gcerrors.Code(err) == gcerrors.NotFound {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if size, err := p.sealedSize(); err != nil || attributes.Size != size {
			return false, err
		}
	}
	return true, nil
}

// deleteObject deletes an object that may be gone already.
func (s *Store) deleteObject(ctx context.Context, object string) error {
	if err := s.bucket.Delete(ctx, object); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("delete from the content bucket: %w", err)
	}
	return nil
}
