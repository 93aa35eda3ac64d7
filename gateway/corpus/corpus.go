// Package corpus keeps the corpora of models: the union of the contributions in the latest revisions of a lineage's
// snapshots, in the order in which the ledger registered them (docs/attribution.md, section 2).
//
//	snapshots ──ledger: leaves, commitments, order──► contributions ──exchange: by a right──► contents in the store
//	      ▲                                                                                        │ built once
//	      └── a revision, an erasure: stale, built or erased again ◄── index or token stream in a folder
//
// Life of a corpus: whoever makes or checks receipts asks for it by its snapshots. What the store lacks is fetched from
// its holders, who record the release first; what is there for another reason is released for this one too. The leaves
// must give the roots on the ledger, the contents open the leaves' commitments. Then the corpus is built in a folder of
// its own, as an index or as a token stream, and opened by all who ask for the same snapshots. An erasure takes its
// contribution out of every folder before it is acknowledged. When the right to hold a datanet ends, as when a grant is
// revoked, the folders with its contributions are removed.
//
// The folders hold the texts as tokens, unencrypted and for the gateway's owner alone (0700, files 0600).
package corpus

import (
	"context"
	"errors"
	"log/slog"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/content"
	ledgerindex "github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// ErrNoRight says that there is no right, or that it has ended.
var ErrNoRight = errors.New("there is no right to hold the data")

// Right says by what right the gateway has a datanet's contributions: recipient and reason, with what goes with it. The
// rest of the handover is filled in. It fails with [ErrNoRight] where there is none; a corpus is destroyed then.
type Right func(ctx context.Context, datanet string) (access.Handover, error)

// Exchange gets contents, and releases of what is here, from other members' gateways.
type Exchange interface {
	Obtain(ctx context.Context, store *content.Store, h access.Handover, list []contribution.Contribution,
		holders func(context.Context, contribution.Contribution) ([]string, error)) error
}

// Transactions finds transactions in the order of the chain.
type Transactions interface {
	Transaction(ctx context.Context, id string) (ledgerindex.Transaction, error)
}

// DefaultMapped is how many bytes of index files a library keeps mapped while nobody uses them all.
const DefaultMapped = 8 << 30

// Options are what a library stands on.
type Options struct {
	Folder       string // of all corpora; made when it is absent
	Organisation string // the gateway's
	Store        *content.Store
	Exchange     Exchange
	Ledger       query.Evaluator
	Transactions Transactions
	Memory       int64 // that a build of an index may take, in bytes; 0 is [index.DefaultMemory]
	Mapped       int64 // bytes of index files from which on those that nobody uses are closed; 0 is [DefaultMapped]
	Log          *slog.Logger
}

// Contribution is one of a corpus.
type Contribution struct {
	Datanet    string         `json:"datanet"`
	ID         string         `json:"id"`
	Account    ledger.Account `json:"account"`
	Commitment string         `json:"commitment"`
	Tokens     uint64         `json:"tokens"` // counted in its content
	// As is its id in the corpus where another datanet has one of the same id: datanet/id.
	As string `json:"as,omitzero"`
}

// inCorpus is the contribution's id in the corpus.
func (c Contribution) inCorpus() string {
	if c.As != "" {
		return c.As
	}
	return c.ID
}

func (c Contribution) name() contribution.Named {
	return contribution.Named{Datanet: c.Datanet, ID: c.ID}
}

// Revision is a snapshot in its latest revision.
type Revision struct {
	snapshot.Named
	Revision int
	Root     merkle.Hash
}

// Corpus is a corpus as it stood when it was asked for.
type Corpus struct {
	Revisions     []Revision     // in the order in which the snapshots were asked for
	Contributions []Contribution // as the ledger registered them
	// Destroyed are contributions of these revisions that are erased here already: until the snapshot is revised, no
	// receipt on its root can be recomputed.
	Destroyed []contribution.Named
	N, V      uint64 // of the definition: tokens, and distinct ones plus one

	// View is the index, of a corpus that [Library.Open] gave; Engine makes receipts without one, of a corpus that
	// [Library.Stream] gave. They are good until Close.
	View   *index.View
	Engine *streaming.Engine

	stale   <-chan struct{}
	release func() error
}

// Roots are the roots of the revisions.
func (c *Corpus) Roots() []merkle.Hash {
	roots := make([]merkle.Hash, len(c.Revisions))
	for i, r := range c.Revisions {
		roots[i] = r.Root
	}
	return roots
}

// Datanets are the datanets of the corpus with their tokens, by name.
func (c *Corpus) Datanets() []payout.Datanet { return datanetsOf(c.Contributions) }

// Stale is closed when a contribution was erased from the corpus or a snapshot of it revised: then it is to be closed, and
// to be opened again by who goes on. An erasure waits until it is closed.
func (c *Corpus) Stale() <-chan struct{} { return c.stale }

// Close gives the corpus up.
func (c *Corpus) Close() error { return c.release() }
