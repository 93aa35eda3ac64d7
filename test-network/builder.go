package testnetwork

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// makeBuilder lays out the external builder, one program under three names, as peers want it.
func (f folder) makeBuilder(program string) error {
	if err := executable("the external builder", program); err != nil {
		return err
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return fmt.Errorf("find the external builder: %w", err)
	}
	bin := filepath.Join(f.builder(), "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return explainDisk(fmt.Errorf("make the folder of the external builder: %w", err))
	}
	for _, step := range []string{"detect", "build", "release"} {
		link := filepath.Join(bin, step)
		if target, err := os.Readlink(link); err == nil && target == program {
			continue
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replace the external builder: %w", err)
		}
		if err := os.Symlink(program, link); err != nil {
			return explainDisk(fmt.Errorf("lay out the external builder: %w", err))
		}
	}
	return nil
}

// executable fails unless the path is that of a program.
func executable(what, path string) error {
	if path == "" {
		return fmt.Errorf("name the program of %s", what)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("find the program of %s: %w: build it with \"make build\", or name another one", what, err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s, which is to be the program of %s, is not an executable file", path, what)
	}
	return nil
}
