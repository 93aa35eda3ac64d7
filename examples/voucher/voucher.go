// Package voucher is an example: a client that pays for a model itself, by the forms of docs/usage.md, with no gateway of
// its own. It needs a session on the ledger whose spending key it holds.
//
// It sends one request after the other and forgets everything when it ends. A real one keeps on disk what it has signed
// before the signature leaves, as gateway/wallet does; else it may sign two things for one place after a crash.
package voucher

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/text1"
	"github.com/datanet-consortium/datanet/attribution/use"
)

// Client asks the host of one session.
type Client struct {
	HTTP    *http.Client // trusts the host's TLS authority
	Host    string       // "https://host:port"
	Session merkle.Hash  // sid
	Card    merkle.Hash  // digest of its rate card
	// PriceIn and PriceOut are the card's, for 1,000 tokens.
	PriceIn, PriceOut uint64
	Key               crypto.Signer // the spending key

	next   uint64 // q of the next request
	amount uint64
	tree   merkle.Frontier
}

// answer is what the client reads of the host's.
type answer struct {
	Choices []struct {
		Message struct {
			Content string `json:"content"`
		} `json:"message"`
	} `json:"choices"`
	Datanet struct {
		Place       uint64 `json:"place"`
		Leaf        string `json:"leaf"`
		Receipt     []byte `json:"receipt"`
		PromptNonce string `json:"prompt_nonce"`
		OutputNonce string `json:"output_nonce"`
	} `json:"datanet"`
}

// Ask sends a chat with one message, pays at most limit micro-credits for the answer, and returns it once it is checked.
func (c *Client) Ask(ctx context.Context, model, text string, tokens int, limit uint64) (string, error) {
	body, err := json.Marshal(map[string]any{"model": model, "max_tokens": tokens,
		"messages": []map[string]string{{"role": "user", "content": text}}})
	if err != nil {
		return "", err
	}
	r := use.Request{Number: c.next, Cap: limit, Body: sha256.Sum256(body)}
	c.next++ // a number is used once, whatever becomes of the request
	header, err := c.sign(&r)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Host+"/openai/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Datanet-Voucher", header)
	response, err := c.HTTP.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the host answers %s: %s", response.Status, raw)
	}
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil || len(a.Choices) != 1 {
		return "", fmt.Errorf("the host's answer cannot be read: %w", err)
	}
	return a.Choices[0].Message.Content, c.accept(r, model, text, &a)
}

// Settle hands in a voucher for all answers so far.
func (c *Client) Settle(ctx context.Context) error {
	header, err := c.sign(nil)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Host+"/v1/serving/vouchers", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Datanet-Voucher", header)
	response, err := c.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the host does not take the voucher: %s", response.Status)
	}
	return nil
}

// sign is the header's value: a voucher for all answers so far, and the request that it comes with, if any.
func (c *Client) sign(r *use.Request) (string, error) {
	v := use.Voucher{Session: c.Session, Card: c.Card, N: c.tree.Size(), Amount: c.amount, Root: c.tree.Root()}
	var b []byte
	if r != nil {
		var err error
		if b, err = r.Encode(); err != nil {
			return "", err
		}
		if v.Request, err = r.Digest(); err != nil {
			return "", err
		}
	}
	encoded, err := v.Encode()
	if err != nil {
		return "", err
	}
	signature, err := use.Sign(c.Key, v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(append(b, encoded...), signature...)), nil
}

// accept checks an answer; the next voucher is for it too.
func (c *Client) accept(r use.Request, model, prompt string, a *answer) error {
	encoded, err := hex.DecodeString(a.Datanet.Leaf)
	if err != nil {
		return err
	}
	leaf, err := use.DecodeLeaf(encoded)
	if err != nil {
		return err
	}
	got, err := receipt.Decode(a.Datanet.Receipt)
	if err != nil {
		return err
	}
	var nonces [2]attribution.Nonce
	for i, text := range []string{a.Datanet.PromptNonce, a.Datanet.OutputNonce} {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != len(nonces[i]) {
			return errors.New("a nonce has 16 bytes in hex")
		}
		copy(nonces[i][:], raw)
	}
	output := a.Choices[0].Message.Content
	in, out := uint64(len(text1.Tokens([]byte(prompt)))), uint64(len(text1.Tokens([]byte(output))))
	fee, err := use.Fee(in, out, c.PriceIn, c.PriceOut)
	if err != nil {
		return err
	}
	commitment, err := attribution.CommitPrompt(nonces[0], [][]byte{[]byte(prompt)})
	if err != nil {
		return err
	}
	switch {
	case a.Datanet.Place != c.tree.Size() || leaf.Session != c.Session || leaf.Card != c.Card || leaf.Number != r.Number:
		return errors.New("the leaf is not that of this request")
	case leaf.In != in || leaf.Out != out || leaf.Fee != fee || fee > r.Cap:
		return fmt.Errorf("the leaf counts %d tokens in and %d out for %d, they are %d and %d for %d", leaf.In, leaf.Out, leaf.Fee, in, out, fee)
	case receipt.ID(a.Datanet.Receipt) != leaf.Receipt || got.Model != model:
		return errors.New("the receipt is not the leaf's")
	case got.Prompt != commitment || got.Output != attribution.CommitOutput(nonces[1], []byte(output)):
		return errors.New("the receipt is of another prompt or another output")
	}
	hash, err := leaf.Hash()
	if err != nil {
		return err
	}
	c.tree.Append(hash)
	c.amount += leaf.Fee
	return nil
}
