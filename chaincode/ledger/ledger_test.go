package ledger_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// state is a store over a map, for tests of the language itself.
type state map[ledger.Key][]byte

func (s state) TxID() string          { return strings.Repeat("ab", 32) }
func (s state) Channel() string       { return "datanet" }
func (s state) Time() time.Time       { return time.Unix(0, 0).UTC() }
func (s state) Caller() ledger.Caller { return ledger.Caller{MSP: "AMSP", Enrolment: "ann"} }
func (s state) States(keys []ledger.Key) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		values[i] = s[key]
	}
	return values, nil
}
func (s state) KeyPolicy(ledger.Key) (ledger.Policy, bool, error) {
	return ledger.Policy{}, false, nil
}
func (s state) Range(prefix, from ledger.Key, limit int) (entries []ledger.Entry, next ledger.Key, err error) {
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if key < max(prefix, from) || key >= prefix+ledger.Key(utf8.MaxRune) {
			continue
		}
		if len(entries) == limit {
			return entries, key, nil
		}
		entries = append(entries, ledger.Entry{Key: key, Value: s[key]})
	}
	return entries, "", nil
}

type openGate struct{}

func (openGate) Reads() []ledger.Key                         { return nil }
func (openGate) Admit(ledger.Reader, *ledger.Function) error { return nil }

type number struct {
	N int `json:"n"`
}

// run executes one command whose rule is given.
func run(s state, rule func(tx ledger.Tx, req number) (number, error)) (*ledger.Outcome, error) {
	reg := ledger.NewRegistry(openGate{}, []*ledger.Function{ledger.Command("test:Run", "", ledger.Anyone, rule)})
	return reg.Execute(s, "test:Run", []byte(`{"n":1}`))
}

func TestARuleThatBreaksTheRulesOfWritingIsAnInternalFault(t *testing.T) {
	key := ledger.NewKey("k", "a")
	for claim, rule := range map[string]func(ledger.Tx){
		"a write without an event": func(tx ledger.Tx) { tx.Put(key, []byte("x")) },
		"an event without a write": func(tx ledger.Tx) { tx.Emit("e/1", number{}) },
		"two events":               func(tx ledger.Tx) { tx.Put(key, []byte("x")); tx.Emit("e/1", number{}); tx.Emit("e/1", number{}) },
		"an empty value":           func(tx ledger.Tx) { tx.Put(key, nil); tx.Emit("e/1", number{}) },
		"a key written twice":      func(tx ledger.Tx) { tx.Put(key, []byte("x")); tx.Put(key, []byte("y")); tx.Emit("e/1", number{}) },
		"a deletion after a write": func(tx ledger.Tx) { tx.Put(key, []byte("x")); tx.Delete(key); tx.Emit("e/1", number{}) },
		"a write after a deletion": func(tx ledger.Tx) { tx.Delete(key); tx.Put(key, []byte("x")); tx.Emit("e/1", number{}) },
		"a key guarded twice": func(tx ledger.Tx) {
			tx.Guard(key, ledger.Policy{})
			tx.Guard(key, ledger.Policy{})
			tx.Emit("e/1", number{})
		},
		"an event that has no JSON": func(tx ledger.Tx) { tx.Put(key, []byte("x")); tx.Emit("e/1", func() {}) },
		"a panic":                   func(ledger.Tx) { panic("boom") },
		"a key of an empty part":    func(tx ledger.Tx) { tx.Put(ledger.NewKey("k", ""), []byte("x")) },
	} {
		_, err := run(state{}, func(tx ledger.Tx, req number) (number, error) { rule(tx); return req, nil })
		require.Equal(t, ledger.CodeInternal, ledger.AsFault(err).Code, claim)
	}
}

func TestATransactionCannotReadWhatItWrote(t *testing.T) {
	key := ledger.NewKey("k", "a")
	_, err := run(state{key: []byte("old")}, func(tx ledger.Tx, req number) (number, error) {
		tx.Put(key, []byte("new"))
		_, err := tx.Get(key)
		return req, err
	})
	require.ErrorContains(t, err, "after this transaction wrote it")
}

func TestWritesComeInTheOrderOfTheirKeys(t *testing.T) {
	out, err := run(state{}, func(tx ledger.Tx, req number) (number, error) {
		for _, part := range []string{"c", "a", "b"} {
			tx.Put(ledger.NewKey("k", part), []byte(part))
		}
		tx.Guard(ledger.NewKey("k", "b"), ledger.PeerOf("AMSP"))
		tx.Emit("e/1", req)
		return req, nil
	})
	require.NoError(t, err)
	require.Len(t, out.Writes, 3)
	require.Equal(t, "k/a", out.Writes[0].Key.String())
	require.NotNil(t, out.Writes[1].Policy)
	require.JSONEq(t, `{"n":1}`, string(out.Response))
	require.Equal(t, "e/1", out.Event.Name)
}

func TestDocumentsAreDecodedStrictly(t *testing.T) {
	for document, field := range map[string]string{
		`{"n":1,"m":2}`:        "m",
		`{"N":1}`:              "N",
		`{"n":1,"n":2}`:        "n",
		`{"n":"1"}`:            "n",
		`{"n":1.5}`:            "n",
		`{"n":1}{"n":2}`:       "",
		`{"n":1`:               "",
		``:                     "",
		`[1]`:                  "",
		"{\"n\":1,\"\xff\":1}": "",
		strings.Repeat(" ", ledger.MaxDocument) + `{}`: "",
	} {
		var v number
		err := ledger.Decode([]byte(document), &v)
		f := new(ledger.Fault)
		require.ErrorAs(t, err, &f, "%.40q", document)
		require.Equal(t, ledger.CodeInvalid, f.Code)
		require.Equal(t, field, f.Field, "%.40q: %v", document, f)
	}
	var v number
	require.NoError(t, ledger.Decode([]byte(" { \"n\" : 7 } "), &v))
	require.Equal(t, 7, v.N)
}

func TestFaultsSurviveTheWire(t *testing.T) {
	f := ledger.Invalid("payments.3.to", "no account %q", "«x»")
	back, ok := ledger.ParseFault(f.Wire())
	require.True(t, ok)
	require.Equal(t, f, back)
	for _, other := range []string{"", "chaincode down", `{"message":"x"}`, `{"code":"invalid","message":"m","extra":1}`} {
		_, ok := ledger.ParseFault(other)
		require.False(t, ok, other)
	}
	require.Equal(t, ledger.CodeInternal, ledger.AsFault(errors.New("disk")).Code)
}

func TestKeysSplitIntoWhatMadeThem(t *testing.T) {
	part := rapid.StringMatching(`[^\x00\x{10FFFF}]{1,20}`)
	rapid.Check(t, func(t *rapid.T) {
		kind, parts := part.Draw(t, "kind"), rapid.SliceOfN(part, 0, 4).Draw(t, "parts")
		k := ledger.NewKey(kind, parts...)
		gotKind, gotParts, ok := k.Split()
		require.True(t, ok)
		require.Equal(t, kind, gotKind)
		require.Equal(t, append([]string{}, parts...), append([]string{}, gotParts...))
		require.True(t, strings.HasPrefix(string(ledger.NewKey(kind, append(parts, "more")...)), string(k)))
	})
}

func ExampleNewKey() {
	k := ledger.NewKey("credit", "AILabMSP:k3f9", "9f2c")
	fmt.Println(k)
	fmt.Printf("%q\n", string(k))
	// Output:
	// credit/AILabMSP:k3f9/9f2c
	// "\x00credit\x00AILabMSP:k3f9\x009f2c\x00"
}

func TestNamesOfAccountsAndResources(t *testing.T) {
	for _, bad := range []ledger.Account{"", "AMSP", ":a", "AMSP:", "pool:AMSP/verse", "AMSP:a b", "AMSP:a:b", "AMSP:é", "1MSP:a",
		ledger.Account("AMSP:" + strings.Repeat("a", 129))} {
		require.Error(t, bad.Validate("to"), string(bad))
	}
	require.NoError(t, ledger.NewAccount("AMSP", "k3f9.x@y-z_0").Validate("to"))
	require.Equal(t, "AMSP", ledger.NewAccount("AMSP", "ann").MSP())
	require.Equal(t, "AMSP/verse", ledger.PoolAccount("AMSP/verse").Pool())
	for _, bad := range []string{"", "verse", "AMSP/", "AMSP/Verse", "AMSP/-verse", "AMSP/verse/x", "/verse", "AMSP/" + strings.Repeat("a", 65)} {
		require.Error(t, ledger.ValidName("name", bad), bad)
	}
	require.NoError(t, ledger.ValidName("name", "AMSP/persian-poetry.2"))
	require.Error(t, ledger.ValidID("id", strings.Repeat("A", 32)))
	require.Error(t, ledger.ValidDigest("d", strings.Repeat("g", 64)))
}

func TestRolesAreReadFromTheCertificateAttribute(t *testing.T) {
	require.Equal(t, []ledger.Role{ledger.Validator, ledger.Curator}, ledger.ParseRoles("curator, validator,king,curator"))
	require.Empty(t, ledger.ParseRoles(""))
}

func TestASlotNeedsItsOwnerAndAMajority(t *testing.T) {
	require.Equal(t, ledger.OutOf(1, ledger.PeerOf("AMSP")), ledger.SlotPolicy("AMSP", []string{"AMSP"}))
	require.Equal(t, ledger.OutOf(2, ledger.PeerOf("BMSP"), ledger.OutOf(1, ledger.PeerOf("AMSP"), ledger.PeerOf("CMSP"))),
		ledger.SlotPolicy("BMSP", []string{"AMSP", "BMSP", "CMSP"}))
	require.Equal(t, 3, ledger.Majority(4))
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"n":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v number
		if ledger.Decode(data, &v) != nil {
			return
		}
		again, err := ledger.Encode(v)
		require.NoError(t, err)
		var w number
		require.NoError(t, ledger.Decode(again, &w))
		require.Equal(t, v, w)
	})
}

func FuzzParseFault(f *testing.F) {
	f.Add(ledger.Invalid("a", "b").Wire())
	f.Fuzz(func(t *testing.T, message string) {
		if fault, ok := ledger.ParseFault(message); ok {
			back, ok := ledger.ParseFault(fault.Wire())
			require.True(t, ok)
			require.Equal(t, fault, back)
		}
	})
}

func FuzzSplitKey(f *testing.F) {
	f.Add(string(ledger.NewKey("k", "a")))
	f.Fuzz(func(t *testing.T, s string) {
		if kind, parts, ok := ledger.Key(s).Split(); ok {
			require.Equal(t, ledger.Key(s), ledger.NewKey(kind, parts...))
		}
	})
}

func FuzzParseRoles(f *testing.F) {
	f.Add("operator, host")
	f.Add("Operator,host,,host")
	f.Fuzz(func(t *testing.T, attribute string) {
		last := -1
		for _, role := range ledger.ParseRoles(attribute) {
			i := slices.Index(ledger.Roles, role)
			require.Greater(t, i, last, "known roles, each once, in one order")
			require.Contains(t, attribute, string(role))
			last = i
		}
	})
}

func FuzzCursor(f *testing.F) {
	s := state{ledger.NewKey("k", "a", "1"): []byte(`{}`), ledger.NewKey("k", "a", "2"): []byte(`{}`), ledger.NewKey("k", "b", "1"): []byte(`{}`)}
	f.Add("", 1)
	f.Add("MgA", 1)
	f.Add("AAAA", 1000)
	f.Fuzz(func(t *testing.T, cursor string, limit int) {
		list := ledger.Query("test:List", "", ledger.Anyone, func(l ledger.Lister, req ledger.PageRequest) (ledger.Page[string], error) {
			return ledger.List(l, ledger.NewKey("k", "a"), req, func(key ledger.Key, _ []byte) (string, error) { return key.String(), nil })
		})
		doc, err := ledger.Encode(ledger.PageRequest{Limit: limit, Cursor: cursor})
		if err != nil {
			return
		}
		out, err := ledger.NewRegistry(openGate{}, []*ledger.Function{list}).Execute(s, "test:List", doc)
		if err != nil {
			require.Equal(t, ledger.CodeInvalid, ledger.AsFault(err).Code, "%v", err)
			return
		}
		require.NotContains(t, string(out.Response), "k/b", "a cursor leads nowhere else")
	})
}
