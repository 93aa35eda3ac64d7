package content

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/network/secret"
)

// MasterKeys are the organisation's master keys by version: the highest wraps, all unwrap. They lie in one file that
// only its owner may read or write. Keep a copy of it apart from backups: nothing can be read without it.
type MasterKeys struct {
	path string
	mu   sync.RWMutex
	keys map[uint32]key
}

type keyFile struct {
	Keys []masterKey `json:"keys"`
}

type masterKey struct {
	Version uint32 `json:"version"` // from 1
	Key     key    `json:"key"`
}

// maxKeyFile bounds the file of master keys, in bytes.
const maxKeyFile = 1 << 20

// CreateMasterKeys makes a file with a first master key. It fails when the file exists.
func CreateMasterKeys(path string) (*MasterKeys, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("create master keys: %s exists already", path)
	}
	m := &MasterKeys{path: path, keys: map[uint32]key{}}
	if _, err := m.add(); err != nil {
		return nil, err
	}
	return m, nil
}

// OpenMasterKeys reads the file of master keys. It refuses one that others may read or write.
func OpenMasterKeys(path string) (*MasterKeys, error) {
	data, err := secret.ReadFile(path, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("open master keys: %w", err)
	}
	m := &MasterKeys{path: path}
	if m.keys, err = parseKeyFile(data); err != nil {
		return nil, fmt.Errorf("open master keys: %s %w", path, err)
	}
	return m, nil
}

func parseKeyFile(data []byte) (map[uint32]key, error) {
	var f keyFile
	if len(data) > maxKeyFile || json.Unmarshal(data, &f, json.RejectUnknownMembers(true)) != nil {
		return nil, errors.New("is not a file of master keys") // what json says may quote a key
	}
	keys := make(map[uint32]key, len(f.Keys))
	for _, k := range f.Keys {
		if _, twice := keys[k.Version]; twice || k.Version == 0 || k.Key == (key{}) {
			return nil, errors.New("is damaged: a version stands there twice, or is none")
		}
		keys[k.Version] = k.Key
	}
	if len(keys) == 0 {
		return nil, errors.New("holds no key")
	}
	return keys, nil
}

// Version is the version of the master key that wraps.
func (m *MasterKeys) Version() uint32 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.version()
}

func (m *MasterKeys) version() uint32 {
	highest := uint32(0)
	for v := range m.keys {
		highest = max(highest, v)
	}
	return highest
}

func (m *MasterKeys) of(version uint32) (key, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	k, ok := m.keys[version]
	return k, ok
}

// add draws the next version. The file has it before it is used.
func (m *MasterKeys) add() (uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := maps.Clone(m.keys)
	version := m.version() + 1
	next[version] = newKey()
	return version, m.save(next)
}

func (m *MasterKeys) remove(version uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := maps.Clone(m.keys)
	delete(next, version)
	return m.save(next)
}

// save puts the file in place at once or not at all.
func (m *MasterKeys) save(keys map[uint32]key) error {
	f := keyFile{Keys: []masterKey{}}
	for _, version := range slices.Sorted(maps.Keys(keys)) {
		f.Keys = append(f.Keys, masterKey{version, keys[version]})
	}
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode master keys: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(m.path), ".master-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write master keys: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), m.path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(m.path))
	}
	if err != nil {
		return fmt.Errorf("write master keys: %w", err)
	}
	m.keys = keys
	return nil
}

// key is a secret of 256 random bits.
type key [32]byte

func newKey() (k key) {
	rand.Read(k[:]) // never fails
	return k
}

// String keeps a key out of logs and errors.
func (k key) String() string { return "key" }

// GoString keeps a key out of logs and errors.
func (k key) GoString() string { return "key" }
