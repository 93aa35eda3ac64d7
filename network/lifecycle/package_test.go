package lifecycle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/hyperledger/fabric-admin-sdk/pkg/chaincode"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/network/lifecycle"
)

var connection = lifecycle.Connection{
	Address:     "127.0.0.1:9999",
	DialTimeout: 10 * time.Second,
	ClientCert:  []byte("cert"),
	ClientKey:   []byte("key"),
	RootCert:    []byte("root"),
}

func TestPackageIsWhatPeersRead(t *testing.T) {
	pkg, err := lifecycle.NewPackage("datanet_1.0", connection)
	require.NoError(t, err)
	id, err := chaincode.PackageID(bytes.NewReader(pkg.Bytes))
	require.NoError(t, err)
	require.Equal(t, id, pkg.ID)
	metadata, code, err := chaincode.ParseChaincodePackage(pkg.Bytes)
	require.NoError(t, err)
	require.Equal(t, "ccaas", metadata.Type)
	require.Equal(t, "datanet_1.0", metadata.Label)

	zip, err := gzip.NewReader(bytes.NewReader(code))
	require.NoError(t, err)
	files := tar.NewReader(zip)
	header, err := files.Next()
	require.NoError(t, err)
	require.Equal(t, "connection.json", header.Name)
	require.Equal(t, int64(0o600), header.Mode)
	var got map[string]any
	require.NoError(t, json.NewDecoder(files).Decode(&got))
	require.Equal(t, map[string]any{
		"address":              "127.0.0.1:9999",
		"dial_timeout":         "10s",
		"tls_required":         true,
		"client_auth_required": true,
		"client_key":           "key",
		"client_cert":          "cert",
		"root_cert":            "root",
	}, got)
	_, err = files.Next()
	require.ErrorIs(t, err, io.EOF)
}

// The ID is pinned: a change here changes what every organisation approves.
func TestPackageIDIsStable(t *testing.T) {
	pkg, err := lifecycle.NewPackage("datanet_1.0", connection)
	require.NoError(t, err)
	require.Equal(t, "datanet_1.0:e35ad062c59962f501981ffe92316c8db55e864b34887ebc23ca9a6fe40c1ff4", pkg.ID)
}

func TestPackageIDFollowsTheConnection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) lifecycle.Connection {
			return lifecycle.Connection{
				Address:    rapid.SampledFrom([]string{"a:1", "b:2"}).Draw(t, name+" address"),
				ClientKey:  []byte(rapid.SampledFrom([]string{"k", "l"}).Draw(t, name+" key")),
				ClientCert: []byte("c"),
				RootCert:   []byte("r"),
			}
		}
		a, b := draw("first"), draw("second")
		pa, err := lifecycle.NewPackage("x", a)
		require.NoError(t, err)
		pb, err := lifecycle.NewPackage("x", b)
		require.NoError(t, err)
		same := a.Address == b.Address && bytes.Equal(a.ClientKey, b.ClientKey)
		require.Equal(t, same, pa.ID == pb.ID)
		require.Equal(t, same, bytes.Equal(pa.Bytes, pb.Bytes))
	})
}

func TestPackageRefusesABadLabel(t *testing.T) {
	_, err := lifecycle.NewPackage("../x", connection)
	require.ErrorContains(t, err, "invalid label")
}
