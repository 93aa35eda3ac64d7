package bundles

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/audit/verify"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/evidence"
)

// gateway answers with what a test says, and counts what it was asked.
type gateway struct {
	answers map[string]func(w http.ResponseWriter)
	asked   map[string]int
}

// collect begins an export to a folder by a gateway.
func collect(t *testing.T, g *gateway, folder string) *collector {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked[r.URL.Path]++
		g.answers[r.URL.Path](w)
	}))
	t.Cleanup(server.Close)
	options := client.Options{Gateway: server.URL, Token: "token", Roots: x509.NewCertPool()}
	options.Roots.AddCert(server.Certificate())
	c, err := client.New(options)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	w, err := bundle.Create(folder, bundle.Manifest{Channel: "channel", Chaincode: "chaincode", Genesis: strings.Repeat("ab", 32), Unproved: []string{}})
	require.NoError(t, err)
	if w.Next() == 0 {
		require.NoError(t, w.Append(&common.Block{Header: &common.BlockHeader{}, Data: &common.BlockData{}}))
	}
	return &collector{Source: &Source{Gateway: c}, w: w, wish: Wish{Receipts: true, Contents: true}, reason: access.Audit, got: &Parts{}, msp: "RegulatorMSP"}
}

func refuse(status int, code string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"title":"t","status":%d,"code":%q,"detail":"the rules say no"}`, status, code)
	}
}

func text(data []byte) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _, _ = w.Write(data) }
}

// breaking breaks the connection amid the answer so many times.
func breaking(times int, data []byte) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if times--; times >= 0 {
			_, _ = w.Write(data[:len(data)-1])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(data)
	}
}

// opening is a content of one record, and what the ledger says of it.
func opening(t *testing.T, id, record string) (verify.PlannedContent, []byte) {
	var out bytes.Buffer
	salt := attribution.Salt{7}
	w, err := parts.NewContent(&out, salt)
	require.NoError(t, err)
	require.NoError(t, w.Record([]byte(record)))
	return verify.PlannedContent{Datanet: "AMSP/verse", ID: id, Commitment: attribution.Commit(salt, [][]byte{[]byte(record)}), Records: 1}, out.Bytes()
}

func path(id string) string { return "/v1/datanets/AMSP/verse/contributions/" + id + "/opening" }

// names are those of the contents in a bundle.
func names(t *testing.T, folder string) (list []string) {
	data, err := os.ReadFile(filepath.Join(folder, "manifest.json"))
	require.NoError(t, err)
	m, err := bundle.Decode(data)
	require.NoError(t, err)
	for _, p := range m.Parts {
		list = append(list, p.Name[1])
	}
	return list
}

func TestContentsAreAskedForOnceAndLeaveTheBundleWhenTheyAreErased(t *testing.T) {
	g := &gateway{answers: map[string]func(http.ResponseWriter){}, asked: map[string]int{}}
	plan := &verify.Plan{}
	bodies := map[string][]byte{}
	for _, id := range []string{"a", "b", "c", "d"} {
		p, body := opening(t, id, "a record of "+id)
		plan.Contents, bodies[id] = append(plan.Contents, p), body
		g.answers[path(id)] = text(body)
	}
	g.answers[path("b")] = refuse(http.StatusForbidden, "forbidden")
	g.answers[path("c")] = text(bodies["a"]) // not what was committed to
	g.answers[path("d")] = breaking(2, bodies["d"])
	folder := t.TempDir()
	c := collect(t, g, folder)
	require.NoError(t, c.contents(t.Context(), plan))
	require.Equal(t, []string{"a", "d"}, names(t, folder))
	require.Equal(t, 2, c.got.Contents)
	require.Len(t, c.got.Refused, 2)
	require.Contains(t, c.got.Refused[0].Why, "the rules say no")
	require.Contains(t, c.got.Refused[1].Why, errOther.Error())
	require.Equal(t, 3, g.asked[path("d")])

	g.answers[path("b")], g.answers[path("c")] = text(bodies["b"]), text(bodies["c"])
	plan.Contents[0].Erasing = true
	c = collect(t, g, folder)
	require.NoError(t, c.contents(t.Context(), plan))
	require.Equal(t, []string{"b", "c", "d"}, names(t, folder), "in the order of the ledger, without what is being erased")
	require.Equal(t, 1, g.asked[path("a")])
	require.Equal(t, 3, g.asked[path("d")], "what is there is not asked for again")
	files, err := filepath.Glob(filepath.Join(folder, "content-*"))
	require.NoError(t, err)
	require.Len(t, files, 3, "its file is gone too")
}

// Blocks that end before today have no release of today.
func TestAnExportThatEndsEarlierHasOnlyContentsThatWereReleasedByThen(t *testing.T) {
	g := &gateway{answers: map[string]func(http.ResponseWriter){}, asked: map[string]int{}}
	plan := &verify.Plan{}
	for _, id := range []string{"a", "b"} {
		p, body := opening(t, id, id)
		p.Had = id == "b"
		plan.Contents = append(plan.Contents, p)
		g.answers[path(id)] = text(body)
	}
	folder := t.TempDir()
	c := collect(t, g, folder)
	c.wish.To = 1
	require.NoError(t, c.contents(t.Context(), plan))
	require.Equal(t, []string{"b"}, names(t, folder))
	require.Zero(t, g.asked[path("a")], "nobody records a release for it")
	require.Equal(t, []Refusal{{bundle.Content, "content a of AMSP/verse", errLater.Error()}}, c.got.Refused)
	require.NoError(t, c.w.Close())

	c = collect(t, g, folder)
	c.msp = "AuditorMSP"
	require.ErrorContains(t, c.contents(t.Context(), plan), "choose another folder")
	c.wish.Contents = false
	require.NoError(t, c.contents(t.Context(), plan), "it takes those of the other out")
	require.Empty(t, names(t, folder))
}

func TestAnExportThatCannotGoOnGoesOnLater(t *testing.T) {
	g := &gateway{answers: map[string]func(http.ResponseWriter){}, asked: map[string]int{}}
	plan := &verify.Plan{}
	for _, id := range []string{"a", "b"} {
		p, body := opening(t, id, id)
		plan.Contents = append(plan.Contents, p)
		g.answers[path(id)] = text(body)
	}
	whole := g.answers[path("b")]
	_, body := opening(t, "b", "b")
	g.answers[path("b")] = breaking(attempts, body)
	folder := t.TempDir()
	c := collect(t, g, folder)
	require.ErrorContains(t, c.contents(t.Context(), plan), "content b of AMSP/verse")
	require.NoError(t, c.w.Close())
	require.Equal(t, []string{"a"}, names(t, folder))
	g.answers[path("b")] = whole
	c = collect(t, g, folder)
	require.NoError(t, c.contents(t.Context(), plan))
	require.Equal(t, []string{"a", "b"}, names(t, folder))
	require.Equal(t, 1, g.asked[path("a")])
}

func TestTextsGoToTheUsesOfTheirReceipts(t *testing.T) {
	texts := t.TempDir()
	kept := &evidence.Evidence{Receipt: []byte("a receipt"), Path: "/p", Output: []byte("an answer")}
	require.NoError(t, KeepText(texts, kept))
	var body bytes.Buffer
	leaf, err := use.Leaf{Session: merkle.Hash{3}, Receipt: receipt.ID(kept.Receipt)}.Encode()
	require.NoError(t, err)
	scope := parts.Scope{Sessions: []parts.Session{{Account: "AMSP:ann", Name: "00"}}}
	scope.Encoded, err = use.EncodeScope(merkle.Hash{7}, []use.Move{{Session: merkle.Hash{3}, Before: use.Mark{Root: merkle.Root(nil)}, After: use.Mark{N: 1, Root: merkle.Leaf(leaf)}}})
	require.NoError(t, err)
	w, err := parts.NewSettlement(&body, scope)
	require.NoError(t, err)
	require.NoError(t, w.Use(parts.Use{Leaf: leaf, Receipt: kept.Receipt}))

	g := &gateway{answers: map[string]func(http.ResponseWriter){"/v1/audit/hosts/CMSP:host1/claims/x/uses": text(body.Bytes())}, asked: map[string]int{}}
	folder := t.TempDir()
	c := collect(t, g, folder)
	plan := &verify.Plan{Settlements: []verify.PlannedSettlement{{Host: "CMSP:host1", ID: "x", Uses: 1}}}
	require.NoError(t, c.settlements(t.Context(), plan))
	require.Zero(t, c.got.Texts)
	c.wish.Texts = TextsIn(texts)
	require.NoError(t, c.settlements(t.Context(), plan), "they come later")
	require.Equal(t, 1, c.got.Texts)
	require.NoError(t, c.w.Close())
	r, err := bundle.Open(folder)
	require.NoError(t, err)
	defer r.Close()
	for _, err := range r.Blocks() {
		require.NoError(t, err)
	}
	require.NoError(t, r.Parts(func(_ bundle.Part, in io.Reader) (func(error), error) {
		return func(err error) { require.NoError(t, err) }, parts.SettlementReader{
			Scope: func(parts.Scope) error { return nil }, Peaks: func(int, use.Move, []merkle.Hash) error { return nil },
			Use: func(_ int, _ uint64, u parts.Use) error {
				e, err := evidence.Decode(u.Evidence)
				require.NoError(t, err)
				require.Equal(t, "an answer", string(e.Output))
				return nil
			}}.Read(in)
	}))

	plan.Settlements[0].Uses = 2
	c = collect(t, g, t.TempDir())
	require.NoError(t, c.settlements(t.Context(), plan))
	require.Contains(t, c.got.Refused[0].Why, "it has 1 use, not 2")
	require.NoError(t, os.WriteFile(textFile(texts, receipt.ID(kept.Receipt)), []byte("something else"), 0o600))
	_, err = TextsIn(texts)(receipt.ID(kept.Receipt))
	require.ErrorContains(t, err, "is not the text of its receipt")
}
