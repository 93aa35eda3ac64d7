package client_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

// serve starts a gateway of one handler and returns a client of it.
func serve(t *testing.T, handler http.HandlerFunc, change ...func(*client.Options)) *client.Client {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	options := client.Options{Gateway: server.URL, Roots: x509.NewCertPool()}
	options.Roots.AddCert(server.Certificate())
	for _, f := range change {
		f(&options)
	}
	c, err := client.New(options)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func problem(w http.ResponseWriter, status int, code string, retryable bool) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"/problems/%[1]s","title":"t","status":%[2]d,"code":"%[1]s","detail":"why","retryable":%[3]t}`, code, status, retryable)
}

// person has a key and a certificate of its own making.
func person(t *testing.T) *client.Identity {
	t.Helper()
	key, err := pki.NewKey(network.Ed25519)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}, &x509.Certificate{}, key.Public(), key)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, client.SaveKey(dir, key))
	require.NoError(t, client.SaveCertificate(dir, pemOf(der)))
	id, err := client.LoadIdentity(dir)
	require.NoError(t, err)
	require.Error(t, client.SaveKey(dir, key), "a key is never overwritten")
	return id
}

func TestFailuresThatPassAreTriedAgain(t *testing.T) {
	calls := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls < 3 {
			w.Header().Set("Retry-After", "0")
			problem(w, http.StatusServiceUnavailable, "unavailable", true)
			return
		}
		w.Header().Set("Datanet-Height", "7")
		_, _ = io.WriteString(w, `{"items":["a"],"next":"","new field":1}`)
	})
	page, meta, err := client.Get[ledger.Page[string]](t.Context(), c, client.Path("members"), nil)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, page.Items)
	require.Equal(t, uint64(7), meta.Height)
	require.Equal(t, 3, calls)
}

func TestFinalRefusalsAreNot(t *testing.T) {
	calls := 0
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls++
		problem(w, http.StatusForbidden, "forbidden", false)
	})
	_, _, err := client.Get[ledger.Nothing](t.Context(), c, client.Path("members"), nil)
	require.EqualError(t, err, "forbidden: why")
	require.True(t, client.IsCode(err, "forbidden"))
	require.Equal(t, 1, calls)
}

func TestRecordsComeOneByOneAndAStreamThatBreaksIsNoWhole(t *testing.T) {
	whole := true
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/v1/tickets/7/contents/A/verse", r.URL.Path)
		_, _ = io.WriteString(w, `{"contribution":"c","record":0,"text":"بود\nنبود"}`+"\n")
		if !whole {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"contribution":"c","record":1,"text":""}`+"\n")
	})
	read := func() (all []client.Record, err error) {
		for r, err := range c.Records(t.Context(), client.SnapshotContentPath("7", "A/verse"), nil) {
			if err != nil {
				return all, err
			}
			all = append(all, r)
		}
		return all, nil
	}
	all, err := read()
	require.NoError(t, err)
	require.Equal(t, []client.Record{{Contribution: "c", Text: "بود\nنبود"}, {Contribution: "c", Record: 1}}, all)
	whole = false
	all, err = read()
	require.Len(t, all, 1)
	var unreachable *client.UnreachableError
	require.ErrorAs(t, err, &unreachable)
}

func TestAnAnswerThatIsNoProblemBecomesOne(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusTeapot) })
	_, _, err := client.Get[ledger.Nothing](t.Context(), c, client.Path("members"), nil)
	require.True(t, client.IsCode(err, "http_418"), "%v", err)
}

func TestAGatewayThatIsNotTrustedIsNotAskedTwice(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	server.Config.ErrorLog = nil
	c, err := client.New(client.Options{Gateway: server.URL, Roots: x509.NewCertPool(), Notice: func(text string) { t.Error(text) }})
	require.NoError(t, err)
	_, _, err = client.Get[ledger.Nothing](t.Context(), c, client.Path("members"), nil)
	var unreachable *client.UnreachableError
	require.ErrorAs(t, err, &unreachable)
	require.ErrorContains(t, err, "give the TLS authority")
}

func TestNewRefusesWhatIsNoGateway(t *testing.T) {
	for _, address := range []string{"", "x", "http://127.0.0.1", "https://", "https://u:p@host", "https://host?x=1"} {
		_, err := client.New(client.Options{Gateway: address})
		require.Error(t, err, address)
	}
	_, err := client.New(client.Options{Gateway: "https://host", Token: "t", Identity: &client.Identity{}})
	require.ErrorContains(t, err, "not with both")
}

func TestAListIsReadToItsEnd(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "1000", r.URL.Query().Get("limit"))
		switch r.URL.Query().Get("cursor") {
		case "":
			_, _ = io.WriteString(w, `{"items":[1,2],"next":"c"}`)
		case "c":
			_, _ = io.WriteString(w, `{"items":[3],"next":""}`)
		}
	})
	var all []int
	for n, err := range client.All[int](t.Context(), c, client.Path("x"), nil) {
		require.NoError(t, err)
		all = append(all, n)
	}
	require.Equal(t, []int{1, 2, 3}, all)
}

func TestPathsAreEscaped(t *testing.T) {
	require.Equal(t, "/v1/a/b/c%3Fd%23e%20f", client.Path("a/b", "c?d#e f"))
}

func TestAWriteThatIsOnItsWayIsFollowed(t *testing.T) {
	keys := map[string]int{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		keys[key]++
		w.Header().Set("Datanet-Transaction", "tx1")
		if keys[key] < 3 {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"transaction":"tx1","state":"submitted"}`)
			return
		}
		w.Header().Set("Datanet-Block", "9")
		w.Header().Set("Idempotency-Replayed", "true")
		_, _ = io.WriteString(w, `{"account":"A:b"}`)
	})
	value, written, err := client.Write[map[string]string](t.Context(), c, http.MethodPost, client.Path("account", "open"), "", nil)
	require.NoError(t, err)
	require.Equal(t, "A:b", value["account"])
	require.Len(t, keys, 1, "one key for all attempts")
	require.Equal(t, client.Committed{Key: written.Key, Transaction: "tx1", Block: 9}, written)
	require.Equal(t, uint64(10), written.Height())
}

func TestAnUnknownOutcomeNamesTheKey(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Datanet-Transaction", "tx1")
		w.WriteHeader(http.StatusAccepted)
	})
	_, _, err := client.Write[ledger.Nothing](t.Context(), c, http.MethodPost, client.Path("account", "open"), "k1", nil)
	var unknown *client.UnknownError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "k1", unknown.Key)
	require.Equal(t, "tx1", unknown.Transaction)
	require.ErrorContains(t, err, "repeat it with the idempotency key k1")

	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, _, err = client.Write[ledger.Nothing](ctx, broken, http.MethodPost, client.Path("account", "open"), "k2", nil)
	require.ErrorAs(t, err, &unknown)
}

// endorser plays the gateway's part of a write that is signed with one's own key.
type endorser struct {
	t        *testing.T
	id       *client.Identity
	function string // that the gateway puts before the caller, "" for the one asked for
	document []byte
	other    bool // the endorsed transaction is another one
	waits    bool // the transaction waits already, as an earlier call broke off
	steps    []string
	txID     string
	asked    struct {
		Function    string          `json:"function"`
		Document    json.RawMessage `json:"document"`
		Certificate string          `json:"certificate"`
	}
}

func (e *endorser) message(transaction bool) []byte {
	function, document, txID := e.asked.Function, []byte(e.asked.Document), e.txID
	if e.function != "" {
		function = e.function
	}
	if e.document != nil {
		document = e.document
	}
	if transaction && e.other {
		txID = "another"
	}
	must := func(m proto.Message) []byte {
		data, err := proto.Marshal(m)
		require.NoError(e.t, err)
		return data
	}
	header := &common.Header{
		ChannelHeader: must(&common.ChannelHeader{Type: int32(common.HeaderType_ENDORSER_TRANSACTION), ChannelId: "datanet", TxId: txID,
			Extension: must(&peer.ChaincodeHeaderExtension{ChaincodeId: &peer.ChaincodeID{Name: "datanet"}})}),
		SignatureHeader: must(&common.SignatureHeader{Creator: must(&msp.SerializedIdentity{Mspid: "OwnMSP", IdBytes: []byte(e.asked.Certificate)})}),
	}
	input := must(&peer.ChaincodeProposalPayload{Input: must(&peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{
		ChaincodeId: &peer.ChaincodeID{Name: "datanet"}, Input: &peer.ChaincodeInput{Args: [][]byte{[]byte(function), document}}}})})
	if !transaction {
		return must(&peer.Proposal{Header: must(header), Payload: input})
	}
	response := must(&peer.ProposalResponsePayload{Extension: must(&peer.ChaincodeAction{Response: &peer.Response{Status: 200, Payload: []byte(`{}`)}})})
	action := must(&peer.ChaincodeActionPayload{ChaincodeProposalPayload: input, Action: &peer.ChaincodeEndorsedAction{ProposalResponsePayload: response}})
	return must(&common.Payload{Header: header, Data: must(&peer.Transaction{Actions: []*peer.TransactionAction{{Payload: action}}})})
}

func (e *endorser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	step := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	e.steps = append(e.steps, step)
	answer := func(state string, message []byte) {
		w.Header().Set("Datanet-Transaction", e.txID)
		data, err := json.Marshal(map[string]any{"transaction": e.txID, "state": state, "message": message})
		require.NoError(e.t, err)
		_, _ = w.Write(data)
	}
	check := func(message []byte) {
		var s struct {
			Signature []byte `json:"signature"`
		}
		require.NoError(e.t, json.NewDecoder(r.Body).Decode(&s))
		require.True(e.t, ed25519.Verify(e.id.Certificate.PublicKey.(ed25519.PublicKey), message, s.Signature))
	}
	switch step {
	case "prepare":
		require.NoError(e.t, json.NewDecoder(r.Body).Decode(&e.asked))
		if e.waits {
			answer("endorsed", e.message(true))
			return
		}
		answer("proposed", e.message(false))
	case "endorse":
		check(e.message(false))
		answer("endorsed", e.message(true))
	case "submit":
		check(e.message(true))
		w.Header().Set("Datanet-Transaction", e.txID)
		w.Header().Set("Datanet-Block", "4")
		_, _ = io.WriteString(w, `{"done":"yes"}`)
	}
}

func submit(t *testing.T, change func(*endorser)) (*endorser, map[string]string, error) {
	t.Helper()
	e := &endorser{t: t, id: person(t), txID: "tx1"}
	change(e)
	c := serve(t, e.ServeHTTP, func(o *client.Options) { o.Identity = e.id })
	value, _, err := client.Submit[map[string]string](t.Context(), c, "account:Open", "", ledger.Nothing{})
	return e, value, err
}

func TestAWriteIsSignedHereTwice(t *testing.T) {
	e, value, err := submit(t, func(*endorser) {})
	require.NoError(t, err)
	require.Equal(t, "yes", value["done"])
	require.Equal(t, []string{"prepare", "endorse", "submit"}, e.steps)
	e, value, err = submit(t, func(e *endorser) { e.waits = true })
	require.NoError(t, err)
	require.Equal(t, "yes", value["done"])
	require.Equal(t, []string{"prepare", "submit"}, e.steps, "it goes on where an earlier call broke off")
}

func TestNothingIsSignedThatWasNotAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*endorser)
		steps  int
	}{
		"another function":       {func(e *endorser) { e.function = "token:Transfer" }, 1},
		"another request":        {func(e *endorser) { e.document = []byte(`{"to":"me"}`) }, 1},
		"another transaction":    {func(e *endorser) { e.other = true }, 2},
		"another function waits": {func(e *endorser) { e.function, e.waits = "token:Transfer", true }, 1},
		"another request waits":  {func(e *endorser) { e.document, e.waits = []byte(`{"to":"me"}`), true }, 1},
	} {
		e, _, err := submit(t, c.change)
		require.ErrorContains(t, err, "nothing was signed", name)
		require.Len(t, e.steps, c.steps, name)
	}
}

func TestWithoutAKeyNothingIsSubmitted(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing is asked for") })
	_, _, err := client.Submit[ledger.Nothing](t.Context(), c, "account:Open", "", ledger.Nothing{})
	require.ErrorContains(t, err, "no private key here")
}

func TestWithATokenTheGatewaySigns(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		if r.URL.Path != "/v1/transactions" || r.Header.Get("Authorization") != "Bearer secret" || string(body) != `{"function":"account:Open","document":{}}` {
			t.Errorf("%s %s", r.URL, body)
		}
		w.Header().Set("Datanet-Block", "7")
		w.Header().Set("Datanet-Transaction", r.Header.Get("Idempotency-Key"))
		fmt.Fprint(w, "{}")
	}, func(o *client.Options) { o.Token = "secret" })
	_, written, err := client.Submit[ledger.Nothing](t.Context(), c, "account:Open", "mine", ledger.Nothing{})
	require.NoError(t, err)
	require.Equal(t, client.Committed{Key: "mine", Transaction: "mine", Block: 7}, written)
}

func TestAnEnrolmentIsSentAgain(t *testing.T) {
	calls := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"account":"A:b","roles":["host"],"certificate":"c","expires":"2030-01-01T00:00:00Z"}`)
	})
	made, err := c.Enrol(t.Context(), identity.EnrolRequest{Code: "x", Request: "y"})
	require.NoError(t, err)
	require.Equal(t, ledger.Account("A:b"), made.Account)
}

func TestEventsGoOnWhereTheConnectionBroke(t *testing.T) {
	var seen []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last := r.Header.Get("Last-Event-ID")
		seen = append(seen, last)
		from := 0
		if last != "" {
			n, err := strconv.Atoi(strings.TrimSuffix(last, ".0"))
			require.NoError(t, err)
			from = n
		}
		for i := from + 1; i <= from+2; i++ {
			fmt.Fprintf(w, ": a comment\nid: %d.0\nevent: change\ndata: {\"n\":%d,\r\ndata: \"x\":1}\n\n", i, i)
		}
		fmt.Fprint(w, "id: 99.0\ndata: half")
	})
	var got []string
	for event, err := range c.Events(t.Context(), nil, "") {
		require.NoError(t, err)
		require.Equal(t, "change", event.Type)
		got = append(got, event.ID)
		if len(got) == 5 {
			break
		}
	}
	require.Equal(t, []string{"1.0", "2.0", "3.0", "4.0", "5.0"}, got)
	require.Equal(t, []string{"", "2.0", "4.0"}, seen)
}

// store is the uploads of a gateway that fails now and then.
type store struct {
	mutex    sync.Mutex
	content  []byte
	failures int
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if r.Method == http.MethodPatch {
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		if offset != len(s.content) {
			problem(w, http.StatusConflict, "offset", true)
			return
		}
		part, _ := io.ReadAll(r.Body)
		if s.failures > 0 && mathrand.N(2) == 0 {
			s.failures--
			s.content = append(s.content, part[:mathrand.N(len(part)+1)]...) // some of it is there
			panic(http.ErrAbortHandler)
		}
		s.content = append(s.content, part...)
	}
	fmt.Fprintf(w, `{"id":"u","state":"uploading","size":0,"received":%d}`, len(s.content))
}

func TestAnUploadGoesOnWhereTheGatewayIs(t *testing.T) {
	dir := t.TempDir()
	var files []client.File
	var whole []byte
	for i, size := range []int64{9 << 20, 0, 1, 12<<20 + 5} {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		name := fmt.Sprintf("f%d.txt", i)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
		files, whole = append(files, client.File{Name: name, Bytes: size}), append(whole, data...)
	}
	s := &store{failures: 4}
	c := serve(t, s.ServeHTTP)
	joined := client.Join(files, func(i int) (client.Opened, error) { return os.Open(filepath.Join(dir, files[i].Name)) })
	defer joined.Close()
	var last int64
	require.NoError(t, c.Upload(t.Context(), client.Upload{ID: client.NewID(), Files: files}, joined, func(n int64) { last = n }))
	require.True(t, bytes.Equal(whole, s.content))
	require.Equal(t, int64(len(whole)), last)
	require.NoError(t, c.Upload(t.Context(), client.Upload{ID: client.NewID(), Files: files}, joined, nil), "nothing is sent again")

	require.NoError(t, os.Truncate(filepath.Join(dir, "f3.txt"), 10))
	s.content = nil
	err := c.Upload(t.Context(), client.Upload{ID: client.NewID(), Files: files}, joined, nil)
	require.Error(t, err, "a file that has become shorter")
}

// library serves a file in ranges, and breaks connections.
type library struct {
	content  []byte
	tag      string
	failures int
	ranges   []string
}

func (l *library) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.ranges = append(l.ranges, r.Header.Get("Range"))
	w.Header().Set("ETag", l.tag)
	if l.failures > 0 {
		l.failures--
		w = &breaking{ResponseWriter: w, left: len(l.content) / 3}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(l.content))
}

type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) > b.left {
		n, _ := b.ResponseWriter.Write(p[:b.left])
		_ = http.NewResponseController(b.ResponseWriter).Flush()
		_ = n
		panic(http.ErrAbortHandler)
	}
	b.left -= len(p)
	return b.ResponseWriter.Write(p)
}

func TestADownloadGoesOnWhereItBroke(t *testing.T) {
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content)
	l := &library{content: content, tag: `"a"`, failures: 2}
	c := serve(t, l.ServeHTTP)
	path := filepath.Join(t.TempDir(), "got")
	require.NoError(t, c.Download(t.Context(), "/v1/x", nil, path, nil))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.Len(t, l.ranges, 3)
	require.Empty(t, l.ranges[0])
	require.Regexp(t, `^bytes=\d+-$`, l.ranges[2])
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "no part stays behind")
	info, err := left[0].Info()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestAPartOfOtherContentIsNotCompleted(t *testing.T) {
	l := &library{content: bytes.Repeat([]byte("new"), 1000), tag: `"b"`}
	c := serve(t, l.ServeHTTP)
	path := filepath.Join(t.TempDir(), "got")
	for name, part := range map[string]string{"of an older version": `"a"`, "without a tag": "", "that is complete already": `"b"`} {
		require.NoError(t, os.WriteFile(path+".part", bytes.Repeat([]byte("x"), 3000), 0o600))
		require.NoError(t, os.WriteFile(path+".part.etag", []byte(part), 0o600))
		require.NoError(t, c.Download(t.Context(), "/v1/x", nil, path, nil), name)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(l.content), string(got), name)
	}
}

func TestARefusedDownloadLeavesNothing(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { problem(w, http.StatusForbidden, "forbidden", false) })
	dir := t.TempDir()
	err := c.Download(t.Context(), "/v1/x", nil, filepath.Join(dir, "got"), nil)
	require.True(t, client.IsCode(err, "forbidden"))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestTheBeginningOfAContentIsRead(t *testing.T) {
	l := &library{content: []byte("0123456789"), tag: `"a"`}
	c := serve(t, l.ServeHTTP)
	data, size, err := c.ReadRange(t.Context(), "/v1/x", 2, 3)
	require.NoError(t, err)
	require.Equal(t, "234", string(data))
	require.Equal(t, int64(10), size)
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
