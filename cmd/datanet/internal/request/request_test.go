package request

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// document parses a command line for a request and makes it.
func document(t *testing.T, request reflect.Type, arguments map[string]string, from string, args ...string) (string, error) {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	var taken []string
	for name := range arguments {
		taken = append(taken, name)
	}
	f := New(flags, request, taken)
	f.now = func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC) }
	require.NoError(t, flags.Parse(args))
	text, err := f.Document(arguments, []byte(from))
	return string(text), err
}

const (
	id = "00000000000000000000000000000001"
	tx = "000000000000000000000000000000000000000000000000000000000000000"
)

func TestFlagsAndArgumentsMakeTheRequestAsTheLedgerWritesIt(t *testing.T) {
	for name, c := range map[string]struct {
		request   reflect.Type
		arguments map[string]string
		from      string
		args      []string
		want      string
	}{
		"an amount and a list": {reflect.TypeFor[token.Transfer](), map[string]string{"id": id, "to": "A:b", "amount": "12"}, "",
			[]string{"--credits", tx + "1," + tx + "2", "--apart"},
			`{"id":"` + id + `","to":"A:b","amount":"12","credits":["` + tx + `1","` + tx + `2"],"apart":true}`},
		"pairs": {reflect.TypeFor[ticket.Open](), map[string]string{"id": id}, "",
			[]string{"--snapshots", "A/verse@3", "--snapshots", "B/prose@1", "--purpose", "research", "--grants", "B/prose@" + id},
			`{"id":"` + id + `","snapshots":[{"datanet":"A/verse","number":3},{"datanet":"B/prose","number":1}],"purpose":"research","grants":[{"datanet":"B/prose","id":"` + id + `"}]}`},
		"days from now, and JSON inside": {reflect.TypeFor[proposal.Content](), map[string]string{"id": id, "kind": "token.mint"}, "",
			[]string{"--expires", "30d", "--params", `{"to":"A:b","amount":"5"}`},
			`{"id":"` + id + `","kind":"token.mint","params":{"to":"A:b","amount":"5"},"expires":"2030-02-01T03:04:05Z"}`},
		"lists that the ledger wants in order, in another one": {reflect.TypeFor[access.Terms](), map[string]string{"datanet": "A/verse", "grantee": "BMSP", "id": id}, "",
			[]string{"--expires", "30d", "--purposes", "research,commercial-service"},
			`{"datanet":"A/verse","id":"` + id + `","grantee":"BMSP","purposes":["commercial-service","research"],"expires":"2030-02-01T03:04:05Z"}`},
		"an argument inside a struct": {reflect.TypeFor[model.Impact](), map[string]string{"model.name": "A/m", "model.version": "1"}, "", nil,
			`{"model":{"name":"A/m","version":"1"}}`},
		"a file whose parts flags replace": {reflect.TypeFor[datanet.Create](), map[string]string{"name": "A/verse"}, `
title: Verse
description: Poems
modality: text
licence: {purposes: [research], derivativePpm: 1}
policy: {validators: [A, B, C], quorum: 2, maxDerivedPpm: 1, dataPpm: 1, validatorsPpm: 1, tau: 1, attestationQuorum: 1, rest: equal}
`, []string{"--title", "Other", "--licence-purposes", "evaluation,research", "--policy-tau", "7", "--tags", "a"},
			`{"name":"A/verse","title":"Other","description":"Poems","tags":["a"],"modality":"text","licence":{"purposes":["evaluation","research"],"derivativePpm":1},` +
				`"policy":{"validators":["A","B","C"],"quorum":2,"maxDerivedPpm":1,"dataPpm":1,"validatorsPpm":1,"tau":7,"attestationQuorum":1,"rest":"equal"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := document(t, c.request, c.arguments, c.from, c.args...)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestMistakesAreNamed(t *testing.T) {
	transfer := reflect.TypeFor[token.Transfer]()
	for want, run := range map[string]func() (string, error){
		"is not an account": func() (string, error) {
			return document(t, transfer, map[string]string{"id": id, "to": "x", "amount": "1"}, "")
		},
		"decimal string": func() (string, error) {
			return document(t, transfer, map[string]string{"id": id, "to": "A:b", "amount": "1.5"}, "")
		},
		"unknown field":         func() (string, error) { return document(t, transfer, map[string]string{"id": id}, `{"too":"A:b"}`) },
		"neither JSON nor YAML": func() (string, error) { return document(t, transfer, nil, "a: [") },
		"expected datanet@": func() (string, error) {
			return document(t, reflect.TypeFor[ticket.Open](), nil, "", "--snapshots", "A/verse")
		},
		"is not a whole number": func() (string, error) {
			return document(t, reflect.TypeFor[ticket.Open](), nil, "", "--snapshots", "A/verse@x")
		},
		"days from now": func() (string, error) {
			return document(t, reflect.TypeFor[proposal.Content](), nil, "", "--expires", "0d")
		},
		"is not a time": func() (string, error) {
			return document(t, reflect.TypeFor[proposal.Content](), nil, "", "--expires", "soon")
		},
		"is not JSON": func() (string, error) {
			return document(t, reflect.TypeFor[proposal.Content](), nil, "", "--params", "{")
		},
		"the request has no fie": func() (string, error) { return document(t, transfer, map[string]string{"nothing": "x"}, "") },
		"given twice": func() (string, error) {
			return document(t, reflect.TypeFor[datanet.Create](), map[string]string{"name": "A/verse"}, `{"licence":"x"}`, "--licence-derivative-ppm", "1")
		},
	} {
		_, err := run()
		require.ErrorContains(t, err, want)
	}
}

func TestEveryFunctionOfTheLedgerHasItsFlags(t *testing.T) {
	for _, f := range rules.New(nil).Functions() {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		fields := New(flags, f.Request, nil)
		for _, one := range fields.fields {
			_, ok := kindOf(f.Request, one.path)
			require.True(t, ok, "%s: %v", f.Name, one.path)
			require.Equal(t, one.flag, fields.Flag(pathOf(one)), f.Name)
		}
	}
}

func pathOf(f field) string {
	text := ""
	for i, name := range f.path {
		if i > 0 {
			text += "."
		}
		text += name
	}
	return text
}

func TestBytesComeFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	data, err := bytesOf("@" + path)
	require.NoError(t, err)
	require.Equal(t, "content", string(data))
	require.NoError(t, os.WriteFile(path, make([]byte, maxFile+1), 0o600))
	_, err = bytesOf("@" + path)
	require.ErrorContains(t, err, "more than")
}

func FuzzDocumentNeverPanics(f *testing.F) {
	f.Add("title: x\nlicence: {purposes: [research]}", "A/verse", "1", "30d")
	f.Add(`{"name":1}`, "", "-1", "2030-01-01")
	f.Add("licence: x", "x@y", "9999999999999999999", "")
	f.Add("? [a]: b", "", "", "")
	f.Fuzz(func(t *testing.T, from, name, number, at string) {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		fields := New(flags, reflect.TypeFor[datanet.Create](), []string{"name"})
		if flags.Parse([]string{"--licence-derivative-ppm", number, "--licence-expires", at}) != nil {
			return
		}
		text, err := fields.Document(map[string]string{"name": name}, []byte(from))
		if err != nil {
			return
		}
		var request datanet.Create
		require.NoError(t, ledger.Decode(text, &request))
		require.NoError(t, request.Validate())
		require.Equal(t, name, request.Name)
	})
}
