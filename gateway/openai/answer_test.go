package openai_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

func ask(t require.TestingT) openai.Ask {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{11}, 32))
	a := openai.Ask{Request: use.Request{Number: 7, Cap: 50_000, Body: merkle.Hash{0xbb}},
		Voucher: use.Voucher{Session: merkle.Hash{1}, Card: merkle.Hash{2}, N: 3, Amount: 9, Root: merkle.Hash{4}}}
	var err error
	a.Voucher.Request, err = a.Request.Digest()
	require.NoError(t, err)
	a.Signature, err = use.Sign(key, a.Voucher)
	require.NoError(t, err)
	return a
}

func paid(t require.TestingT) *openai.Datanet {
	leaf := use.Leaf{Session: merkle.Hash{1}, Number: 7, Card: merkle.Hash{2}, In: 2, Out: 3, Fee: 1 << 60, Receipt: merkle.Hash{9}}
	d, err := openai.NewDatanet(3, leaf, ask(t), []byte{0, 0xff, 1}, attribution.Nonces{Prompt: attribution.Nonce{1}, Context: attribution.Nonce{2}, Output: attribution.Nonce{3}})
	require.NoError(t, err)
	return d
}

var head = openai.Head{Kind: openai.Chat, ID: "chatcmpl-1", Created: 5, Model: "M/a@1"}

func TestAnAnswerIsWhatOpenAIsClientsExpectWithOneMemberMore(t *testing.T) {
	a := openai.Answer{Head: head, Text: "درد <b>", Finish: openai.FinishStop, Usage: openai.NewUsage(2, 3), Datanet: paid(t)}
	body, err := a.Encode()
	require.NoError(t, err)
	encoded, err := ask(t).Encode()
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"chatcmpl-1","object":"chat.completion","created":5,"model":"M/a@1",
		"choices":[{"index":0,"message":{"role":"assistant","content":"درد <b>","refusal":null},"finish_reason":"stop"}],
		"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5},
		"datanet":{"session":"0100000000000000000000000000000000000000000000000000000000000000","place":3,"number":7,
		"leaf":"5553452f3100000100000000000000000000000000000000000000000000000000000000000000000000000000000702000000000000000000000000000000000000000000000000000000000000000000000000000002000000000000000310000000000000000900000000000000000000000000000000000000000000000000000000000000",
		"receipt":"AP8B","receipt_id":"0900000000000000000000000000000000000000000000000000000000000000",
		"prompt_nonce":"01000000000000000000000000000000","output_nonce":"03000000000000000000000000000000",
		"fee":"1152921504606846976","ask":"`+encoded+`"}}`, string(body))
	again, err := openai.ReadAnswer(openai.Chat, body)
	require.NoError(t, err)
	require.Equal(t, &a, again)

	a.Kind, a.Datanet = openai.Text, nil
	body, err = a.Encode()
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"chatcmpl-1","object":"text_completion","created":5,"model":"M/a@1",
		"choices":[{"index":0,"text":"درد <b>","finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}`, string(body))

	a.Text = "\xff"
	_, err = a.Encode()
	require.Error(t, err, "no text is changed on its way")
}

func TestAPaidAnswerShowsItsLeafAndItsRequest(t *testing.T) {
	leaf, a, err := paid(t).Paid()
	require.NoError(t, err)
	require.Equal(t, ask(t), a)
	require.Equal(t, uint64(1<<60), leaf.Fee)
	require.Equal(t, attribution.Nonces{Prompt: attribution.Nonce{1}, Output: attribution.Nonce{3}}, paid(t).Nonces(), "the context's nonce stays with the host")
	for claim, spoil := range map[string]func(*openai.Datanet){
		"session": func(d *openai.Datanet) { d.Session[0]++ },
		"number":  func(d *openai.Datanet) { d.Number++ },
		"receipt": func(d *openai.Datanet) { d.ReceiptID[0]++ },
		"fee":     func(d *openai.Datanet) { d.Fee = "1" },
		"leaf":    func(d *openai.Datanet) { d.Leaf = d.Leaf[1:] },
		"ask":     func(d *openai.Datanet) { d.Ask = d.Ask[1:] },
	} {
		d := paid(t)
		spoil(d)
		_, _, err := d.Paid()
		require.Error(t, err, claim)
	}
}

func TestASignedRequestHasOneForm(t *testing.T) {
	a := ask(t)
	text, err := a.Encode()
	require.NoError(t, err)
	require.Len(t, text, (59+155+64)*8/6+1)
	again, err := openai.DecodeAsk(text)
	require.NoError(t, err)
	require.Equal(t, a, again)
	for _, wrong := range []string{"", text[1:], text + "A", strings.Replace(text, text[:1], "+", 1), text[:len(text)-1] + "\n", text[:len(text)-2] + "=="} {
		_, err := openai.DecodeAsk(wrong)
		require.Error(t, err, wrong)
	}
	alone, err := openai.EncodeVoucherHeader(a.Voucher, a.Signature)
	require.NoError(t, err)
	v, signature, err := openai.DecodeVoucherHeader(alone)
	require.NoError(t, err)
	require.Equal(t, a.Voucher, v)
	require.Equal(t, a.Signature, signature)
	_, _, err = openai.DecodeVoucherHeader(text)
	require.Error(t, err)
	_, err = openai.DecodeAsk(alone)
	require.Error(t, err)
}

// read reads a whole stream.
func read(r *openai.Reader) (text string, last openai.Event, err error) {
	for {
		e, err := r.Next()
		if err == io.EOF {
			return text, last, nil
		}
		if err != nil {
			return text, last, err
		}
		text += e.Text
		if e.Finish != "" {
			last.Finish = e.Finish
		}
		if e.Usage != nil {
			last.Usage, last.Datanet = e.Usage, e.Datanet
		}
	}
}

func TestAStreamIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := head
		h.Kind = openai.Kind(rapid.IntRange(0, 1).Draw(t, "kind"))
		parts := rapid.SliceOf(rapid.String().Filter(func(s string) bool { return strings.ToValidUTF8(s, "") == s })).Draw(t, "parts")
		var out bytes.Buffer
		flushed := 0
		w := openai.NewWriter(&out, func() error { flushed = out.Len(); return nil }, h)
		for _, p := range parts {
			require.NoError(t, w.Write(p))
			require.Equal(t, out.Len(), flushed)
		}
		end := w.End
		if rapid.Bool().Draw(t, "together") {
			end = w.EndTogether
		}
		require.NoError(t, end(openai.FinishLength, openai.NewUsage(1, 2), paid(t)))
		require.Equal(t, out.Len(), flushed)
		for _, r := range []io.Reader{bytes.NewReader(out.Bytes()), iotest.OneByteReader(bytes.NewReader(out.Bytes()))} {
			text, last, err := read(openai.NewReader(h.Kind, r))
			require.NoError(t, err)
			require.Equal(t, strings.Join(parts, ""), text)
			require.Equal(t, openai.FinishLength, last.Finish)
			require.Equal(t, openai.NewUsage(1, 2), *last.Usage)
			require.Equal(t, paid(t), last.Datanet)
		}
		cut := rapid.IntRange(0, out.Len()-2).Draw(t, "cut")
		_, _, err := read(openai.NewReader(h.Kind, bytes.NewReader(out.Bytes()[:cut])))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "a stream that breaks off says so")
	})
}

func TestOnlyTheFirstChunkNamesTheRoleAndTheLastOneHasNoChoices(t *testing.T) {
	var out bytes.Buffer
	w := openai.NewWriter(&out, func() error { return nil }, head)
	require.False(t, w.Begun())
	require.NoError(t, w.Write("a"))
	require.True(t, w.Begun())
	require.NoError(t, w.Write("b"))
	require.NoError(t, w.End("stop", openai.NewUsage(1, 2), nil))
	const front = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"model":"M/a@1","choices":[`
	require.Equal(t, front+`{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null}]}`+"\n\n"+
		front+`{"index":0,"delta":{"content":"b"},"finish_reason":null}]}`+"\n\n"+
		front+`{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n"+
		front+`],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`+"\n\n"+
		"data: [DONE]\n\n", out.String())
}

func TestStreamsOfOtherServersAreRead(t *testing.T) {
	for claim, stream := range map[string]string{
		"carriage returns, comments and other fields": ": hi\r\n\r\nevent: x\r\nid: 1\r\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"a\"}}]}\r\n\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}],\"usage\":null}\r\n\r\ndata: [DONE]\r\n\r\n",
		"an event over several lines":                 "data: {\"choices\":[{\"delta\":{\"content\":\"ab\"},\ndata: \"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		"nulls, and a long line":                      "data: {\"choices\":[{\"delta\":{\"content\":null}}],\"x\":\"" + strings.Repeat("y", 10_000) + "\"}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"ab\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
	} {
		text, last, err := read(openai.NewReader(openai.Chat, strings.NewReader(stream)))
		require.NoError(t, err, claim)
		require.Equal(t, "ab", text, claim)
		require.Equal(t, "stop", last.Finish, claim)
	}
}

func TestAFaultInAStreamIsAFault(t *testing.T) {
	var out bytes.Buffer
	w := openai.NewWriter(&out, func() error { return nil }, head)
	require.NoError(t, w.Write("a"))
	require.NoError(t, w.Fail(openai.Refuse(openai.CodeUpstream, "", "it hangs")))
	text, _, err := read(openai.NewReader(openai.Chat, &out))
	var fault *openai.Error
	require.ErrorAs(t, err, &fault)
	require.Equal(t, "a", text)
	require.Equal(t, openai.CodeUpstream, fault.Code)
	require.Equal(t, "it hangs", fault.Message)
}

func TestAFaultIsSentAsOpenAIsClientsExpect(t *testing.T) {
	for _, c := range []struct {
		code   openai.Code
		status int
		retry  string
	}{{openai.CodeQuota, 429, "false"}, {openai.CodeWindow, 429, "true"}, {openai.CodeInProgress, 409, "true"}, {openai.CodeConflict, 409, "false"},
		{openai.CodeNotFound, 404, "false"}, {openai.CodeUpstream, 503, "true"}, {openai.CodeInternal, 500, "true"}} {
		r := httptest.NewRecorder()
		openai.Refuse(c.code, "model", "no %s", "way").Write(r)
		require.Equal(t, c.status, r.Code)
		require.Equal(t, c.retry, r.Header().Get("X-Should-Retry"), c.code)
		got := openai.ReadError(r.Code, r.Body.Bytes())
		require.Equal(t, openai.Refuse(c.code, "model", "no way"), got)
	}
	require.JSONEq(t, `{"error":{"message":"x","type":"invalid_request_error","param":null,"code":"conflict"}}`, string(openai.Refuse(openai.CodeConflict, "", "x").Encode()))
	require.Equal(t, 502, openai.ReadError(502, []byte("<html>")).Status)
	require.NotContains(t, openai.ReadError(502, []byte("<html>")).Message, "html")
}

func TestModelsAreListed(t *testing.T) {
	b, err := openai.EncodeModels([]openai.Model{{ID: "M/a@1", Created: 3, OwnedBy: "M"}})
	require.NoError(t, err)
	require.JSONEq(t, `{"object":"list","data":[{"id":"M/a@1","object":"model","created":3,"owned_by":"M"}]}`, string(b))
	b, err = openai.EncodeModels(nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"object":"list","data":[]}`, string(b))
	b, err = openai.EncodeModel(openai.Model{ID: "M/a@1", Created: 3, OwnedBy: "M"})
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"M/a@1","object":"model","created":3,"owned_by":"M"}`, string(b))
}

func FuzzReadAnswer(f *testing.F) {
	a := openai.Answer{Head: head, Text: "x", Finish: "stop", Datanet: paid(f)}
	body, err := a.Encode()
	require.NoError(f, err)
	f.Add(body)
	f.Add([]byte(`{"choices":[{"text":"x"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, kind := range []openai.Kind{openai.Chat, openai.Text} {
			a, err := openai.ReadAnswer(kind, body)
			if err != nil {
				continue
			}
			if a.Datanet != nil {
				a.Datanet.Paid()
			}
			again, err := a.Encode()
			require.NoError(t, err)
			b, err := openai.ReadAnswer(kind, again)
			require.NoError(t, err)
			require.Equal(t, a.Text, b.Text)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n"))
	f.Add([]byte(": x\r\n\r\ndata: {\"error\":{\"message\":\"a\"}}\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		_, _, err := read(openai.NewReader(openai.Chat, bytes.NewReader(stream)))
		if err == nil {
			require.True(t, bytes.Contains(stream, []byte("[DONE]")))
		}
	})
}

func FuzzDecodeAsk(f *testing.F) {
	text, err := ask(f).Encode()
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := openai.DecodeAsk(text); err == nil {
			again, err := a.Encode()
			require.NoError(t, err)
			require.Equal(t, text, again)
		}
	})
}

func FuzzReadError(f *testing.F) {
	f.Add([]byte(`{"error":{"message":"x","code":null}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e := openai.ReadError(500, body)
		require.NotEmpty(t, e.Message)
		var any struct{}
		require.NoError(t, errors.Join(json.Unmarshal(e.Encode(), &any)))
	})
}
