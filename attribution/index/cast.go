package index

import (
	"encoding/binary"
	"unsafe"
)

// unsigned views numbers that are not negative as unsigned ones.
func unsigned(list []int32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(list))), len(list))
}

// littleEndian tells whether this machine's numbers are as in files, so that files can be used as they are.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// bytesOf returns numbers as in a file, the same memory where possible.
func bytesOf[T uint32 | uint64](list []T) []byte {
	size := int(unsafe.Sizeof(*new(T)))
	if littleEndian {
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(list))), len(list)*size)
	}
	b := make([]byte, 0, len(list)*size)
	for _, v := range list {
		if size == 4 {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		} else {
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
	}
	return b
}

// uint32s returns the numbers of a file, the same memory where possible. A rest of fewer than 4 bytes is left out.
func uint32s(b []byte) []uint32 {
	if littleEndian && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%4 == 0 {
		return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
	}
	list := make([]uint32, len(b)/4)
	for i := range list {
		list[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return list
}

// uint64s is uint32s for wider numbers.
func uint64s(b []byte) []uint64 {
	if littleEndian && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 == 0 {
		return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
	}
	list := make([]uint64, len(b)/8)
	for i := range list {
		list[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return list
}

func flat(list []derivation) []uint32 {
	numbers := make([]uint32, 0, 3*len(list))
	for _, d := range list {
		numbers = append(numbers, d.start, d.end, d.contribution)
	}
	return numbers
}
