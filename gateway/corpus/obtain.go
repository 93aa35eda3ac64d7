package corpus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// obtain has the contents of contributions in the store, released for this right. Own ones, and those that an earlier
// build of the same corpus has had, need no release.
func (l *Library) obtain(ctx context.Context, list registered, earlier []Contribution, right Right) error {
	had := map[contribution.Named]bool{}
	for _, c := range earlier {
		had[c.name()] = true
	}
	type source struct{ datanet, msp string }
	var sources []source
	wanted := map[source]registered{}
	for _, c := range list {
		if c.Contributor.MSP() == l.Organisation || had[c.Name()] || c.State == contribution.Erasing {
			continue // standing has found the content of one that is being erased
		}
		from := source{c.Datanet, c.Contributor.MSP()}
		if wanted[from] == nil {
			sources = append(sources, from)
		}
		wanted[from] = append(wanted[from], c)
	}
	for _, from := range sources {
		h, err := right(ctx, from.datanet)
		if err != nil {
			return err
		}
		h.Datanet = from.datanet
		if err := l.Exchange.Obtain(ctx, l.Store, h, wanted[from], l.holders); err != nil {
			return err
		}
	}
	return nil
}

// holders are the other organisations that may hand on a contribution.
func (l *Library) holders(ctx context.Context, c contribution.Contribution) ([]string, error) {
	had, err := query.Ask[access.Had](ctx, l.Ledger, "access:Holders", c.Name())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(exchange.Holders(c, had.Custody...), func(msp string) bool { return msp == l.Organisation }), nil
}

// open opens the content of a contribution.
func (l *Library) open(ctx context.Context, c contribution.Contribution) (*content.Content, error) {
	info, err := l.Store.Find(ctx, c.Name(), c.Commitment)
	if err != nil {
		return nil, fmt.Errorf("content of contribution %s of %s: %w", c.ID, c.Datanet, err)
	}
	found, err := l.Store.Open(ctx, info.ID)
	if err != nil {
		return nil, fmt.Errorf("content of contribution %s of %s: %w", c.ID, c.Datanet, err)
	}
	return found, nil
}

// errStop ends the reading of records that nobody wants any more.
var errStop = errors.New("enough was read")

// counted is a contribution with its tokens, and with another id in the corpus if its own stands twice.
func counted(c contribution.Contribution, found *content.Content, twice map[string]bool) Contribution {
	one := Contribution{Datanet: c.Datanet, ID: c.ID, Account: c.Contributor, Commitment: c.Commitment, Tokens: uint64(found.Manifest().Tokens)}
	if twice[c.ID] {
		one.As = c.Datanet + "/" + c.ID
	}
	return one
}

// twice are the ids that contributions to several datanets have.
func (list registered) twice() map[string]bool {
	seen, twice := make(map[string]bool, len(list)), map[string]bool{}
	for _, c := range list {
		if seen[c.ID] {
			twice[c.ID] = true
		}
		seen[c.ID] = true
	}
	return twice
}

// source yields the contributions and notes their tokens.
func (l *Library) source(ctx context.Context, list registered, built *[]Contribution) index.Source {
	return func(yield func(index.Contribution, error) bool) {
		twice := list.twice()
		for _, c := range list {
			found, err := l.open(ctx, c)
			if err != nil {
				yield(index.Contribution{}, err)
				return
			}
			one := counted(c, found, twice)
			*built = append(*built, one)
			if !yield(index.Contribution{ID: one.inCorpus(), Account: string(c.Contributor), Records: records(ctx, found)}, nil) {
				return
			}
		}
	}
}

func records(ctx context.Context, found *content.Content) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		err := found.Records(ctx, func(_ int, record []byte) error {
			if !yield(bytes.Clone(record), nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

// stream writes the contributions as a token stream and notes their tokens.
func (l *Library) stream(ctx context.Context, list registered, built *[]Contribution, out *streaming.Writer) error {
	twice := list.twice()
	for _, c := range list {
		found, err := l.open(ctx, c)
		if err != nil {
			return err
		}
		one := counted(c, found, twice)
		if err := out.Contribution(one.inCorpus(), string(c.Contributor)); err != nil {
			return err
		}
		err = found.Records(ctx, func(_ int, record []byte) error {
			return errors.Join(ctx.Err(), out.Record(record))
		})
		if err != nil {
			return fmt.Errorf("content of contribution %s of %s: %w", c.ID, c.Datanet, err)
		}
		*built = append(*built, one)
	}
	return out.Close()
}
