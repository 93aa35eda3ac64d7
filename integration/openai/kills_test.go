package openai_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/integration/market"
)

var (
	paidRequests = flag.Int("paid", 240, "requests that are paid at least while gateways are killed")
	killings     = flag.Int("kills", 3, "how often one of the gateways is killed meanwhile")
	nodeKillings = flag.Int("node-kills", 2, "how often a peer or an orderer is killed meanwhile")
	payers       = flag.Int("payers", 24, "clients that pay at once")
)

const (
	window = 4
	// stubborn is how long a client repeats a request that fails.
	stubborn = 2 * time.Minute
)

// tallied is what clients have been given, by session.
type tallied struct {
	mutex sync.Mutex
	uses  map[merkle.Hash]uint64
	fees  map[merkle.Hash]money.Amount
	last  map[merkle.Hash]uint64 // the last place
	seen  map[[2]string]bool     // session and place
}

func (s *tallied) add(a answered) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	id := [2]string{a.Session.String(), fmt.Sprint(a.Place)}
	if s.seen[id] {
		return fmt.Errorf("the answer at place %d of session %s was given twice", a.Place, a.Session)
	}
	s.seen[id] = true
	s.last[a.Session] = max(s.last[a.Session], a.Place)
	s.uses[a.Session]++
	s.fees[a.Session] += a.Fee
	return nil
}

// answered is what a client reads of an answer.
type answered struct {
	Session merkle.Hash  `json:"session"`
	Place   uint64       `json:"place"`
	Fee     money.Amount `json:"fee"`
}

// given is what clients were given in this test, for those that account for it.
var given = &tallied{uses: map[merkle.Hash]uint64{}, fees: map[merkle.Hash]money.Amount{}, last: map[merkle.Hash]uint64{}, seen: map[[2]string]bool{}}

// abroadPayer uses the model that the organisation of its account hosts.
var abroadPayer payer

// deaths counts how often each gateway was killed.
var deaths = map[string]int{}

// payer is a client of one account for one model.
type payer struct {
	http      *http.Client
	url       string
	token     string
	model     string
	fee       money.Amount
	repeating bool // with an Idempotency-Key
	streaming bool
}

// payWhileProcessesDie has clients of two accounts use three models, of which one is hosted by the organisation of one of
// the accounts, and kills gateways, peers and orderers in turn.
func payWhileProcessesDie(t *testing.T, m *market.Market) {
	abroad, err := m.Publish(t.Context(), market.Offer{Version: "3", Host: market.Consumer, PriceIn: 100_000, PriceOut: 500_000})
	require.NoError(t, err)
	dear, err := m.Publish(t.Context(), market.Offer{Version: "4", Host: market.Owner, PriceIn: 200_000, PriceOut: 700_000})
	require.NoError(t, err)
	for _, s := range standings(t, m, market.Consumer) { // the stories before, whose clients were given everything
		given.uses[s.ID], given.fees[s.ID] = s.Uses, s.Spent
	}
	var all []*payer
	for _, msp := range []string{market.Consumer, market.Third} {
		for _, card := range []model.Card{m.Paid, abroad, dear} {
			all = append(all, openPayers(t, m, msp, card, *payers/6)...)
		}
	}
	abroadPayer = *all[*payers/6]
	var made, done, again atomic.Int64
	var killed atomic.Bool // as often as it is to be
	begun := time.Now()
	group, ctx := errgroup.WithContext(t.Context())
	for _, p := range all {
		group.Go(func() error {
			for made.Add(1) <= int64(*paidRequests) || !killed.Load() {
				tries, err := p.pay(ctx, market.ID())
				again.Add(int64(tries - 1))
				if err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	replays := 0
	var away outages
	order := []string{market.Owner, market.Consumer, market.Third}
	var strikes []func()
	for i := range max(*killings, *nodeKillings) {
		if i < *killings {
			strikes = append(strikes, func() {
				msp := order[i%len(order)]
				cut, paying := beforeThePowerIsCut(ctx, t, m, msp)
				if !paying {
					return
				}
				require.NoError(t, m.Kill(msp))
				deaths[msp]++
				replays += cut.check(t)
				require.NoError(t, m.Restart(t.Context(), msp))
			})
		}
		if i < *nodeKillings {
			strikes = append(strikes, func() { away.kill(t, m, i) })
		}
	}
	for i, strike := range strikes {
		for goal := int64((i + 1) * *paidRequests / (len(strikes) + 1)); done.Load() < goal && ctx.Err() == nil; {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		strike()
	}
	killed.Store(true)
	require.NoError(t, <-ended)
	took := time.Since(begun)
	t.Logf("%d paid requests of %d clients in %v (%.0f/s); killed: %d gateways, %s; %d tries more; %d journals replayed after a power cut", done.Load(), len(all), took.Round(time.Millisecond),
		float64(done.Load())/took.Seconds(), *killings, &away, again.Load(), replays)
	require.GreaterOrEqual(t, done.Load(), int64(*paidRequests))
}

// openPayers makes so many clients of the consumer of an organisation for a model, and sessions enough for them, with an
// API key each.
func openPayers(t *testing.T, m *market.Market, msp string, card model.Card, count int) (list []*payer) {
	person, err := m.Person(msp, market.ConsumerName)
	require.NoError(t, err)
	defer person.Close()
	_, roots, err := m.Folder(msp, market.ConsumerName)
	require.NoError(t, err)
	fee, err := use.Fee(4, 23, uint64(card.PriceIn), uint64(card.PriceOut))
	require.NoError(t, err)
	sessions := (count + window - 1) / window
	escrow := credits / 4 / money.Amount(sessions)
	for range sessions {
		made, err := client.Do[rest.SpendingKey](t.Context(), person, http.MethodPost, client.Path("spending-keys"), nil)
		require.NoError(t, err)
		terms := session.Terms{Model: model.CardName{Named: card.Named, Card: card.Card}, Card: card.Digest, Host: card.Host, Window: window, Grace: use.MinGrace,
			Expires: time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second), Disclosure: use.DiscloseSample, Escrow: escrow}
		require.NoError(t, terms.Key.UnmarshalText([]byte(made.Key)))
		_, _, err = client.Submit[session.Session](t.Context(), person, "session:Open", "", session.Open{Name: market.ID(), Terms: terms})
		require.NoError(t, err)
	}
	budget := money.Amount(credits)
	for i := range count {
		key, err := client.Do[rest.NewKey](t.Context(), person, http.MethodPost, client.Path("keys"), identity.KeyRequest{Scopes: []identity.Scope{identity.Use},
			Expires: time.Now().Add(3 * time.Hour).UTC().Truncate(time.Second), Budget: &budget})
		require.NoError(t, err)
		list = append(list, &payer{http: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}},
			url: m.URL(msp), token: key.Token, model: card.Named.String(), fee: money.Amount(fee), repeating: i%2 == 1, streaming: i%4 > 1})
	}
	return list
}

// errSettled is an answer that is no longer kept, since it is settled.
var errSettled = errors.New("the answer is settled and no longer kept")

// errTransient is a failure that a client repeats a request after.
var errTransient = errors.New("the request failed and may be sent again")

// pay has one request answered, however often it takes.
func (p *payer) pay(ctx context.Context, key string) (tries int, err error) {
	ctx, cancel := context.WithTimeout(ctx, stubborn)
	defer cancel()
	for {
		tries++
		a, err := p.ask(ctx, key)
		if err == nil {
			if a.Fee != p.fee {
				return tries, fmt.Errorf("a fee of %d, not %d", a.Fee, p.fee)
			}
			return tries, given.add(a)
		}
		if errors.Is(err, errSettled) {
			return tries, nil // it was paid for and reached no client, which accountForAll counts
		}
		if !errors.Is(err, errTransient) {
			return tries, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return tries, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// transient are faults that go by when a gateway is back.
var transient = []string{"upstream_unavailable", "in_progress", "rate_limit_exceeded", "model_not_found", "internal_error", "session_unknown", "insufficient_quota"}

func (p *payer) ask(ctx context.Context, key string) (a answered, err error) {
	body := fmt.Sprintf(`{"model":%q,"max_tokens":40,"stream":%v,"messages":[{"role":"user","content":"Who are we few?"}]}`, p.model, p.streaming)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/openai/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return a, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+p.token)
	if p.repeating {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := p.http.Do(request)
	if err != nil {
		return a, errors.Join(errTransient, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return a, errors.Join(errTransient, err)
	}
	if response.StatusCode != http.StatusOK {
		return a, faultOf(response.StatusCode, text)
	}
	if p.streaming {
		return readStream(text)
	}
	var read struct {
		Datanet *answered `json:"datanet"`
	}
	if err := json.Unmarshal(text, &read); err != nil || read.Datanet == nil {
		return a, fmt.Errorf("%w: %.300s", err, text)
	}
	return *read.Datanet, nil
}

func faultOf(status int, text []byte) error {
	var read struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	err := fmt.Errorf("%d: %.300s", status, text)
	switch failure := json.Unmarshal(text, &read); {
	case failure == nil && slices.Contains(transient, read.Error.Code):
		return errors.Join(errTransient, err)
	case failure == nil && read.Error.Code == "settled":
		return errors.Join(errSettled, err)
	}
	return err
}

// readStream reads the events of a stream. One that breaks off has no end, and may be asked for again.
func readStream(text []byte) (a answered, err error) {
	for line := range bytes.Lines(text) {
		data, is := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if !is || bytes.Equal(data, []byte("[DONE]")) {
			continue
		}
		var event struct {
			Datanet *answered       `json:"datanet"`
			Error   json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(data, &event); err != nil {
			return a, errors.Join(errTransient, err)
		}
		if event.Error != nil {
			return a, faultOf(http.StatusOK, data)
		}
		if event.Datanet != nil {
			return *event.Datanet, nil
		}
	}
	return a, errTransient
}

// revoke ends the grant by which another organisation's host holds the data, and asks for its model until it is not answered
// any more: then its corpus is gone. What was answered before is accounted for as all other uses.
func revoke(t *testing.T, m *market.Market) {
	curator, err := m.Person(market.Owner, "curator1")
	require.NoError(t, err)
	defer curator.Close()
	grants, _, err := client.Get[ledger.Page[access.Grant]](t.Context(), curator, client.Path("datanets", market.Datanet, "grants"), nil)
	require.NoError(t, err)
	require.Len(t, grants.Items, 1)
	require.Equal(t, market.Consumer, grants.Items[0].Grantee)
	_, err = m.Submit(t.Context(), market.Owner, "curator1", "access:Revoke", grants.Items[0].Named)
	require.NoError(t, err)
	p := abroadPayer
	p.streaming, p.repeating = false, false
	require.Eventually(t, func() bool {
		a, err := p.ask(t.Context(), "")
		if err == nil {
			require.NoError(t, given.add(a))
			return false
		}
		require.ErrorContains(t, err, "upstream_unavailable")
		return true
	}, stubborn, 50*time.Millisecond)
}

// standing is a session as its consumer's gateway and as the ledger has it.
type standing struct {
	rest.WalletSession
	msp string
	tab session.Tab
}

// accountForAll has everything settled, attested and paid out, and holds what clients were given, what wallets have
// accepted and what hosts have claimed against each other. Then it stops everything and counts every peer's credits.
func accountForAll(t *testing.T, m *market.Market) {
	operators := map[string]*client.Client{}
	for _, msp := range []string{market.Owner, market.Consumer} {
		operator, err := m.Person(msp, "operator1")
		require.NoError(t, err)
		defer operator.Close()
		operators[msp] = operator
	}
	var all []standing
	require.Eventually(t, func() bool {
		all = nil
		for _, msp := range []string{market.Consumer, market.Third} {
			all = append(all, standings(t, m, msp)...)
		}
		for _, operator := range operators {
			if _, err := client.Do[rest.Items[claim.Claim]](t.Context(), operator, http.MethodPost, "/v1/serving/settle", nil); err != nil {
				t.Log(err)
				return false
			}
		}
		return !slices.ContainsFunc(all, func(s standing) bool { return s.Waiting > 0 || uint64(s.tab.N) != s.Uses })
	}, 2*time.Minute, time.Second, "the voucher for the last answers comes when the session rests")
	var uses uint64
	var spent, lost money.Amount
	var unseen, bound uint64
	for _, s := range all {
		require.Empty(t, s.Stopped)
		require.Equal(t, s.Spent, s.tab.Amount, "what the host has claimed of session %s is what the consumer has accepted", s.Name)
		require.LessOrEqual(t, s.tab.Amount, s.tab.Funded)
		uses, spent = uses+s.Uses, spent+s.Spent
		got := given.uses[s.ID]
		require.LessOrEqual(t, given.fees[s.ID], s.Spent)
		most := uint64(window * (deaths[s.msp] + deaths[s.Host.MSP()]))
		require.LessOrEqual(t, s.Uses-got, most, "paid answers of session %s that no client was given", s.Name)
		unseen, lost, bound = unseen+s.Uses-got, lost+s.Spent-given.fees[s.ID], bound+most
	}
	const own = 6 // of the client of one's own
	wasted := written.Load() - int64(uses) - own
	require.GreaterOrEqual(t, wasted, int64(0), "nothing is paid that was not answered")
	require.LessOrEqual(t, wasted, int64(bound), "answers that a crash has ended before they counted")
	t.Logf("%d sessions: %d uses for %d micro-credits; %d of them, %d micro-credits, reached no client (at most %d by the window); %d answers written for nothing; killed: %v",
		len(all), uses, spent, unseen, lost, bound, wasted, deaths)

	claims := awaitPaid(t, m)
	var claimed uint64
	var fees money.Amount
	for _, c := range claims {
		claimed, fees = claimed+uint64(c.Uses), fees+c.Fees
	}
	require.Equal(t, uses+own, claimed)
	require.Equal(t, spent+own*11_900, fees)
	t.Logf("%d settlements of %d uses, every one attested by two organisations and paid out", len(claims), claimed)
	countEverywhere(t, m, fees)
}

func standings(t *testing.T, m *market.Market, msp string) (list []standing) {
	person, err := m.Person(msp, market.ConsumerName)
	require.NoError(t, err)
	defer person.Close()
	wallet, _, err := client.Get[rest.Wallet](t.Context(), person, client.Path("wallet"), nil)
	require.NoError(t, err)
	for _, s := range wallet.Sessions {
		account := string(ledger.NewAccount(msp, market.ConsumerName))
		detail, _, err := client.Get[session.Detail](t.Context(), person, client.Path("accounts", account, "sessions", s.Name), nil)
		require.NoError(t, err)
		list = append(list, standing{s, msp, detail.Tab})
	}
	return list
}

// awaitPaid waits until every claim is paid, and holds the votes of each against its quorum.
func awaitPaid(t *testing.T, m *market.Market) (claims []claim.Claim) {
	operator, err := m.Person(market.Owner, "operator1")
	require.NoError(t, err)
	defer operator.Close()
	require.Eventually(t, func() bool {
		claims = nil
		for _, msp := range []string{market.Owner, market.Consumer} {
			for query := (url.Values{}); ; {
				page, _, err := client.Get[ledger.Page[claim.Claim]](t.Context(), operator, client.Path("hosts", string(ledger.NewAccount(msp, "host1")), "claims"), query)
				require.NoError(t, err)
				claims = append(claims, page.Items...)
				if page.Next == "" {
					break
				}
				query.Set("cursor", page.Next)
			}
		}
		return !slices.ContainsFunc(claims, func(c claim.Claim) bool { return c.State != claim.Released })
	}, 10*time.Minute, time.Second, "everything is attested and paid out")
	for _, c := range claims {
		require.Zero(t, c.Left)
		require.Equal(t, 2, c.Quorum)
		detail, _, err := client.Get[claim.Detail](t.Context(), operator, client.Path("hosts", string(c.Host), "claims", c.ID), nil)
		require.NoError(t, err)
		tables := map[merkle.Hash]int{}
		for _, v := range detail.Votes {
			if v.By != "" {
				tables[v.Table]++
			}
		}
		require.Equal(t, []int{2}, slices.Collect(maps.Values(tables)), "two organisations have found the same table of settlement %s", c.ID)
	}
	return claims
}

// countEverywhere stops the network and counts the credits in every peer's state.
func countEverywhere(t *testing.T, m *market.Market, fees money.Amount) {
	states, err := m.States(t.Context())
	require.NoError(t, err)
	require.Len(t, states, 4)
	first := states[market.Owner]
	for msp, state := range states {
		var tally token.Tally
		for _, entry := range state {
			require.NoError(t, tally.Add(entry.Key, entry.Value))
		}
		require.NoError(t, tally.Check(), "state of the peer of %s", msp)
		require.EqualValues(t, 2*credits, tally.Issued)
		require.Zero(t, tally.Claims)
		require.Equal(t, first, state, "state of the peer of %s", msp)
		t.Logf("%s: %d keys, %+v", msp, len(state), tally)
	}
	require.Positive(t, fees)
}
