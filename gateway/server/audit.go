package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/serving"
)

// block reads one block from the own peer, for audits.
func (s *Server) block(ctx context.Context, number uint64) (*common.Block, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks, err := s.self.Blocks(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("ask the peer for block %d: %w", number, err)
	}
	select {
	case b, ok := <-blocks:
		if ok {
			return b, nil
		}
		return nil, fmt.Errorf("ask the peer for block %d: the connection ended", number)
	case <-ctx.Done():
		return nil, fmt.Errorf("ask the peer for block %d: %w", number, ctx.Err())
	}
}

// receipts asks the gateways of hosts for receipts, for audits.
func (s *Server) receipts() func(ctx context.Context, msp string, id merkle.Hash) ([]byte, error) {
	client := s.others.client()
	return func(ctx context.Context, msp string, id merkle.Hash) ([]byte, error) {
		address, known := s.others.addresses[msp]
		if !known {
			return nil, ledger.Refuse(ledger.CodeNotFound, "this gateway knows no other gateway of %s", ledger.Clip(msp)).At("organisation")
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/v1/receipts/"+id.String(), nil)
		if err != nil {
			return nil, fmt.Errorf("ask the gateway of %s for a receipt: %w", msp, err)
		}
		request.Header.Set("Accept", "application/octet-stream")
		response, err := client.Do(request)
		if err != nil {
			return nil, fmt.Errorf("ask the gateway of %s for a receipt: %w", msp, err)
		}
		defer response.Body.Close()
		switch response.StatusCode {
		case http.StatusOK:
		case http.StatusNotFound:
			return nil, ledger.Refuse(ledger.CodeNotFound, "the gateway of %s has no receipt %s", msp, id).At("id")
		default:
			return nil, fmt.Errorf("ask the gateway of %s for a receipt: it answers %s", msp, response.Status)
		}
		data, err := io.ReadAll(io.LimitReader(response.Body, question.MaxReceipt+1))
		if err != nil {
			return nil, fmt.Errorf("read the receipt from the gateway of %s: %w", msp, err)
		}
		return data, nil
	}
}

// settled shows the uses of settlements: of hosts here out of the own archive, of others by their gateways.
func (s *Server) settled() func(ctx context.Context, c claim.Claim, out io.Writer) error {
	elsewhere, ask := archive.NewClient(s.others, s.others.addresses), s.receipts()
	return func(ctx context.Context, c claim.Claim, out io.Writer) error {
		show, get := elsewhere.Settled, func(ctx context.Context, id merkle.Hash) ([]byte, error) { return ask(ctx, c.Host.MSP(), id) }
		if c.Host.MSP() == s.config.Organisation {
			if s.archive == nil {
				return ledger.Refuse(ledger.CodeNotFound, "this gateway serves no models").At("host")
			}
			show, get = s.archive.Settled, s.serving.Receipt
		}
		return show(ctx, c, func(ctx context.Context, id merkle.Hash) ([]byte, error) {
			encoded, err := get(ctx, id)
			if fault := new(ledger.Fault); errors.As(err, &fault) && fault.Code == ledger.CodeNotFound || errors.Is(err, serving.ErrNoReceipt) {
				return nil, nil
			}
			return encoded, err
		}, out)
	}
}
