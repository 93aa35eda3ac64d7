package paying_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	corpusindex "github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	ledgersession "github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/paying"
)

// cheat is how a host breaks the protocol.
type cheat string

const (
	honest    cheat = "honest"
	inflates  cheat = "inflates units"
	swaps     cheat = "swaps receipts"
	raises    cheat = "raises a fee"
	rewrites  cheat = "commits to another output than it sends"
	foreign   cheat = "gives the leaf of another request"
	bare      cheat = "gives no leaf"
	twice     cheat = "gives two leaves for one place"
	withholds cheat = "withholds answers"
)

// host is a host's gateway on a real meter that answers from a small text, and cheats when it is told to.
type host struct {
	t       *testing.T
	meter   *meter.Meter
	card    model.Card
	engine  *indexed.Engine
	server  *httptest.Server
	address string

	mutex    sync.Mutex
	cheat    cheat
	stored   map[merkle.Hash][]paying.Stored // by session
	hidden   map[merkle.Hash]map[uint64]bool // places that are withheld
	refusals []*openai.Error
	lost     map[merkle.Hash]bool // sessions of which it knows nothing
	busy     string               // requests whose body has this text are refused for now
	delayed  int                  // how many were
	gate     chan struct{}        // not nil: answers wait for it
	held     chan struct{}
}

const verse = "we few we happy few we band of brothers for he to-day that sheds his blood with me shall be my brother"

func newHost(t *testing.T, card model.Card) *host {
	h := &host{t: t, card: card, cheat: honest, stored: map[merkle.Hash][]paying.Stored{}, hidden: map[merkle.Hash]map[uint64]bool{}, lost: map[merkle.Hash]bool{}}
	view, err := corpusindex.InMemory(t.Context(), corpusindex.FromCorpus(attribution.Corpus{{ID: "1", Account: "BMSP:ann", Records: [][]byte{[]byte(verse)}}}), corpusindex.Options{})
	require.NoError(t, err)
	h.engine = indexed.New(view)
	h.meter, err = meter.Open(&journaltest.Memory{}, meter.Limits{Exposure: 1 << 40, Unsettled: 1 << 20})
	require.NoError(t, err)
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	u, err := url.Parse(h.server.URL)
	require.NoError(t, err)
	h.address = u.Host
	return h
}

// RoundTrip is how the consumer's gateway reaches the host's.
func (h *host) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != rulestest.C {
		return nil, errors.New("no gateway of " + r.URL.Host)
	}
	r.URL.Scheme, r.URL.Host = "http", h.address
	return http.DefaultTransport.RoundTrip(r)
}

func (h *host) cheats(c cheat) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.cheat = c
}

// releases shows what was withheld.
func (h *host) releases() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.cheat, h.hidden = honest, map[merkle.Hash]map[uint64]bool{}
}

func (h *host) refuse(e *openai.Error, times int) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for range times {
		h.refusals = append(h.refusals, e)
	}
}

// delay has requests with a text refused for now, or none.
func (h *host) delay(text string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.busy = text
}

func (h *host) hasDelayed() bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.delayed > 0
}

// lose has the host know nothing of a session, or know it again.
func (h *host) lose(s ledgersession.Session, lost bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.lost[s.ID] = lost
}

// hold has the next answer wait; awaitHeld returns once it does.
func (h *host) hold() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.gate, h.held = make(chan struct{}), make(chan struct{}, 1)
}

func (h *host) awaitHeld() { <-h.held }

func (h *host) resume() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	close(h.gate)
	h.gate = nil
}

func (h *host) track(s ledgersession.Session) {
	terms := use.Terms{Account: string(s.Account), Host: string(s.Host), Card: s.Card, Key: s.Key, Window: uint16(s.Window),
		Expires: uint64(s.Expires.Unix()), Grace: uint16(s.Grace), Disclosure: s.Disclosure, Escrow: uint64(s.Escrow)}
	_, err := hex.Decode(terms.Name[:], []byte(s.Name))
	require.NoError(h.t, err)
	sid, err := h.meter.Track("datanet", terms, meter.Card{Digest: s.Card, PriceIn: uint64(h.card.PriceIn), PriceOut: uint64(h.card.PriceOut), Data: 600_000})
	require.NoError(h.t, err)
	require.Equal(h.t, s.ID, sid)
}

func (h *host) topUp(s ledgersession.Session, id string, amount uint64) {
	require.NoError(h.t, h.meter.TopUp(s.ID, id, amount))
}

func (h *host) meterOf(s ledgersession.Session) meter.Funds {
	h.t.Helper()
	funds, err := h.meter.Session(s.ID)
	require.NoError(h.t, err)
	return funds
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if sid, ok := strings.CutPrefix(r.URL.Path, "/v1/serving/sessions/"); ok {
		h.answers(w, r, strings.TrimSuffix(sid, "/answers"))
		return
	}
	if r.URL.Path == paying.VouchersPath {
		v, signature, err := openai.DecodeVoucherHeader(r.Header.Get(openai.VoucherHeader))
		require.NoError(h.t, err)
		require.NoError(h.t, h.meter.Vouch(v, signature))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err := h.answer(w, r); err != nil {
		var refusal *openai.Error
		if !errors.As(err, &refusal) {
			refusal = openai.Refuse(code(err), "", "%v", err)
		}
		refusal.Write(w)
	}
}

func code(err error) openai.Code {
	for target, code := range map[error]openai.Code{meter.ErrUnknown: openai.CodeSessionUnknown, meter.ErrWindow: openai.CodeWindow, meter.ErrFunds: openai.CodeFunds,
		meter.ErrInProgress: openai.CodeInProgress, meter.ErrConflict: openai.CodeConflict, meter.ErrVoucher: openai.CodeVoucher} {
		if errors.Is(err, target) {
			return code
		}
	}
	return openai.CodeInvalid
}

func (h *host) answers(w http.ResponseWriter, r *http.Request, text string) {
	var sid merkle.Hash
	require.NoError(h.t, sid.UnmarshalText([]byte(text)))
	from, err := strconv.Atoi(r.URL.Query().Get("from"))
	require.NoError(h.t, err)
	most, err := strconv.Atoi(r.URL.Query().Get("most"))
	require.NoError(h.t, err)
	h.mutex.Lock()
	defer h.mutex.Unlock()
	list := []paying.Stored{}
	for _, s := range h.stored[sid] {
		if s.Place >= uint64(from) && len(list) < most && !h.hidden[sid][s.Place] {
			list = append(list, s)
		}
	}
	if len(list) > 0 && list[0].Place != uint64(from) { // a gap
		list = list[:0]
	}
	data, err := json.Marshal(list)
	require.NoError(h.t, err)
	w.Write(data)
}

// answer answers a paid request as a host's gateway does.
func (h *host) answer(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	require.NoError(h.t, err)
	kind, err := openai.KindOf(r.URL.Path)
	require.NoError(h.t, err)
	request, err := openai.Parse(kind, body)
	require.NoError(h.t, err)
	if r.Header.Get(openai.VoucherHeader) == "" {
		return h.free(w, r.URL.Path, request, body)
	}
	ask, err := openai.DecodeAsk(r.Header.Get(openai.VoucherHeader))
	require.NoError(h.t, err)
	require.Equal(h.t, merkle.Hash(sha256.Sum256(body)), ask.Request.Body)
	h.mutex.Lock()
	c, gate, held := h.cheat, h.gate, h.held
	if h.lost[ask.Voucher.Session] {
		h.mutex.Unlock()
		return meter.ErrUnknown
	}
	if h.busy != "" && bytes.Contains(body, []byte(h.busy)) {
		h.delayed++
		h.mutex.Unlock()
		return meter.ErrInProgress
	}
	if len(h.refusals) > 0 {
		first := h.refusals[0]
		h.refusals = h.refusals[1:]
		h.mutex.Unlock()
		return first
	}
	h.mutex.Unlock()
	sid, number := ask.Voucher.Session, ask.Request.Number
	old, err := h.meter.Admit(time.Now(), meter.Ask(ask))
	if err != nil {
		return err
	}
	var s paying.Stored
	if old == nil {
		if s, err = h.commit(ask, r.URL.Path, body, words(request), request, c); err != nil {
			return err
		}
		if gate != nil {
			held <- struct{}{}
			select {
			case <-gate:
			case <-r.Context().Done():
				return errors.New("the client is gone")
			}
		}
	} else {
		h.mutex.Lock()
		s = h.stored[sid][old.Place]
		h.mutex.Unlock()
	}
	h.mutex.Lock()
	hidden := h.hidden[sid][s.Place]
	h.mutex.Unlock()
	if hidden {
		panic(http.ErrAbortHandler) // it never comes
	}
	shown := *s.Datanet
	if c == bare {
		s.Datanet = nil
	} else {
		s.Datanet = &shown
		h.lie(c, s.Datanet, number)
	}
	return h.show(w, request, s)
}

// words are as many as the request asks for.
func words(r *openai.Request) string {
	all := strings.Fields(verse)
	return strings.Join(all[:min(int(r.MaxTokens), len(all))], " ")
}

// free answers a request that costs nothing.
func (h *host) free(w http.ResponseWriter, path string, request *openai.Request, body []byte) error {
	h.mutex.Lock()
	c := h.cheat
	h.mutex.Unlock()
	e, encoded, id := h.receipt(path, body, words(request), c)
	return h.show(w, request, paying.Stored{Output: []byte(words(request)), Datanet: openai.FreeDatanet(id, encoded, e.Nonces)})
}

// receipt makes the receipt of an answer, or of another one.
func (h *host) receipt(path string, body []byte, text string, c cheat) (*evidence.Evidence, []byte, merkle.Hash) {
	e := &evidence.Evidence{Path: path, Body: body, Output: []byte(text), Nonces: attribution.Nonces{Prompt: attribution.Nonce{1}, Context: attribution.Nonce{2}, Output: attribution.Nonce{3}}}
	if c == rewrites {
		e.Output = []byte("another output of five")
	}
	var artifact merkle.Hash
	require.NoError(h.t, artifact.UnmarshalText([]byte(rulestest.Hash)))
	a, err := e.Answer(modelName, artifact, []merkle.Hash{{7}}, 2)
	require.NoError(h.t, err)
	receipt, err := h.engine.Receipt(a)
	require.NoError(h.t, err)
	encoded, err := receipt.Encode()
	require.NoError(h.t, err)
	id, err := receipt.ID()
	require.NoError(h.t, err)
	return e, encoded, id
}

// commit makes the answer the next leaf, or a wrong one.
func (h *host) commit(ask openai.Ask, path string, body []byte, text string, request *openai.Request, c cheat) (s paying.Stored, err error) {
	sid := ask.Voucher.Session
	e, encoded, id := h.receipt(path, body, text, c)
	in, out := evidence.Tokens(request.Prompt()...), evidence.Tokens([]byte(text))
	h.mutex.Lock()
	defer h.mutex.Unlock()
	switch c {
	case inflates:
		in++
	case swaps:
		id[0]++
	}
	answer, err := h.meter.Commit(time.Now(), sid, ask.Request.Number, in, out, id, encoded)
	if err != nil {
		return s, err
	}
	d, err := openai.NewDatanet(answer.Place, answer.Leaf, ask, encoded, e.Nonces)
	require.NoError(h.t, err)
	s = paying.Stored{Place: answer.Place, Path: path, Body: body, Output: []byte(text), Datanet: d}
	h.stored[sid] = append(h.stored[sid], s)
	if c == withholds {
		if h.hidden[sid] == nil {
			h.hidden[sid] = map[uint64]bool{}
		}
		h.hidden[sid][s.Place] = true
	}
	return s, nil
}

// lie changes what is shown of a leaf that was committed.
func (h *host) lie(c cheat, d *openai.Datanet, number uint64) {
	leaf, ask, err := d.Paid()
	require.NoError(h.t, err)
	switch c {
	case raises:
		leaf.Fee++
	case foreign:
		leaf.Number = number + 1
		ask.Request.Number++
	case twice:
		d.Place--
	default:
		return
	}
	changed, err := openai.NewDatanet(d.Place, leaf, ask, d.Receipt, d.Nonces())
	require.NoError(h.t, err)
	*d = *changed
}

func (h *host) show(w http.ResponseWriter, request *openai.Request, s paying.Stored) error {
	head := openai.Head{Kind: request.Kind, ID: "chatcmpl-1", Created: 1, Model: request.Model}
	usage := openai.NewUsage(4, 5)
	if !request.Stream {
		data, err := (&openai.Answer{Head: head, Text: string(s.Output), Finish: openai.FinishLength, Usage: usage, Datanet: s.Datanet}).Encode()
		require.NoError(h.t, err)
		w.Header().Set("Content-Type", "application/json")
		_, err = w.Write(data)
		return ignoreGone(err)
	}
	w.Header().Set("Content-Type", openai.StreamType)
	out := openai.NewWriter(w, func() error { w.(http.Flusher).Flush(); return nil }, head)
	for _, word := range strings.SplitAfter(string(s.Output), " ") {
		if err := out.Write(word); err != nil {
			return nil
		}
	}
	return ignoreGone(out.End(openai.FinishLength, usage, s.Datanet))
}

func ignoreGone(error) error { return nil }
