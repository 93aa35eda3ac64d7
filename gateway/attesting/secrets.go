package attesting

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// secret is a sealed sampling secret of this gateway, and where it was registered.
type secret struct {
	id     string
	value  use.Secret
	placed index.Cursor
}

// secrets are this gateway's sealed secrets in the order in which they were registered.
func (w *Worker) secrets(ctx context.Context) (list []secret, err error) {
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		got, err := query.Ask[ledger.Page[sampling.Secret]](ctx, w.Ledger, "sampling:List", sampling.Listing{MSP: w.Organisation, PageRequest: page})
		if err != nil {
			return nil, fmt.Errorf("list sampling secrets: %w", err)
		}
		for _, s := range got.Items {
			if s.Secret != "" {
				continue
			}
			value, err := w.Secrets.Key(ctx, content.SamplingKeys, s.ID)
			if errors.Is(err, content.ErrNoKey) {
				continue // of another gateway or person of the organisation
			}
			if err != nil {
				return nil, err
			}
			tx, err := w.Index.Transaction(ctx, s.Tx)
			if err != nil {
				return nil, err
			}
			if use.Secret(value).Commitment() == s.Commitment {
				list = append(list, secret{s.ID, value, index.Cursor{Block: tx.Block, Position: tx.Position}})
			}
		}
		if page.Cursor = got.Next; page.Cursor == "" {
			slices.SortFunc(list, func(a, b secret) int { return compare(a.placed, b.placed) })
			return list, nil
		}
	}
}

func compare(a, b index.Cursor) int {
	return cmp.Or(cmp.Compare(a.Block, b.Block), cmp.Compare(a.Position, b.Position))
}

// before is the last secret that was registered before a settlement; ok is false when there is none.
func (w *Worker) before(ctx context.Context, list []secret, c claim.Claim) (s secret, ok bool, err error) {
	tx, err := w.Index.Transaction(ctx, c.Tx)
	if err != nil {
		return s, false, err
	}
	at := index.Cursor{Block: tx.Block, Position: tx.Position}
	for _, one := range list {
		if compare(one.placed, at) < 0 {
			s, ok = one, true
		}
	}
	return s, ok, nil
}

// draw marks the uses that are recomputed, and says in the vote how they were drawn.
func (w *Worker) draw(ctx context.Context, c claim.Claim, uses []paid, vote *claim.Vote) error {
	drawing := secret{}
	if w.Rate < use.All {
		list, err := w.secrets(ctx)
		if err != nil {
			return err
		}
		var ok bool
		if drawing, ok, err = w.before(ctx, list, c); err != nil {
			return err
		}
		if ok {
			vote.Secret = drawing.id
		}
	}
	if vote.Secret == "" {
		vote.Rate = use.All
	}
	for i := range uses {
		p := &uses[i]
		p.drawn = vote.Secret == "" || drawing.value.Draws(uint32(vote.Rate), c.Scope, p.at.Session, p.at.Place)
	}
	return nil
}

// renewSecrets registers a secret when none is unused, and reveals those whose claims are all paid.
func (w *Worker) renewSecrets(ctx context.Context, open []claim.Claim) error {
	if w.Rate == use.All {
		return nil
	}
	list, err := w.secrets(ctx)
	if err != nil {
		return err
	}
	waiting := map[string]bool{}
	for _, c := range open {
		if s, ok, err := w.before(ctx, list, c); err != nil {
			return err
		} else if ok {
			waiting[s.id] = true
		}
	}
	fresh := false
	for i, s := range list {
		used, err := w.used(ctx, s.id)
		if err != nil {
			return err
		}
		if !used {
			fresh = fresh || i == len(list)-1
			continue
		}
		if i == len(list)-1 || waiting[s.id] {
			continue
		}
		if _, err := w.Submit(ctx, "sampling:Reveal", sampling.Reveal{ID: s.id, Secret: hex.EncodeToString(s.value[:])}); err != nil {
			return fmt.Errorf("reveal a sampling secret: %w", err)
		}
		if err := w.Secrets.DestroyKey(ctx, content.SamplingKeys, s.id); err != nil {
			return err
		}
	}
	if fresh {
		return nil
	}
	var id [16]byte
	rand.Read(id[:])
	name := hex.EncodeToString(id[:])
	value, err := w.Secrets.DrawKey(ctx, content.SamplingKeys, name)
	if err != nil {
		return err
	}
	if _, err := w.Submit(ctx, "sampling:Register", sampling.Register{ID: name, Commitment: use.Secret(value).Commitment()}); err != nil {
		return fmt.Errorf("register a sampling secret: %w", err)
	}
	return nil
}

// used tells whether a vote of this gateway has named a secret.
func (w *Worker) used(ctx context.Context, id string) (bool, error) {
	var n int64
	err := w.DB.QueryRowContext(ctx, `SELECT count(*) FROM attesting_claims WHERE secret = ?`, id).Scan(&n)
	return n > 0, err
}
