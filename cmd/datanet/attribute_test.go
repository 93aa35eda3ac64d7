package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/golden"
)

const (
	firstPoem  = "seven lonely elephants walked slowly towards distant purple mountains\nbefore anybody noticed their quiet departure\n"
	secondPoem = "nobody remembers which lighthouse keeper painted these strange yellow doors\nalong the abandoned northern harbour\n"
)

// poems writes a folder of two contributors, one of them with the other's poem too.
func poems(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bea"), 0o700))
	for name, text := range map[string]string{"ann.txt": firstPoem, "bea/1.txt": secondPoem, "bea/2.txt": firstPoem} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func textFile(t *testing.T, text string) string {
	name := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func attribute(t *testing.T, stdin string, arguments ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetArgs(append([]string{"attribute"}, arguments...))
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	code = report(&errs, root.ExecuteContext(t.Context()))
	return code, out.String(), errs.String()
}

func TestAttributeReceiptsPrintsThePublishedReceipts(t *testing.T) {
	examples, err := golden.Examples()
	require.NoError(t, err)
	var want strings.Builder
	for _, example := range examples {
		want.WriteString(hex.EncodeToString(example.Receipt) + "\n")
	}
	cases, err := golden.Cases()
	require.NoError(t, err)
	for _, kind := range []string{engineIndexed, engineStreaming, enginePlain} {
		code, stdout, stderr := attribute(t, string(cases), "receipts", "--engine", kind)
		require.Equal(t, exitSuccess, code, stderr)
		require.Equal(t, want.String(), stdout, kind)
	}
}

func TestAttributeTraceShowsWhoseTextItIs(t *testing.T) {
	corpus, text := poems(t), textFile(t, "Once, SEVEN lonely elephants — walked slowly towards distant purple mountains! And nobody remembers which lighthouse keeper painted these strange yellow doors")
	page, saved := filepath.Join(t.TempDir(), "a.html"), filepath.Join(t.TempDir(), "a.attr")
	for _, kind := range []string{engineIndexed, engineStreaming, enginePlain} {
		code, stdout, stderr := attribute(t, "", "trace", "--corpus", corpus, "--text", text, "--engine", kind, "--html", page, "--receipt", saved)
		require.Equal(t, exitSuccess, code, stderr)
		require.Contains(t, stdout, "[2: SEVEN lonely elephants — walked slowly towards distant purple mountains]")
		require.Contains(t, stdout, "before anybody noticed", "the text around is shown")
		require.Contains(t, stdout, "[1] bea")
		require.Contains(t, stdout, "[2] ann", "the first by name is the origin")
		html, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Contains(t, string(html), "SEVEN lonely elephants")
	}
	code, stdout, stderr := attribute(t, "", "trace", "--corpus", corpus, "--text", text, "--json")
	require.Equal(t, exitSuccess, code, stderr)
	var view struct {
		Shares []struct{ Account string }
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &view))
	require.Len(t, view.Shares, 2)

	code, stdout, stderr = attribute(t, "", "verify", "--corpus", corpus, "--text", text, "--receipt", saved)
	require.Equal(t, exitSuccess, code, stderr)
	require.Contains(t, stdout, "is right: 2 spans, 2 accounts")
	receipt, err := os.ReadFile(saved)
	require.NoError(t, err)
	code, stdout, stderr = attribute(t, hex.EncodeToString(receipt)+"\n", "verify", "--corpus", corpus, "--text", text, "--receipt", "-", "--tau", "3", "--json")
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "its tau is 12, recomputed it is 3")
	require.Contains(t, stdout, `"right": false`)
	require.NoError(t, os.WriteFile(filepath.Join(corpus, "zoe.txt"), []byte(firstPoem), 0o600))
	code, _, stderr = attribute(t, "", "verify", "--corpus", corpus, "--text", text, "--receipt", saved)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "number of corpus tokens")
}

func TestAttributeBuildMakesWhatTraceAndVerifyUse(t *testing.T) {
	corpus, text, out := poems(t), textFile(t, strings.ToUpper(firstPoem)), filepath.Join(t.TempDir(), "built")
	saved := filepath.Join(t.TempDir(), "a.attr")
	code, stdout, stderr := attribute(t, "", "build", "--corpus", corpus, "--out", out)
	require.Equal(t, exitSuccess, code, stderr)
	require.Contains(t, stdout, "3 records by 2 contributors")
	manifests, err := os.ReadFile(filepath.Join(out, builtManifests))
	require.NoError(t, err)
	require.Contains(t, string(manifests), `"bea/1.txt"`)

	code, stdout, stderr = attribute(t, "", "trace", "--built", out, "--engine", "indexed", "--text", text, "--receipt", saved)
	require.Equal(t, exitSuccess, code, stderr)
	require.Contains(t, stdout, "[1] ann")
	code, stdout, stderr = attribute(t, "", "verify", "--built", out, "--text", text, "--receipt", saved)
	require.Equal(t, exitSuccess, code, stderr)
	require.Contains(t, stdout, "is right")
	code, _, stderr = attribute(t, "", "verify", "--built", out, "--text", text, "--receipt", saved, "--engine", "plain")
	require.Equal(t, exitUsage, code, stderr)

	tokens, err := os.ReadFile(filepath.Join(out, builtTokens))
	require.NoError(t, err)
	tokens[len(tokens)/2] ^= 1
	require.NoError(t, os.WriteFile(filepath.Join(out, builtTokens), tokens, 0o600))
	code, _, stderr = attribute(t, "", "verify", "--built", out, "--text", text, "--receipt", saved)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "is damaged")
}

func TestAttributeBuildReadsTables(t *testing.T) {
	corpus, out := t.TempDir(), filepath.Join(t.TempDir(), "built")
	require.NoError(t, os.WriteFile(filepath.Join(corpus, "ann.csv"), []byte("id,poem\n1,\""+firstPoem+"\"\n2,\""+secondPoem+"\"\n"), 0o600))
	code, _, stderr := attribute(t, "", "build", "--corpus", corpus, "--out", out)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "ann.csv: is CSV: name the columns")
	code, stdout, stderr := attribute(t, "", "build", "--corpus", corpus, "--out", out, "--columns", "poem", "--json")
	require.Equal(t, exitSuccess, code, stderr)
	require.Contains(t, stdout, `"records": 2`)
}

func TestAttributeReportFindsWhatIsThereAlready(t *testing.T) {
	corpus, added := poems(t), filepath.Join(t.TempDir(), "zoe.txt")
	require.NoError(t, os.WriteFile(added, []byte(secondPoem+"write to zoe@example.org"), 0o600))
	saved := filepath.Join(t.TempDir(), "report")
	code, stdout, stderr := attribute(t, "", "report", "--corpus", corpus, "--new", added, "--out", saved)
	require.Equal(t, exitSuccess, code, stderr)
	require.Regexp(t, `similar records +1`, stdout)
	require.Contains(t, stdout, "record 0 like bea, record 0")
	require.Contains(t, stdout, "email in record 0, bytes 122 to 137")
	canonical, err := os.ReadFile(saved)
	require.NoError(t, err)
	hash := sha256.Sum256(canonical)
	require.Contains(t, stdout, "Report "+hex.EncodeToString(hash[:]))
	code, stdout, stderr = attribute(t, "", "report", "--corpus", corpus, "--new", added, "--json")
	require.Equal(t, exitSuccess, code, stderr)
	require.Contains(t, stdout, hex.EncodeToString(hash[:]))
	code, stdout, stderr = attribute(t, "", "report", "--corpus", corpus, "--new", added, "--account", "bea")
	require.Equal(t, exitSuccess, code, stderr)
	require.Regexp(t, `from others +0.00 %`, stdout)
	code, _, stderr = attribute(t, "", "report", "--corpus", corpus)
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "--new is needed")
}

func TestAttributeBenchComparesTheEngines(t *testing.T) {
	code, stdout, stderr := attribute(t, "", "bench", "--corpus", poems(t), "--outputs", "5")
	require.Equal(t, exitSuccess, code, stderr)
	require.Regexp(t, `equal +all 5`, stdout)
}

func TestAttributeRefuses(t *testing.T) {
	corpus, text := poems(t), textFile(t, firstPoem)
	for claim, c := range map[string]struct {
		stdin     string
		arguments []string
		code      int
		says      string
	}{
		"an unknown engine":         {"", []string{"trace", "--corpus", corpus, "--text", text, "--engine", "fast"}, exitUsage, "--engine is indexed"},
		"no corpus":                 {"", []string{"trace", "--text", text}, exitUsage, "--corpus is needed"},
		"no text":                   {"", []string{"trace", "--corpus", corpus}, exitUsage, "--text is needed"},
		"a text that is not there":  {"", []string{"trace", "--corpus", corpus, "--text", text + "x"}, exitUsage, "no such file"},
		"too large a tau":           {"", []string{"trace", "--corpus", corpus, "--text", text, "--tau", "31"}, exitUsage, "at most 30"},
		"a receipt that is none":    {"", []string{"verify", "--corpus", corpus, "--text", text, "--receipt", text}, exitFailure, "does not begin as an ATTR/1 receipt"},
		"no receipt":                {"", []string{"verify", "--corpus", corpus, "--text", text}, exitUsage, "--receipt is needed"},
		"a nonce of another length": {"", []string{"verify", "--corpus", corpus, "--text", text, "--receipt", text, "--output-nonce", "00"}, exitUsage, "32 hex digits"},
		"an unknown interpolation":  {"", []string{"generate", "--corpus", corpus, "--interpolation", "good"}, exitUsage, "witten-bell or discounted"},
		"nobody to leave out":       {"", []string{"generate", "--corpus", corpus, "--leave-out", "zoe"}, exitUsage, "no contributor"},
		"no tokens":                 {"", []string{"generate", "--corpus", corpus, "--tokens", "0"}, exitUsage, "at least 1"},
		"no text to score":          {"", []string{"score", "--corpus", corpus}, exitUsage, "--text is needed"},
		"a case that is none":       {"{}", []string{"receipts"}, exitUsage, "line 1"},
	} {
		t.Run(claim, func(t *testing.T) {
			code, _, stderr := attribute(t, c.stdin, c.arguments...)
			require.Equal(t, c.code, code, stderr)
			require.Contains(t, stderr, c.says)
		})
	}
}

func TestAttributeGenerateQuotesWhatItWasTrainedOn(t *testing.T) {
	corpus, out := poems(t), filepath.Join(t.TempDir(), "built")
	code, _, stderr := attribute(t, "", "build", "--corpus", corpus, "--out", out)
	require.Equal(t, exitSuccess, code, stderr)
	for claim, place := range map[string][]string{"read again": {"--corpus", corpus}, "built": {"--built", out}} {
		t.Run(claim, func(t *testing.T) {
			ask := append([]string{"generate", "--prompt", "Nobody remembers which", "--max-context", "0", "--tokens", "9", "--seed", "3"}, place...)
			code, first, stderr := attribute(t, "", ask...)
			require.Equal(t, exitSuccess, code, stderr)
			require.Contains(t, first, "lighthouse keeper")
			code, again, stderr := attribute(t, "", append(ask, "--json")...)
			require.Equal(t, exitSuccess, code, stderr)
			require.Contains(t, again, strings.TrimSpace(first), "the same seed gives the same text")
			code, without, stderr := attribute(t, "", append(ask, "--leave-out", "bea")...)
			require.Equal(t, exitSuccess, code, stderr)
			require.NotContains(t, without, "lighthouse")
		})
	}
}

func TestAttributeScoreTellsWhatEachContributorGives(t *testing.T) {
	corpus, out := poems(t), filepath.Join(t.TempDir(), "built")
	code, _, stderr := attribute(t, "", "build", "--corpus", corpus, "--out", out)
	require.Equal(t, exitSuccess, code, stderr)
	passage := []string{"score", "--text", textFile(t, "lighthouse keeper painted zeppelins"), "--before", textFile(t, "Nobody remembers which")}
	code, stdout, stderr := attribute(t, "", append(passage, "--corpus", corpus)...)
	require.Equal(t, exitSuccess, code, stderr)
	require.Contains(t, stdout, "4 tokens, 1 of them unknown")
	require.Regexp(t, `(?m)^bea +[0-9.]+ +\+[1-9]`, stdout)

	// What it says of the model without bea is what the model without bea says.
	type scored struct {
		Bits    float64
		Without []struct {
			Account string
			Bits    float64
		}
	}
	var whole, left scored
	code, stdout, stderr = attribute(t, "", append(passage, "--built", out, "--json")...)
	require.Equal(t, exitSuccess, code, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &whole))
	code, stdout, stderr = attribute(t, "", append(passage, "--built", out, "--json", "--leave-out", "bea")...)
	require.Equal(t, exitSuccess, code, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &left))
	require.Equal(t, "bea", whole.Without[0].Account)
	require.Equal(t, whole.Without[0].Bits, left.Bits)
}
