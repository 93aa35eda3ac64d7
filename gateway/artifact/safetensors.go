package artifact

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxHeader bounds the header of a safetensors file in bytes, as the format's own library does.
const MaxHeader = 100_000_000

// widths are the bits of an element by type.
var widths = map[string]uint64{
	"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
	"U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}

// Tensor is one of a safetensors file.
type Tensor struct {
	Type    string    `json:"dtype"`
	Shape   []uint64  `json:"shape"`
	Offsets [2]uint64 `json:"data_offsets"` // in the bytes after the header: the first, and the one after the last
}

// size is how many bytes a tensor of the type and shape has.
func (t Tensor) size() (uint64, error) {
	width, known := widths[t.Type]
	if !known {
		return 0, fmt.Errorf("has the unknown type %q", t.Type)
	}
	n := width
	for _, d := range t.Shape {
		hi, lo := bits.Mul64(n, d)
		if hi != 0 {
			return 0, errors.New("has more elements than any file")
		}
		n = lo
	}
	if n%8 != 0 {
		return 0, errors.New("does not end at a byte")
	}
	return n / 8, nil
}

// CheckSafetensors reads the header of a safetensors file of so many bytes and returns its tensors by name. It takes only
// files in which every byte is accounted for: the header is JSON without names that stand twice, each tensor's bytes are
// as many as its type and shape say, and they follow on one another from the header to the file's end without a gap or
// an overlap.
func CheckSafetensors(file io.ReaderAt, size int64) (map[string]Tensor, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, errors.New("safetensors: the file ends before its header")
	}
	if _, err := file.ReadAt(prefix[:], 0); err != nil {
		return nil, fmt.Errorf("safetensors: read the header: %w", err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length < 2 || length > MaxHeader || length > uint64(size)-8 {
		return nil, fmt.Errorf("safetensors: a header of %d bytes in a file of %d", length, size)
	}
	header := make([]byte, length)
	if _, err := file.ReadAt(header, 8); err != nil {
		return nil, fmt.Errorf("safetensors: read the header: %w", err)
	}
	if header[0] != '{' {
		return nil, errors.New("safetensors: the header is no JSON object")
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(header, &members); err != nil {
		return nil, fmt.Errorf("safetensors: the header: %w", err)
	}
	tensors := make(map[string]Tensor, len(members))
	for name, value := range members {
		if name == "__metadata__" {
			var metadata map[string]string
			if err := json.Unmarshal(value, &metadata); err != nil {
				return nil, fmt.Errorf("safetensors: the metadata: %w", err)
			}
			continue
		}
		var t Tensor
		if err := json.Unmarshal(value, &t, json.RejectUnknownMembers(true)); err != nil {
			return nil, fmt.Errorf("safetensors: tensor %.100q: %w", name, err)
		}
		tensors[name] = t
	}
	return tensors, contiguous(tensors, uint64(size)-8-length)
}

// contiguous checks that tensors fill so many bytes.
func contiguous(tensors map[string]Tensor, size uint64) error {
	names := make([]string, 0, len(tensors))
	for name := range tensors {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		s, t := tensors[a].Offsets, tensors[b].Offsets
		return cmp.Or(cmp.Compare(s[0], t[0]), cmp.Compare(s[1], t[1]), cmp.Compare(a, b))
	})
	at := uint64(0)
	for _, name := range names {
		t := tensors[name]
		n, err := t.size()
		switch {
		case err != nil:
			return fmt.Errorf("safetensors: tensor %.100q %w", name, err)
		case t.Offsets[0] != at:
			return fmt.Errorf("safetensors: tensor %.100q begins at %d, the one before it ends at %d", name, t.Offsets[0], at)
		case t.Offsets[1] < at || t.Offsets[1]-at != n:
			return fmt.Errorf("safetensors: tensor %.100q has %d bytes by its type and shape, and ends at %d after beginning at %d", name, n, t.Offsets[1], at)
		}
		at += n
		if at > size {
			return fmt.Errorf("safetensors: tensor %.100q goes beyond the end of the file", name)
		}
	}
	if at != size {
		return fmt.Errorf("safetensors: %d bytes belong to no tensor", size-at)
	}
	return nil
}
