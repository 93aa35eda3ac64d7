package index

import "unsafe"

// unsigned views numbers that are not negative as unsigned ones.
func unsigned(list []int32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(list))), len(list))
}
