package identity

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

func FuzzSplitKeyReadsOnlyWhatIsWritten(f *testing.F) {
	id, secret, _ := keyForm.new()
	f.Add(keyPrefix + id + "_" + secret)
	f.Add(keyPrefix)
	f.Add("dn_" + strings.Repeat("a", 16) + "_" + strings.Repeat("b", 52))
	f.Fuzz(func(t *testing.T, token string) {
		id, hash, ok := splitKey(token)
		if !ok {
			return
		}
		require.Len(t, hash, 32)
		raw, valid := exactly(token[len(keyPrefix)+len(id)+1:], keyForm.secret)
		require.True(t, valid)
		require.Equal(t, token, keyPrefix+id+"_"+letters.EncodeToString(raw), "every secret has one text")
	})
}

func FuzzSplitCodeNeverPanics(f *testing.F) {
	id, secret, hash := codeForm.new()
	code := printCode(id, secret)
	_, again, ok := splitCode(code)
	require.True(f, ok)
	require.Equal(f, hash, again)
	f.Add(code)
	f.Add(strings.ToUpper(code))
	f.Add(strings.ReplaceAll(code, "-", ""))
	f.Add("é-----")
	f.Fuzz(func(t *testing.T, code string) {
		if id, hash, ok := splitCode(code); ok {
			require.Len(t, id, letters.EncodedLen(codeForm.id))
			require.Len(t, hash, 32)
		}
	})
}

func FuzzPublicKeyAcceptsOnlyUsableKeys(f *testing.F) {
	for _, algorithm := range []network.KeyAlgorithm{network.Ed25519, network.ECDSAP256} {
		key, err := pki.NewKey(algorithm)
		require.NoError(f, err)
		f.Add([]byte(csrFor(f, key)))
	}
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, request []byte) {
		key, err := publicKey(request)
		if err != nil {
			var refusal *Error
			require.ErrorAs(t, err, &refusal)
			return
		}
		require.NoError(t, usable(key))
	})
}

func FuzzAuthorizationNeverAdmitsAnybody(f *testing.F) {
	dir := f.TempDir()
	authority, err := pki.EnsureOperator(dir, &network.Operator{Name: "own", MSPID: "OwnMSP", Domain: "own.example"})
	require.NoError(f, err)
	db, err := database.Open(context.Background(), database.SQLiteURL(filepath.Join(dir, "state.db")))
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, db.Close()) })
	ids, err := Open(context.Background(), db, Config{MSPID: "OwnMSP", Authorities: map[string][]byte{"OwnMSP": authority.CA.PEM}})
	require.NoError(f, err)
	f.Add("Bearer dn_" + strings.Repeat("a", 16) + "_" + strings.Repeat("b", 52))
	f.Add("Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.")
	f.Add("bearer  x")
	f.Add("Basic eDp5")
	f.Fuzz(func(t *testing.T, header string) {
		p, err := ids.Authenticate((&http.Request{Header: http.Header{"Authorization": {header}}}).WithContext(t.Context()))
		var refusal *Error
		require.True(t, errors.As(err, &refusal), "%v", err)
		require.Equal(t, Principal{}, p)
	})
}

func csrFor(t testing.TB, key crypto.Signer) string {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}
