package content_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/content"
)

func TestAFileGoesThroughABackupInPieces(t *testing.T) {
	const piece = 4 << 20
	for size, pieces := range map[int]int{0: 1, 1: 1, piece - 1: 1, piece: 1, piece + 1: 2, 2*piece + 7: 3} {
		from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
		want := bytes.Repeat([]byte("datanet"), size/7+1)[:size]
		require.NoError(t, os.WriteFile(from, want, 0o600))
		for range 2 { // again over what is there
			count, last := 0, false
			require.NoError(t, content.ReadPieces(from, func(p content.FilePiece) error {
				require.False(t, last)
				count, last = count+1, p.Last
				return p.Write(to)
			}))
			require.True(t, last)
			require.Equal(t, pieces, count, "%d bytes", size)
		}
		got, err := os.ReadFile(to)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "%d bytes", size)
	}
	require.NoError(t, content.ReadPieces(filepath.Join(t.TempDir(), "absent"), func(content.FilePiece) error { return os.ErrInvalid }))
	require.Error(t, content.FilePiece{Offset: 1}.Write(filepath.Join(t.TempDir(), "absent")), "the first piece is missing")
}
