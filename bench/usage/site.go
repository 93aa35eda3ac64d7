package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	prommodel "github.com/prometheus/common/model"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/integration/market"
)

// site is a market, a trivial server behind its model, and the clients.
type site struct {
	settings
	*market.Market
	say      func(string)
	upstream net.Listener
	token    string // of the API key that uses are paid with
	bare     *hops
	sessions int

	hopping, unpaid, paid target
}

// verse is what answers are made of, a part of the corpus that receipts find again.
const verse = "we few we happy few we band of brothers for he to-day that sheds his blood with me shall be my brother be he ne'er so vile " +
	"this day shall gentle his condition and gentlemen in England now a-bed shall think themselves accursed they were not here and hold their manhoods cheap"

func start(ctx context.Context, s settings, dir string, log *slog.Logger, say func(string)) (b *site, err error) {
	b = &site{settings: s, say: say}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.upstream = listener
	go answerAll(listener, s.tokens)
	text := strings.Repeat(verse+"\n\n", 1) + other
	if b.Market, err = market.Open(ctx, market.Options{Dir: dir, Text: text, Upstream: "http://" + listener.Addr().String() + "/v1", PriceIn: 1_000, PriceOut: 5_000,
		Credits: 1_000_000_000_000, Log: log, Progress: say,
		// What is measured must not wait for settlement, nor settle in between.
		Settings: []string{"serving.unsettled=2000000", "serving.exposure=1000000000000", "serving.abreast=4096", "settlement.amount=1000000000000000"}}); err != nil {
		return nil, errors.Join(err, b.upstream.Close())
	}
	if err := b.prepare(ctx); err != nil {
		return nil, errors.Join(err, b.stop())
	}
	return b, nil
}

// other is the rest of the corpus.
const other = "once more unto the breach dear friends once more or close the wall up with our English dead in peace there's nothing so becomes a man\n"

func (b *site) stop() error {
	var faults []error
	if b.bare != nil {
		faults = append(faults, b.bare.close())
	}
	return errors.Join(append(faults, b.Market.Close(), b.upstream.Close())...)
}

// answerAll is the server behind the model. It answers at once, always the same, with as little work as can be.
func answerAll(listener net.Listener, tokens int) {
	words := strings.Fields(strings.Repeat(verse+" ", tokens/40+1))
	text := strings.Join(words[:min(tokens, len(words))], " ")
	body, _ := json.Marshal(map[string]any{"id": "x", "object": "chat.completion", "created": 1, "model": "upstream", // of texts, which cannot fail
		"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": text}}}})
	chunk, _ := json.Marshal(map[string]any{"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "upstream",
		"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "delta": map[string]any{"role": "assistant", "content": text}}}})
	whole := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	events := fmt.Sprintf("data: %s\n\ndata: [DONE]\n\n", chunk)
	stream := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%s", len(events), events)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // it is closed
		}
		go func() {
			defer conn.Close()
			for from := bufio.NewReader(conn); ; {
				asked, err := http.ReadRequest(from)
				if err != nil {
					return
				}
				data, err := io.ReadAll(asked.Body)
				if err != nil {
					return
				}
				answer := whole
				if bytes.Contains(data, []byte(`"stream":true`)) {
					answer = stream
				}
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

// target is what requests are sent to.
type target struct {
	address string
	model   string
	shows   string // in every answer
	callers []*caller
}

// caller is a client with a connection of its own, which does as little as can be.
type caller struct {
	config *tls.Config
	conn   *tls.Conn
	from   *bufio.Reader
}

func callers(count int, roots *x509.CertPool) (list []*caller) {
	for range count {
		list = append(list, &caller{config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}})
	}
	return list
}

// post sends a body and reads the answer.
func (c *caller) post(address, token, body string) (status int, text []byte, err error) {
	if c.conn == nil {
		if c.conn, err = tls.Dial("tcp", address, c.config); err != nil {
			return 0, nil, err
		}
		c.from = bufio.NewReader(c.conn)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.conn.Close())
			c.conn = nil
		}
	}()
	if _, err := fmt.Fprintf(c.conn, "POST /openai/v1/chat/completions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		address, token, len(body), body); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(c.from, nil)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// prepare opens as many sessions as the clients need, and makes the API key and the connections.
func (b *site) prepare(ctx context.Context) error {
	person, err := b.Person(market.Consumer, market.ConsumerName)
	if err != nil {
		return err
	}
	defer person.Close()
	b.sessions = (b.clients + b.window - 1) / b.window
	escrow := money.Amount(500_000_000_000 / int64(b.sessions))
	for range b.sessions {
		made, err := client.Do[rest.SpendingKey](ctx, person, http.MethodPost, client.Path("spending-keys"), nil)
		if err != nil {
			return err
		}
		terms := session.Terms{Model: model.CardName{Named: b.Paid.Named, Card: b.Paid.Card}, Card: b.Paid.Digest, Host: b.Paid.Host, Window: b.window, Grace: use.MinGrace,
			Expires: time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second), Disclosure: use.DiscloseSample, Escrow: escrow}
		if err := terms.Key.UnmarshalText([]byte(made.Key)); err != nil {
			return err
		}
		if _, _, err := client.Submit[session.Session](ctx, person, "session:Open", "", session.Open{Name: market.ID(), Terms: terms}); err != nil {
			return err
		}
	}
	budget := money.Amount(1_000_000_000_000)
	key, err := client.Do[rest.NewKey](ctx, person, http.MethodPost, client.Path("keys"), identity.KeyRequest{Label: "bench", Scopes: []identity.Scope{identity.Use},
		Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second), Budget: &budget})
	if err != nil {
		return err
	}
	b.token = key.Token
	_, roots, err := b.Folder(market.Consumer, market.ConsumerName)
	if err != nil {
		return err
	}
	if b.bare, err = b.bareHops(); err != nil {
		return err
	}
	gateway := strings.TrimPrefix(b.URL(market.Consumer), "https://")
	shared := callers(b.clients, roots)
	b.unpaid = target{gateway, b.Free.Named.String(), `"receipt_id"`, shared}
	b.paid = target{gateway, b.Paid.Named.String(), `"leaf"`, shared}
	b.hopping = target{b.bare.address, "upstream", `"choices"`, callers(b.clients, roots)}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		shown, _, err := client.Get[rest.Wallet](ctx, person, client.Path("wallet"), nil)
		if err != nil {
			return err
		}
		if len(shown.Sessions) == b.sessions {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for the sessions: %w", ctx.Err())
		}
	}
	for _, to := range []target{b.hopping, b.unpaid, b.paid} {
		for {
			err := b.ask(ctx, to, 0, 0)
			if err == nil {
				break
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("wait until %s is served: %w", to.model, errors.Join(ctx.Err(), err))
			}
		}
	}
	return nil
}

// ask sends a request and reads the answer.
func (b *site) ask(ctx context.Context, to target, client, number int) error {
	body := fmt.Sprintf(`{"model":%q,"max_tokens":%d,"stream":%v,"messages":[{"role":"user","content":"Say number %d of what the king has said before the battle."}]}`,
		to.model, b.tokens+10, b.stream, number)
	if err := ctx.Err(); err != nil {
		return err
	}
	status, text, err := to.callers[client].post(to.address, b.token, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK || !bytes.Contains(text, []byte(to.shows)) {
		return fmt.Errorf("%d: %.300s", status, text)
	}
	return nil
}

// metrics are sums of a gateway's measurements by name.
func (b *site) metrics(ctx context.Context, msp string) (map[string]float64, error) {
	operator, err := b.Person(msp, "operator1")
	if err != nil {
		return nil, err
	}
	defer operator.Close()
	text, _, err := operator.Raw(ctx, http.MethodGet, "/metrics", nil, nil)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(prommodel.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		return nil, fmt.Errorf("read the gateway's measurements: %w", err)
	}
	sums := map[string]float64{}
	for name, family := range families {
		for _, m := range family.Metric {
			switch {
			case m.Counter != nil:
				sums[name] += m.Counter.GetValue()
			case m.Histogram != nil:
				sums[name+"_sum"] += m.Histogram.GetSampleSum()
				sums[name+"_count"] += float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return sums, nil
}
