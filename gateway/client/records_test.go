package client_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/client"
)

// shelf gives records as a gateway does, and breaks off after some.
type shelf struct {
	lines  []string // all, each whole
	breaks []int    // bytes after which an answer breaks off, one after another
	asked  []string // queries
	gone   bool     // the next one that goes on hears that it has to begin anew
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.URL.RawQuery)
	from := 0
	if after := r.URL.Query().Get("after"); after != "" {
		if s.gone {
			s.gone = false
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusGone)
			fmt.Fprint(w, `{"type":"/problems/gone","title":"gone","status":410,"code":"gone","retryable":false}`)
			return
		}
		fmt.Sscan(after, &from)
		from++
	}
	body := strings.Join(s.lines[from:], "")
	if len(s.breaks) > 0 {
		cut := min(s.breaks[0], len(body))
		s.breaks = s.breaks[1:]
		_, _ = w.Write([]byte(body[:cut]))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write([]byte(body))
}

func TestADownloadOfRecordsGoesOnAfterTheLastWholeLine(t *testing.T) {
	s := &shelf{}
	for i := range 50 {
		s.lines = append(s.lines, fmt.Sprintf(`{"contribution":"%d","record":%d,"text":"line %d"}`+"\n", i, i, i))
	}
	whole := strings.Join(s.lines, "")
	c := serve(t, s.ServeHTTP)
	file := filepath.Join(t.TempDir(), "records.jsonl")
	s.breaks = []int{1000, 30, 700}
	records, err := c.DownloadRecords(t.Context(), "/v1/x", file, nil)
	require.NoError(t, err)
	require.EqualValues(t, 50, records)
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, whole, string(got))
	require.Len(t, s.asked, 4)
	require.Empty(t, s.asked[0])
	require.Contains(t, s.asked[1], "after=")
	require.NoFileExists(t, file+".part")
	count := 0
	for r, err := range client.ReadRecords(file) {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("line %d", count), r.Text)
		count++
	}
	require.Equal(t, 50, count)

	// What an earlier process left is used, but for a line that is not whole.
	other := filepath.Join(t.TempDir(), "records.jsonl")
	require.NoError(t, os.WriteFile(other+".part", []byte(whole[:500]), 0o600))
	s.asked = nil
	_, err = c.DownloadRecords(t.Context(), "/v1/x", other, nil)
	require.NoError(t, err)
	got, err = os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, whole, string(got))
	require.Contains(t, s.asked[0], "after=")

	// What was erased meanwhile makes all begin anew.
	third := filepath.Join(t.TempDir(), "records.jsonl")
	require.NoError(t, os.WriteFile(third+".part", []byte(strings.Repeat(s.lines[3], 5)), 0o600))
	s.gone, s.asked = true, nil
	_, err = c.DownloadRecords(t.Context(), "/v1/x", third, nil)
	require.NoError(t, err)
	got, err = os.ReadFile(third)
	require.NoError(t, err)
	require.Equal(t, whole, string(got))
	require.Len(t, s.asked, 2)
}
