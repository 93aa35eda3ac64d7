// Package paying is the consumer's role of a gateway: it answers people of its organisation by the models of others, and
// pays for them (docs/usage.md).
//
// Life of a paid request: somebody with an API key, or a certificate, sends what an OpenAI client sends. The package
// chooses a session of the account for the model (line), has the wallet number and sign the request (package wallet),
// and sends the same bytes to the gateway of the session's host with the signed voucher in a header. The answer is
// relayed as it comes and held against its leaf when it ends: receipt, commitments, units and fee (package evidence).
// Only when the wallet has accepted it, durably, the end of the answer leaves. A wrong answer stops the session: nothing
// more is signed in it, and the client gets a fault instead of the end.
//
// Places are accepted in order. An answer that comes early waits for those before it; when they stay away, or after a
// crash, they are fetched from the host. A client that goes away ends the host's work; what was produced is fetched and
// accepted without it. No text is kept: what the gateway holds on disk are keys, numbers and sums.
//
// Sessions come from the ledger: whoever opens one with a spending key that this gateway has made for the account can use
// it here at once. Of models that cost nothing there are neither sessions nor vouchers.
package paying

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	ledgersession "github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// Options are what the role works on.
type Options struct {
	Organisation string // the gateway's own, by its MSP ID
	Channel      string
	Index        *index.Index
	Wallet       *wallet.Wallet
	Keys         *Keys
	// Repeats is the journal of idempotency keys. It is closed with the role.
	Repeats journal.Medium
	// Host sends requests to the gateway of an organisation, as this gateway; the URL's host is the MSP ID.
	Host http.RoundTripper
	// DefaultTokens is how many tokens an answer may have whose request does not say.
	DefaultTokens uint64
	// Patience bounds how long a request waits for room in a session and for its host.
	Patience time.Duration
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// Consumer is the consumer's role. It is safe for concurrent use.
type Consumer struct {
	options Options
	metrics *metrics
	repeats *repeats
	// background ends with Close; work is what goes on without a client.
	background context.Context
	cancel     context.CancelFunc
	work       sync.WaitGroup
	recovered  sync.Once

	mutex  sync.Mutex
	offers map[string]*offer // rate cards in force, by name@version
	byName map[ledgersession.Named]*prepaid
	lines  map[lineKey]*line
	taken  index.Cursor  // up to here the ledger's changes are taken in
	moved  chan struct{} // closed when taken has moved
}

type lineKey struct {
	account ledger.Account
	model   string
}

// prepaid is a session that is paid from here.
type prepaid struct {
	ledgersession.Session
	sid   merkle.Hash
	offer *offer
	key   ed25519.PrivateKey
	line  *line
	// former are requests of a run before that had no answer when this one began.
	former []use.Request

	// How many answers are accepted, when the last one was (Unix nanoseconds), and for how many the host has a voucher.
	accepted, covered atomic.Uint64
	at                atomic.Int64
	// apart tells that the host's books did not have the session as it stands here when it was asked last, as after they
	// were restored from an earlier state: other sessions are taken before it.
	apart atomic.Bool

	mending sync.Mutex // one fetches at a time
	mutex   sync.Mutex
	flights map[uint64]*flight // requests under way, by number
}

// New makes the role. It does nothing before Run.
func New(o Options) (*Consumer, error) {
	if o.Index == nil || o.Wallet == nil || o.Keys == nil || o.Repeats == nil || o.Host == nil || o.Log == nil || o.Metrics == nil || o.DefaultTokens == 0 || o.Patience <= 0 {
		return nil, errors.New("make the consumer's role: something that it works on is missing")
	}
	m, err := newMetrics(o.Metrics, o.Wallet)
	if err != nil {
		return nil, err
	}
	c := &Consumer{options: o, metrics: m, offers: map[string]*offer{}, byName: map[ledgersession.Named]*prepaid{},
		lines: map[lineKey]*line{}, moved: make(chan struct{})}
	if c.repeats, err = openRepeats(o.Repeats); err != nil {
		return nil, err
	}
	c.background, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close ends what goes on without a client, and waits for it. The wallet stays open.
func (c *Consumer) Close() error {
	c.cancel()
	c.work.Wait()
	return c.repeats.close()
}

// sessions are those that are paid from here, in no order.
func (c *Consumer) sessions() []*prepaid {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	list := make([]*prepaid, 0, len(c.byName))
	for _, p := range c.byName {
		list = append(list, p)
	}
	return list
}

// session is one that is paid from here, by its id; nil for any other.
func (c *Consumer) session(id merkle.Hash) *prepaid {
	for _, p := range c.sessions() {
		if p.sid == id {
			return p
		}
	}
	return nil
}

// Holding is a session of an account as the wallet has it.
type Holding struct {
	ledgersession.Session
	wallet.Standing
	Vouched uint64 // answers for which the host has a voucher
}

// Holdings lists the sessions of an account that are paid from here, by name.
func (c *Consumer) Holdings(account ledger.Account) ([]Holding, error) {
	var list []Holding
	for _, p := range c.sessions() {
		if p.Account != account {
			continue
		}
		standing, err := c.options.Wallet.Session(p.sid)
		if errors.Is(err, wallet.ErrUnknown) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, Holding{p.Session, standing, p.covered.Load()})
	}
	slices.SortFunc(list, func(a, b Holding) int { return strings.Compare(a.Session.Name, b.Session.Name) })
	return list, nil
}

// MakeKey makes a spending key for an account.
func (c *Consumer) MakeKey(account ledger.Account) (string, error) {
	key, err := c.options.Keys.Make(account)
	return key.String(), err
}

// Spent is what an API key has paid, and what its requests under way may still cost, in micro-credits.
func (c *Consumer) Spent(keyID string) (fees, caps uint64) {
	return c.options.Wallet.Spent(Caller{Key: keyID}.purse())
}
