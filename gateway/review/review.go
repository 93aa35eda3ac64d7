// Package review computes what a validator is shown beside a contribution: whether the ledger's figures are those of the
// content, and the automatic report on it.
//
// The report compares the contribution with those of the same datanet that this gateway holds and that were registered
// before it, and says which they are by their root. Gateways that hold different contents arrive at different reports;
// a vote cites the one that its validator saw.
package review

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/report"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/content"
)

// MaxBytes bounds the content that is reported on, in bytes: a report takes up to 200 bytes of memory for each token.
const MaxBytes = 64 << 20

// ErrTooLarge is a content of more than [MaxBytes].
var ErrTooLarge = fmt.Errorf("the content has more than %d bytes: download it and use datanet attribute report", MaxBytes)

// Checks compare the ledger with the content. That the content opens the ledger's commitment is no check, since nothing
// else is held as this contribution.
type Checks struct {
	Records bool `json:"records" doc:"Whether the number of records is that of the content."`
	Tokens  bool `json:"tokens" doc:"Whether the number of canonical tokens is that of the content."`
	// Fingerprint is nil when its epoch's secret is not that in force, so that it cannot be told.
	Fingerprint *bool `json:"fingerprint,omitempty" doc:"Whether the fingerprint is that of the content; missing when its epoch has ended."`
}

// Review is what a validator is shown.
type Review struct {
	Hash   string         `json:"hash" doc:"SHA-256 of the report's canonical bytes, which a vote cites."`
	Checks Checks         `json:"checks"`
	Report jsontext.Value `json:"report" doc:"The report, REPORT/1."`
}

// Of reviews a contribution, whose content is found. registered are the datanet's contributions in the order in which the
// ledger registered them; it is read up to the reviewed one. epoch is the fingerprint epoch in force.
func Of(ctx context.Context, store *content.Store, of contribution.Contribution, found *content.Content, epoch contribution.Epoch, registered iter.Seq2[contribution.Contribution, error]) (Review, error) {
	if found.Size > MaxBytes {
		return Review{}, ErrTooLarge
	}
	subject := attribution.Contribution{ID: of.ID, Account: string(of.Contributor)}
	err := found.Records(ctx, func(_ int, record []byte) error {
		subject.Records = append(subject.Records, append([]byte(nil), record...))
		return nil
	})
	if err != nil {
		return Review{}, fmt.Errorf("review contribution %s: %w", of.ID, err)
	}
	checks, err := check(ctx, of, found, epoch)
	if err != nil {
		return Review{}, fmt.Errorf("review contribution %s: %w", of.ID, err)
	}
	draft := report.New(subject)
	for earlier, err := range registered {
		if err != nil {
			return Review{}, fmt.Errorf("review contribution %s: %w", of.ID, err)
		}
		if earlier.Name() == of.Name() {
			break
		}
		if err := compare(ctx, store, draft, earlier); err != nil {
			return Review{}, fmt.Errorf("review contribution %s: compare with %s: %w", of.ID, earlier.ID, err)
		}
	}
	made := draft.Report()
	text, err := made.Bytes()
	if err != nil {
		return Review{}, err
	}
	hash, err := made.Hash()
	if err != nil {
		return Review{}, err
	}
	return Review{Hash: hash.String(), Checks: checks, Report: text}, nil
}

func check(ctx context.Context, of contribution.Contribution, found *content.Content, epoch contribution.Epoch) (Checks, error) {
	m := found.Manifest()
	c := Checks{Records: int64(m.Records) == of.Records, Tokens: m.Tokens == of.Tokens}
	for _, told := range []contribution.Fingerprint{of.Moved, of.Fingerprint} {
		if told.Epoch != epoch.Epoch {
			continue
		}
		own, err := found.Fingerprint(ctx, epoch)
		if errors.Is(err, content.ErrNoSecret) {
			return c, nil
		}
		if err != nil {
			return c, err
		}
		same := own == told
		c.Fingerprint = &same
		break
	}
	return c, nil
}

// compare shows the draft an earlier contribution, if it stands and is held here.
func compare(ctx context.Context, store *content.Store, draft *report.Draft, earlier contribution.Contribution) error {
	if earlier.State != contribution.Approved && earlier.State != contribution.Pending && earlier.State != contribution.Withdrawn {
		return nil
	}
	info, err := store.Find(ctx, earlier.Name(), earlier.Commitment)
	switch {
	case errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrErased) || err == nil && info.State != content.Ready:
		return nil
	case err != nil:
		return err
	}
	held, err := store.Open(ctx, info.ID)
	if err != nil {
		return err
	}
	draft.Earlier(earlier.ID, string(earlier.Contributor))
	return held.Records(ctx, func(_ int, record []byte) error {
		draft.Record(record)
		return nil
	})
}
