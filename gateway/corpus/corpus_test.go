package corpus_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/corpus"
	"github.com/datanet-consortium/datanet/gateway/corpus/corpustest"
	"github.com/datanet-consortium/datanet/gateway/exchange"
)

const (
	rose   = "of all the gardens that the river knows the smallest keeps the rose\n"
	desert = "the caravan went by at night and nobody has counted the camels\n"
	mirror = "she polished the mirror until the mountain came into the house\n"
)

func library(t *testing.T, n *corpustest.Network, g *corpustest.Gateway, folder string) *corpus.Library {
	return libraryOf(t, n, g, folder, 0)
}

func libraryOf(t *testing.T, n *corpustest.Network, g *corpustest.Gateway, folder string, mapped int64) *corpus.Library {
	l, err := corpus.New(corpus.Options{Folder: folder, Organisation: g.MSP, Store: g.Store, Exchange: g.Client, Ledger: g.Functions,
		Transactions: n.Index, Memory: 1 << 20, Mapped: mapped, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// attesting is the right of an attestor.
func attesting(g *corpustest.Gateway, card model.CardName) corpus.Right {
	return func(context.Context, string) (access.Handover, error) {
		return access.Handover{To: g.Account(), Reason: access.Attestation, Card: &card}, nil
	}
}

func nameOf(c model.Card) model.CardName { return model.CardName{Named: c.Named, Card: c.Card} }

func TestACorpusIsInTheOrderOfRegistrationWhateverTheOrderOfSealing(t *testing.T) {
	n := corpustest.Start(t)
	one, two, three := n.Upload(corpustest.Ann, rose), n.Upload(corpustest.Bob, rose+desert), n.Upload(corpustest.Ann, mirror)
	on := n.Approve(three, two, one)
	tokens := one.Tokens + two.Tokens + three.Tokens
	card := n.Publish(on, rulestest.Hash, tokens)
	b := n.Gateways[rulestest.B]
	l := library(t, n, b, filepath.Join(t.TempDir(), "corpora"))

	opened, err := l.Open(t.Context(), card.Snapshots, attesting(b, nameOf(card)))
	require.NoError(t, err)
	streamed, err := l.Stream(t.Context(), card.Snapshots, attesting(b, nameOf(card)))
	require.NoError(t, err)
	for _, c := range []*corpus.Corpus{opened, streamed} {
		require.Len(t, c.Contributions, 3)
		for i, want := range []contribution.Contribution{one, two, three} {
			require.Equal(t, want.ID, c.Contributions[i].ID)
			require.Equal(t, want.Contributor, c.Contributions[i].Account)
			require.EqualValues(t, want.Tokens, c.Contributions[i].Tokens)
		}
		require.EqualValues(t, tokens, c.N)
		require.Equal(t, []payout.Datanet{{Name: n.Pool, Tokens: uint64(tokens)}}, c.Datanets())
		require.Len(t, c.Roots(), 1)
		require.Empty(t, c.Destroyed)
	}
	require.Equal(t, opened.V, streamed.V)
	answer := attribution.Answer{Roots: opened.Roots(), Model: card.Named.String(), Output: []byte(desert + rose), Tau: 4}
	fast, err := indexed.New(opened.View).Receipt(answer)
	require.NoError(t, err)
	slow, err := streamed.Engine.Receipt(t.Context(), answer)
	require.NoError(t, err)
	require.Equal(t, slow, fast)
	require.Len(t, fast.Shares, 2, "the rose is Ann's, who registered it first")
	require.NoError(t, opened.Close())
	require.NoError(t, streamed.Close())

	var held ledger.Page[access.Released]
	answered, err := b.Evaluate(t.Context(), "access:ReleasesOf", access.OfContribution{Named: two.Name()})
	require.NoError(t, err)
	require.NoError(t, ledger.DecodeAnswer(answered, &held))
	require.NotEmpty(t, held.Items)
	require.Equal(t, access.Attestation, held.Items[0].Reason, "the ledger knows who has it and why")
	require.NoError(t, filepath.WalkDir(l.Folder, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		if !d.IsDir() {
			require.Zero(t, info.Mode().Perm()&0o077, path)
		}
		return nil
	}))
}

func TestACorpusIsBuiltOnceAndOpenedAgain(t *testing.T) {
	n := corpustest.Start(t)
	one := n.Upload(corpustest.Ann, rose)
	card := n.Publish(n.Approve(one), rulestest.Hash, one.Tokens)
	b, folder := n.Gateways[rulestest.B], filepath.Join(t.TempDir(), "corpora")
	l := library(t, n, b, folder)
	first, err := l.Open(t.Context(), card.Snapshots, attesting(b, nameOf(card)))
	require.NoError(t, err)
	require.NoError(t, first.Close())
	require.NoError(t, l.Close())
	require.NoError(t, os.Mkdir(filepath.Join(folder, "x.building"), 0o700), "what a crash leaves")
	before := files(t, folder)
	l = library(t, n, b, folder)
	again, err := l.Open(t.Context(), card.Snapshots, func(context.Context, string) (access.Handover, error) {
		return access.Handover{}, fmt.Errorf("nothing is to be fetched")
	})
	require.NoError(t, err)
	require.Equal(t, first.Contributions, again.Contributions)
	require.NoError(t, again.Close())
	after := files(t, folder)
	delete(before, "x.building")
	require.Equal(t, before, after)
}

func files(t *testing.T, folder string) map[string]time.Time {
	found := map[string]time.Time{}
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		if d.IsDir() && !strings.HasSuffix(path, ".building") {
			return nil
		}
		name, err := filepath.Rel(folder, path)
		found[name] = info.ModTime()
		return err
	}))
	return found
}

func TestAnOrganisationThatDoesNotAttestGetsNoCorpus(t *testing.T) {
	n := corpustest.Start(t)
	one := n.Upload(corpustest.Ann, rose)
	card := n.Publish(n.Approve(one), rulestest.Hash, one.Tokens)
	c := n.Gateways[rulestest.C]
	_, err := library(t, n, c, t.TempDir()).Open(t.Context(), card.Snapshots, attesting(c, nameOf(card)))
	require.ErrorContains(t, err, "none of the attestors", "the host does not confirm its own bill")
}

func TestACorpusIsBuiltFromReplicasWhileTheOriginIsAway(t *testing.T) {
	n := corpustest.Start(t)
	one := n.Upload(corpustest.Ann, rose)
	card := n.Publish(n.Approve(one), rulestest.Hash, one.Tokens)
	a, b, c := n.Gateways[rulestest.A], n.Gateways[rulestest.B], n.Gateways[rulestest.C]
	agreed := replica.Named{Datanet: n.Pool, ID: corpustest.ID()}
	n.Must(corpustest.Curator, "replica:Offer", replica.Offer{Named: agreed, Keeper: c.MSP})
	n.Must(rulestest.User(c.MSP, "operator1", ledger.Operator), "replica:Accept", agreed)
	keeper := exchange.Keeper{MSP: c.MSP, Account: c.Account(), Ledger: c, Store: c.Store, Client: c.Client, Log: slog.New(slog.DiscardHandler)}
	missing, err := keeper.Look(t.Context())
	require.NoError(t, err)
	require.Empty(t, missing)

	b.Away.Store(true)
	l := library(t, n, a, t.TempDir())
	built, err := l.Open(t.Context(), card.Snapshots, attesting(a, nameOf(card)))
	require.NoError(t, err)
	require.Len(t, built.Contributions, 1)
	require.NoError(t, built.Close())
}

func TestAnErasedContributionLeavesEveryCorpusBeforeItIsAcknowledged(t *testing.T) {
	n := corpustest.Start(t)
	one, two := n.Upload(corpustest.Ann, rose), n.Upload(corpustest.Bob, desert)
	on := n.Approve(one, two)
	card := n.Publish(on, rulestest.Hash, one.Tokens+two.Tokens)
	b, folder := n.Gateways[rulestest.B], t.TempDir()
	l := library(t, n, b, folder)
	right := attesting(b, nameOf(card))
	opened, err := l.Open(t.Context(), card.Snapshots, right)
	require.NoError(t, err)
	streamed, err := l.Stream(t.Context(), card.Snapshots, right)
	require.NoError(t, err)

	n.Must(corpustest.Bob, "erasure:Request", two.Name())
	n.Consortium.Clock = n.Consortium.Clock.Add(erasure.Term)
	released := make(chan error, 1)
	go func() {
		<-opened.Stale()
		<-streamed.Stale()
		released <- opened.Close()
		released <- streamed.Close()
	}()
	require.NoError(t, b.Store.Erase(t.Context(), two.Name()))
	require.NoError(t, l.Erase(t.Context(), two.Name()))
	require.NoError(t, <-released)
	require.NoError(t, <-released)
	require.NoError(t, l.Erase(t.Context(), two.Name()), "again is done")
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		require.NotContains(t, string(data), "caravan", path)
		return err
	}))

	opened, err = l.Open(t.Context(), card.Snapshots, right)
	require.NoError(t, err)
	require.Equal(t, []contribution.Named{two.Name()}, opened.Destroyed, "the snapshot is not revised yet")
	require.Len(t, opened.Contributions, 1)
	old := opened.Roots()

	asked, err := b.Evaluate(t.Context(), "erasure:Get", two.Name())
	require.NoError(t, err)
	var detail erasure.Detail
	require.NoError(t, ledger.DecodeAnswer(asked, &detail))
	for _, slot := range detail.Acknowledgements {
		_, err := n.Gateways[slot.MSP].Submit(t.Context(), "erasure:Acknowledge", two.Name())
		require.NoError(t, err)
	}
	n.Must(corpustest.Curator, "seal:Retire", seal.Retire{Datanet: n.Pool, Contributions: []string{two.ID}})
	n.Must(corpustest.Curator, "erasure:Complete", two.Name())
	n.Must(corpustest.Curator, "snapshot:Revise", snapshot.Named{Datanet: n.Pool, Number: on.Number})
	require.NoError(t, l.Check(t.Context()))
	<-opened.Stale()
	require.NoError(t, opened.Close())
	opened, err = l.Open(t.Context(), card.Snapshots, right)
	require.NoError(t, err)
	require.Equal(t, 2, opened.Revisions[0].Revision)
	require.NotEqual(t, old, opened.Roots())
	require.Empty(t, opened.Destroyed)
	streamed, err = l.Stream(t.Context(), card.Snapshots, right)
	require.NoError(t, err)
	require.Equal(t, opened.N, streamed.N)
	require.NoError(t, opened.Close())
	require.NoError(t, streamed.Close())
}

func TestACorpusIsRemovedWhenTheRightToItEnds(t *testing.T) {
	n := corpustest.Start(t)
	one, two := n.Upload(corpustest.Ann, rose), n.Upload(corpustest.Bob, desert)
	card := n.Publish(n.Approve(one, two), rulestest.Hash, one.Tokens+two.Tokens)
	b := n.Gateways[rulestest.B]
	folder := filepath.Join(t.TempDir(), "corpora")
	l := library(t, n, b, folder)
	ended := false
	right := func(ctx context.Context, datanet string) (access.Handover, error) {
		if ended {
			return access.Handover{}, fmt.Errorf("%w: the grant was revoked", corpus.ErrNoRight)
		}
		return attesting(b, nameOf(card))(ctx, datanet)
	}
	opened, err := l.Open(t.Context(), card.Snapshots, right)
	require.NoError(t, err)
	require.NoError(t, l.Check(t.Context()))
	select {
	case <-opened.Stale():
		t.Fatal("it is as good as it was")
	default:
	}
	ended = true
	require.NoError(t, l.Check(t.Context()))
	<-opened.Stale()
	require.NoError(t, opened.Close())
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = l.Open(t.Context(), card.Snapshots, right)
	require.ErrorIs(t, err, corpus.ErrNoRight)

	ended = false
	opened, err = l.Open(t.Context(), card.Snapshots, right)
	require.NoError(t, err)
	require.NoError(t, errors.Join(opened.Close(), l.Close()))
	ended = true
	l = library(t, n, b, folder)
	_, err = l.Open(t.Context(), card.Snapshots, right)
	require.ErrorIs(t, err, corpus.ErrNoRight, "also when it was built before a restart")
	left, err = os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestCorporaThatNobodyUsesAreClosedWhereThereIsNoRoom(t *testing.T) {
	n := corpustest.Start(t)
	one, two := n.Upload(corpustest.Bob, desert), n.Upload(corpustest.Ann, rose)
	cards := []model.Card{n.Publish(n.Approve(one), rulestest.Hash, one.Tokens)}
	cards = append(cards, n.Publish(n.Approve(two), rulestest.Hash, one.Tokens+two.Tokens))
	b := n.Gateways[rulestest.B]
	folder := filepath.Join(t.TempDir(), "corpora")
	l := libraryOf(t, n, b, folder, 1)
	var ended atomic.Bool
	open := func(i int) *corpus.Corpus {
		c, err := l.Open(t.Context(), cards[i].Snapshots, func(ctx context.Context, datanet string) (access.Handover, error) {
			if ended.Load() {
				return access.Handover{}, fmt.Errorf("%w: the grant was revoked", corpus.ErrNoRight)
			}
			return attesting(b, nameOf(cards[i]))(ctx, datanet)
		})
		require.NoError(t, err)
		return c
	}
	closed := func(c *corpus.Corpus) bool {
		select {
		case <-c.Stale():
			return true
		default:
			return false
		}
	}
	made := func(c *corpus.Corpus) *receipt.Receipt {
		r, err := indexed.New(c.View).Receipt(attribution.Answer{Roots: c.Roots(), Model: "m@1", Output: []byte(rose + desert), Tau: 4})
		require.NoError(t, err)
		return r
	}

	first, second := open(0), open(1)
	require.False(t, closed(first) || closed(second), "those in use stay, room or not")
	want := []*receipt.Receipt{made(first), made(second)}
	require.NoError(t, first.Close())
	require.True(t, closed(first))
	require.False(t, closed(second))
	var users sync.WaitGroup
	for user := range 4 {
		users.Go(func() {
			for i := range 20 {
				c := open((user + i) % 2)
				assert.Equal(t, want[(user+i)%2], made(c))
				assert.NoError(t, c.Close())
			}
		})
	}
	users.Wait()
	require.Equal(t, want[1], made(second))
	require.NoError(t, second.Close())

	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 2)
	ended.Store(true)
	require.NoError(t, l.Check(t.Context()))
	left, err = os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left, "the end of a right finds those that are closed too")
}

func TestContributionsToTwoDatanetsMayHaveTheSameID(t *testing.T) {
	n := corpustest.Start(t)
	one, other := n.Upload(corpustest.Ann, rose), n.Upload(corpustest.Ann, mirror)
	first := n.Approve(one, other)
	n.Begin(rulestest.A + "/prose")
	two := n.UploadAs(corpustest.Ann, one.ID, desert)
	snapshots := []snapshot.Named{first, n.Approve(two)}
	b := n.Gateways[corpustest.Ann.MSP]
	l := library(t, n, b, filepath.Join(t.TempDir(), "corpora"))
	none := func(context.Context, string) (access.Handover, error) { return access.Handover{}, nil } // they are its own
	receipts := func() (fast, slow *receipt.Receipt) {
		opened, err := l.Open(t.Context(), snapshots, none)
		require.NoError(t, err)
		streamed, err := l.Stream(t.Context(), snapshots, none)
		require.NoError(t, err)
		answer := attribution.Answer{Roots: opened.Roots(), Model: "AMSP/verse@1", Output: []byte(desert + rose + mirror), Tau: 4}
		fast, err = indexed.New(opened.View).Receipt(answer)
		require.NoError(t, err)
		slow, err = streamed.Engine.Receipt(t.Context(), answer)
		require.NoError(t, err)
		require.NoError(t, errors.Join(opened.Close(), streamed.Close()))
		return fast, slow
	}
	homes := func(r *receipt.Receipt) (list []string) {
		for _, s := range r.Spans {
			list = append(list, s.Home.Contribution)
		}
		return list
	}
	fast, slow := receipts()
	require.Equal(t, slow, fast)
	require.Equal(t, []string{two.Datanet + "/" + one.ID, one.Datanet + "/" + one.ID, other.ID}, homes(fast))

	require.NoError(t, b.Store.Erase(t.Context(), two.Name()))
	require.NoError(t, l.Erase(t.Context(), two.Name()))
	fast, slow = receipts()
	require.Equal(t, slow, fast)
	require.Equal(t, []string{one.ID, other.ID}, homes(fast), "as a corpus of the one that is left has it")
}
