//go:build !unix

package index

import (
	"io"
	"os"
)

// mapFile reads a file into memory, where it cannot be mapped.
func mapFile(file *os.File, size int) (b []byte, unmap func() error, err error) {
	b = make([]byte, size)
	if _, err := io.ReadFull(file, b); err != nil {
		return nil, nil, err
	}
	return b, func() error { return nil }, nil
}
