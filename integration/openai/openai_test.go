// Package openai_test runs the official OpenAI client for JavaScript, unmodified, the command line, and many clients at
// once against the gateways of consumers, which pay the hosts' on a real network. Gateways, peers and orderers are killed
// meanwhile.
package openai_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hyperledger/fabric-lib-go/common/flogging"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/examples/voucher"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/integration/market"
	"github.com/datanet-consortium/datanet/test-network/process"
)

func TestMain(m *testing.M) {
	flogging.ActivateSpec("error") // Fabric's packages log every connection otherwise
	os.Exit(m.Run())
}

const verse = "we few we happy few we band of brothers for he to-day that sheds his blood with me shall be my brother"

// written counts the answers that were asked of the server behind the models.
var written atomic.Int64

// upstream writes the answers: the verse, as a stream in several parts.
func upstream(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Stream bool `json:"stream"`
		}
		if r.Method == http.MethodPost {
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
				return // the gateway was killed
			}
			written.Add(1)
		}
		field, parts := "message", []string{verse}
		if asked.Stream {
			field, parts = "delta", strings.SplitAfter(verse, " few ")
			w.Header().Set("Content-Type", "text/event-stream")
		} else {
			w.Header().Set("Content-Type", "application/json")
		}
		if r.URL.Path == "/v1/completions" {
			field = "text"
		}
		for i, part := range parts {
			choice := map[string]any{"index": 0, "finish_reason": nil, field: map[string]any{"role": "assistant", "content": part}}
			if field == "text" {
				choice[field] = part
			}
			if i == len(parts)-1 {
				choice["finish_reason"] = "stop"
			}
			chunk, err := json.Marshal(map[string]any{"id": "x", "object": "x", "created": 1, "model": "upstream", "choices": []any{choice}})
			require.NoError(t, err)
			if asked.Stream {
				chunk = fmt.Appendf(nil, "data: %s\n\n", chunk)
			}
			if _, err = w.Write(chunk); err != nil {
				return // the gateway was killed
			}
		}
		if asked.Stream {
			_, _ = io.WriteString(w, "data: [DONE]\n\n") // likewise
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v1"
}

type fault struct {
	Class, Code, Type string
	Param             *string
	Status            int
}

// seen is what the client printed.
type seen struct {
	Models []string
	Model  string
	Chat   struct {
		Text, Fee, Receipt string
		Usage              map[string]int
	}
	Text struct {
		Text    string
		Receipt bool
	}
	Stream struct {
		Text, Fee string
		Parts     int
	}
	Runner struct {
		Text  string
		Usage map[string]int
	}
	Faults map[string]fault
}

func TestModelsAreUsedOverGateways(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real network")
	}
	m, err := market.Open(t.Context(), market.Options{Dir: t.TempDir(), Text: verse + "\n\nonce more unto the breach dear friends once more\n", Upstream: upstream(t),
		PriceIn: 100_000, PriceOut: 500_000, Credits: credits, Processes: true, ByHand: market.Third, Settings: []string{"settlement.amount=150000", "settlement.every=1s", "attestation.every=1s"},
		Progress: func(text string) { t.Log(text) }})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, m.Close())
		if t.Failed() {
			showLogs(t, m)
		}
	})
	t.Run("datanet chat opens a session and shows what was answered and what it cost", func(t *testing.T) { talk(t, m) })
	t.Run("the official client", func(t *testing.T) { useOfficial(t, m) })
	t.Run("a client of one's own pays by itself", func(t *testing.T) { payByOneself(t, m) })
	attestByHand(t, m)
	t.Run("many clients pay while gateways, peers and orderers are killed", func(t *testing.T) { payWhileProcessesDie(t, m) })
	t.Run("a host whose grant is revoked serves no more", func(t *testing.T) { revoke(t, m) })
	t.Run("all of it is settled, attested and paid", func(t *testing.T) { accountForAll(t, m) })
}

// credits are what each consumer has, in micro-credits.
const credits = 2_000_000_000

// attestByHand has a validator of the third organisation run datanet validate attest --follow until the test ends, also while
// its gateway is killed.
func attestByHand(t *testing.T, m *market.Market) {
	folder, _, err := m.Folder(market.Third, market.ValidatorName)
	require.NoError(t, err)
	authority, err := m.Authority(market.Third)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, m.Program(), "validate", "attest", "--follow", "--identity", folder, "--gateway", m.URL(market.Third), "--ca", authority)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Env = append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir(), "HOME="+t.TempDir())
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // it was interrupted
		voted := strings.Count(out.String(), ": voted; ")
		t.Logf("by hand %d votes", voted)
		require.Positive(t, voted, "%s%s", out.String(), errs.String())
		if t.Failed() {
			t.Log(out.String(), errs.String())
		}
	})
}

// showLogs shows what gateways warn of, and what orderers said last.
func showLogs(t *testing.T, m *market.Market) {
	orderers, err := filepath.Glob(filepath.Join(m.Network.State().Dir(), "nodes", "orderer.*", "log"))
	require.NoError(t, err)
	for _, path := range orderers {
		last, err := process.Tail(path, 100)
		t.Log(path, err, strings.Join(last, "\n"))
	}
	for _, msp := range []string{market.Owner, market.Consumer, market.Third} {
		text, err := os.ReadFile(m.GatewayLog(msp))
		if err != nil {
			t.Log(err)
			continue
		}
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, `"level":"INFO"`) {
				t.Log(msp, line)
			}
		}
	}
}

// talk uses the command line.
func talk(t *testing.T, m *market.Market) {
	folder, _, err := m.Folder(market.Consumer, market.ConsumerName)
	require.NoError(t, err)
	authority, err := m.Authority(market.Consumer)
	require.NoError(t, err)
	chat := func(stdin string, args ...string) []byte {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		command := exec.CommandContext(ctx, m.Program(), append([]string{"chat", "--model", m.Paid.Named.String(), "--identity", folder, "--gateway", m.URL(market.Consumer), "--ca", authority}, args...)...)
		command.Stdin = strings.NewReader(stdin)
		command.Env = append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir(), "HOME="+t.TempDir())
		var errs bytes.Buffer
		command.Stderr = &errs
		out, err := command.Output()
		require.NoError(t, err, "%s", errs.String())
		return out
	}
	shown := string(chat("", "--escrow", "1000000", "--max-tokens", "40", "Who are we few?"))
	require.Contains(t, shown, verse)
	require.Contains(t, shown, market.Owner+":contributor1", "whose verse it is")
	require.Regexp(t, `4 tokens in and 23 out cost 11900 micro-credits\. Receipt [0-9a-f]{64}`, shown)
	lines := json.NewDecoder(bytes.NewReader(chat("one\ntwo\n", "--json")))
	for i := range 2 {
		var turn struct{ Question, Answer, Fee, ReceiptID string }
		require.NoError(t, lines.Decode(&turn))
		require.Equal(t, []string{"one", "two"}[i], turn.Question)
		require.Equal(t, verse, turn.Answer)
		require.NotEmpty(t, turn.Fee)
	}
}

// useOfficial installs the client and runs it.
func useOfficial(t *testing.T, m *market.Market) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is needed: %v", program, err)
			}
			t.Skipf("%s is not here: %v", program, err)
		}
	}
	person, err := m.Person(market.Consumer, market.ConsumerName)
	require.NoError(t, err)
	defer person.Close()
	key := func(budget money.Amount) string {
		made, err := client.Do[rest.NewKey](t.Context(), person, http.MethodPost, client.Path("keys"), identity.KeyRequest{Scopes: []identity.Scope{identity.Use},
			Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second), Budget: &budget})
		require.NoError(t, err)
		return made.Token
	}
	dir := filepath.Join(t.TempDir(), "client")
	require.NoError(t, os.CopyFS(dir, os.DirFS("client")))
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	out, err := install.CombinedOutput()
	require.NoError(t, err, "%s", out)
	authority, err := m.Authority(market.Consumer)
	require.NoError(t, err)
	run := exec.CommandContext(t.Context(), "node", "use.js", m.URL(market.Consumer)+"/openai/v1", key(10_000_000), m.Paid.Named.String(), key(1))
	run.Dir, run.Env = dir, append(os.Environ(), "NODE_EXTRA_CA_CERTS="+authority)
	var errs bytes.Buffer
	run.Stderr = &errs
	out, err = run.Output()
	require.NoError(t, err, "%s", errs.String())
	var s seen
	require.NoError(t, json.Unmarshal(out, &s), "%s", out)
	require.ElementsMatch(t, []string{m.Paid.Named.String(), m.Free.Named.String()}, s.Models)
	require.Equal(t, m.Paid.Named.String(), s.Model)
	cut := strings.Join(strings.Fields(verse)[:19], " ")
	require.Equal(t, cut, strings.TrimSpace(s.Chat.Text))
	require.Equal(t, map[string]int{"prompt_tokens": 4, "completion_tokens": 20, "total_tokens": 24}, s.Chat.Usage)
	require.Equal(t, "10400", s.Chat.Fee)
	require.Len(t, s.Chat.Receipt, 64)
	require.Equal(t, cut, strings.TrimSpace(s.Text.Text))
	require.True(t, s.Text.Receipt)
	require.Equal(t, cut, strings.TrimSpace(s.Stream.Text))
	require.Greater(t, s.Stream.Parts, 2)
	require.Equal(t, "10200", s.Stream.Fee)
	require.Equal(t, cut, strings.TrimSpace(s.Runner.Text))
	require.Equal(t, 22, s.Runner.Usage["total_tokens"])
	param := func(text string) *string { return &text }
	require.Equal(t, fault{Class: "NotFoundError", Status: 404, Code: "model_not_found", Type: "invalid_request_error", Param: param("model")}, s.Faults["model"])
	require.Equal(t, fault{Class: "BadRequestError", Status: 400, Code: "unsupported_parameter", Type: "invalid_request_error", Param: param("tools")}, s.Faults["tools"])
	require.Equal(t, "AuthenticationError", s.Faults["key"].Class)
	require.Equal(t, fault{Class: "RateLimitError", Status: 429, Code: "budget_exceeded", Type: "insufficient_quota"}, s.Faults["budget"])
}

// payByOneself runs the example of a client without a gateway: it holds the spending key, and speaks to the host.
func payByOneself(t *testing.T, m *market.Market) {
	person, err := m.Person(market.Consumer, market.ConsumerName)
	require.NoError(t, err)
	defer person.Close()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := use.NewKey(public)
	require.NoError(t, err)
	terms := session.Terms{Model: model.CardName{Named: m.Paid.Named, Card: m.Paid.Card}, Card: m.Paid.Digest, Host: m.Paid.Host, Key: key, Window: 4, Grace: use.MinGrace,
		Expires: time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second), Disclosure: use.DiscloseSample, Escrow: 1_000_000}
	s, _, err := client.Submit[session.Session](t.Context(), person, "session:Open", "", session.Open{Name: market.ID(), Terms: terms})
	require.NoError(t, err)
	_, roots, err := m.Folder(market.Owner, "operator1")
	require.NoError(t, err)
	own := &voucher.Client{HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}, Host: m.URL(market.Owner),
		Session: s.ID, Card: s.Card, PriceIn: uint64(m.Paid.PriceIn), PriceOut: uint64(m.Paid.PriceOut), Key: private}
	for range 6 { // more than the window, so vouchers are taken
		text, err := own.Ask(t.Context(), m.Paid.Named.String(), "Who are we few?", 40, 50_000)
		require.NoError(t, err)
		require.Equal(t, verse, text)
	}
	_, err = own.Ask(t.Context(), m.Paid.Named.String(), "Who are we few?", 40, 100)
	require.ErrorContains(t, err, `"cap"`)
	require.NoError(t, own.Settle(t.Context()))
}
