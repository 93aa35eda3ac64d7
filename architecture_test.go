// Package datanet_test holds the repository's own rules.
package datanet_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/datanet-consortium/datanet/"

// governed are the import paths that a package may use only when its row in ARCHITECTURE.md says so: our own, and
// everything of Fabric.
var governed = []string{module, "github.com/hyperledger/"}

// row is a line of the package table: a folder and what its packages may import.
type row struct {
	folder  string
	allowed []string
}

// TestImportsFollowTheArchitecture reads the package table of ARCHITECTURE.md and checks every package of the module
// against its row, that of the longest folder that holds it.
func TestImportsFollowTheArchitecture(t *testing.T) {
	rows := packageTable(t)
	used := map[string]bool{}
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if path == strings.TrimSuffix(module, "/") {
			continue
		}
		r, ok := rowOf(rows, path)
		if !ok {
			t.Errorf("package %s has no row in ARCHITECTURE.md", path)
			continue
		}
		used[r.folder] = true
		for _, imported := range p.Imports {
			if forbidden(r, imported) {
				t.Errorf("package %s imports %s, which its row in ARCHITECTURE.md does not allow", path, strings.TrimPrefix(imported, module))
			}
		}
	}
	for _, r := range rows {
		if !used[r.folder] {
			t.Errorf("ARCHITECTURE.md has a row for %s, where there is no package", r.folder)
		}
	}
}

var (
	tableRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|[^|]*\\|([^|]*)\\|$")
	quoted   = regexp.MustCompile("`([^`]+)`")
)

func packageTable(t *testing.T) []row {
	text, err := os.ReadFile("ARCHITECTURE.md")
	require.NoError(t, err)
	var rows []row
	for _, match := range tableRow.FindAllStringSubmatch(string(text), -1) {
		r := row{folder: match[1]}
		for _, name := range quoted.FindAllStringSubmatch(match[2], -1) {
			r.allowed = append(r.allowed, name[1])
		}
		rows = append(rows, r)
	}
	require.NotEmpty(t, rows, "ARCHITECTURE.md has no package table")
	return rows
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	require.NoError(t, err)
	var list []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p goPackage
		require.NoError(t, decoder.Decode(&p))
		list = append(list, p)
	}
	return list
}

func rowOf(rows []row, path string) (best row, ok bool) {
	for _, r := range rows {
		if within(path, r.folder) && len(r.folder) >= len(best.folder) {
			best, ok = r, true
		}
	}
	return best, ok
}

func forbidden(r row, imported string) bool {
	if !slices.ContainsFunc(governed, func(prefix string) bool { return strings.HasPrefix(imported, prefix) }) {
		return false
	}
	name := strings.TrimPrefix(strings.TrimPrefix(imported, module), "github.com/")
	return !within(name, r.folder) && !slices.ContainsFunc(r.allowed, func(folder string) bool { return within(name, folder) })
}

// within tells whether a path is a folder or below it; a folder that ends in /* means only what is below it.
func within(path, folder string) bool {
	if parent, below := strings.CutSuffix(folder, "/*"); below {
		return strings.HasPrefix(path, parent+"/")
	}
	return path == folder || strings.HasPrefix(path, folder+"/")
}
