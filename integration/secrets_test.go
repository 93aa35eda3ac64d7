package integration_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/integration/disk"
)

// TestNoNameContentKeyOrSaltIsOnAnyNode has our own client tell the Persian-poetry story, from poems to payments, and
// then looks for everything that it keeps to itself in all that every peer and every orderer has on disk: block files,
// state and other databases, logs. Beside it, what must be there is found.
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
	stop()

	secrets, public := told(t, filepath.Join(state, "demo"))
	addKeys(t, secrets, filepath.Join(state, "crypto"))
	peers, err := filepath.Glob(filepath.Join(state, "nodes", "peer.*"))
	require.NoError(t, err)
	require.Len(t, peers, 4)
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
	size := 0
	require.NoError(t, disk.Read(filepath.Join(state, "nodes"), func(place string, part []byte) error {
		size += len(part)
		for _, f := range secrets.search.In(part) {
			t.Errorf("%s: %s", place, f)
		}
		return nil
	}))
	t.Logf("%d secrets looked for in %d kB of 4 peers and 4 orderers", secrets.count, size>>10)
}

// things are looked for together.
type things struct {
	search disk.Search
	count  int
}

func (s *things) add(t *testing.T, name string, value []byte) {
	t.Helper()
	require.NoError(t, s.search.Add(name, value))
	s.count++
}

// told reads the archive that the client keeps to itself: names, content, salts, nonces, the fingerprint secret. Public
// are the pseudonyms and ids that it sent to the ledger.
func told(t *testing.T, archive string) (secrets, public *things) {
	t.Helper()
	secrets, public = &things{}, &things{}
	read := func(path string, v any) {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(content, v), path)
	}
	var people map[string]struct{ MSP, Enrolment string }
	read(filepath.Join(archive, "people.json"), &people)
	require.NotEmpty(t, people)
	for name, p := range people {
		secrets.add(t, "the name "+name, []byte(strings.Trim(name, "()")))
		public.add(t, "the pseudonym of "+name, []byte(p.MSP+":"+p.Enrolment))
	}
	var epoch struct{ Secret string }
	read(filepath.Join(archive, "fingerprint.json"), &epoch)
	secret, err := hex.DecodeString(epoch.Secret)
	require.NoError(t, err)
	secrets.add(t, "the fingerprint secret", secret)

	lines := map[string]bool{}
	contributions, err := filepath.Glob(filepath.Join(archive, "contributions", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, contributions)
	for _, path := range contributions {
		var d struct {
			Records              [][]byte
			Descriptor           []byte
			Salt, DescriptorSalt [32]byte
		}
		read(path, &d)
		id := strings.TrimSuffix(filepath.Base(path), ".json")
		secrets.add(t, "the salt of "+id, d.Salt[:])
		secrets.add(t, "the salt of the descriptor of "+id, d.DescriptorSalt[:])
		secrets.add(t, "the descriptor of "+id, d.Descriptor)
		for i, record := range d.Records {
			for j, line := range bytes.Split(record, []byte("\n")) {
				if len(line) >= 16 && !lines[string(line)] {
					lines[string(line)] = true
					secrets.add(t, fmt.Sprintf("line %d of record %d of %s", j, i, id), line)
				}
			}
		}
	}
	require.NotEmpty(t, lines)
	registered, err := filepath.Glob(filepath.Join(archive, "reports", "*.json")) // the ledger refused the others
	require.NoError(t, err)
	require.NotEmpty(t, registered)
	for _, path := range registered {
		id := strings.TrimSuffix(filepath.Base(path), ".json")
		public.add(t, "contribution "+id, []byte(id))
	}
	answers, err := filepath.Glob(filepath.Join(archive, "answers", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, answers)
	for _, path := range answers {
		var a struct {
			Output string
			Nonces struct{ Prompt, Context, Output [16]byte }
		}
		read(path, &a)
		id := filepath.Base(path)
		secrets.add(t, "the output of "+id, []byte(a.Output))
		secrets.add(t, "the prompt's nonce of "+id, a.Nonces.Prompt[:])
		secrets.add(t, "the context's nonce of "+id, a.Nonces.Context[:])
		secrets.add(t, "the output's nonce of "+id, a.Nonces.Output[:])
	}
	return secrets, public
}

// addKeys adds every private key of people and organisations.
func addKeys(t *testing.T, secrets *things, crypto string) {
	t.Helper()
	before := secrets.count
	for _, pattern := range []string{"*/users/*/msp/keystore/*.pem", "*/admin/msp/keystore/*.pem", "*/ca/key.pem", "*/tlsca/key.pem"} {
		paths, err := filepath.Glob(filepath.Join(crypto, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		for _, path := range paths {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			block, _ := pem.Decode(content)
			require.NotNil(t, block, path)
			secrets.add(t, "the key "+path, block.Bytes)
			parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			require.NoError(t, err, path)
			if key, ok := parsed.(ed25519.PrivateKey); ok {
				secrets.add(t, "the seed of the key "+path, key.Seed())
			}
		}
	}
	require.Greater(t, secrets.count, before)
}
