package client

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzEventsNeverPanicAndAlwaysEnd(f *testing.F) {
	f.Add("id: 1.0\nevent: change\ndata: {}\n\n")
	f.Add(": comment\n\n\ndata\ndata: x\r\n\r\n")
	f.Add("id: \x00\nretry: 5\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		reader := newEventReader(strings.NewReader(stream))
		for events := 0; ; events++ {
			event, err := reader.next()
			if err != nil {
				return
			}
			require.LessOrEqual(t, events, len(stream))
			require.NotContains(t, event.ID, "\x00")
		}
	})
}

func FuzzContentRangeIsWhatItSays(f *testing.F) {
	f.Add("bytes 5-9/10")
	f.Add("bytes */10")
	f.Add("bytes -1-2/3")
	f.Fuzz(func(t *testing.T, text string) {
		if from, size, ok := contentRange(text); ok {
			require.True(t, 0 <= from && from < size)
		}
	})
}
