package rest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

// library is a site whose store has a content of A's contributor.
type library struct {
	*site
	store *content.Store
	pool  string
	held  contribution.Named
	text  string
	// upload is the id of what was uploaded for it.
	upload string
}

func newLibrary(t *testing.T) *library {
	l := &library{}
	l.site = newSite(t, withContent(t), func(o *rest.Options) {
		l.store = o.Content
		o.Release = func(context.Context, access.Handover) error { return nil }
	})
	l.pool = l.ledger.Pool(t)
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "Of all the gardens that the river knows the %dth keeps the rose.\n\n", i)
	}
	l.text = b.String()
	l.held = contribution.Named{Datanet: l.pool, ID: l.ledger.ID()}
	contributor := caller(l.people["contributor1"])
	l.ledger.OpenAll(t, contributor)
	var prepared content.Prepared
	l.upload, prepared = l.finish(t, l.text, l.held)
	l.ledger.Must(t, contributor, "contribution:Submit", contribution.Submit{Datanet: l.pool, ID: l.held.ID, Content: prepared.Content(l.ledger.Poem().Provenance, nil)})
	return l
}

// finish has the contributor upload a text for a contribution.
func (l *library) finish(t *testing.T, text string, place contribution.Named) (id string, prepared content.Prepared) {
	account := caller(l.people["contributor1"]).Account()
	upload, err := l.store.Begin(t.Context(), account, content.Upload{Files: []content.File{{Name: "poems.txt", Bytes: int64(len(text))}}, Rules: ingest.Rules{Split: true}})
	require.NoError(t, err)
	_, err = l.store.Append(t.Context(), account, upload.ID, 0, strings.NewReader(text))
	require.NoError(t, err)
	check, err := l.store.DrawSecret(t.Context())
	require.NoError(t, err)
	prepared, err = l.store.Finish(t.Context(), account, upload.ID, content.Descriptor{Author: "Ann Onymous"}, contribution.Epoch{Epoch: 1, Check: check})
	require.NoError(t, err)
	require.NoError(t, l.store.Assign(t.Context(), account, upload.ID, place))
	return upload.ID, prepared
}

func TestOnlyWhatTheLedgerDoesNotHaveIsDiscarded(t *testing.T) {
	l := newLibrary(t)
	discard := func(id string) answer { return l.send("contributor1", http.MethodDelete, "/v1/uploads/"+id, nil) }
	require.Equal(t, "state", discard(l.upload).problem.Code)
	refused, _ := l.finish(t, l.text, contribution.Named{Datanet: l.pool, ID: l.ledger.ID()})
	require.Equal(t, http.StatusNoContent, discard(refused).status)
	_, err := l.store.Open(t.Context(), refused)
	require.ErrorIs(t, err, content.ErrErased)
	require.Equal(t, http.StatusOK, l.get("contributor1", "/v1/datanets/"+l.pool+"/contributions/"+l.held.ID+"/content").status)
}

func TestContentIsGivenWholeOrOneRangeOfIt(t *testing.T) {
	l := newLibrary(t)
	path := "/v1/datanets/" + l.pool + "/contributions/" + l.held.ID + "/content"
	whole := l.get("contributor1", path)
	require.Equal(t, http.StatusOK, whole.status)
	require.Equal(t, l.text, string(whole.body))
	tag := whole.header.Get("ETag")
	for claim, want := range map[string]struct {
		headers []string
		status  int
		body    string
	}{
		"a range":                   {[]string{"Range", "bytes=10-19"}, http.StatusPartialContent, l.text[10:20]},
		"the end":                   {[]string{"Range", "bytes=-5"}, http.StatusPartialContent, l.text[len(l.text)-5:]},
		"from a place on":           {[]string{"Range", fmt.Sprintf("bytes=%d-", len(l.text)-7), "If-Range", tag}, http.StatusPartialContent, l.text[len(l.text)-7:]},
		"a range of other bytes":    {[]string{"Range", "bytes=10-19", "If-Range", `"other"`}, http.StatusOK, l.text},
		"several ranges: the whole": {[]string{"Range", "bytes=0-1,10-19"}, http.StatusOK, l.text},
		"what the caller has":       {[]string{"If-None-Match", tag}, http.StatusNotModified, ""},
	} {
		t.Run(claim, func(t *testing.T) {
			got := l.get("contributor1", path, want.headers...)
			require.Equal(t, want.status, got.status)
			require.Equal(t, want.body, string(got.body))
		})
	}
	beyond := l.get("contributor1", path, "Range", fmt.Sprintf("bytes=%d-", len(l.text)))
	require.Equal(t, "range_not_satisfiable", beyond.problem.Code)
}

func TestAListOfRecordsThatBreaksOffDoesNotLookComplete(t *testing.T) {
	l := newLibrary(t)
	poet := rulestest.User(rulestest.B, "poet", ledger.Contributor)
	l.ledger.OpenAll(t, poet, caller(l.people["trainer1"]))
	for _, msp := range []string{rulestest.B, rulestest.C} {
		l.ledger.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote",
			approval.Vote{Named: l.held, Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
	}
	l.ledger.Must(t, poet, "approval:Finalise", l.held)
	elsewhere := l.ledger.Approved(t, poet, l.pool, 1)[0]
	curator := caller(l.people["curator1"])
	take := func(from int64, ids ...string) string {
		l.ledger.Must(t, curator, "seal:Append", seal.Append{Datanet: l.pool, From: from, Contributions: ids})
		taken := snapshot.Named{Datanet: l.pool, Number: int(from) + 1}
		l.ledger.Must(t, curator, "snapshot:Take", taken)
		open := ticket.Open{ID: l.ledger.ID(), Snapshots: []snapshot.Named{taken}, Purpose: licence.Research}
		l.ledger.Must(t, caller(l.people["trainer1"]), "ticket:Open", open)
		return "/v1/tickets/" + open.ID + "/contents/" + l.pool
	}
	read := func(path string) (string, error) { // not judged: the validator of the API document takes lines for one JSON text
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url+path, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer trainer1")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "application/jsonl", response.Header.Get("Content-Type"))
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	whole, err := read(take(0, l.held.ID))
	require.NoError(t, err)
	require.Equal(t, 2000, strings.Count(whole, "\n"))
	part, err := read(take(1, elsewhere.ID)) // which no holder hands over
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.True(t, strings.HasPrefix(whole, part))
}
