package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSubjectOf(t *testing.T) {
	for folder, subject := range map[string]string{
		"corpora/persian": "persian", "/data/Old Songs!/": "old-songs", "شعر": "texts", ".": "texts",
		"a-very-long-name-of-a-folder-that-goes-on-and-on": "a-very-long-name-of-a-folder-that-goes-o",
		"a-very-long-name-of-a-folder-that-goes--and-on-":  "a-very-long-name-of-a-folder-that-goes-a",
	} {
		require.Equal(t, subject, subjectOf(folder), folder)
	}
}

func TestDemoRefusesBeforeItStartsAnything(t *testing.T) {
	empty := t.TempDir()
	for claim, c := range map[string]struct {
		arguments []string
		says      string
	}{
		"a corpus that is not there": {[]string{"--corpus", filepath.Join(empty, "absent")}, "no such file"},
		"a corpus of nothing":        {[]string{"--corpus", empty}, "it needs a file or sub-folder for each contributor"},
		"output for programs":        {[]string{"--json"}, "has no --json"},
		"an unknown ordering":        {[]string{"--ordering", "solo"}, "--ordering is bft or raft"},
	} {
		t.Run(claim, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			dir := filepath.Join(t.TempDir(), "state")
			code := run(t.Context(), append([]string{"demo", "--dir", dir}, c.arguments...), &stdout, &stderr)
			require.Equal(t, exitUsage, code, stderr.String())
			require.Contains(t, stderr.String(), c.says)
			_, err := os.Stat(dir)
			require.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}
