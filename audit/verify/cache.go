package verify

import "sync"

const (
	// cached is how many values a generation of a cache holds.
	cached = 4096
	// longest is the most bytes of what is remembered: anybody can send megabytes in place of a certificate.
	longest = 16 << 10
)

// cache keeps what was computed of byte strings, those asked for lately, unless they are long. The zero value is empty. It
// is safe for concurrent use.
type cache[V any] struct {
	guard      sync.RWMutex
	young, old map[string]V
}

// get computes a value that is not there. Two goroutines may both compute it.
func (c *cache[V]) get(key []byte, compute func() V) V {
	if len(key) > longest {
		return compute()
	}
	c.guard.RLock()
	value, ok := c.young[string(key)]
	c.guard.RUnlock()
	if ok {
		return value
	}
	c.guard.Lock()
	value, ok = c.old[string(key)]
	c.guard.Unlock()
	if !ok {
		value = compute()
	}
	c.guard.Lock()
	defer c.guard.Unlock()
	if c.young == nil || len(c.young) >= cached {
		c.old, c.young = c.young, make(map[string]V, 64)
	}
	c.young[string(key)] = value
	return value
}
