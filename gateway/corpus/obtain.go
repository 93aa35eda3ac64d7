package corpus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/exchange"
)

const (
	// together is how many contributions one release names.
	together = 500
	// releaseWindow is how long one release is asked for under the same id.
	releaseWindow = 48 * time.Hour
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
		for some := range slices.Chunk(wanted[from], together) {
			if err := l.release(ctx, h, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// release has contributions of one organisation released, and fetched where they are missing. Where they cannot be had
// together, each is asked for alone.
func (l *Library) release(ctx context.Context, h access.Handover, some registered) error {
	h.Contributions = nil
	for _, c := range some {
		h.Contributions = append(h.Contributions, c.ID)
	}
	h.ID = releaseID(h, time.Now())
	err := l.get(ctx, h, some)
	if err == nil || len(some) == 1 || ctx.Err() != nil {
		return err
	}
	for _, c := range some {
		if err := l.release(ctx, h, registered{c}); err != nil {
			return err
		}
	}
	return nil
}

func (l *Library) get(ctx context.Context, h access.Handover, some registered) error {
	holders := slices.DeleteFunc(exchange.Holders(some[0]), func(msp string) bool { return msp == l.Organisation })
	fetched := false
	for _, c := range some {
		info, err := l.Store.Find(ctx, c.Name(), c.Commitment)
		switch {
		case err == nil && info.State == content.Ready:
			continue
		case err != nil && !errors.Is(err, content.ErrNotFound):
			return err
		}
		if _, err := l.Exchange.Fetch(ctx, l.Store, c, h, holders...); err != nil {
			return err
		}
		fetched = true
	}
	if fetched {
		return nil
	}
	return l.Exchange.Release(ctx, h, holders...)
}

// releaseID names a release by what it is of and for whom, so that asking again is the same release for some time.
func releaseID(h access.Handover, now time.Time) string {
	h.ID = ""
	document, err := ledger.Encode(h)
	if err != nil { // no handover that a right makes
		panic(fmt.Sprintf("corpus: %v", err))
	}
	sum := sha256.Sum256(fmt.Appendf(document, " corpus %d", now.Unix()/int64(releaseWindow/time.Second)))
	return hex.EncodeToString(sum[:16])
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
