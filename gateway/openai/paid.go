package openai

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
)

// Headers of paid requests and their answers.
const (
	// VoucherHeader carries a signed request, [Ask]: who sends it speaks to a host.
	VoucherHeader = "Datanet-Voucher"
	// ReceiptHeader is the id of the receipt of an answer that is no stream.
	ReceiptHeader = "Datanet-Receipt"
)

const requestSize = len("REQUEST/1\x00\x00") + 8 + 8 + 32

// Ask is a request as a consumer signs it, with its latest voucher.
type Ask struct {
	Request   use.Request
	Voucher   use.Voucher
	Signature []byte
}

// Encode is the value of the voucher's header: base64url, unpadded, of request, voucher and signature.
func (a Ask) Encode() (string, error) {
	request, err := a.Request.Encode()
	if err != nil {
		return "", err
	}
	voucher, err := EncodeVoucher(a.Voucher, a.Signature)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(request, voucher...)), nil
}

// DecodeAsk reads what Encode writes and nothing else. It verifies no signature.
func DecodeAsk(text string) (a Ask, err error) {
	raw, err := decodeBase64(text, requestSize+use.VoucherSize+use.SignatureSize)
	if err != nil {
		return a, fmt.Errorf("read the signed request: %w", err)
	}
	if a.Request, err = use.DecodeRequest(raw[:requestSize]); err != nil {
		return a, err
	}
	a.Voucher, a.Signature, err = DecodeVoucher(raw[requestSize:])
	return a, err
}

// EncodeVoucher is a signed voucher that comes alone.
func EncodeVoucher(v use.Voucher, signature []byte) ([]byte, error) {
	voucher, err := v.Encode()
	if err != nil {
		return nil, err
	}
	if len(signature) != use.SignatureSize {
		return nil, fmt.Errorf("a signature has %d bytes, not %d", use.SignatureSize, len(signature))
	}
	return append(voucher, signature...), nil
}

// DecodeVoucher reads what EncodeVoucher writes and nothing else.
func DecodeVoucher(raw []byte) (v use.Voucher, signature []byte, err error) {
	if len(raw) != use.VoucherSize+use.SignatureSize {
		return v, nil, errors.New("a signed voucher has another length")
	}
	v, err = use.DecodeVoucher(raw[:use.VoucherSize])
	return v, raw[use.VoucherSize:], err
}

// EncodeVoucherHeader is the header's value of a voucher that comes alone.
func EncodeVoucherHeader(v use.Voucher, signature []byte) (string, error) {
	raw, err := EncodeVoucher(v, signature)
	return base64.RawURLEncoding.EncodeToString(raw), err
}

// DecodeVoucherHeader reads what EncodeVoucherHeader writes and nothing else.
func DecodeVoucherHeader(text string) (v use.Voucher, signature []byte, err error) {
	raw, err := decodeBase64(text, use.VoucherSize+use.SignatureSize)
	if err != nil {
		return v, nil, fmt.Errorf("read the voucher: %w", err)
	}
	return DecodeVoucher(raw)
}

var strictURL = base64.RawURLEncoding.Strict()

func decodeBase64(text string, size int) ([]byte, error) {
	if len(text) != strictURL.EncodedLen(size) {
		return nil, fmt.Errorf("it has %d characters of %d", len(text), strictURL.EncodedLen(size))
	}
	raw := make([]byte, strictURL.DecodedLen(len(text)))
	n, err := strictURL.Decode(raw, []byte(text))
	if err == nil && n != size { // a line break stood in it
		err = errors.New("it is not base64url")
	}
	return raw[:n], err
}

// Datanet is what an answer carries for whoever pays: where it stands in the session, and what to check it by. Of a model
// that costs nothing only receipt, its id and nonces are there.
type Datanet struct {
	Session     merkle.Hash `json:"session,omitzero"`
	Place       uint64      `json:"place"`
	Number      uint64      `json:"number"`
	Leaf        hexBytes    `json:"leaf,omitempty"` // USE/1
	Receipt     []byte      `json:"receipt"`        // ATTR/1
	ReceiptID   merkle.Hash `json:"receipt_id"`
	PromptNonce hexNonce    `json:"prompt_nonce"`
	OutputNonce hexNonce    `json:"output_nonce"`
	Fee         string      `json:"fee,omitempty"` // micro-credits
	Ask         string      `json:"ask,omitempty"` // as in the voucher's header
}

// NewDatanet is that of a paid answer.
func NewDatanet(place uint64, leaf use.Leaf, ask Ask, receipt []byte, nonces attribution.Nonces) (*Datanet, error) {
	d := FreeDatanet(leaf.Receipt, receipt, nonces)
	encoded, err := leaf.Encode()
	if err != nil {
		return nil, err
	}
	d.Session, d.Place, d.Number, d.Leaf, d.Fee = leaf.Session, place, leaf.Number, encoded, strconv.FormatUint(leaf.Fee, 10)
	d.Ask, err = ask.Encode()
	return d, err
}

// FreeDatanet is that of an answer that costs nothing.
func FreeDatanet(id merkle.Hash, receipt []byte, nonces attribution.Nonces) *Datanet {
	return &Datanet{Receipt: receipt, ReceiptID: id, PromptNonce: hexNonce(nonces.Prompt), OutputNonce: hexNonce(nonces.Output)}
}

// Paid reads leaf and request of a paid answer, and reports members that contradict the leaf.
func (d *Datanet) Paid() (leaf use.Leaf, ask Ask, err error) {
	if leaf, err = use.DecodeLeaf(d.Leaf); err != nil {
		return leaf, ask, err
	}
	if ask, err = DecodeAsk(d.Ask); err != nil {
		return leaf, ask, err
	}
	if leaf.Session != d.Session || leaf.Number != d.Number || leaf.Receipt != d.ReceiptID || strconv.FormatUint(leaf.Fee, 10) != d.Fee {
		return leaf, ask, errors.New("session, number, receipt or fee beside the leaf are not those of the leaf")
	}
	return leaf, ask, nil
}

// Nonces are those that are shown: the context's stays with the host.
func (d *Datanet) Nonces() attribution.Nonces {
	return attribution.Nonces{Prompt: attribution.Nonce(d.PromptNonce), Output: attribution.Nonce(d.OutputNonce)}
}
