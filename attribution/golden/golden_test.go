package golden_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/golden"
)

const good = `{"contributions":[{"id":"c","account":"a","records":["é",{"hex":"ff00"}]}],"roots":[],"model":"m@1",` +
	`"artifact":"82ac385e85d80ad85cb2ebb027d26f1ffb1a6b67c376eb8fa537076c86a80807",` +
	`"nonces":{"prompt":"12757f135a71f44cda36aaf48df7cf1c","context":"eaa96ec75e56c114b9703ced6637b0ac","output":"cb5beadccc28f75329a600003cb473bf"},` +
	`"tau":1,"prompt":["p"],"context":[],"output":"o"}`

func TestATextIsAStringOrHex(t *testing.T) {
	corpus, answer, err := golden.ReadCase([]byte(good))
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("é"), {0xff, 0}}, corpus[0].Records)
	require.Equal(t, "o", string(answer.Output))
	require.Equal(t, byte(0x12), answer.Nonces.Prompt[0])
	require.Equal(t, uint8(1), answer.Tau)
}

func TestACaseIsReadStrictly(t *testing.T) {
	for claim, change := range map[string][2]string{
		"an unknown member":         {`"tau":1`, `"tau":1,"x":1`},
		"a member twice":            {`"tau":1`, `"tau":1,"tau":1`},
		"a missing member":          {`"tau":1,`, ``},
		"a null member":             {`"tau":1`, `"tau":null`},
		"a negative tau":            {`"tau":1`, `"tau":-1`},
		"a missing account":         {`"account":"a",`, ``},
		"a missing nonce":           {`"prompt":"12757f135a71f44cda36aaf48df7cf1c",`, ``},
		"a short nonce":             {`"12757f13`, `"127513`},
		"a nonce not in hex":        {`"12757f13`, `"x2757f13`},
		"an artifact too short":     {`"82ac38`, `"82ac`},
		"an artifact in upper case": {`"82ac38`, `"82AC38`},
		"a text that is a number":   {`["p"]`, `[1]`},
		"a text that is null":       {`["p"]`, `[null]`},
		"a text object without hex": {`{"hex":"ff00"}`, `{}`},
		"a text with half a byte":   {`"ff00"`, `"ff0"`},
		"a text object with more":   {`{"hex":"ff00"}`, `{"hex":"ff00","x":1}`},
		"something behind":          {`"output":"o"}`, `"output":"o"}{}`},
	} {
		t.Run(claim, func(t *testing.T) {
			bad := strings.Replace(good, change[0], change[1], 1)
			require.NotEqual(t, good, bad)
			_, _, err := golden.ReadCase([]byte(bad))
			require.Error(t, err)
		})
	}
}

func FuzzReadCase(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"output":{"hex":"ff"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		corpus, answer, err := golden.ReadCase(line)
		if err != nil {
			require.Nil(t, corpus)
			require.Empty(t, answer)
			return
		}
		size := len(answer.Output) + len(answer.Model)
		for _, c := range corpus {
			size += len(c.ID) + len(c.Account)
			for _, r := range c.Records {
				size += len(r)
			}
		}
		require.LessOrEqual(t, size, len(line), "a case holds no more than its line")
	})
}
