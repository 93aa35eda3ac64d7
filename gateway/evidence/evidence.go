// Package evidence is what a host keeps of a paid answer until it is settled and released, and what consumer and
// attestor hold a leaf against.
//
// Life of evidence: the host makes it when the answer ends, and its meter keeps it sealed beside the leaf. The consumer
// makes the same out of its own request and the answer, without the context, and checks the leaf before it signs. For
// an attestor, as far as the session discloses it, the host hands it out of its store; the attestor checks the leaf and
// recomputes the receipt. After the release it is forgotten.
package evidence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/text1"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// MaxOutput is the most canonical tokens of an answer that is paid for: longer than any model writes at once, and few enough
// that whoever recomputes its receipt needs some hundreds of megabytes at most, whatever the text is.
const MaxOutput = 1 << 17

// Evidence is an answer with all that its leaf claims of it.
type Evidence struct {
	Receipt []byte   // ATTR/1
	Path    string   // the endpoint
	Body    []byte   // of the request, as it was sent
	Context [][]byte // what the host added; only host and attestors have it
	Output  []byte
	Nonces  attribution.Nonces // without the context's for the consumer

	prompt [][]byte // of Body, for who has read it already
}

// Asked notes the prompt records of the body, for who has read it already.
func (e *Evidence) Asked(prompt [][]byte) { e.prompt = prompt }

const tag = "EVIDENCE/1\x00\x00"

// Encode returns the evidence's bytes: tag, receipt, path, body, output, the three nonces, and the context, each of
// bytes with a u32 length, lists with a u32 count.
func (e *Evidence) Encode() ([]byte, error) {
	size := len(tag) + 4*5 + len(e.Receipt) + len(e.Path) + len(e.Body) + len(e.Output) + 3*16
	fields := [][]byte{e.Receipt, []byte(e.Path), e.Body, e.Output}
	for _, c := range e.Context {
		size += 4 + len(c)
	}
	if uint64(size) > math.MaxUint32 {
		return nil, fmt.Errorf("encode evidence: %d bytes are too many", size)
	}
	b := append(make([]byte, 0, size), tag...)
	for _, f := range fields {
		b = appendBytes(b, f)
	}
	for _, n := range []attribution.Nonce{e.Nonces.Prompt, e.Nonces.Context, e.Nonces.Output} {
		b = append(b, n[:]...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Context)))
	for _, c := range e.Context {
		b = appendBytes(b, c)
	}
	return b, nil
}

func appendBytes(b, field []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
	return append(b, field...)
}

var errShort = errors.New("decode evidence: it ends too early")

type decoder struct {
	left []byte
	err  error
}

func (d *decoder) take(n uint64) []byte {
	if d.err == nil && n > uint64(len(d.left)) {
		d.err = errShort
	}
	if d.err != nil {
		return nil
	}
	b := d.left[:n:n]
	d.left = d.left[n:]
	return b
}

func (d *decoder) count() uint64 {
	if b := d.take(4); b != nil {
		return uint64(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (d *decoder) bytes() []byte { return d.take(d.count()) }

func (d *decoder) nonce() (n attribution.Nonce) {
	copy(n[:], d.take(uint64(len(n))))
	return n
}

// Decode reads what Encode writes and nothing else. Its parts share memory with the bytes.
func Decode(encoded []byte) (*Evidence, error) {
	d := &decoder{left: encoded}
	if string(d.take(uint64(len(tag)))) != tag {
		return nil, errors.New("decode evidence: it does not begin as evidence")
	}
	e := &Evidence{Receipt: d.bytes(), Path: string(d.bytes()), Body: d.bytes(), Output: d.bytes()}
	e.Nonces = attribution.Nonces{Prompt: d.nonce(), Context: d.nonce(), Output: d.nonce()}
	count := d.count()
	if d.err == nil && count > uint64(len(d.left))/4 {
		d.err = errShort
	}
	for range count {
		if d.err != nil {
			break
		}
		e.Context = append(e.Context, d.bytes())
	}
	if d.err == nil && len(d.left) > 0 {
		d.err = fmt.Errorf("decode evidence: %d bytes follow its end", len(d.left))
	}
	return e, d.err
}

// Tokens counts the canonical tokens of texts.
func Tokens(texts ...[]byte) (n uint64) {
	for _, text := range texts {
		s := text1.NewScanner(text)
		for s.Next() {
			n++
		}
	}
	return n
}

// Subject is what a session's rate card says of the model.
type Subject struct {
	Model     string        // name@version
	Artifacts []merkle.Hash // a receipt names one of them
}

// Findings of a check, by the codes that objections use.
const (
	WrongUnits   = "units"   // tokens recounted are others
	WrongReceipt = "receipt" // the receipt is not the leaf's, or none
	WrongSubject = "subject" // the receipt is of another model, prompt or output
)

// Wrong is a leaf that the evidence does not bear out.
type Wrong struct {
	Finding string
	Detail  string
}

func (w *Wrong) Error() string { return w.Finding + ": " + w.Detail }

func wrong(finding, format string, args ...any) error {
	return &Wrong{finding, fmt.Sprintf(format, args...)}
}

// Check holds a leaf against the evidence: the receipt is the leaf's, it names the model and one of its artifacts, its
// commitments to prompt and output open to the texts, and the tokens of both are those of the leaf. That the fee is
// right for them, and the spans for the corpus, is for others to check. What is wrong is a [*Wrong].
func (e *Evidence) Check(leaf use.Leaf, s Subject) error {
	if id := receipt.ID(e.Receipt); id != leaf.Receipt {
		return wrong(WrongReceipt, "the leaf names the receipt %s, this is %s", leaf.Receipt, id)
	}
	r, err := receipt.Decode(e.Receipt)
	if err != nil {
		return wrong(WrongReceipt, "%v", err)
	}
	prompt, err := e.Prompt()
	if err != nil {
		return wrong(WrongSubject, "%v", err)
	}
	in, out := Tokens(prompt...), Tokens(e.Output)
	if err := e.check(r, prompt, out, s); err != nil {
		return err
	}
	if out > MaxOutput {
		return wrong(WrongUnits, "the output has %d tokens, no answer has more than %d", out, MaxOutput)
	}
	if leaf.In != in || leaf.Out != out {
		return wrong(WrongUnits, "the leaf counts %d tokens in and %d out, there are %d and %d", leaf.In, leaf.Out, in, out)
	}
	return nil
}

// CheckFree is Check for an answer that costs nothing, of which there is no leaf.
func (e *Evidence) CheckFree(s Subject) error {
	r, err := receipt.Decode(e.Receipt)
	if err != nil {
		return wrong(WrongReceipt, "%v", err)
	}
	prompt, err := e.Prompt()
	if err != nil {
		return wrong(WrongSubject, "%v", err)
	}
	return e.check(r, prompt, Tokens(e.Output), s)
}

func (e *Evidence) check(r *receipt.Receipt, prompt [][]byte, out uint64, s Subject) error {
	commitment, err := attribution.CommitPrompt(e.Nonces.Prompt, prompt)
	switch {
	case err != nil:
		return wrong(WrongSubject, "%v", err)
	case r.Model != s.Model:
		return wrong(WrongSubject, "the receipt is of the model %s, the session of %s", r.Model, s.Model)
	case !slices.Contains(s.Artifacts, r.Artifact):
		return wrong(WrongSubject, "the receipt names the artifact %s, which is none of the model's", r.Artifact)
	case r.Prompt != commitment:
		return wrong(WrongSubject, "the receipt's commitment to the prompt does not open to what was asked")
	case r.Output != attribution.CommitOutput(e.Nonces.Output, e.Output):
		return wrong(WrongSubject, "the receipt's commitment to the output does not open to what was answered")
	case uint64(r.OutputBytes) != uint64(len(e.Output)) || uint64(r.OutputTokens) != out:
		return wrong(WrongReceipt, "it counts %d bytes and %d tokens of output, there are %d and %d", r.OutputBytes, r.OutputTokens, len(e.Output), out)
	}
	return nil
}

// Prompt are the prompt records of the request.
func (e *Evidence) Prompt() ([][]byte, error) {
	if e.prompt != nil {
		return e.prompt, nil
	}
	kind, err := openai.KindOf(e.Path)
	if err != nil {
		return nil, err
	}
	r, err := openai.Parse(kind, e.Body)
	if err != nil {
		return nil, fmt.Errorf("the request: %w", err)
	}
	return r.Prompt(), nil
}

// Answer is what the receipt has to be recomputed of, over the corpus with these roots.
func (e *Evidence) Answer(model string, artifact merkle.Hash, roots []merkle.Hash, tau uint8) (attribution.Answer, error) {
	prompt, err := e.Prompt()
	return attribution.Answer{Roots: roots, Model: model, Artifact: artifact, Prompt: prompt, Context: e.Context, Output: e.Output,
		Nonces: e.Nonces, Tau: tau}, err
}
