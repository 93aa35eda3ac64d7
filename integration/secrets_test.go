package integration_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/integration/disk"
)

// TestNoNameContentKeyOrSaltIsOnAnyNode has our own client and gateways tell the Persian-poetry story, from poems to
// payments, goes on as the README says, and then looks for everything that they keep to themselves in all that every peer, orderer and chaincode
// process has on disk: block files, state and other databases, logs. Beside it, what must be there is found. What the
// gateways keep is not in clear in their own files either.
func TestNoNameContentKeyOrSaltIsOnAnyNode(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real network")
	}
	programs, state := t.TempDir(), filepath.Join(t.TempDir(), "state")
	out, err := exec.Command("go", "build", "-o", programs+"/", "../cmd/...").CombinedOutput()
	require.NoError(t, err, "%s", out)
	run := func(arguments ...string) {
		out, err := exec.Command(filepath.Join(programs, "datanet"), append(arguments, "--dir", state)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	stop := func() { run("network", "down") }
	t.Cleanup(stop)
	run("demo")
	followReadme(t, programs, state)
	stop()

	nodes := filepath.Join(state, "nodes")
	sealed, public := told(t, filepath.Join(state, "demo"), nodes)
	anywhere := &things{}
	anywhere.addKeys(t, filepath.Join(state, "crypto"), "*/users/*/msp/keystore/*.pem", "*/admin/msp/keystore/*.pem", "*/ca/key.pem", "*/tlsca/key.pem")
	anywhere.addKeys(t, nodes, "gateway.*/data/keystore/*/keystore/*.pem")
	for _, path := range folders(t, nodes, "gateway.*/data/master-keys.json", 3) {
		anywhere.add(t, "the master key "+path, masterKey(t, path))
	}
	peers := folders(t, nodes, "peer.*", 4)
	for _, peer := range peers {
		blocks, world := map[string]bool{}, map[string]bool{}
		require.NoError(t, disk.Read(peer, func(place string, part []byte) error {
			for _, f := range public.search.In(part) {
				switch {
				case strings.Contains(place, "blockfile_"):
					blocks[f.What] = true
				case strings.Contains(place, "stateLeveldb"):
					world[f.What] = true
				}
			}
			return nil
		}))
		require.Len(t, blocks, public.count, "the search finds what is in the block files of %s", peer)
		require.Len(t, world, public.count, "the search finds what is in the state database of %s", peer)
	}
	size := absent(t, slices.Concat(peers, folders(t, nodes, "orderer.*", 4), folders(t, nodes, "chaincode.*", 4)), sealed, anywhere)
	t.Logf("%d secrets looked for in %d kB of 4 peers, 4 orderers and their chaincode", sealed.count+anywhere.count, size>>10)

	// A gateway keeps people's keys and, of models that it serves or attests, canonical tokens; all else is sealed.
	gateways := folders(t, nodes, "gateway.*", 4)
	size = absent(t, gateways, sealed)
	t.Logf("%d secrets looked for in %d kB of 4 gateways", sealed.count, size>>10)
	found := map[string]bool{}
	for _, gateway := range gateways {
		require.NoError(t, disk.Read(gateway, func(_ string, part []byte) error {
			for _, f := range public.search.In(part) {
				found[f.What] = true
			}
			return nil
		}))
	}
	require.Len(t, found, public.count, "the search finds what is in the gateways' databases")
}

func folders(t *testing.T, nodes, pattern string, count int) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(nodes, pattern))
	require.NoError(t, err)
	require.Len(t, list, count)
	return list
}

// absent fails for every secret that is in one of the folders, and returns how many bytes they have.
func absent(t *testing.T, folders []string, secrets ...*things) (size int) {
	t.Helper()
	for _, folder := range folders {
		require.NoError(t, disk.Read(folder, func(place string, part []byte) error {
			if strings.Contains(place, "data/corpora/") {
				return nil // the canonical tokens of models that a gateway serves or attests, which engines search, lie open
			}
			size += len(part)
			for _, s := range secrets {
				for _, f := range s.search.In(part) {
					t.Errorf("%s: %s: %s", filepath.Base(folder), place, f)
				}
			}
			return nil
		}))
	}
	return size
}

// things are looked for together.
type things struct {
	search disk.Search
	count  int
	names  map[string]bool
}

func (s *things) add(t *testing.T, name string, value []byte) {
	t.Helper()
	require.NoError(t, s.search.Add(name, value))
	s.count++
}

// once adds something unless it was added under this name.
func (s *things) once(t *testing.T, name string, value []byte) {
	t.Helper()
	if s.names == nil {
		s.names = map[string]bool{}
	}
	if !s.names[name] {
		s.names[name] = true
		s.add(t, name, value)
	}
}

// told reads what people and gateways keep to themselves: names, content, salts, nonces, fingerprint secrets, API keys,
// people's own keys. Public are the pseudonyms and ids that the ledger has.
func told(t *testing.T, archive, nodes string) (secrets, public *things) {
	t.Helper()
	secrets, public = &things{}, &things{}
	read := func(path string, v any) {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(content, v), path)
	}
	var people map[string]struct {
		Account, Folder string
		Custody         bool
	}
	read(filepath.Join(archive, "people.json"), &people)
	require.NotEmpty(t, people)
	custody := 0
	for name, p := range people {
		if !strings.HasPrefix(name, "(") { // a part in the story is no name
			secrets.add(t, "the name "+name, []byte(name))
		}
		public.add(t, "the account of "+name, []byte(p.Account))
		if !p.Custody {
			continue
		}
		custody++
		token, err := os.ReadFile(filepath.Join(archive, "people", p.Folder, "api-key"))
		require.NoError(t, err)
		parts := strings.Split(strings.TrimSpace(string(token)), "_")
		require.Len(t, parts, 3)
		secrets.add(t, "the API key of "+name, []byte(parts[2]))
	}
	require.NotZero(t, custody)
	secrets.addKeys(t, archive, "people/*/keystore/*.pem", "people/*/*/keystore/*.pem")

	lines := map[string]bool{}
	for _, path := range folders(t, nodes, "gateway.*/data/content", 3) {
		for _, held := range open(t, filepath.Dir(path), secrets) {
			head := held.Head()
			secrets.add(t, "the salt of "+held.ID, head.Salt[:])
			secrets.add(t, "the salt of the descriptor of "+held.ID, head.DescriptorSalt[:])
			secrets.add(t, "the descriptor of "+held.ID, head.Descriptor)
			if held.Replica { // so the ledger has accepted it
				public.once(t, "contribution "+held.Place.ID, []byte(held.Place.ID))
			}
			require.NoError(t, held.Records(t.Context(), func(number int, record []byte) error {
				for j, line := range bytes.Split(record, []byte("\n")) {
					if len(line) >= 16 && !lines[string(line)] {
						lines[string(line)] = true
						secrets.add(t, fmt.Sprintf("line %d of record %d of %s", j, number, held.ID), bytes.Clone(line))
					}
				}
				return nil
			}))
		}
	}
	require.NotEmpty(t, lines)
	answers, err := filepath.Glob(filepath.Join(archive, "answers", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, answers)
	for _, path := range answers {
		var a struct {
			Output string
			Nonces struct{ Prompt, Output [16]byte }
		}
		read(path, &a)
		id := filepath.Base(path)
		secrets.add(t, "the output of "+id, []byte(a.Output))
		secrets.add(t, "the prompt's nonce of "+id, a.Nonces.Prompt[:])
		secrets.add(t, "the output's nonce of "+id, a.Nonces.Output[:])
	}
	return secrets, public
}

// addKeys adds every private key that the patterns find.
func (s *things) addKeys(t *testing.T, folder string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(folder, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		for _, path := range paths {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			block, _ := pem.Decode(content)
			require.NotNil(t, block, path)
			s.add(t, "the key "+path, block.Bytes)
			parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			require.NoError(t, err, path)
			if key, ok := parsed.(ed25519.PrivateKey); ok {
				s.add(t, "the seed of the key "+path, key.Seed())
			}
		}
	}
}
