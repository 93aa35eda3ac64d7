package content

// Steps are all places at which a crash is tried.
func Steps() (names []string) {
	for _, s := range steps {
		names = append(names, string(s))
	}
	return names
}

// FailAt calls f at the named step.
func (s *Store) FailAt(name string, f func()) {
	s.fail = func(at step) {
		if string(at) == name {
			f()
		}
	}
}

// Secrets are the keys and salts of a content, none of which may lie anywhere in clear.
func (c *Content) Secrets() [][]byte {
	return [][]byte{c.key[:], c.dossier.Salt[:], c.DescriptorSalt[:], c.dossier.Manifest.Root[:]}
}

// Masters are the master keys themselves.
func (m *MasterKeys) Masters() (all [][]byte) {
	for _, k := range m.keys {
		all = append(all, k[:])
	}
	return all
}

var (
	ParseWrapped   = parseWrapped
	ParseKeyFile   = parseKeyFile
	ReadBackupHead = readBackupHead
)

// WrapKey wraps a fresh key; UnwrapKey opens it.
func (m *MasterKeys) WrapKey(kind, name string) ([]byte, error) {
	wrapped, _, err := m.wrap(kind, name, newKey())
	return wrapped, err
}

func (m *MasterKeys) UnwrapKey(kind, name string, wrapped []byte) error {
	_, err := m.unwrap(kind, name, wrapped)
	return err
}
