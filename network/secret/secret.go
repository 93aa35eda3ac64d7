// Package secret reads files and enters folders that are their owner's alone.
package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// ErrOpen says that others than the owner may use a file or a folder, and what to do.
var ErrOpen = errors.New("others may use it")

// ReadFile reads a regular file of at most limit bytes. The error is [ErrOpen] when its mode lets others than the owner use
// it; Windows has no such modes, there the folder's access list protects it.
func ReadFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := closed(info, path, "600"); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return data, nil
}

// MakeFolder makes a folder with its parents, or finds it. The error is [ErrOpen] when others than the owner may use it.
func MakeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return closed(info, path, "700")
}

func closed(info fs.FileInfo, path, mode string) error {
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o: %w; run chmod %s on it, and replace what may have been read", path, info.Mode().Perm(), ErrOpen, mode)
	}
	return nil
}

// maxToken bounds a file with a token, in bytes.
const maxToken = 4 << 10

// ReadToken reads a file that holds one API key or the like: printable ASCII without spaces, a line break may follow.
func ReadToken(path string) (string, error) {
	data, err := ReadFile(path, maxToken)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s does not hold exactly one key", path)
	}
	return token, nil
}
