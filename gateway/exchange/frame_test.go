package exchange

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/content"
)

func FuzzReadHead(f *testing.F) {
	frame, err := encodeHead(content.Head{Files: []content.File{{Name: "a.txt", Bytes: 1}}, Descriptor: []byte("{}")})
	require.NoError(f, err)
	f.Add(append(frame, "the bytes"...))
	f.Add([]byte(frameMagic + "\xff\xff\xff\xff{}"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		head, err := readHead(in)
		if err != nil {
			return
		}
		again, err := encodeHead(head)
		require.NoError(t, err)
		back, err := readHead(bytes.NewReader(again))
		require.NoError(t, err)
		require.Equal(t, head, back)
		rest, err := io.ReadAll(in)
		require.NoError(t, err)
		require.True(t, bytes.HasSuffix(data, rest))
	})
}
