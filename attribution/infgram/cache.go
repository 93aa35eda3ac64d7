package infgram

import (
	"encoding/binary"
	"sync"
)

const (
	// costly is how many places a context has whose figures are worth keeping.
	costly = 256
	// kept is how large the values of one cache may be together, in entries of some 50 bytes; then all are forgotten.
	kept = 1 << 20
)

// cache keeps what was computed of frequent contexts.
type cache[T any] struct {
	mu    sync.RWMutex
	known map[string]T
	size  int
}

// get returns what compute gives for a context that stands at n places. A value is as large as size says, in entries.
func (c *cache[T]) get(context []uint32, n uint64, compute func() T, size func(T) int) T {
	if n < costly {
		return compute()
	}
	key := make([]byte, 0, 64)
	for _, symbol := range context {
		key = binary.NativeEndian.AppendUint32(key, symbol)
	}
	c.mu.RLock()
	value, ok := c.known[string(key)]
	c.mu.RUnlock()
	if ok {
		return value
	}
	value = compute()
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := c.known[string(key)]; ok {
		return first // of another reader
	}
	if c.known == nil || c.size > kept {
		c.known, c.size = make(map[string]T), 0
	}
	c.known[string(key)] = value
	c.size += 1 + size(value)
	return value
}
