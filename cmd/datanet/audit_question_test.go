package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/audit/question/questiontest"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

// audited is a gateway over the story that audits are tested on, for a regulator's inspector.
func audited(t *testing.T) (*questiontest.Story, func(args ...string) (string, error)) {
	story := questiontest.Tell(t)
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "index.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	x, err := index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	require.NoError(t, story.Index(t.Context(), x))
	registry := prometheus.NewRegistry()
	api, err := rest.New(rest.Options{Organisation: "RegulatorMSP", Channel: "datanet", Chaincode: "datanet", Log: slog.New(slog.DiscardHandler), Index: x, Peer: nobody{}, Metrics: registry, Gather: registry,
		Authenticate: func(*http.Request) (identity.Principal, error) {
			return identity.Principal{Account: "RegulatorMSP:inspector1", Method: identity.Certificate, Roles: []ledger.Role{ledger.Regulator}}, nil
		},
		Block: func(_ context.Context, number uint64) (*common.Block, error) { return story.Chain.Blocks[number], nil },
		Ready: func(context.Context) map[string]bool { return nil }, Rate: 1000, Burst: 1000})
	require.NoError(t, err)
	server := httptest.NewTLSServer(api)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	ca, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "key")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	require.NoError(t, os.WriteFile(key, []byte("key"), 0o600))
	return story, func(args ...string) (string, error) {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(append(args, "--gateway", server.URL, "--ca", ca, "--api-key-file", key))
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
}

func TestEveryQuestionIsAskedOnTheCommandLine(t *testing.T) {
	s, datanet := audited(t)
	receipt := filepath.Join(t.TempDir(), "receipt")
	require.NoError(t, os.WriteFile(receipt, s.Receipt, 0o600))
	kept, err := (&evidence.Evidence{Receipt: s.Receipt, Path: "/openai/v1/chat/completions", Body: []byte("{}"), Output: []byte("an answer")}).Encode()
	require.NoError(t, err)
	text := filepath.Join(t.TempDir(), "use.evidence")
	require.NoError(t, os.WriteFile(text, kept, 0o600))
	shown, err := datanet("audit", "transaction", s.Copy, "--json")
	require.NoError(t, err)
	var lost question.Transaction
	require.NoError(t, ledger.DecodeAnswer([]byte(shown), &lost))
	for _, ask := range []struct {
		want string
		args []string
	}{
		{"active then, revoked now", []string{"model", s.Small.Name, s.Small.Version}},
		{"active then, revoked now", []string{"model", s.Small.String()}},
		{"content and wrapping key are destroyed", []string{"contribution", s.Erased.Datanet, s.Erased.ID}},
		{"content and wrapping key are destroyed", []string{"contribution", s.Erased.Datanet + "/" + s.Erased.ID}},
		{"digitised", []string{"snapshot", s.Pool, "2"}},
		{"digitised", []string{"snapshot", s.Pool + "@2"}},
		{"less than 1 billion tokens", []string{"training-summary", s.Small.Name, s.Small.Version}},
		{"Nobody has objected", []string{"claim", string(s.Settled.Host), s.Settled.ID}},
		{"Nobody has objected", []string{"claim", string(s.Settled.Host) + "/" + s.Settled.ID}},
		{"objected: receipt in session", []string{"claim", string(s.Disputing.Host), s.Disputing.ID}},
		{"numbered without a gap", []string{"period", "--first", "3", "--limit", "5"}},
		{"hash of the transactions", []string{"blocks", "--first", "3"}},
		{"no name", []string{"person", string(s.Ann.Account())}},
		{"paid at once", []string{"fees"}},
		{"no credit was created or lost", []string{"supply"}},
		{"it had no effect", []string{"transaction", s.Copy}},
		{"it had no effect", []string{"transaction", lost.Transaction.Version()}},
		{"None: no organisation may vote on its own contributions", []string{"roles"}},
		{s.Idle, []string{"unused"}},
		{"names a registered model", []string{"receipt", receipt}},
		{"names a registered model", []string{"receipt", text}},
		{"http://mlcommons.org/croissant/1.1", []string{"croissant", s.Pool, "1"}},
		{`"specVersion": "1.7"`, []string{"mlbom", s.Small.Name, s.Small.Version}},
		{"wasDerivedFrom", []string{"prov", s.Small.Name, s.Small.Version}},
	} {
		shown, err := datanet(append([]string{"audit"}, ask.args...)...)
		require.NoError(t, err, "%v: %s", ask.args, shown)
		require.Contains(t, shown, ask.want, "%v", ask.args)
		shown, err = datanet(append([]string{"audit", ask.args[0], "--json"}, ask.args[1:]...)...)
		require.NoError(t, err, "%v", ask.args)
		require.True(t, json.Valid([]byte(shown)), "%v: %s", ask.args, shown)
	}
	page := filepath.Join(t.TempDir(), "model.html")
	_, err = datanet("audit", "model", s.Small.Name, s.Small.Version, "--format", "html", "--out", page, "--height", "60")
	require.NoError(t, err)
	written, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(written), "<svg")
	require.Contains(t, string(written), "60 blocks")
	_, err = datanet("audit", "supply", "--format", "pdf")
	require.ErrorContains(t, err, "markdown, html or json")
	_, err = datanet("audit", "model", s.Small.Name, "9")
	require.ErrorContains(t, err, "there is no model")
	for _, args := range [][]string{{s.Small.Name}, {s.Small.Name, s.Small.Version, "9"}, {"@"}} {
		_, err = datanet(append([]string{"audit", "model"}, args...)...)
		require.ErrorAs(t, err, &usageError{}, "%v", args)
	}
}

func TestAModelIsSignedAndVerifiedOnTheCommandLine(t *testing.T) {
	org := network.Organization{Name: "lab", MSPID: "LabMSP"}
	org.ApplyDefaults(network.MemberUsers)
	material, err := pki.EnsureOrganization(t.TempDir(), &org)
	require.NoError(t, err)
	msp := material.UserMSPDir("trainer1")
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "model.json"), []byte("{}"), 0o600))
	authority := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(authority, material.CA.PEM, 0o600))
	run := func(args ...string) (string, error) {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(append([]string{"audit"}, args...))
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
	shown, err := run("sign-model", "LabMSP/verse@1.0", folder, "--msp-dir", msp)
	require.NoError(t, err)
	require.Contains(t, shown, "1 file of LabMSP/verse@1.0 signed by")
	shown, err = run("verify-model", folder, "--authority", authority, "--org", "LabMSP")
	require.NoError(t, err)
	require.Contains(t, shown, "1 file as signed by LabMSP:trainer1 of lab (certified by ca.")
	shown, err = run("verify-model", folder, "--authority", authority)
	require.NoError(t, err)
	require.Contains(t, shown, "1 file as signed by trainer1 of lab (certified by ca.")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "model.json"), []byte("[]"), 0o600))
	_, err = run("verify-model", folder, "--authority", authority, "--org", "LabMSP")
	require.ErrorContains(t, err, "is not the file that was signed")
	_, err = run("sign-model", "nonsense", folder, "--msp-dir", msp)
	require.ErrorContains(t, err, "is no model")
	_, err = run("sign-model", "LabMSP/verse@1.0", filepath.Join(folder, "nowhere"), "--msp-dir", msp)
	require.ErrorContains(t, err, "there is no folder")
}
