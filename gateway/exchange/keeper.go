package exchange

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/gateway/content"
)

// Keeper fetches what its organisation is to have: by replica agreements each approved contribution of such a datanet, under
// a release by which it may hand it on, and what its own contributors gave and its store has lost (see lost.go). What is
// erased later it destroys as every holder does. It changes nothing but the store, so a look that broke off is simply done
// again.
type Keeper struct {
	MSP     string
	Account ledger.Account // of the gateway, to which contents are released
	Ledger  Evaluator
	Store   *content.Store
	Client  *Client
	Log     *slog.Logger
}

// Evaluator answers the ledger's query functions.
type Evaluator interface {
	Evaluate(ctx context.Context, function string, request any) (answer []byte, err error)
}

// Look goes through every datanet with an agreement in force, and tells what could not be had.
func (k *Keeper) Look(ctx context.Context) (missing []contribution.Named, err error) {
	err = pages(ctx, k.Ledger, "datanet:List", func(p ledger.PageRequest) any { return p }, func(d datanet.Datanet) error {
		agreement, agreed, err := k.agreement(ctx, d.Name)
		if err != nil || !agreed {
			return err
		}
		for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
			got, err := query[ledger.Page[contribution.Contribution]](ctx, k.Ledger, "contribution:List", contribution.Listing{Datanet: d.Name, PageRequest: page})
			if err != nil {
				return err
			}
			failed, err := k.keep(ctx, agreement, got.Items)
			if missing = append(missing, failed...); err != nil {
				return err
			}
			if page.Cursor = got.Next; page.Cursor == "" {
				return nil
			}
		}
	})
	return missing, err
}

// Keep is [Keeper.Look] for the contributions named.
func (k *Keeper) Keep(ctx context.Context, names []contribution.Named) (missing []contribution.Named, err error) {
	of := map[string][]contribution.Contribution{}
	for _, n := range names {
		c, err := query[contribution.Contribution](ctx, k.Ledger, "contribution:Get", n)
		if err != nil {
			return nil, err
		}
		of[n.Datanet] = append(of[n.Datanet], c)
	}
	for name, list := range of {
		agreement, agreed, err := k.agreement(ctx, name)
		if err != nil {
			return nil, err
		}
		if !agreed {
			continue
		}
		failed, err := k.keep(ctx, agreement, list)
		if missing = append(missing, failed...); err != nil {
			return missing, err
		}
	}
	return missing, nil
}

// agreement finds one in force by which the organisation keeps a datanet's contributions.
func (k *Keeper) agreement(ctx context.Context, name string) (id string, agreed bool, err error) {
	if ledger.Owner(name) == k.MSP {
		return "", false, nil
	}
	listing := func(p ledger.PageRequest) any { return replica.Listing{Datanet: name, PageRequest: p} }
	err = pages(ctx, k.Ledger, "replica:List", listing, func(d replica.Detail) error {
		if d.Keeper == k.MSP && d.State == replica.Agreed && !agreed {
			id, agreed = d.ID, true
		}
		return nil
	})
	return id, agreed, err
}

// keep has contributions of one datanet in the store, released under an agreement.
func (k *Keeper) keep(ctx context.Context, agreement string, list []contribution.Contribution) (missing []contribution.Named, err error) {
	wanted := map[string][]contribution.Contribution{} // by the contributor's organisation
	for _, c := range list {
		lacks, err := k.lacks(ctx, c)
		if err != nil {
			return missing, err
		}
		if lacks {
			wanted[c.Contributor.MSP()] = append(wanted[c.Contributor.MSP()], c)
		}
	}
	for msp, some := range wanted {
		h := access.Handover{Named: access.Named{Datanet: some[0].Datanet}, To: k.Account, Reason: access.Replica, Agreement: agreement}
		failure := k.Client.Obtain(ctx, k.Store, h, some, k.holders)
		if failure == nil {
			k.Log.Info("replicas are kept", "datanet", h.Datanet, "of", msp, "contributions", len(some))
			continue
		}
		if ctx.Err() != nil {
			return missing, ctx.Err()
		}
		k.Log.Warn("replicas could not be had and are asked for again", "datanet", h.Datanet, "of", msp, "error", failure)
		for _, c := range some {
			lacks, err := k.lacks(ctx, c)
			if err != nil {
				return missing, err
			}
			if lacks {
				missing = append(missing, c.Name())
			}
		}
	}
	return missing, nil
}

// lacks tells whether a contribution is to be kept and is not, or not with custody.
func (k *Keeper) lacks(ctx context.Context, c contribution.Contribution) (bool, error) {
	if c.State != contribution.Approved || c.Contributor.MSP() == k.MSP {
		return false, nil
	}
	info, err := k.Store.Find(ctx, c.Name(), c.Commitment)
	switch {
	case errors.Is(err, content.ErrErased):
		return false, nil
	case errors.Is(err, content.ErrNotFound) || err == nil && info.State != content.Ready:
		return true, nil
	case err != nil:
		return false, err
	}
	had, err := query[access.Had](ctx, k.Ledger, "access:Holders", c.Name())
	return err == nil && !slices.Contains(had.Custody, k.MSP), err
}

func (k *Keeper) holders(ctx context.Context, c contribution.Contribution) ([]string, error) {
	had, err := query[access.Had](ctx, k.Ledger, "access:Holders", c.Name())
	return slices.DeleteFunc(Holders(c, had.Custody...), func(msp string) bool { return msp == k.MSP }), err
}
