package infgram

import (
	"encoding/binary"
	"sync"
)

const (
	// costly is how many places a context has whose figures are worth keeping.
	costly = 256
	// kept is how many contexts are kept; then all are forgotten.
	kept = 1 << 14
)

// cache keeps what was computed of frequent contexts.
type cache[T any] struct {
	mu    sync.RWMutex
	known map[string]T
}

// get returns what compute gives for a context that stands at n places.
func (c *cache[T]) get(context []uint32, n uint64, compute func() T) T {
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
	if c.known == nil || len(c.known) >= kept {
		c.known = make(map[string]T)
	}
	c.known[string(key)] = value
	c.mu.Unlock()
	return value
}
