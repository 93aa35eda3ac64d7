package binaries

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// listFormat has "go list" print a package: its import path, folder, module and the module's go.mod.
const listFormat = "{{.ImportPath}}\t{{.Dir}}\t{{with .Module}}{{.Path}}\t{{.GoMod}}{{end}}"

// patch is what is changed of a module.
type patch struct {
	module string
	// dir is the folder beside go.mod where the patched source lies.
	dir string
	// diff has the format of git.
	diff []byte
}

// writeSource copies the packages that are built of the modules with a patch from the module cache into work, patches
// them and has work/go.mod take the modules from there. The go command refuses to overlay files of its module cache, so
// a copy it is. Each line of listed is a package as listFormat has it.
func writeSource(work, listed string) error {
	replacing := bytes.Clone(pinnedMod)
	for _, p := range patches {
		if err := p.write(filepath.Join(work, p.dir), listed); err != nil {
			return err
		}
		replacing = append(replacing, "\nreplace "+p.module+" => ./"+p.dir+"\n"...)
	}
	return os.WriteFile(filepath.Join(work, "go.mod"), replacing, 0o644)
}

// write puts the patched packages of the module below root.
func (p patch) write(root, listed string) error {
	mod := ""
	for line := range strings.Lines(listed) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 4 || fields[2] != p.module {
			continue
		}
		pkg, dir := fields[0], fields[1]
		mod = fields[3]
		if err := copyPackage(filepath.Join(root, filepath.FromSlash(strings.TrimPrefix(pkg, p.module))), dir); err != nil {
			return fmt.Errorf("copy package %s: %w", pkg, err)
		}
	}
	requirements, err := os.ReadFile(mod)
	if err != nil {
		return fmt.Errorf("read the requirements of %s: %w", p.module, err)
	}
	if err := applyPatch(root, p.diff); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "go.mod"), requirements, 0o644)
}

// copyPackage copies the files of one folder, without tests and what lies deeper.
func copyPackage(to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, entry.Name()), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// applyPatch changes files below root by a diff in the format of git. Every part must fit exactly.
func applyPatch(root string, diff []byte) error {
	files, _, err := gitdiff.Parse(bytes.NewReader(diff))
	if err != nil {
		return fmt.Errorf("read the patch: %w", err)
	}
	if len(files) == 0 {
		return errors.New("the patch changes no file")
	}
	for _, file := range files {
		name := path.Clean(file.NewName)
		if file.OldName != file.NewName || !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("the patch turns %q into %q, but may only change files where they are", file.OldName, file.NewName)
		}
		target := filepath.Join(root, filepath.FromSlash(name))
		before, err := os.ReadFile(target)
		if err != nil {
			return fmt.Errorf("apply the patch: %w", err)
		}
		var after bytes.Buffer
		if err := gitdiff.Apply(&after, bytes.NewReader(before), file); err != nil {
			return fmt.Errorf("the patch does not fit %s: %w", name, err)
		}
		if err := os.WriteFile(target, after.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
