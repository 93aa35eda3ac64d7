package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// followReadme runs the commands of the README that go on from the demo, in a folder where programs and state are as in the
// repository after "make demo".
func followReadme(t *testing.T, programs, state string) {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Going on from there\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	script := "set -eu\n"
	for _, part := range strings.Split(section, "\n```sh\n")[1:] {
		block, _, closed := strings.Cut(part, "\n```")
		require.True(t, closed)
		script += block + "\n"
	}
	folder := t.TempDir()
	require.NoError(t, os.Symlink(programs, filepath.Join(folder, "bin")))
	require.NoError(t, os.Symlink(state, filepath.Join(folder, ".datanet")))
	command := exec.Command("sh", "-c", script)
	command.Dir = folder
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for claim, words := range map[string]string{
		"the datanet is listed":              "PoetrySocietyMSP/persian-poetry  1",
		"the model answers":                  "micro-credits. Receipt ",
		"the letter is registered":           "1 registered, 0 registered before, 0 failed",
		"a validator is shown it":            "A letter that nobody has written before",
		"the vote is cast":                   "1 vote cast, 0 refused",
		"it waits for the other's vote":      `"state":"pending"`,
		"the grant is given":                 `"grantee":"NationalLibraryMSP"`,
		"the consumer has what is left over": `"balance":"80000000"`,
		"the regulator gets the contents":    "1 settlement of 24 uses with their receipts, 24 with a text; 1 snapshot; 12 contents",
		"the receipts are computed again":    "computed again from texts and contents: 24",
		"nothing is wrong":                   "no finding",
	} {
		require.Contains(t, string(out), words, claim)
	}
}
