// Package demo tells what Datanet is for, once, on a running network: poets contribute, others validate, a developer
// trains a model, consumers pay for its answers, and exactly the poets whose lines stand in the answers are paid.
//
// Everybody acts through the REST API of their own organisation's gateway: with a certificate and a key that only they
// hold, which signs what the gateway prepares, or with an API key, for whose holder the gateway signs. What no gateway
// would send is tried too, straight at the peers: each forgery stands beside the same call in its right form. Every claim
// that the story prints was checked; the first that does not hold ends it with an error.
//
// The chapters, in order: cast.go (who acts), money.go, pool.go (contributions), validation.go, model.go, use.go (paid
// answers), settle.go (settlement, attestation, redemption), regulator.go, forgery.go, conservation.go. Content, its salts and keys stay in the content stores of
// the gateways; people's own keys, and what developer and consumers keep, in the folder of the story, archive.go.
package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/narration"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// Options say what to tell, and where.
type Options struct {
	// Network is the running network, of three members or more, with its gateways.
	Network *testnetwork.State
	// Folder keeps what belongs to the people of the story; it is made if it is absent, and nobody else may read it.
	Folder string
	// Profile is told the folder of each identity that was enrolled, so that programs find its gateway; nil: nobody is.
	Profile func(folder, gateway string, account ledger.Account) error
	// Subject names the datanet under the first member: lower-case letters, digits and hyphens. Each telling on a
	// network makes a datanet of its own, the second one Subject-2 and so on, since texts that were registered before
	// would be copies.
	Subject string
	Corpus  []corpus.Contributor
	// Seed decides what the model answers.
	Seed uint64
	Out  *narration.Narrator
}

// Story is one telling.
type Story struct {
	Options
	cast
	archive archive

	guard  sync.Mutex
	height uint64 // how many blocks hold all transactions of ours

	forgeries [][]string // what was tried and what became of it

	datanet       string
	contributions []*registered // in the order of the corpus
	snapshot      snapshot.Snapshot
	ticket        ticket.Ticket
	model         model.Model
	card          model.Card
	sessions      []session.Named // of the consumers
	answers       []answer
}

// Tell tells the story.
func Tell(ctx context.Context, options Options) (err error) {
	s := &Story{Options: options}
	if s.archive, err = openArchive(options.Folder); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.cast.close(), s.archive.close()) }()
	for _, chapter := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"The members, their gateways and their people", s.meet},
		{"Credits, agreed by a majority of the members", s.fund},
		{"A datanet and its contributions", s.contribute},
		{"Independent validation", s.validate},
		{"A snapshot, a training ticket and a model", s.train},
		{"Prepaid sessions, paid answers and their receipts", s.ask},
		{"Settlement, attestation, and who was paid", s.settle},
		{"The regulator reads everything and writes nothing", s.regulate},
		{"Forgeries that the network refused", s.refused},
		{"Every peer holds the same ledger, and no credit was made or lost", s.conserve},
	} {
		s.Out.Chapter(chapter.title)
		if err := chapter.tell(ctx); err != nil {
			return fmt.Errorf("%s: %w", chapter.title, err)
		}
	}
	return nil
}

// atOnce calls f for the numbers 0 to n−1, several at a time.
func atOnce(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error { return f(ctx, i) })
	}
	return group.Wait()
}
