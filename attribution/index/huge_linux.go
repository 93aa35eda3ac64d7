package index

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const hugePage = 2 << 20

// huge asks the system to back a large new list by huge pages, since what reads it at random places otherwise
// waits for page tables as much as for memory. It is a hint; the system may not follow.
func huge[T any](list []T) []T {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(list)))
	end := start + uintptr(len(list))*unsafe.Sizeof(*new(T))
	first, last := (start+hugePage-1)&^(hugePage-1), end&^(hugePage-1)
	if first < last {
		whole := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(list))), end-start)
		_ = unix.Madvise(whole[first-start:last-start], unix.MADV_HUGEPAGE)
	}
	return list
}
