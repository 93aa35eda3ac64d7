package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	// packageType is the type in metadata.json that this builder claims.
	packageType = "ccaas"

	metadataFile   = "metadata.json"
	connectionFile = "connection.json"

	// most bounds the files read, in bytes. Three PEM blocks take a few thousand.
	most = 1 << 20
)

// detect fails unless the package's metadata names our type. Other builders of the peer then get their turn.
func detect(metadata string) error {
	content, err := read(filepath.Join(metadata, metadataFile))
	if err != nil {
		return err
	}
	var found struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(content, &found); err != nil {
		return fmt.Errorf("decode %s: %w", metadataFile, err)
	}
	if found.Type != packageType {
		return fmt.Errorf("the package is of type %q, not %q", found.Type, packageType)
	}
	return nil
}

// build keeps the checked connection settings of a package.
func build(source, output string) error {
	content, err := read(filepath.Join(source, connectionFile))
	if err != nil {
		return err
	}
	if err := check(content); err != nil {
		return fmt.Errorf("check %s: %w", connectionFile, err)
	}
	return write(filepath.Join(output, connectionFile), content)
}

// release puts the connection settings where the peer looks for those of a chaincode that runs by itself.
func release(built, output string) error {
	content, err := read(filepath.Join(built, connectionFile))
	if err != nil {
		return err
	}
	folder := filepath.Join(output, "chaincode", "server")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the release folder: %w", err)
	}
	return write(filepath.Join(folder, connectionFile), content)
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s of the package: %w", filepath.Base(path), err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(content) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return content, nil
}

// write makes a file that only its owner can read: the connection settings hold the peer's client key.
func write(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
