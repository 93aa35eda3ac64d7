package lifecycle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/hyperledger/fabric-admin-sdk/pkg/chaincode"
)

// PackageType is the type of package that Datanet's external builder accepts.
const PackageType = "ccaas"

// Connection says how a peer reaches its chaincode process. The peer shows a
// client certificate, and the process must have one of the root's.
type Connection struct {
	// Address is host:port of the chaincode process.
	Address     string
	DialTimeout time.Duration
	// ClientCert, ClientKey and RootCert are PEM.
	ClientCert []byte
	ClientKey  []byte
	RootCert   []byte
}

// Package is a chaincode package. It holds the key of the peer's client
// certificate, so its bytes are a secret of the organisation.
type Package struct {
	// ID is label:hash, which approvals and the chaincode process name.
	ID    string
	Bytes []byte
}

// connectionFile is connection.json as the peer reads it from a builder.
type connectionFile struct {
	Address            string `json:"address"`
	DialTimeout        string `json:"dial_timeout"`
	TLSRequired        bool   `json:"tls_required"`
	ClientAuthRequired bool   `json:"client_auth_required"`
	ClientKey          string `json:"client_key"`
	ClientCert         string `json:"client_cert"`
	RootCert           string `json:"root_cert"`
}

type metadataFile struct {
	Type  string `json:"type"`
	Label string `json:"label"`
}

// NewPackage builds the package of chaincode that runs as a service. The same
// arguments always give the same bytes, and so the same ID, known before any
// peer has seen the package.
func NewPackage(label string, c Connection) (Package, error) {
	if err := chaincode.ValidateLabel(label); err != nil {
		return Package{}, fmt.Errorf("build chaincode package: %w", err)
	}
	connection, err := json.Marshal(connectionFile{
		Address:            c.Address,
		DialTimeout:        c.DialTimeout.String(),
		TLSRequired:        true,
		ClientAuthRequired: true,
		ClientKey:          string(c.ClientKey),
		ClientCert:         string(c.ClientCert),
		RootCert:           string(c.RootCert),
	})
	if err != nil {
		return Package{}, fmt.Errorf("build chaincode package: %w", err)
	}
	metadata, err := json.Marshal(metadataFile{Type: PackageType, Label: label})
	if err != nil {
		return Package{}, fmt.Errorf("build chaincode package: %w", err)
	}
	code, err := archive(entry{"connection.json", connection})
	if err != nil {
		return Package{}, fmt.Errorf("build chaincode package: %w", err)
	}
	raw, err := archive(entry{"metadata.json", metadata}, entry{"code.tar.gz", code})
	if err != nil {
		return Package{}, fmt.Errorf("build chaincode package: %w", err)
	}
	return Package{ID: chaincode.GetPackageID(label, raw), Bytes: raw}, nil
}

type entry struct {
	name    string
	content []byte
}

// archive writes a gzipped tar whose bytes depend on the entries alone: no
// times or owners, and stored instead of compressed, since compressors change
// between versions of Go.
func archive(entries ...entry) ([]byte, error) {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	if err != nil {
		return nil, err
	}
	files := tar.NewWriter(zip)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: 0o600, Size: int64(len(e.content)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if err := files.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := files.Write(e.content); err != nil {
			return nil, err
		}
	}
	for _, c := range []io.Closer{files, zip} {
		if err := c.Close(); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}
