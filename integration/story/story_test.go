package story

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/network"
)

func memory(t testing.TB) (*Memory, Setting) {
	topology, err := network.Parse(bytes.NewReader(config.BFT), "local-bft.yaml")
	require.NoError(t, err)
	m, err := NewMemory(topology)
	require.NoError(t, err)
	return m, Setting{Members: topology.MemberMSPIDs()}
}

// scripts are the published stories.
func scripts(t *testing.T) []*Script {
	paths, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var list []*Script
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		script, err := Parse(filepath.Base(path), bytes.NewReader(text))
		require.NoError(t, err)
		list = append(list, script)
	}
	return list
}

func TestStoriesOnMemledger(t *testing.T) {
	for _, script := range scripts(t) {
		t.Run(script.Name, func(t *testing.T) {
			backend, setting := memory(t)
			require.NoError(t, script.Run(t.Context(), backend, setting))
		})
	}
}

func TestStoriesShareALedgerAndCanBeRepeated(t *testing.T) {
	backend, setting := memory(t)
	for _, seed := range []string{"first", "second"} {
		setting.Seed = seed
		for _, script := range scripts(t) {
			require.NoError(t, script.Run(t.Context(), backend, setting), seed)
		}
	}
}

const opening = `
submit operator1@PoetrySocietyMSP member:Found {}
id P
time END 48h
`

func TestAStoryThatIsNotTrueFailsAtItsLine(t *testing.T) {
	for claim, test := range map[string]struct{ text, want string }{
		"a fault that was not foretold":    {`submit operator1@PoetrySocietyMSP proposal:Execute {"id": "$P"}`, "story.txt:5: submit: fault not_found"},
		"a fault of another code":          {"submit operator1@PoetrySocietyMSP proposal:Execute {\"id\": \"$P\"}\n  fault state", "want fault state"},
		"a fault at another field":         {"submit operator1@PoetrySocietyMSP proposal:Execute {\"id\": \"$P\"}\n  fault not_found digest", "want it at digest"},
		"a fault that did not come":        {"submit operator1@PoetrySocietyMSP account:Open {}\n  fault state", "success, want fault state"},
		"a flag that did not come":         {"submit operator1@PoetrySocietyMSP account:Open {}\n  flag MVCC_READ_CONFLICT", "success, want flag"},
		"a flag that was not foretold":     {"submit operator1@PoetrySocietyMSP account:Open {}\n  endorsed by AILabMSP", "flag ENDORSEMENT_POLICY_FAILURE, want success"},
		"a refusal that did not come":      {"submit operator1@PoetrySocietyMSP account:Open {}\n  refused at ordering", "want refused at ordering"},
		"an organisation that has no peer": {"submit operator1@PoetrySocietyMSP account:Open {}\n  endorsed by OtherMSP", "refused at proposal"},
		"another answer":                   {"query operator1@PoetrySocietyMSP member:List {}\n  want {\"members\": [\"OtherMSP\"]}", "line 6: members.0: no element contains"},
		"an answer without the member":     {"query operator1@PoetrySocietyMSP member:List {}\n  want {\"names\": []}", "names: not there"},
		"a value that the answer lacks":    {"query operator1@PoetrySocietyMSP member:List {}\n  let X = members.7", `no element "7"`},
		"a value that is not defined":      {`submit operator1@PoetrySocietyMSP proposal:Execute {"id": "$Q"}`, "$Q is not defined"},
		"a user who is not enrolled":       {`submit nobody@PoetrySocietyMSP account:Open {}`, "no user nobody@PoetrySocietyMSP"},
		"a release of what was not held":   {`release H`, "nothing is held as H"},
		"a decision that the rules refuse": {`decide token.burn {}`, "fault invalid"},
		"a duration that is none":          {`advance soon`, "invalid duration"},
	} {
		t.Run(claim, func(t *testing.T) {
			script, err := Parse("story.txt", strings.NewReader(opening+test.text))
			require.NoError(t, err)
			backend, setting := memory(t)
			require.ErrorContains(t, script.Run(t.Context(), backend, setting), test.want)
		})
	}
}

func TestAFailedHoldLeavesNothingToRelease(t *testing.T) {
	script, err := Parse("story.txt", strings.NewReader(opening+`
hold H operator1@PoetrySocietyMSP proposal:Execute {"id": "$P"}
    fault not_found id
release H
`))
	require.NoError(t, err)
	backend, setting := memory(t)
	require.ErrorContains(t, script.Run(t.Context(), backend, setting), "nothing is held as H")
}

func TestScriptsThatDoNotParse(t *testing.T) {
	for claim, test := range map[string]struct{ text, want string }{
		"an unknown command":               {"frobnicate", `s:1: unknown word "frobnicate"`},
		"a command without its document":   {"submit a@B f:G", "submit needs a JSON object"},
		"a document without a command":     {"{}", "a document without a command"},
		"too few words":                    {"submit f:G {}", "submit takes 2 words"},
		"a document where none belongs":    {"release {}", "release takes 1 words"},
		"an open document":                 {"submit a@B f:G {\n  \"x\": 1", "s:1: the JSON document is not complete"},
		"an open document before the next": {"submit a@B f:G {\nid X", "s:1: the JSON document is not complete"},
		"a clause above every command":     {"  flag VALID", "nothing above that has an outcome"},
		"a clause below what has none":     {"id X\n  flag VALID", "nothing above that has an outcome"},
		"an unknown clause":                {"release H\n  wants {}", `s:2: unknown word "wants"`},
		"a name in small letters":          {"id x", `"x" is not a name`},
		"a let without its sign":           {"release H\n  let X is y", "expected: let NAME = PATH"},
		"an endorsement without by":        {"release H\n  endorsed with A", "expected: endorsed by"},
		"a refusal without at":             {"release H\n  refused by ordering", "expected: refused at"},
	} {
		t.Run(claim, func(t *testing.T) {
			_, err := Parse("s", strings.NewReader(test.text))
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestContains(t *testing.T) {
	for _, test := range []struct {
		got, want string
		holds     bool
	}{
		{`{"a": 1, "b": {"c": "x"}}`, `{"b": {}}`, true},
		{`{"a": 1}`, `{"a": 1.0}`, false}, // numbers as they are written
		{`{"a": "1"}`, `{"a": 1}`, false},
		{`{"a": null}`, `{"a": null}`, true},
		{`{}`, `{"a": null}`, false},
		{`{"a": [{"n": 1, "m": 2}, {"n": 3}]}`, `{"a": [{"n": 3}, {"m": 2}]}`, true},
		{`{"a": [{"n": 1}]}`, `{"a": [{"n": 2}]}`, false},
		{`{"a": ["x", "y"]}`, `{"a": ["y", "x"]}`, true},
		{`{"a": ["x", "y"]}`, `{"a": ["x"]}`, false},
		{`{"a": [{"n": 1}]}`, `{"a": []}`, false},
		{`{"a": []}`, `{"a": []}`, true},
		{`{"a": {}}`, `{"a": []}`, false},
		{`{"a": []}`, `{"a": {}}`, false},
	} {
		got, err := decode([]byte(test.got))
		require.NoError(t, err)
		want, err := decode([]byte(test.want))
		require.NoError(t, err)
		err = contains(got, want, "")
		require.Equal(t, test.holds, err == nil, "%s in %s: %v", test.want, test.got, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(opening)
	f.Add("submit a@B f:G {\"x\":\n  1}\n  want {}\n")
	f.Fuzz(func(t *testing.T, text string) {
		script, err := Parse("s", strings.NewReader(text))
		if err != nil {
			return
		}
		backend, setting := memory(t)
		_ = script.Run(t.Context(), backend, setting) // may fail, must not panic
	})
}
