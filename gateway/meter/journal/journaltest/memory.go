// Package journaltest is a medium in memory that crashes where a test wants it to.
package journaltest

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// ErrCrashed is what a medium answers after its crash.
var ErrCrashed = errors.New("the medium has crashed")

// Memory is a medium. The zero value is empty and crashes never.
type Memory struct {
	mu      sync.Mutex
	data    []byte
	synced  int
	crashed bool
	// Budget is how many more bytes can be appended before it crashes in the middle of a write; nil means any number.
	Budget *int
	Syncs  int
}

func (m *Memory) ReadAt(p []byte, offset int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.NewReader(m.data).ReadAt(p, offset)
}

func (m *Memory) Size() (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.data)), nil
}

// take returns how many of n bytes can be written, and crashes when that is not all.
func (m *Memory) take(n int) (int, error) {
	if m.crashed {
		return 0, ErrCrashed
	}
	if m.Budget == nil {
		return n, nil
	}
	if *m.Budget < n {
		m.crashed = true
		return *m.Budget, ErrCrashed
	}
	*m.Budget -= n
	return n, nil
}

func (m *Memory) Append(p []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.take(len(p))
	m.data = append(m.data, p[:n]...)
	return err
}

// Sync fails, without saying what has become durable, when the budget is spent to the byte.
func (m *Memory) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Budget != nil && *m.Budget == 0 {
		m.crashed = true
	}
	if m.crashed {
		return ErrCrashed
	}
	m.synced = len(m.data)
	m.Syncs++
	return nil
}

func (m *Memory) Truncate(size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return ErrCrashed
	}
	m.data = m.data[:size]
	m.synced = int(size)
	return nil
}

// Replace takes one byte of the budget for the step that makes the new bytes count.
func (m *Memory) Replace(write func(io.Writer) error) error {
	var next bytes.Buffer
	if err := write(&next); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.take(next.Len()); err != nil {
		return err
	}
	m.data, m.synced = next.Bytes(), next.Len()
	_, err := m.take(1)
	return err
}

func (m *Memory) Close() error { return nil }

// Unsynced is how many bytes at the end a crash may take.
func (m *Memory) Unsynced() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.data) - m.synced
}

// Restart is the medium that a crash leaves behind of which so many unsynced bytes are lost.
func (m *Memory) Restart(lost int) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	data := bytes.Clone(m.data[:max(m.synced, len(m.data)-lost)])
	return &Memory{data: data, synced: len(data)}
}

// Bytes is all that the medium holds; Holding is a medium that holds it.
func (m *Memory) Bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.data)
}

// Holding is a medium that holds the bytes durably.
func Holding(data []byte) *Memory { return &Memory{data: bytes.Clone(data), synced: len(data)} }

// Crashed tells whether the medium has crashed.
func (m *Memory) Crashed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crashed
}
