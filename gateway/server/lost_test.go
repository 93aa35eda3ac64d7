package server

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	gatewayclient "github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

// TestWhatIsLostIsToldToOperators: the store has never had what the ledger knows of, and nobody holds it.
func TestWhatIsLostIsToldToOperators(t *testing.T) {
	poet := rulestest.User(rulestest.A, "poet", ledger.Contributor)
	var names []contribution.Named
	s := newSite(t, func(c *rulestest.Consortium) {
		c.OpenAll(t, poet)
		names = c.Approved(t, poet, c.Pool(t), 2)
		c.Must(t, poet, "erasure:Request", names[1])
	}, nil)
	lost := func(c *http.Client, method, path, body string) (l rest.Lost) {
		t.Helper()
		a := s.send(c, method, path, body)
		require.Equal(t, http.StatusOK, a.status, "%s", a.body)
		require.NoError(t, json.Unmarshal(a.body, &l))
		return l
	}
	operator, curator := s.client("operator1"), s.client("curator1")
	for _, read := range []string{"{}", `{"read":true}`} {
		l := lost(operator, http.MethodPost, "/v1/lost-contents/recover", read)
		require.Equal(t, 1, l.Count)
		require.Zero(t, l.Returned)
		require.False(t, l.Looked.IsZero())
		require.Equal(t, []rest.LostContent{{Datanet: names[0].Datanet, ID: names[0].ID, Contributor: poet.Account(), State: contribution.Approved,
			Why: "nobody else holds it to hand it on"}}, l.Items)
	}
	require.Equal(t, 1, lost(operator, http.MethodGet, "/v1/lost-contents", "").Count)
	require.Contains(t, string(s.send(operator, http.MethodGet, "/metrics", "").body), "datanet_gateway_contents_lost 1")
	require.Equal(t, http.StatusForbidden, s.send(curator, http.MethodGet, "/v1/lost-contents", "").status)
	require.Equal(t, http.StatusForbidden, s.send(curator, http.MethodPost, "/v1/lost-contents/recover", "{}").status)
	content := s.send(curator, http.MethodGet, "/v1/datanets/"+names[0].Datanet+"/contributions/"+names[0].ID+"/content", "")
	require.Equal(t, http.StatusServiceUnavailable, content.status)
	require.Contains(t, content.problem.Detail, "has lost the content")

	// What is erased before it came back is lost no more.
	s.must(poet, "erasure:Request", names[0])
	s.soon(func() bool { return lost(operator, http.MethodPost, "/v1/lost-contents/recover", "{}").Count == 0 })
}

// TestALookGoesOnAfterAContentThatCannotBeRead: the file is a link to itself, which not even root can read.
func TestALookGoesOnAfterAContentThatCannotBeRead(t *testing.T) {
	own := func(name string, role ledger.Role) ledger.Caller { return rulestest.User(rulestest.A, name, role) }
	var pool string
	s := newSite(t, func(c *rulestest.Consortium) {
		c.OpenAll(t, own("contributor1", ledger.Contributor), own("operator1", ledger.Operator), own("operator2", ledger.Operator))
		pool = c.Pool(t)
	}, nil)
	ctx := t.Context()
	drawn, err := gatewayclient.Do[contribution.Rotation](ctx, s.person("operator1"), http.MethodPost, "/v1/fingerprint-secrets", nil)
	require.NoError(t, err)
	s.decide("fingerprint.rotate", drawn)
	author, operator := s.person("contributor1"), s.person("operator1")
	var names []contribution.Named
	for range 2 {
		upload := gatewayclient.Upload{ID: newID(), Files: []gatewayclient.File{{Name: "verse.txt", Bytes: int64(len(verse))}}, Rules: ingest.Rules{Split: true}}
		require.NoError(t, author.Upload(ctx, upload, strings.NewReader(verse), nil))
		names = append(names, contribution.Named{Datanet: pool, ID: newID()})
		_, err = author.FinishUpload(ctx, upload.ID, gatewayclient.Finish{Descriptor: gatewayclient.Descriptor{Author: "Anon"}, Datanet: pool, Contribution: names[len(names)-1].ID})
		require.NoError(t, err)
	}
	var files []string
	require.NoError(t, filepath.WalkDir(filepath.Join(s.config.Folder, "content"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	}))
	require.Len(t, files, 2)
	lost, err := operator.Recover(ctx, true)
	require.NoError(t, err)
	require.Zero(t, lost.Unreadable)

	for _, file := range files {
		require.NoError(t, os.Rename(file, file+".away"))
		require.NoError(t, os.Symlink(filepath.Base(file), file))
	}
	lost, err = operator.Recover(ctx, false)
	require.NoError(t, err, "neither stops the look")
	require.Equal(t, 2, lost.Unreadable)
	require.Zero(t, lost.Count)
	require.Contains(t, lost.Unread[0].Why, "cannot be read")
	require.Contains(t, names, contribution.Named{Datanet: lost.Unread[0].Datanet, ID: lost.Unread[0].ID})

	require.NoError(t, os.Rename(files[0]+".away", files[0]))
	lost, err = operator.Recover(ctx, true)
	require.NoError(t, err)
	require.Equal(t, 1, lost.Unreadable)
}
