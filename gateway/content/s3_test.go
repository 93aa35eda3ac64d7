package content_test

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/content"
)

// service is a server of the S3 protocol, behind TLS.
type service struct {
	*httptest.Server
	multipart, ranges atomic.Int64 // requests of a multipart upload, and reads of a range
	down              atomic.Bool
}

// onS3 has the fixtures of a test keep their objects in a bucket of such a server.
func onS3(t *testing.T) *service {
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("contents"))
	s3 := gofakes3.New(backend).Server()
	s := &service{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.down.Load():
			http.Error(w, "", http.StatusForbidden)
			return
		case r.URL.Query().Has("uploadId"):
			s.multipart.Add(1)
		case r.Method == http.MethodGet && r.Header.Get("Range") != "":
			s.ranges.Add(1)
		}
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	authority := filepath.Join(t.TempDir(), "authority.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	t.Setenv("AWS_CA_BUNDLE", authority)
	t.Setenv("AWS_ACCESS_KEY_ID", "datanet")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	former := bucketAddress
	t.Cleanup(func() { bucketAddress = former })
	bucketAddress = func(folder string) string {
		return "s3://contents?" + url.Values{"endpoint": {s.URL}, "region": {"anywhere"}, "use_path_style": {"true"}, "prefix": {strings.TrimPrefix(filepath.ToSlash(folder), "/") + "/"}}.Encode()
	}
	return s
}

func TestEverythingHoldsOnS3Too(t *testing.T) {
	s := onS3(t)
	for name, test := range map[string]func(*testing.T){
		"uploads": TestAnUploadGoesOnWhereItStopped, "refusals": TestWhatAnUploadRefuses, "ranges": TestAnyRangeIsRead, "files": TestFilesOfOneContribution,
		"rotation": TestRotationWrapsEverythingAnew, "cleaning": TestCleanUpTakesWhatNobodyGoesOnWith, "erasure": TestErasingReachesEveryRevision,
		"acknowledgement": TestAnErasureIsAcknowledgedWhenNothingIsLeft, "backups": TestABackupIsRestored, "no revival": TestNoRestoreRevivesWhatWasErased,
	} {
		t.Run(name, test)
	}
	require.Positive(t, s.ranges.Load())
}

func TestALargeContentGoesToS3InPiecesAndComesBackFromAnyByte(t *testing.T) {
	s := onS3(t)
	f := open(t, content.Options{PartBytes: 24 << 20})
	text := strings.Repeat(poems(1000), 1+(30<<20)/len(poems(1000)))
	u := split(content.File{Name: "poems.txt", Bytes: int64(len(text))})
	_, err := f.Begin(t.Context(), ann, u)
	require.NoError(t, err)
	// The caller's connection breaks in the middle of the first object, and in the middle of an S3 upload.
	info, err := f.Append(t.Context(), ann, u.ID, 0, io.MultiReader(strings.NewReader(text[:13<<20]), new(brokenConnection)))
	require.Error(t, err)
	require.Equal(t, info.Received, int64(len(text[:info.Received])))
	_, err = f.Append(t.Context(), ann, u.ID, info.Received, strings.NewReader(text[info.Received:]))
	require.NoError(t, err)
	require.Positive(t, s.multipart.Load(), "an object of 24 MiB goes in several requests")
	p, err := f.Finish(t.Context(), ann, u.ID, content.Descriptor{}, f.epoch)
	require.NoError(t, err)
	require.Greater(t, p.Records, int64(100_000))
	c, err := f.Open(t.Context(), u.ID)
	require.NoError(t, err)
	for _, from := range []int64{0, 1, 64<<10 - 1, 23 << 20, 24<<20 - 1, 24 << 20, int64(len(text)) - 1} {
		r := c.Reader(t.Context())
		_, err := r.Seek(from, io.SeekStart)
		require.NoError(t, err)
		got, err := io.ReadAll(io.LimitReader(r, 100))
		require.NoError(t, err)
		require.Equal(t, text[from:min(from+100, int64(len(text)))], string(got))
		require.NoError(t, r.Close())
	}
	r := c.Reader(t.Context())
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(all, []byte(text)))
	require.NoError(t, r.Close())
	require.NoError(t, f.Probe(t.Context()))

	s.down.Store(true)
	require.Error(t, f.Probe(t.Context()))
	n := place()
	require.NoError(t, f.Assign(t.Context(), ann, u.ID, n))
	require.Error(t, f.Erase(t.Context(), n), "nothing counts as erased before it is")
	s.down.Store(false)
	require.NoError(t, f.Erase(t.Context(), n))
	require.Empty(t, f.objects(t))
}

// brokenConnection is a body that does not end.
type brokenConnection struct{}

func (brokenConnection) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
