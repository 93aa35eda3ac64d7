package keystore_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/keystore"
)

const msp = "PoetrySocietyMSP"

func newKey(t *testing.T) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

// certify issues certificate number n of an enrolment.
func certify(t *testing.T, enrolment string, key crypto.Signer, n int64) []byte {
	holder := &x509.Certificate{}
	require.NoError(t, attrmgr.New().AddAttributesToCert(&attrmgr.Attributes{Attrs: map[string]string{"hf.EnrollmentID": enrolment}}, holder))
	template := &x509.Certificate{SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: enrolment}, NotAfter: time.Now().Add(time.Hour),
		ExtraExtensions: holder.Extensions}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func open(t *testing.T, dir string) *keystore.Store {
	s, err := keystore.Open(dir, msp)
	require.NoError(t, err)
	return s
}

func TestStore(t *testing.T) {
	t.Run("what is added signs, after a restart too", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "keys")
		key := newKey(t)
		require.NoError(t, open(t, dir).Add("anna", certify(t, "anna", key, 1), key))
		s := open(t, dir)
		id, err := s.Get("anna")
		require.NoError(t, err)
		require.Equal(t, msp, id.MspID())
		signature, err := id.Sign([]byte("message"))
		require.NoError(t, err)
		require.True(t, ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("message"), signature))
		list, err := s.List()
		require.NoError(t, err)
		require.Equal(t, []string{"anna"}, list)
	})
	t.Run("an enrolment that was not added is none", func(t *testing.T) {
		s := open(t, t.TempDir()+"/keys")
		_, err := s.Get("anna")
		require.ErrorIs(t, err, keystore.ErrNone)
		has, err := s.Has("anna")
		require.NoError(t, err)
		require.False(t, has)
	})
	t.Run("keys are for their owner's eyes", func(t *testing.T) {
		dir := t.TempDir() + "/keys"
		s := open(t, dir)
		key := newKey(t)
		require.NoError(t, s.Add("anna", certify(t, "anna", key, 1), key))
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Zero(t, info.Mode().Perm()&0o077, path)
			return nil
		}))
		require.NoError(t, os.Chmod(filepath.Join(dir, "anna", "keystore", "key.pem"), 0o640))
		_, err := open(t, dir).Get("anna")
		require.ErrorContains(t, err, "others may use it")
		require.NoError(t, os.Chmod(dir, 0o755))
		_, err = keystore.Open(dir, msp)
		require.ErrorContains(t, err, "others may use it")
	})
	t.Run("an enrolment keeps its key, and gets new certificates for it", func(t *testing.T) {
		dir := t.TempDir() + "/keys"
		s := open(t, dir)
		key, other := newKey(t), newKey(t)
		require.NoError(t, s.Add("anna", certify(t, "anna", key, 1), key))
		require.ErrorIs(t, s.Add("anna", certify(t, "anna", other, 2), other), keystore.ErrExists)
		require.ErrorContains(t, s.Renew("anna", certify(t, "anna", other, 2)), "another key")
		require.NoError(t, s.Renew("anna", certify(t, "anna", key, 3)))
		for _, s := range []*keystore.Store{s, open(t, dir)} {
			id, err := s.Get("anna")
			require.NoError(t, err)
			require.EqualValues(t, 3, id.Certificate().SerialNumber.Int64())
		}
		require.NoError(t, s.Add("anna", certify(t, "anna", key, 4), key))
		id, err := s.Get("anna")
		require.NoError(t, err)
		require.EqualValues(t, 4, id.Certificate().SerialNumber.Int64())
		require.ErrorIs(t, s.Renew("berta", certify(t, "berta", key, 1)), keystore.ErrNone)
	})
	t.Run("a certificate of another enrolment or for another key is refused", func(t *testing.T) {
		s := open(t, t.TempDir()+"/keys")
		key := newKey(t)
		require.ErrorContains(t, s.Add("anna", certify(t, "berta", key, 1), key), `is of enrolment "berta"`)
		require.ErrorContains(t, s.Add("anna", certify(t, "anna", key, 1), newKey(t)), "does not belong")
		require.ErrorContains(t, s.Add("anna", []byte("no PEM"), key), "PEM")
		list, err := s.List()
		require.NoError(t, err)
		require.Empty(t, list)
	})
	t.Run("where the file system does not tell Anna from anna, the one does not get the other's key", func(t *testing.T) {
		dir := t.TempDir() + "/keys"
		key := newKey(t)
		require.NoError(t, open(t, dir).Add("anna", certify(t, "anna", key, 1), key))
		require.NoError(t, os.Rename(filepath.Join(dir, "anna"), filepath.Join(dir, "Anna")))
		_, err := open(t, dir).Get("Anna")
		require.ErrorContains(t, err, `is of enrolment "anna"`)
	})
	t.Run("what an interrupted addition left is cleared away", func(t *testing.T) {
		dir := t.TempDir() + "/keys"
		require.NoError(t, os.MkdirAll(filepath.Join(dir, ".new-1", "keystore"), 0o700))
		list, err := open(t, dir).List()
		require.NoError(t, err)
		require.Empty(t, list)
		require.NoDirExists(t, filepath.Join(dir, ".new-1"))
	})
	t.Run("a removed key is gone", func(t *testing.T) {
		dir := t.TempDir() + "/keys"
		s := open(t, dir)
		key := newKey(t)
		require.NoError(t, s.Add("anna", certify(t, "anna", key, 1), key))
		require.NoError(t, s.Remove("anna"))
		require.NoError(t, s.Remove("anna"))
		_, err := s.Get("anna")
		require.ErrorIs(t, err, keystore.ErrNone)
	})
}

func FuzzEnrolment(f *testing.F) {
	for _, enrolment := range []string{"anna", "../anna", ".new-1", "a/b", "", "..", "a\x00b", "a\\b"} {
		f.Add(enrolment)
	}
	parent := f.TempDir()
	s, err := keystore.Open(filepath.Join(parent, "keys"), msp)
	require.NoError(f, err)
	require.NoError(f, os.WriteFile(filepath.Join(parent, "witness"), nil, 0o600))
	f.Fuzz(func(t *testing.T, enrolment string) {
		_, err := s.Get(enrolment)
		require.Error(t, err)
		s.Remove(enrolment)
		require.FileExists(t, filepath.Join(parent, "witness"))
		require.DirExists(t, filepath.Join(parent, "keys"))
	})
}
