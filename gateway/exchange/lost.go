package exchange

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/content"
)

// Missing is an own contribution whose content the store does not have, and why nobody gave it back.
type Missing struct {
	contribution.Contribution
	Why string
}

// Lost lists the contributions of the organisation's own contributors whose contents the store does not have, of all
// datanets. What was rejected nobody keeps, and what is erased does not come back.
func (k *Keeper) Lost(ctx context.Context) (lost []contribution.Named, err error) {
	err = pages(ctx, k.Ledger, "datanet:List", func(p ledger.PageRequest) any { return p }, func(d datanet.Datanet) error {
		ready, err := k.Store.ReadyOf(ctx, d.Name)
		if err != nil {
			return err
		}
		listing := func(p ledger.PageRequest) any { return contribution.Listing{Datanet: d.Name, PageRequest: p} }
		return pages(ctx, k.Ledger, "contribution:List", listing, func(c contribution.Contribution) error {
			if _, there := ready[content.Standing{Contribution: c.ID, Commitment: c.Commitment}]; !there && k.returns(c) {
				lost = append(lost, c.Name())
			}
			return nil
		})
	})
	return lost, err
}

// returns tells whether a content would come back if it were lost.
func (k *Keeper) returns(c contribution.Contribution) bool {
	return c.Contributor.MSP() == k.MSP && c.State != contribution.Rejected && c.State != contribution.Erasing && c.State != contribution.Erased
}

// Return fetches what is lost of own contributions from those who may hand it on, each content checked against its
// commitment as any other, and tells what could not be had. A name may stand among them twice.
func (k *Keeper) Return(ctx context.Context, names []contribution.Named) (missing []Missing, err error) {
	together := map[string][]contribution.Contribution{} // of one datanet, held by the same organisations
	holders := map[string][]string{}
	asked := map[contribution.Named]bool{}
	for _, n := range names {
		if asked[n] {
			continue
		}
		asked[n] = true
		c, err := query[contribution.Contribution](ctx, k.Ledger, "contribution:Get", n)
		if err != nil {
			return nil, err
		}
		there, err := k.has(ctx, c)
		if err != nil {
			return nil, err
		}
		if there || !k.returns(c) {
			continue
		}
		had, err := query[access.Had](ctx, k.Ledger, "access:Holders", n)
		if err != nil {
			return nil, err
		}
		others := slices.DeleteFunc(had.Custody, func(msp string) bool { return msp == k.MSP })
		if len(others) == 0 {
			missing = append(missing, Missing{c, "nobody else holds it to hand it on"})
			continue
		}
		key := c.Datanet + " " + strings.Join(others, " ")
		together[key], holders[key] = append(together[key], c), others
	}
	for key, list := range together {
		// What is refused ends a look, so each begins elsewhere.
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		h := access.Handover{Named: access.Named{Datanet: list[0].Datanet}, To: k.Account, Reason: access.Return}
		failure := k.Client.Obtain(ctx, k.Store, h, list, func(context.Context, contribution.Contribution) ([]string, error) { return holders[key], nil })
		if ctx.Err() != nil {
			return missing, ctx.Err()
		}
		failed, err := k.missing(ctx, list, failure)
		if missing = append(missing, failed...); err != nil {
			return missing, err
		}
		if failure != nil {
			k.Log.Warn("lost contents could not be had back and are asked for again", "datanet", h.Datanet, "from", holders[key], "contents", len(failed), "error", failure)
		}
		if back := len(list) - len(failed); back > 0 {
			k.Log.Info("lost contents are back", "datanet", h.Datanet, "from", holders[key], "contents", back)
		}
	}
	return missing, nil
}

// missing tells which contents of a list have not come.
func (k *Keeper) missing(ctx context.Context, list []contribution.Contribution, failure error) (missing []Missing, err error) {
	why := "its turn has not come yet"
	if failure != nil {
		why = strings.ReplaceAll(failure.Error(), "\n", "; ")
	}
	for _, c := range list {
		there, err := k.has(ctx, c)
		if err != nil {
			return missing, err
		}
		if !there {
			missing = append(missing, Missing{c, why})
		}
	}
	return missing, nil
}

// has tells whether a content is in the store, or was erased there.
func (k *Keeper) has(ctx context.Context, c contribution.Contribution) (bool, error) {
	info, err := k.Store.Find(ctx, c.Name(), c.Commitment)
	switch {
	case errors.Is(err, content.ErrErased):
		return true, nil
	case errors.Is(err, content.ErrNotFound):
		return false, nil
	}
	return info.State == content.Ready, err
}
