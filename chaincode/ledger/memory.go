package ledger

import (
	"reflect"
	"sync"
	"time"
	"unsafe"
)

const (
	// remembered is how many values each half of a [Memory] holds.
	remembered = 4096
	// longest is the most bytes of such a value: what a hostile ledger has rewritten a thousand times must not stay.
	longest = 16 << 10
)

// Memory keeps what committed values decode to, for a process that runs many transactions on a state that lies in memory:
// all of them read the members, most the same datanets, schedules and accounts. It knows a value by where its bytes lie,
// which must never change. It holds those asked for lately, unless they are long. The zero value is empty; a nil one
// remembers nothing. It is safe for concurrent use, as long as nobody changes a string of a list in place: rules do not.
type Memory struct {
	guard      sync.RWMutex
	young, old map[*byte]any
}

// Remember decodes a committed value, or returns what the same bytes were decoded to before.
func Remember[T any](m *Memory, data []byte, decode func([]byte) (T, error)) (T, error) {
	if m == nil || len(data) == 0 || len(data) > longest {
		return decode(data)
	}
	at := unsafe.SliceData(data)
	if known, ok := m.get(at).(T); ok {
		return known, nil
	}
	value, err := decode(data)
	if err == nil && clip(reflect.ValueOf(&value).Elem()) {
		m.put(at, value)
	}
	return value, err
}

func (m *Memory) get(at *byte) any {
	m.guard.RLock()
	value, young := m.young[at]
	if !young {
		value = m.old[at]
	}
	m.guard.RUnlock()
	if value != nil && !young {
		m.put(at, value)
	}
	return value
}

func (m *Memory) put(at *byte, value any) {
	m.guard.Lock()
	defer m.guard.Unlock()
	if m.young == nil || len(m.young) >= remembered {
		m.old, m.young = m.young, make(map[*byte]any, remembered)
	}
	m.young[at] = value
}

// clip prepares a value to be shared: it cuts the room behind lists of strings, so that whoever appends to one gets a copy.
// It is false for a value that cannot be shared, since rules change in place what is behind pointers, in maps and in other
// lists.
func clip(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map:
		return v.IsNil()
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return true
		}
		for i := range v.NumField() {
			if !clip(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice:
		if v.Cap() == 0 {
			return true
		}
		if !v.CanSet() || v.Len() > 0 && v.Type().Elem().Kind() != reflect.String {
			return false
		}
		v.Set(v.Slice3(0, v.Len(), v.Len()))
	case reflect.Array:
		return v.Len() == 0 || v.Type().Elem().Kind() == reflect.Uint8
	}
	return true
}
