package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPackageOfOurTypePassesAllThreeSteps(t *testing.T) {
	source, metadata, built, released := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	content := encode(t, valid(t))
	require.NoError(t, os.WriteFile(filepath.Join(metadata, metadataFile), []byte(`{"type":"ccaas","label":"datanet_1.0"}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(source, connectionFile), content, 0o600))

	require.NoError(t, run("detect", []string{source, metadata}))
	require.NoError(t, run("build", []string{source, metadata, built}))
	require.NoError(t, run("release", []string{built, released}))

	path := filepath.Join(released, "chaincode", "server", connectionFile)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, content, got)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "the file holds a private key")
}

func TestPackagesOfOthersAreNotClaimed(t *testing.T) {
	for claim, metadata := range map[string]string{
		"another type":   `{"type":"golang"}`,
		"no type":        `{"label":"x"}`,
		"malformed JSON": `{`,
	} {
		t.Run(claim, func(t *testing.T) {
			folder := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(folder, metadataFile), []byte(metadata), 0o600))
			require.Error(t, run("detect", []string{t.TempDir(), folder}))
		})
	}
	require.Error(t, run("detect", []string{t.TempDir(), t.TempDir()}), "metadata is absent")
}

func TestProgramRefusesOtherNamesAndArguments(t *testing.T) {
	require.ErrorContains(t, run("ccaas-builder", []string{"a", "b"}), "detect, build or release")
	require.ErrorContains(t, run("build", []string{"a", "b"}), "got 2 folders, need 3")
}

func TestConnectionSettingsThatWouldFailLaterAreRefused(t *testing.T) {
	require.NoError(t, check(encode(t, valid(t))))
	for claim, change := range map[string]func(*connection){
		"address: ":                     func(c *connection) { c.Address = "localhost" },
		"address: \"127.0.0.1:0\"":      func(c *connection) { c.Address = "127.0.0.1:0" },
		"address: \":7052\"":            func(c *connection) { c.Address = ":7052" },
		"dial_timeout: \"soon\"":        func(c *connection) { c.DialTimeout = "soon" },
		"dial_timeout: \"-1s\"":         func(c *connection) { c.DialTimeout = "-1s" },
		"tls_required: must be":         func(c *connection) { c.TLSRequired = false },
		"client_auth_required: must be": func(c *connection) { c.ClientAuthRequired = false },
		"client_cert and client_key: ":  func(c *connection) { c.ClientKey = "" },
		"root_cert: holds no":           func(c *connection) { c.RootCert = "none" },
	} {
		t.Run(claim, func(t *testing.T) {
			settings := valid(t)
			change(&settings)
			require.ErrorContains(t, check(encode(t, settings)), claim)
		})
	}
	require.ErrorContains(t, check([]byte(`{"adress":"127.0.0.1:7052"}`)), "unknown field")
	require.ErrorContains(t, check(append(encode(t, valid(t)), " {}"...)), "text after")
}

func TestOversizedFilesAreRefused(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, connectionFile), []byte(strings.Repeat(" ", most+1)), 0o600))
	require.ErrorContains(t, run("build", []string{folder, folder, t.TempDir()}), "larger than")
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"address":"127.0.0.1:7052","dial_timeout":"3s","tls_required":true,"client_auth_required":true}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if check(content) != nil {
			return
		}
		var accepted connection
		require.NoError(t, json.Unmarshal(content, &accepted))
		require.True(t, accepted.TLSRequired && accepted.ClientAuthRequired)
	})
}

// valid is a connection whose certificate and key belong together.
func valid(t *testing.T) connection {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	pemOf := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return connection{
		Address: "127.0.0.1:7052", DialTimeout: "3s", TLSRequired: true, ClientAuthRequired: true,
		ClientKey: pemOf("PRIVATE KEY", encoded), ClientCert: pemOf("CERTIFICATE", certificate), RootCert: pemOf("CERTIFICATE", certificate),
	}
}

func encode(t *testing.T, settings connection) []byte {
	t.Helper()
	content, err := json.Marshal(settings)
	require.NoError(t, err)
	return content
}
