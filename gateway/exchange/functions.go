package exchange

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// Functions calls the ledger's functions as the gateway's service account, an operator of its organisation. A refusal
// is a *[ledger.Fault].
type Functions interface {
	Evaluate(ctx context.Context, function string, request any) (answer []byte, err error)
	// Submit returns when the transaction is committed. What is called here may be repeated.
	Submit(ctx context.Context, function string, request any) (answer []byte, err error)
}

// Service is the ledger by its functions, as holders need it: a [Ledger], and the content store's Erasures and Registry.
type Service struct {
	MSP       string // the gateway's organisation
	Functions Functions
	Now       func() time.Time // nil: the system's clock
}

func (s Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func query[Res any](ctx context.Context, f Evaluator, function string, request any) (response Res, err error) {
	answer, err := f.Evaluate(ctx, function, request)
	if err == nil {
		err = ledger.DecodeAnswer(answer, &response)
	}
	return response, err
}

func (s Service) Release(ctx context.Context, h access.Handover) error {
	_, err := s.Functions.Submit(ctx, "access:Release", h)
	return err
}

func (s Service) Contribution(ctx context.Context, n contribution.Named) (contribution.Contribution, error) {
	return query[contribution.Contribution](ctx, s.Functions, "contribution:Get", n)
}

func (s Service) InSnapshot(ctx context.Context, n snapshot.Named, id string) (bool, error) {
	proof, err := query[snapshot.Proof](ctx, s.Functions, "snapshot:Prove", snapshot.Inclusion{Named: n, Contribution: id})
	var fault *ledger.Fault
	if errors.As(err, &fault) && fault.Code == ledger.CodeNotFound {
		return false, nil
	}
	return err == nil && !proof.Erased, err
}

func (s Service) Active(ctx context.Context, msp string) (bool, error) {
	members, err := query[member.Members](ctx, s.Functions, "member:List", ledger.Nothing{})
	return members.Active(msp), err
}

func (s Service) Epoch(ctx context.Context) (contribution.Epoch, error) {
	return query[contribution.Epoch](ctx, s.Functions, "contribution:Epoch", ledger.Nothing{})
}

// Due looks through the erasures of all datanets. What a snapshot has held is due from [erasure.Term] after the request
// on: until then claims by receipts on it are recomputed, for which holders need it. What is sealed and not retired yet
// counts as held, since the next snapshot may take it.
func (s Service) Due(ctx context.Context) (due []contribution.Named, err error) {
	err = pages(ctx, s.Functions, "datanet:List", func(p ledger.PageRequest) any { return p }, func(d datanet.Datanet) error {
		listing := func(p ledger.PageRequest) any { return contribution.Listing{Datanet: d.Name, PageRequest: p} }
		return pages(ctx, s.Functions, "erasure:List", listing, func(e erasure.Erasure) error {
			if e.State != erasure.Erasing || !slices.Contains(e.Holders, s.MSP) {
				return nil
			}
			detail, err := query[erasure.Detail](ctx, s.Functions, "erasure:Get", e.Named)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(detail.Acknowledgements, func(slot erasure.Slot) bool { return slot.MSP == s.MSP && slot.By == "" }) {
				return nil
			}
			waits, err := s.waits(ctx, e)
			if err == nil && !waits {
				due = append(due, e.Named)
			}
			return err
		})
	})
	return due, err
}

// waits tells whether claims may still need the content of an erasure.
func (s Service) waits(ctx context.Context, e erasure.Erasure) (bool, error) {
	if !s.now().Before(e.Requested.Add(erasure.Term)) {
		return false, nil
	}
	reach := erasure.Reach{Named: e.Named, PageRequest: ledger.PageRequest{Limit: 1}}
	affected, err := query[erasure.Affected](ctx, s.Functions, "erasure:Affected", reach)
	return affected.First > 0, err
}

func pages[T any](ctx context.Context, f Evaluator, function string, request func(ledger.PageRequest) any, each func(T) error) error {
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		got, err := query[ledger.Page[T]](ctx, f, function, request(page))
		if err != nil {
			return err
		}
		for _, item := range got.Items {
			if err := each(item); err != nil {
				return err
			}
		}
		if page.Cursor = got.Next; page.Cursor == "" {
			return nil
		}
	}
}

func (s Service) Acknowledge(ctx context.Context, n contribution.Named) error {
	_, err := s.Functions.Submit(ctx, "erasure:Acknowledge", n)
	return err
}
