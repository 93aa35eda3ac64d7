package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

type nobody struct{}

func (nobody) Evaluate(context.Context, string, []byte) ([]byte, error) { return nil, nil }

// routesOfReads are the paths that the API's own document gives for queries, by the name of the operation.
func routesOfReads(t *testing.T) map[string][]string {
	t.Helper()
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "index.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	x, err := index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	registry := prometheus.NewRegistry()
	api, err := rest.New(rest.Options{Organisation: "OwnMSP", Log: slog.New(slog.DiscardHandler), Index: x, Peer: nobody{}, Metrics: registry, Gather: registry,
		Authenticate: func(*http.Request) (identity.Principal, error) { return identity.Principal{}, nil },
		Ready:        func(context.Context) map[string]bool { return nil }})
	require.NoError(t, err)
	var document struct {
		Paths map[string]map[string]struct {
			ID string `json:"operationId"`
		} `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(api.OpenAPI(), &document))
	found := map[string][]string{}
	for path, methods := range document.Paths {
		if get, ok := methods["get"]; ok {
			found[get.ID] = append(found[get.ID], path)
		}
	}
	return found
}

func TestEveryCommandCallsAFunctionAndEveryReadARouteThatExists(t *testing.T) {
	functions := map[string]bool{} // whether it is a query
	for _, f := range rules.New(nil).Functions() {
		functions[f.Name] = f.Query
	}
	routes := routesOfReads(t)
	named := map[string]bool{}
	for _, r := range resources {
		key := r.group + " " + strings.Fields(r.use)[0]
		require.False(t, named[key], "%s stands twice", key)
		named[key] = true
		query, ok := functions[r.function]
		require.True(t, ok, "%s: no function %s", key, r.function)
		require.Equal(t, query, r.path != "", "%s: a query is read at a path, a command has none", key)
		if !query {
			continue
		}
		id := operationOf(r.function)
		for _, known := range []string{id, id + "-of-datanet"} {
			for _, path := range routes[known] {
				if sameShape("/v1"+r.path, path) {
					id = ""
				}
			}
		}
		require.Empty(t, id, "%s: the API has no such path: %s", key, r.path)
	}
}

// operationOf is the API's name for the operation of a function: access-get-grant for access:GetGrant.
func operationOf(function string) string {
	domain, name, _ := strings.Cut(function, ":")
	var b strings.Builder
	for _, c := range name {
		if unicode.IsUpper(c) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return domain + b.String()
}

// sameShape compares a path of the table with one of the API, where a name of a datanet or model is two parts.
func sameShape(own, api string) bool {
	own = strings.NewReplacer("{datanet}", "{}/{}", "/models/{name}", "/models/{}/{}", "/models/{model.name}", "/models/{}/{}", "/datanets/{name}", "/datanets/{}/{}").Replace(own)
	blank := func(path string) string {
		parts := strings.Split(path, "/")
		for i, part := range parts {
			if strings.HasPrefix(part, "{") {
				parts[i] = "{}"
			}
		}
		return strings.Join(parts, "/")
	}
	return blank(own) == blank(api)
}

func TestEveryCommandShowsItsHelp(t *testing.T) {
	for _, r := range resources {
		var out, errs bytes.Buffer
		require.Equal(t, exitSuccess, run(t.Context(), []string{r.group, strings.Fields(r.use)[0], "--help"}, &out, &errs), errs.String())
		require.Contains(t, out.String(), "datanet "+r.group+" "+r.use)
	}
}

func TestWithoutAnIdentityCommandsSayWhatToDo(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	var out, errs bytes.Buffer
	require.Equal(t, exitUsage, run(t.Context(), []string{"datanet", "list"}, &out, &errs))
	require.Contains(t, errs.String(), "datanet identity use DIR --gateway URL")
	out.Reset()
	require.Equal(t, exitUnwell, run(t.Context(), []string{"doctor"}, &out, &errs))
	require.Contains(t, out.String(), "problem  identity:")
}

func TestADamagedManifestIsADamagedBundle(t *testing.T) {
	folder := t.TempDir()
	verify := func() (int, string) {
		var out, errs bytes.Buffer
		return run(t.Context(), []string{"audit", "verify", folder, "--genesis", strings.Repeat("0", 64)}, &out, &errs), errs.String()
	}
	code, _ := verify()
	require.Equal(t, exitFailure, code, "a folder without a manifest is no bundle")
	for manifest, want := range map[string]int{"{": exitForged, `{"format":"datanet-audit/1"}`: exitForged, `{"format":"datanet-audit/9"}`: exitFailure} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, "manifest.json"), []byte(manifest), 0o600))
		code, errs := verify()
		require.Equal(t, want, code, "%s: %s", manifest, errs)
	}
}

func TestMistakesInAWriteAreFoundBeforeAnythingIsSent(t *testing.T) {
	for want, args := range map[string][]string{
		"is not an account":                   {"account", "transfer", "x", "5"},
		"accepts between 2 and 3":             {"account", "transfer", "x"},
		"usage: datanet audit claim HOST ID":  {"audit", "claim", "x"},
		`NAME: "verse" is no name`:            {"audit", "model", "verse", "1.0"},
		"DATANET: \"A/b/c\" is no name":       {"audit", "contribution", "A/b/c", "1"},
		"--texts: there is no folder":         {"audit", "export", "bundle", "--receipts", "--texts", "/nowhere"},
		"--peer needs --identity":             {"audit", "export", "bundle", "--peer", "localhost:7051"},
		"--model goes with --receipts":        {"audit", "export", "bundle", "--model", "A/verse@1"},
		"--genesis is needed":                 {"audit", "verify", "bundle"},
		"--purpose: ":                         {"ticket", "open", "--snapshots", "A/verse@1", "--purpose", "theft"},
		"unknown flag: --colour":              {"account", "open", "--colour", "red"},
		"no such file":                        {"datanet", "create", "A/verse", "--from", "/nowhere"},
		"is not an id: expected 16 random by": {"ticket", "close", "1"},
	} {
		var out, errs bytes.Buffer
		require.Equal(t, exitUsage, run(t.Context(), args, &out, &errs), "%v: %s", args, errs.String())
		require.Contains(t, errs.String(), want)
		require.Empty(t, out.String())
	}
}

func TestTextFromTheLedgerCannotControlATerminal(t *testing.T) {
	require.Equal(t, "a\uFFFD[31mred\uFFFDb", printable("a\x1b[31mred\u202eb"))
	var out bytes.Buffer
	require.NoError(t, printLines(&out, []byte(`{"title":"x\u001b]0;y\u0007","inner":{"list":["a","b\n"],"none":null}}`)))
	require.NotContains(t, out.String(), "\x1b")
	require.Contains(t, out.String(), "inner.list  a b\uFFFD")
	require.Equal(t, "one\n    two\uFFFD", text("one\r\n\ttwo\x07"))
}

func TestStateFilesSurviveAnInterruption(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("a poem"), 0o600))
	path := filepath.Join(dir, stateName("A/verse"))
	units, err := scan(dir, false)
	require.NoError(t, err)
	require.Len(t, units, 1, "the state file is no content")

	j, err := openJournal(path, "A/verse")
	require.NoError(t, err)
	first, err := j.begin(dir, units[0])
	require.NoError(t, err)
	j.close()
	// The process died while it wrote the next line.
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(`{"name":"a.txt","transac`)
	require.NoError(t, err)
	require.NoError(t, file.Close())

	j, err = openJournal(path, "A/verse")
	require.NoError(t, err)
	again, err := j.begin(dir, units[0])
	require.NoError(t, err)
	require.Equal(t, first, again, "the names are the same, so nothing happens twice")
	require.NoError(t, j.done("a.txt", "tx1"))
	j.close()

	j, err = openJournal(path, "A/verse")
	require.NoError(t, err)
	settled, err := j.settled(dir, units[0])
	require.NoError(t, err)
	require.True(t, settled)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("b poem"), 0o600))
	_, err = j.settled(dir, units[0])
	require.ErrorContains(t, err, "has changed since")
	j.close()

	_, err = openJournal(path, "A/prose")
	require.ErrorContains(t, err, "not one of additions to A/prose")
}

func TestAFileThatIsNotFinishedBeginsAnewWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("a poem"), 0o600))
	units, err := scan(dir, false)
	require.NoError(t, err)
	j, err := openJournal(filepath.Join(dir, ".state"), "A/verse")
	require.NoError(t, err)
	defer j.close()
	first, err := j.begin(dir, units[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte("b poem"), 0o600))
	second, err := j.begin(dir, units[0])
	require.NoError(t, err)
	require.NotEqual(t, first.Upload, second.Upload)
}

func TestVotesAreReadOneALineAndTheLastCounts(t *testing.T) {
	const id, hash = "00000000000000000000000000000001", "0000000000000000000000000000000000000000000000000000000000000000"
	line := func(choice, reason, score string) string {
		return `{"datanet":"A/verse","id":"` + id + `","revision":1,"choice":"` + choice + `","score":` + score + `,"reason":"` + reason + `","report":"` + hash + `"}` + "\n"
	}
	votes, err := parseVotes(strings.NewReader(line("reject", "duplicate", "5") + "\n" + line("approve", "sound", "90")))
	require.NoError(t, err)
	require.Len(t, votes, 1)
	require.Equal(t, approval.Approve, votes[0].Choice)
	_, err = parseVotes(strings.NewReader(line("approve", "sound", "90") + "{}"))
	require.ErrorContains(t, err, "line 2")
}

func TestDecisionsAreReadAsTyped(t *testing.T) {
	v, err := decision([]string{"a"})
	require.NoError(t, err)
	require.Equal(t, approval.Verdict{Choice: approval.Approve, Reason: approval.Sound, Score: 80}, v)
	v, err = decision([]string{"r", "15", "off-topic"})
	require.NoError(t, err)
	require.Equal(t, approval.Verdict{Choice: approval.Reject, Reason: "off-topic", Score: 15}, v)
	_, err = decision([]string{"r"})
	require.ErrorContains(t, err, "say why")
	_, err = decision([]string{"x"})
	require.ErrorContains(t, err, "is none of")
}

func TestExitCodesTellFailuresApart(t *testing.T) {
	var discard bytes.Buffer
	for want, err := range map[int]error{
		exitRefused: &client.Problem{Status: http.StatusForbidden, Code: "forbidden"},
		exitFailure: &client.Problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Retryable: true},
		exitAbsent:  &client.UnreachableError{Gateway: "g", Cause: os.ErrDeadlineExceeded},
		exitUnknown: &client.UnknownError{Key: "k", Cause: &client.UnreachableError{Cause: os.ErrDeadlineExceeded}},
		exitUnwell:  errSick,
	} {
		require.Equal(t, want, report(&discard, err), "%v", err)
	}
}

func FuzzStateFilesAreReadOrRefused(f *testing.F) {
	f.Add([]byte(`{"datanet":"A/verse"}` + "\n" + `{"name":"a","digest":"","upload":"00000000000000000000000000000001","id":"00000000000000000000000000000001"}` + "\n"))
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"datanet":"A/verse"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		records, whole, err := readJournal(text, "A/verse")
		if err != nil {
			return
		}
		require.True(t, whole == 0 || text[whole-1] == '\n')
		for name, r := range records {
			require.Equal(t, name, r.Name)
		}
	})
}
