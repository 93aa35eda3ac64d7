package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	certFile = "cert.pem"
	keyFile  = "key.pem"
	caFile   = "ca.pem"

	secretMode fs.FileMode = 0o600
	publicMode fs.FileMode = 0o644
	folderMode fs.FileMode = 0o700

	// maxFileBytes bounds a certificate or key before it is read.
	maxFileBytes = 1 << 20
)

// writeFile puts the content in place at once or not at all, so that a full
// disk or a crash leaves no half certificate behind. A file that a crash left
// beside it is overwritten by the next run.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	err := replaceFile(path, content, mode)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), folderMode); err == nil {
			err = replaceFile(path, content, mode)
		}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func replaceFile(path string, content []byte, mode fs.FileMode) error {
	beside := path + ".new"
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside))
	}
	return nil
}

// keepFile writes the file unless it has the content already.
func keepFile(path string, content []byte, mode fs.FileMode) error {
	if old, err := readBounded(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	return writeFile(path, content, mode)
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(raw) > maxFileBytes {
		return nil, fmt.Errorf("read %s: larger than %d bytes", path, maxFileBytes)
	}
	return raw, nil
}

// readCertificate reads a file with exactly one certificate.
func readCertificate(path string) (*x509.Certificate, []byte, error) {
	raw, err := readBounded(path)
	if err != nil {
		return nil, nil, err
	}
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, nil, fmt.Errorf("%s must hold exactly one PEM certificate", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate %s: %w", path, err)
	}
	return cert, raw, nil
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
