package server

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/earnings"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/serving"
)

const (
	// mostUses bounds the uses of a settlement that one request opens.
	mostUses = 20_000
	// askAbreast is how many receipts are asked for at a time.
	askAbreast = 8
)

// behind finds the uses and receipts behind an earning: here, when the settlement is of an own host, else at the host's
// gateway.
func (s *Server) behind() func(context.Context, earnings.Earning) (earnings.Behind, error) {
	elsewhere, ask := archive.NewClient(s.others, s.others.addresses), s.receipts()
	return func(ctx context.Context, e earnings.Earning) (earnings.Behind, error) {
		n := claim.Named{Host: ledger.Account(e.Host), ID: e.Settlement}
		added, get := elsewhere.Added, func(ctx context.Context, id merkle.Hash) ([]byte, error) { return ask(ctx, n.Host.MSP(), id) }
		if n.Host.MSP() == s.config.Organisation {
			if s.archive == nil {
				return nil, ledger.Refuse(ledger.CodeNotFound, "this gateway serves no models").At("host")
			}
			added, get = s.archive.Added, s.serving.Receipt
		}
		return behind(ctx, n, added, get)
	}
}

func behind(ctx context.Context, n claim.Named, added func(context.Context, claim.Named, func(uint64, use.Leaf) error) error, get func(context.Context, merkle.Hash) ([]byte, error)) (earnings.Behind, error) {
	var found earnings.Behind
	err := added(ctx, n, func(place uint64, leaf use.Leaf) error {
		if len(found) == mostUses {
			return ledger.Refuse(ledger.CodeState, "the settlement has more than %d uses: read its receipts one by one", mostUses)
		}
		found = append(found, earnings.Use{Place: place, Leaf: leaf})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the leaves of settlement %s: %w", n.ID, err)
	}
	asking, asked := errgroup.WithContext(ctx)
	asking.SetLimit(askAbreast)
	var mutex sync.Mutex
	for i := range found {
		asking.Go(func() error {
			encoded, err := get(asked, found[i].Leaf.Receipt)
			if fault := new(ledger.Fault); errors.As(err, &fault) && fault.Code == ledger.CodeNotFound || errors.Is(err, serving.ErrNoReceipt) {
				return nil
			}
			if err != nil {
				return err
			}
			if receipt.ID(encoded) != found[i].Leaf.Receipt {
				return fmt.Errorf("the gateway of %s gives another receipt than %s", n.Host.MSP(), found[i].Leaf.Receipt)
			}
			r, err := receipt.Decode(encoded)
			if err != nil {
				return err
			}
			mutex.Lock()
			defer mutex.Unlock()
			found[i].Receipt = r
			return nil
		})
	}
	return found, asking.Wait()
}
