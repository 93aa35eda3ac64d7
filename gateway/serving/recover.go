package serving

import (
	"context"
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// MaxAnswers is how many stored answers are given at a time.
const MaxAnswers = 100

// Stored is an answer that is kept, for a consumer that has lost it.
type Stored struct {
	Place   uint64          `json:"place"`
	Path    string          `json:"path"`   // the endpoint
	Body    []byte          `json:"body"`   // of the request
	Output  []byte          `json:"output"` // the text
	Datanet *openai.Datanet `json:"datanet"`
}

// maxStored bounds the texts of one list of stored answers, in bytes.
const maxStored = 8 << 20

// Answers are stored answers of a session from a place on, for the gateway of its account's organisation.
func (h *Host) Answers(ctx context.Context, gateway string, id merkle.Hash, from uint64, most int) ([]Stored, error) {
	h.mutex.RLock()
	s := h.sessions[id]
	h.mutex.RUnlock()
	if s == nil || s.name.Account.MSP() != gateway {
		return nil, fmt.Errorf("session %s: %w", id, meter.ErrUnknown)
	}
	list, size := []Stored{}, 0
	for len(list) < most && size < maxStored {
		answers, err := h.Meter.Answers(id, from, 1)
		if err != nil {
			return nil, err
		}
		if len(answers) == 0 {
			break
		}
		a := answers[0]
		e, err := h.Evidence(ctx, a)
		if err != nil {
			return nil, err
		}
		d, err := openai.NewDatanet(a.Place, a.Leaf, openai.Ask(a.Ask), e.Receipt, e.Nonces)
		if err != nil {
			return nil, err
		}
		list = append(list, Stored{Place: a.Place, Path: e.Path, Body: e.Body, Output: e.Output, Datanet: d})
		size += len(e.Body) + len(e.Output) + len(e.Receipt)
		from++
	}
	return list, nil
}

// Vouch takes a voucher that comes alone, as the value of its header.
func (h *Host) Vouch(ctx context.Context, header string) error {
	v, signature, err := openai.DecodeVoucherHeader(header)
	if err != nil {
		return openai.Refuse(openai.CodeVoucher, "", "the header %s cannot be read: %v", openai.VoucherHeader, err)
	}
	if _, err := h.session(ctx, v.Session); err != nil {
		return err
	}
	if err := h.Meter.Vouch(v, signature); err != nil {
		if errors.Is(err, meter.ErrMismatch) {
			return openai.Refuse(openai.CodeVoucher, "", "a voucher that comes alone names no request")
		}
		return err
	}
	return nil
}
