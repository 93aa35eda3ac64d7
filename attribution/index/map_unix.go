//go:build unix

package index

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile returns the bytes of a file that is never written again, and what gives them back.
func mapFile(file *os.File, size int) (b []byte, unmap func() error, err error) {
	if size == 0 {
		return nil, func() error { return nil }, nil
	}
	b, err = unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	return b, func() error { return unix.Munmap(b) }, nil
}
