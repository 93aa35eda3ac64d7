// Package demo tells what Datanet is for, once, on a running network: poets contribute, others validate, a developer
// trains a model, a reader pays for its answers, and exactly the poets whose lines stand in the answers are paid.
//
// Every step is a transaction of the user whose right it is, through the peer of the user's own organisation. What the
// ledger must not allow is tried too, beside the same call in its right form. Every claim that the story prints was
// checked; the first that does not hold ends it with an error.
//
// The chapters, in order: cast.go (who acts), money.go, pool.go (contributions and votes), model.go, use.go (answers and
// settlement), forgery.go (and the regulator), conservation.go. Content, salts and the names of persons stay in the
// folder of the story, archive.go, and never reach the ledger.
package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/attribution/fingerprint"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/narration"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// Options say what to tell, and where.
type Options struct {
	// Network is the running network, of three members or more.
	Network *testnetwork.State
	// Folder keeps what does not belong on a ledger; it is made if it is absent, and nobody else may read it.
	Folder string
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

	guard sync.Mutex
	block uint64 // the last block that holds a transaction of ours

	forgeries [][]string // what was tried and what became of it

	secret fingerprint.Secret // of the epoch that this telling began
	epoch  contribution.Epoch

	datanet       string
	contributions []*registered // in the order of their registration
	snapshot      snapshot.Snapshot
	ticket        ticket.Ticket
	model         model.Model
	card          model.Card
	engine        *plain.Engine
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
		{"The members and their accounts", s.meet},
		{"Credits, agreed by a majority of the members", s.fund},
		{"A datanet and its contributions", s.contribute},
		{"Independent validation", s.validate},
		{"A snapshot, a training ticket and a model", s.train},
		{"Answers and their receipts", s.answer},
		{"A prepaid session, its settlement, and who confirms it", s.settle},
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

// do submits a call as a user, waits for its commitment and decodes the answer.
func do[Res any](ctx context.Context, s *Story, p *person, function string, request any) (res Res, err error) {
	committed, err := p.client.Submit(ctx, fabric.Call{Function: function, Request: request})
	if err != nil {
		return res, fmt.Errorf("%s as %s: %w", function, p.account, err)
	}
	return res, s.took(committed, function, &res)
}

// took notes the block of a committed transaction and decodes its answer.
func (s *Story) took(committed *fabric.Committed, function string, res any) error {
	s.guard.Lock()
	s.block = max(s.block, committed.Block)
	s.guard.Unlock()
	if err := ledger.DecodeAnswer(committed.Response, res); err != nil {
		return fmt.Errorf("answer of %s: %w", function, err)
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

// newID draws a random id of a thing that a person makes.
func newID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
