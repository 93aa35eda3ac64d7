package rest_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/gateway/review"
)

var (
	pendingItems = flag.Int("pending", 60, "how many contributions wait for a validator's vote")
	commitTime   = flag.Duration("commit", time.Millisecond, "how long a transaction takes in the test of a validator's queue")
)

// origin is the gateway of B, whose poet's contents wait for A's vote.
type origin struct {
	*consortium
	store    *content.Store
	releases int           // recorded on the ledger
	commit   time.Duration // how long a transaction takes
}

func (o *origin) Evaluate(_ context.Context, function string, request any) ([]byte, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.ledger.Evaluate(rulestest.Proposal(o.t, rulestest.User(rulestest.B, "gateway", ledger.Operator), function, request), "")
}

func (o *origin) Submit(_ context.Context, function string, request any) ([]byte, error) {
	time.Sleep(o.commit)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.releases++
	envelope, flag, err := o.ledger.Invoke(rulestest.Proposal(o.t, rulestest.User(rulestest.B, "gateway", ledger.Operator), function, request))
	if err == nil && flag != memledger.Valid {
		err = fmt.Errorf("%s", flag)
	}
	if err != nil {
		return nil, err
	}
	return envelope.Response, nil
}

// toA says that requests come from A's gateway.
type toA struct{}

func (toA) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Test-Organisation", rulestest.A)
	return http.DefaultTransport.RoundTrip(r)
}

func storeIn(t *testing.T, name string) *content.Store {
	keys, err := content.CreateMasterKeys(filepath.Join(t.TempDir(), "master-keys.json"))
	require.NoError(t, err)
	bucket, err := content.OpenBucket(t.Context(), "file://"+t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	store, err := content.New(t.Context(), openDatabase(t, name), bucket, keys, content.Options{})
	require.NoError(t, err)
	return store
}

// queued is a site with contributions of B's poet that wait for the vote of A's validator, the oldest first.
func queued(t *testing.T, count int) (s *site, o *origin, waiting []contribution.Named) {
	o = &origin{store: storeIn(t, "origin")}
	caller := func(r *http.Request) (string, bool) { return r.Header.Get("Test-Organisation"), true }
	handler, err := exchange.Handler(t.Context(), openDatabase(t, "exchange"), o.store, exchange.Service{MSP: rulestest.B, Functions: o}, caller, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	s = newSite(t, withContent(t), func(options *rest.Options) {
		options.Exchange = exchange.NewClient(toA{}, map[string]string{rulestest.B: server.URL})
	})
	o.consortium = s.consortium
	poet := rulestest.User(rulestest.B, "poet", ledger.Contributor)
	pool := s.ledger.Pool(t)
	s.ledger.OpenAll(t, poet)
	check, err := o.store.DrawSecret(t.Context())
	require.NoError(t, err)
	s.ledger.Decide(t, "fingerprint.rotate", contribution.Rotation{Check: check})
	epoch := contribution.Epoch{Epoch: 2, Check: check}
	for i := range count {
		text := fmt.Sprintf("Of all the gardens that the %dth river knows\nthe smallest keeps the rose, and number %d goes\n", i, i*7919)
		upload, err := o.store.Begin(t.Context(), poet.Account(), content.Upload{Files: []content.File{{Name: "poem.txt", Bytes: int64(len(text))}}})
		require.NoError(t, err)
		_, err = o.store.Append(t.Context(), poet.Account(), upload.ID, 0, strings.NewReader(text))
		require.NoError(t, err)
		prepared, err := o.store.Finish(t.Context(), poet.Account(), upload.ID, content.Descriptor{Author: "Ann Onymous"}, epoch)
		require.NoError(t, err)
		name := contribution.Named{Datanet: pool, ID: s.ledger.ID()}
		require.NoError(t, o.store.Assign(t.Context(), poet.Account(), upload.ID, name))
		s.ledger.Must(t, poet, "contribution:Submit", contribution.Submit{Datanet: pool, ID: name.ID, Content: prepared.Content(s.ledger.Poem().Provenance, nil)})
		waiting = append(waiting, name)
	}
	return s, o, waiting
}

// TestAValidatorsQueueIsPreparedBehindWhatIsLookedAt goes through a queue as a person does, and with -pending=500 -v tells
// how long each step takes beside a transaction of -commit.
func TestAValidatorsQueueIsPreparedBehindWhatIsLookedAt(t *testing.T) {
	s, o, waiting := queued(t, *pendingItems)
	o.commit = *commitTime
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { s.api.PrepareReviews(ctx) })
	defer work.Wait()
	defer cancel()

	begun := time.Now()
	queue := s.get("validator1", "/v1/lists/contributions?limit=1000&awaits="+rulestest.A)
	listed := time.Since(begun)
	require.Equal(t, http.StatusOK, queue.status)
	require.Equal(t, len(waiting), strings.Count(string(queue.body), `"state":"pending"`))

	releases := func() int {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		return o.releases
	}
	var votes []approval.Vote
	var took []time.Duration
	for _, n := range waiting {
		at := time.Now()
		report := s.get("validator1", "/v1/datanets/"+n.Datanet+"/contributions/"+n.ID+"/report")
		require.Equal(t, http.StatusOK, report.status, "%s", report.body)
		text := s.get("validator1", "/v1/datanets/"+n.Datanet+"/contributions/"+n.ID+"/content", "Range", "bytes=0-4095")
		require.Equal(t, http.StatusPartialContent, text.status)
		took = append(took, time.Since(at))
		var seen review.Review
		require.NoError(t, ledger.DecodeAnswer(report.body, &seen))
		require.NotNil(t, seen.Checks.Fingerprint)
		require.True(t, *seen.Checks.Fingerprint && seen.Checks.Records && seen.Checks.Tokens)
		if len(votes) == 0 { // while the first one is read, what is behind it is released
			require.Eventually(t, func() bool { return releases() == 2 }, time.Minute, time.Millisecond)
		}
		votes = append(votes, approval.Vote{Named: n, Revision: 1, Verdict: approval.Verdict{Choice: approval.Approve, Reason: approval.Sound, Score: 90, Report: seen.Hash}})
	}
	released := releases()
	// Whoever goes faster than preparations do has what lies beyond the first one released alone.
	require.LessOrEqual(t, released, len(waiting)/4, "contributions are released together")

	at := time.Now()
	for batch := range slices.Chunk(votes, 50) {
		cast := s.send("validator1", http.MethodPost, "/v1/vote-batches", approval.VoteBatch{Items: batch}, "Idempotency-Key", batch[0].ID)
		require.Equal(t, http.StatusOK, cast.status, "%s", cast.body)
	}
	voted := time.Since(at)
	slices.Sort(took)
	all := time.Duration(0)
	for _, one := range took {
		all += one
	}
	t.Logf("%d pending: listed in %v; report and text of all in %v: median %v, p99 %v, slowest %v; %d releases of %v each; all votes in %v",
		len(waiting), listed, all, took[len(took)/2], took[len(took)*99/100], took[len(took)-1], released, o.commit, voted)
}

func TestAnotherValidatorIsNamedInReleasesOfTheirOwn(t *testing.T) {
	s, o, waiting := queued(t, 3)
	s.enrol("validator2", ledger.Validator)
	path := func(n contribution.Named) string {
		return "/v1/datanets/" + n.Datanet + "/contributions/" + n.ID + "/report"
	}
	for _, who := range []string{"validator1", "validator2", "validator1"} {
		require.Equal(t, http.StatusOK, s.get(who, path(waiting[0])).status)
	}
	require.Equal(t, 2, o.releases)
	require.Equal(t, http.StatusForbidden, s.get("trainer1", path(waiting[0])).status)
	for _, msp := range []string{rulestest.A, rulestest.C} {
		s.ledger.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: waiting[2], Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
	}
	s.ledger.Must(t, rulestest.User(rulestest.C, "validator1", ledger.Validator), "approval:Finalise", waiting[2])
	decided := s.get("validator1", strings.TrimSuffix(path(waiting[2]), "report")+"content?reason=validation")
	require.Equal(t, http.StatusForbidden, decided.status, "what is decided is not validated any more")
}
