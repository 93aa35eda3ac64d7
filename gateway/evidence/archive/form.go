package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Place names a use, or where leaves are wanted from: a session and a place in it.
type Place struct {
	Session merkle.Hash
	Place   uint64
}

const (
	placeSize = 32 + 8
	// MaxPlaces is how many places one request names.
	MaxPlaces = 1000
	// maxEvidence bounds the evidence of one use, in bytes.
	maxEvidence = 32 << 20
)

// encodePlaces writes places as a request has them: session and place (u64, big-endian), one after another.
func encodePlaces(list []Place) []byte {
	b := make([]byte, 0, placeSize*len(list))
	for _, p := range list {
		b = binary.BigEndian.AppendUint64(append(b, p.Session[:]...), p.Place)
	}
	return b
}

func decodePlaces(b []byte) ([]Place, error) {
	if len(b) == 0 || len(b)%placeSize != 0 || len(b)/placeSize > MaxPlaces {
		return nil, fmt.Errorf("the body names 1 to %d places of %d bytes each", MaxPlaces, placeSize)
	}
	list := make([]Place, len(b)/placeSize)
	for i := range list {
		one := b[i*placeSize:][:placeSize]
		list[i] = Place{Session: merkle.Hash(one[:32]), Place: binary.BigEndian.Uint64(one[32:])}
	}
	return list, nil
}

// An answer to a request for receipts or texts has a frame for each place: a u32 length and so many bytes; none for what
// is not disclosed.

func writeFrame(out io.Writer, b []byte) error {
	if _, err := out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b)))); err != nil {
		return err
	}
	_, err := out.Write(b)
	return err
}

var errFrame = errors.New("the answer is no sequence of frames")

func readFrame(in io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxEvidence {
		return nil, fmt.Errorf("%w: one of %d bytes", errFrame, n)
	}
	// Grown as it comes, so that a length alone takes no memory.
	b, err := io.ReadAll(io.LimitReader(in, int64(n)))
	if err == nil && len(b) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	return b, nil
}
