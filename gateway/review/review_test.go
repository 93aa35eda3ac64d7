package review_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/attribution/report"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/review"
)

const (
	ann, bob = ledger.Account("AMSP:ann"), ledger.Account("BMSP:bob")
	verse    = "O moon above the quiet water, tell the sleepers of the southern shore that nobody returned from the war of the seven winters"
)

// house is a content store and the ledger's list of contributions beside it.
type house struct {
	t     *testing.T
	store *content.Store
	*review.Reviewer
	epoch contribution.Epoch
	list  []contribution.Contribution
}

func open(t *testing.T) *house {
	folder := t.TempDir()
	keys, err := content.CreateMasterKeys(filepath.Join(folder, "master.keys"))
	require.NoError(t, err)
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(folder, "state.db")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	bucket, err := content.OpenBucket(t.Context(), "file://"+filepath.Join(folder, "objects"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	h := &house{t: t}
	h.store, err = content.New(t.Context(), db, bucket, keys, content.Options{})
	require.NoError(t, err)
	h.Reviewer, err = review.New(h.store)
	require.NoError(t, err)
	check, err := h.store.DrawSecret(t.Context())
	require.NoError(t, err)
	h.epoch = contribution.Epoch{Epoch: 1, Check: check}
	return h
}

func id() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// add stores a text as the next contribution.
func (h *house) add(account ledger.Account, text string) contribution.Contribution {
	h.t.Helper()
	ctx, upload := h.t.Context(), id()
	_, err := h.store.Begin(ctx, account, content.Upload{ID: upload, Files: []content.File{{Name: "a.txt", Bytes: int64(len(text))}}, Rules: ingest.Rules{Split: true}})
	require.NoError(h.t, err)
	_, err = h.store.Append(ctx, account, upload, 0, strings.NewReader(text))
	require.NoError(h.t, err)
	p, err := h.store.Finish(ctx, account, upload, content.Descriptor{}, h.epoch)
	require.NoError(h.t, err)
	c := contribution.Contribution{Contributor: account, State: contribution.Pending, Revision: 1,
		Submit: contribution.Submit{Datanet: "AMSP/verse", ID: id(), Content: contribution.Content{Commitment: p.Commitment, Records: p.Records, Tokens: p.Tokens, Fingerprint: p.Fingerprint}}}
	require.NoError(h.t, h.store.Assign(ctx, account, upload, c.Name()))
	h.list = append(h.list, c)
	return c
}

func (h *house) registered() iter.Seq2[contribution.Contribution, error] {
	return func(yield func(contribution.Contribution, error) bool) {
		for _, c := range h.list {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (h *house) review(of contribution.Contribution) (review.Review, report.Report) {
	h.t.Helper()
	info, err := h.store.Find(h.t.Context(), of.Name(), of.Commitment)
	require.NoError(h.t, err)
	found, err := h.store.Open(h.t.Context(), info.ID)
	require.NoError(h.t, err)
	seen, err := h.Of(h.t.Context(), of, found, h.epoch, h.registered())
	require.NoError(h.t, err)
	sum := sha256.Sum256(seen.Report)
	require.Equal(h.t, hex.EncodeToString(sum[:]), seen.Hash, "the hash is that of the document that is shown")
	var r report.Report
	require.NoError(h.t, json.Unmarshal(seen.Report, &r))
	return seen, r
}

func TestAReviewComparesWithWhatCameBeforeAndIsHeld(t *testing.T) {
	h := open(t)
	first := h.add(ann, verse+" one\n\nand another block of rather different words about iron, clay and sudden birds over the river")
	second := h.add(bob, verse+" two")
	h.add(bob, verse+" two, which comes later and is not compared with what came before it")

	_, r := h.review(first)
	require.Zero(t, r.Corpus.Contributions)
	seen, r := h.review(second)
	require.Equal(t, 1, r.Corpus.Contributions)
	require.EqualValues(t, 2, r.Corpus.Records)
	require.Equal(t, 1, r.Duplicates.Near)
	require.Equal(t, first.ID, r.Duplicates.SimilarTo[0].Contribution)
	require.Positive(t, r.Derived.PPM, "most of it is from another account")
	require.True(t, seen.Checks.Records)
	require.True(t, seen.Checks.Tokens)
	require.True(t, *seen.Checks.Fingerprint)

	h.list[0].State = contribution.Erased
	_, r = h.review(second)
	require.Zero(t, r.Corpus.Contributions, "what is erased is compared with nothing")
	h.list[0].State, h.list[0].Commitment = contribution.Approved, strings.Repeat("0", 64)
	_, r = h.review(second)
	require.Zero(t, r.Corpus.Contributions, "what is not held is left out")
}

func TestAReviewIsKeptUntilSomethingOfItChanges(t *testing.T) {
	h := open(t)
	first := h.add(ann, verse+" one")
	second := h.add(bob, verse+" two")
	seen, _ := h.review(second)
	again, _ := h.review(second)
	require.Equal(t, seen, again)
	require.Same(t, unsafe.SliceData(seen.Report), unsafe.SliceData(again.Report), "it is the same one")

	require.NoError(t, h.store.Erase(t.Context(), first.Name()))
	third, r := h.review(second)
	require.NotEqual(t, seen.Hash, third.Hash)
	require.Zero(t, r.Corpus.Contributions, "what is destroyed here is compared with nothing, whatever is kept")
	h.Forget()
	fourth, _ := h.review(second)
	require.Equal(t, third, fourth)
	require.NotSame(t, unsafe.SliceData(third.Report), unsafe.SliceData(fourth.Report))

	moved := second
	moved.Tokens++
	fifth, _ := h.review(moved)
	require.False(t, fifth.Checks.Tokens, "the ledger's figures count each time")
}

func TestFiguresThatAreNotThoseOfTheContentAreSeen(t *testing.T) {
	h := open(t)
	of := h.add(ann, verse)
	of.Records++
	of.Tokens--
	of.Fingerprint.HMAC = strings.Repeat("0", 64)
	seen, _ := h.review(of)
	require.False(t, seen.Checks.Records)
	require.False(t, seen.Checks.Tokens)
	require.False(t, *seen.Checks.Fingerprint)

	of.Fingerprint.Epoch = 7
	seen, _ = h.review(of)
	require.Nil(t, seen.Checks.Fingerprint, "the secret of another epoch is not here")
	h.epoch.Check = strings.Repeat("0", 64)
	of.Fingerprint.Epoch = 1
	seen, _ = h.review(of)
	require.Nil(t, seen.Checks.Fingerprint)
}

func TestAListThatFailsFailsTheReview(t *testing.T) {
	h := open(t)
	of := h.add(ann, verse)
	info, err := h.store.Find(t.Context(), of.Name(), of.Commitment)
	require.NoError(t, err)
	found, err := h.store.Open(t.Context(), info.ID)
	require.NoError(t, err)
	broken := errors.New("the index is away")
	_, err = h.Of(context.Background(), of, found, h.epoch, func(yield func(contribution.Contribution, error) bool) { yield(contribution.Contribution{}, broken) })
	require.ErrorIs(t, err, broken)
}
