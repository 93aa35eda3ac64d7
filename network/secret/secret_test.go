package secret_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/network/secret"
)

func file(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

func TestAFileIsReadWhenItIsTheOwnersAlone(t *testing.T) {
	data, err := secret.ReadFile(file(t, "four", 0o600), 4)
	require.NoError(t, err)
	require.Equal(t, "four", string(data))

	_, err = secret.ReadFile(file(t, "fives", 0o600), 4)
	require.ErrorContains(t, err, "more than 4 bytes")
	_, err = secret.ReadFile(t.TempDir(), 4)
	require.ErrorContains(t, err, "not a regular file")
	_, err = secret.ReadFile(filepath.Join(t.TempDir(), "absent"), 4)
	require.ErrorIs(t, err, os.ErrNotExist)
	if runtime.GOOS == "windows" {
		return
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o610, 0o620, 0o777} {
		_, err := secret.ReadFile(file(t, "four", mode), 4)
		require.ErrorIs(t, err, secret.ErrOpen, "%o", mode)
		require.ErrorContains(t, err, "chmod 600")
	}
}

func TestAFolderIsMadeForTheOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	require.NoError(t, secret.MakeFolder(path))
	require.NoError(t, secret.MakeFolder(path))
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Chmod(path, 0o750))
		require.ErrorIs(t, secret.MakeFolder(path), secret.ErrOpen)
	}
	require.Error(t, secret.MakeFolder(file(t, "", 0o600)))
}

func TestATokenStandsAlone(t *testing.T) {
	for content, want := range map[string]string{"key": "key", " key\r\n": "key", "": "", "\n": "", "two keys": "", "a\nb": "", "k\u00e9y": "", "a\x00b": "",
		strings.Repeat("k", 5000): ""} {
		token, err := secret.ReadToken(file(t, content, 0o600))
		require.Equal(t, want, token)
		require.Equal(t, want == "", err != nil, "%.20q", content)
	}
}
