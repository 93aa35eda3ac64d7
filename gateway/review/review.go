// Package review computes what a validator is shown beside a contribution: whether the ledger's figures are those of the
// content, and the automatic report on it.
//
// The report compares the contribution with those of the same datanet that this gateway holds and that were registered
// before it, and says which they are by their root. Gateways that hold different contents arrive at different reports;
// a vote cites the one that its validator saw.
package review

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/hashicorp/golang-lru/v2"

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

// What is kept in memory: so many reviews, and so many small contents with which others are compared, each no larger than
// keptBytes.
const (
	keptReviews  = 4096
	keptContents = 4096
	keptBytes    = 16 << 10
)

// Reviewer reviews contributions, each once as long as nothing has changed of what its report is about. It is safe for
// concurrent use.
type Reviewer struct {
	store    *content.Store
	reviews  *lru.Cache[subject, kept]
	contents *lru.Cache[string, [][]byte] // records by the id of the content in the store

	forgetting sync.Mutex
	forgotten  uint64 // how often: what began before is not kept
}

// subject is what a review is of: a contribution in a revision, and the content that stands for it.
type subject struct {
	of       contribution.Named
	revision int
	content  string
}

// kept is a review, and the digest of all that it was made from.
type kept struct {
	from   [sha256.Size]byte
	review Review
}

// New makes a reviewer of what a store holds.
func New(store *content.Store) (*Reviewer, error) {
	r := &Reviewer{store: store}
	var err error
	if r.reviews, err = lru.New[subject, kept](keptReviews); err != nil {
		return nil, fmt.Errorf("keep reviews: %w", err)
	}
	if r.contents, err = lru.New[string, [][]byte](keptContents); err != nil {
		return nil, fmt.Errorf("keep contents: %w", err)
	}
	return r, nil
}

// Forget drops all that is kept, as after an erasure.
func (r *Reviewer) Forget() {
	r.forgetting.Lock()
	defer r.forgetting.Unlock()
	r.forgotten++
	r.reviews.Purge()
	r.contents.Purge()
}

// era is how often all was forgotten.
func (r *Reviewer) era() uint64 {
	r.forgetting.Lock()
	defer r.forgetting.Unlock()
	return r.forgotten
}

// keep keeps what was read in an era, unless it is over.
func (r *Reviewer) keep(era uint64, add func()) {
	r.forgetting.Lock()
	defer r.forgetting.Unlock()
	if era == r.forgotten {
		add()
	}
}

// Of reviews a contribution, whose content is found. registered are the datanet's contributions in the order in which the
// ledger registered them; it is read up to the reviewed one. epoch is the fingerprint epoch in force.
func (r *Reviewer) Of(ctx context.Context, of contribution.Contribution, found *content.Content, epoch contribution.Epoch, registered iter.Seq2[contribution.Contribution, error]) (Review, error) {
	if found.Size > MaxBytes {
		return Review{}, ErrTooLarge
	}
	review, err := r.of(ctx, of, found, epoch, registered)
	if err != nil {
		return Review{}, fmt.Errorf("review contribution %s: %w", of.ID, err)
	}
	return review, nil
}

func (r *Reviewer) of(ctx context.Context, of contribution.Contribution, found *content.Content, epoch contribution.Epoch, registered iter.Seq2[contribution.Contribution, error]) (Review, error) {
	era := r.era()
	compared, err := r.compared(ctx, of, registered)
	if err != nil {
		return Review{}, err
	}
	_, err = r.store.Secret(ctx, epoch.Check)
	if err != nil && !errors.Is(err, content.ErrNoSecret) {
		return Review{}, err
	}
	about, from := subject{of.Name(), of.Revision, found.ID}, digest(of, epoch, err == nil, compared)
	if k, ok := r.reviews.Get(about); ok && k.from == from {
		return k.review, nil
	}
	made, err := r.make(ctx, of, found, epoch, compared)
	if err == nil && len(made.Report) <= keptBytes {
		r.keep(era, func() { r.reviews.Add(about, kept{from, made}) })
	}
	return made, err
}

// earlier is a contribution that a report compares with, and the content that stands for it.
type earlier struct {
	contribution.Contribution
	content string
}

// compared are the contributions that came before, stand and are held here.
func (r *Reviewer) compared(ctx context.Context, of contribution.Contribution, registered iter.Seq2[contribution.Contribution, error]) (list []earlier, err error) {
	held, err := r.store.ReadyOf(ctx, of.Datanet)
	if err != nil {
		return nil, err
	}
	for before, err := range registered {
		if err != nil {
			return nil, err
		}
		if before.Name() == of.Name() {
			break
		}
		if before.State != contribution.Approved && before.State != contribution.Pending && before.State != contribution.Withdrawn {
			continue
		}
		if id, ok := held[content.Standing{Contribution: before.ID, Commitment: before.Commitment}]; ok {
			list = append(list, earlier{before, id})
		}
	}
	return list, nil
}

// digest is of all that can change a review of one content.
func digest(of contribution.Contribution, epoch contribution.Epoch, secret bool, compared []earlier) (sum [sha256.Size]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%q %d %d %v %v %v %t\n", of.Commitment, of.Records, of.Tokens, of.Fingerprint, of.Moved, epoch, secret)
	for _, e := range compared {
		fmt.Fprintf(h, "%q %q %q\n", e.ID, e.Contributor, e.content)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (r *Reviewer) make(ctx context.Context, of contribution.Contribution, found *content.Content, epoch contribution.Epoch, compared []earlier) (Review, error) {
	subject := attribution.Contribution{ID: of.ID, Account: string(of.Contributor)}
	err := found.Records(ctx, func(_ int, record []byte) error {
		subject.Records = append(subject.Records, bytes.Clone(record))
		return nil
	})
	if err != nil {
		return Review{}, err
	}
	checks, err := check(ctx, of, found, epoch)
	if err != nil {
		return Review{}, err
	}
	draft := report.New(subject)
	for _, e := range compared {
		if err := r.compare(ctx, draft, e); err != nil {
			return Review{}, fmt.Errorf("compare with %s: %w", e.ID, err)
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

// compare shows the draft an earlier contribution.
func (r *Reviewer) compare(ctx context.Context, draft *report.Draft, e earlier) error {
	if records, ok := r.contents.Get(e.content); ok {
		draft.Earlier(e.ID, string(e.Contributor))
		for _, record := range records {
			draft.Record(record)
		}
		return nil
	}
	era := r.era()
	held, err := r.store.Open(ctx, e.content)
	if errors.Is(err, content.ErrErased) || errors.Is(err, content.ErrNotFound) {
		return nil // since it was listed
	}
	if err != nil {
		return err
	}
	small := held.Size <= keptBytes
	var records [][]byte
	draft.Earlier(e.ID, string(e.Contributor))
	err = held.Records(ctx, func(_ int, record []byte) error {
		if small {
			records = append(records, bytes.Clone(record))
		}
		draft.Record(record)
		return nil
	})
	if err == nil && small {
		r.keep(era, func() { r.contents.Add(e.content, records) })
	}
	return err
}
