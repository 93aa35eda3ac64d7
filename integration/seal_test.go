package integration_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/integration/story"
)

// How many contributions are sealed; the soak run asks for 100,000 and 10,000.
var (
	sealed     = flag.Int("sealed", 2500, "contributions that are sealed on the in-memory ledger")
	sealedReal = flag.Int("sealed-real", 300, "contributions that are sealed on the real network")
)

func TestSealingOnMemledger(t *testing.T) {
	topology, err := parse(config.BFT)
	require.NoError(t, err)
	m, err := story.NewMemory(topology)
	require.NoError(t, err)
	sealMany(t, m, *sealed)
}

// pool is a datanet of many contributions, and what the test knows of it beside the ledger.
type pool struct {
	b      story.Backend
	name   string
	epoch  int
	ids    []string      // in the order of sealing
	leaves []merkle.Hash // of them
	random *rand.Rand
}

// takings are the figures of one snapshot.
type takings struct {
	leaves                        int
	submit, vote, append, take    time.Duration // each per contribution but take
	appendBytes, takeBytes, pages int
}

// sealMany fills a datanet with approved contributions by the batch functions, seals them, takes snapshots on the way,
// and compares every root and some proofs with the plain definition. Some are withdrawn and some erased.
func sealMany(t *testing.T, b story.Backend, n int) {
	p := newPool(t, b)
	var rows []takings
	gone := map[int]int{} // position → number of the first snapshot without it
	var roots [][]merkle.Hash
	const snapshots = 5
	for k := range snapshots {
		row := p.grow(t, (k+1)*n/snapshots)
		if k > 0 { // one of the earlier ones leaves
			position := p.random.IntN(len(roots[k-1]))
			if gone[position] == 0 {
				p.leave(t, position, k == 2)
				gone[position] = k + 1
			}
		}
		begin := time.Now()
		held := p.hold(t, curator, "snapshot:Take", snapshot.Named{Datanet: p.name, Number: k + 1})
		row.takeBytes = written(held)
		s := release[snapshot.Snapshot](t, p, held)
		row.take, row.pages = time.Since(begin), len(s.Pages)
		roots = append(roots, p.without(gone, k+1))
		require.Equal(t, attribution.SnapshotRoot(roots[k]), s.Root, "snapshot %d of %d leaves", k+1, s.Count)
		require.EqualValues(t, len(p.leaves)-len(gone), s.Records)
		rows = append(rows, row)
	}
	p.revise(t, roots, gone)
	for range 20 {
		k := p.random.IntN(snapshots)
		i := p.random.IntN(len(roots[k]))
		proof := ask[snapshot.Proof](t, b, curator, "snapshot:Prove", snapshot.Inclusion{Named: snapshot.Named{Datanet: p.name, Number: k + 1}, Contribution: p.ids[i]})
		require.EqualValues(t, i, proof.Position)
		require.NoError(t, merkle.Verify(roots[k][i], uint64(i), uint64(len(roots[k])), proof.Path, proof.Root), "leaf %d of snapshot %d", i, k+1)
	}
	missing := ask[ledger.Page[contribution.Contribution]](t, b, curator, "seal:Missing", contribution.Listing{Datanet: p.name})
	require.Empty(t, missing.Items)
	t.Logf("%9s %6s %12s %12s %12s %12s %12s %12s", "leaves", "pages", "submit each", "votes each", "append each", "append", "take", "take")
	for _, r := range rows {
		t.Logf("%9d %6d %12v %12v %12v %9d kB %12v %9d kB", r.leaves, r.pages, r.submit, r.vote, r.append, r.appendBytes>>10, r.take, r.takeBytes>>10)
	}
}

var curator = story.User{Name: "curator1", MSP: poets}

func newPool(t *testing.T, b story.Backend) *pool {
	p := &pool{b: b, name: poets + "/many-" + freshID()[:8], random: rand.New(rand.NewPCG(1, 2))}
	p.submit(t, operator(1, poets), "member:Found", ledger.Nothing{})
	p.submit(t, author, "account:Open", ledger.Nothing{})
	setting := story.Setting{Members: members, Seed: freshID()}
	rotate, err := story.Parse("rotate", strings.NewReader("id S\ndecide fingerprint.rotate {\"check\": \"$S$S\"}\n"))
	require.NoError(t, err)
	require.NoError(t, rotate.Run(t.Context(), b, setting))
	p.epoch = ask[contribution.Epoch](t, b, author, "contribution:Epoch", ledger.Nothing{}).Epoch
	p.submit(t, curator, "datanet:Create", datanet.Create{Name: p.name, Content: verse("Many")})
	return p
}

var author = story.User{Name: "contributor1", MSP: library}

// hold collects the endorsements of a call that has to succeed.
func (p *pool) hold(t *testing.T, user story.User, function string, request any) story.Held {
	t.Helper()
	document, err := ledger.Encode(request)
	require.NoError(t, err)
	held, outcome, err := p.b.Hold(t.Context(), story.Call{User: user, Function: function, Document: document})
	require.NoError(t, err)
	require.NotNil(t, held, "%s by %s: %s", function, user, outcome)
	return held
}

func release[Res any](t *testing.T, p *pool, held story.Held) (res Res) {
	t.Helper()
	outcome, err := p.b.Release(t.Context(), held)
	require.NoError(t, err)
	require.Equal(t, "success", outcome.String())
	require.NoError(t, ledger.DecodeAnswer(outcome.Response, &res))
	return res
}

func (p *pool) submit(t *testing.T, user story.User, function string, request any) story.Held {
	t.Helper()
	held := p.hold(t, user, function, request)
	release[any](t, p, held)
	return held
}

// written is the size of what a transaction writes, as far as the ledger tells; 0 on a real network.
func written(held story.Held) int {
	size := 0
	if envelope, ok := held.(*memledger.Envelope); ok {
		for _, w := range envelope.Transaction.Writes {
			size += len(w.Key) + len(w.Value)
		}
	}
	return size
}

// grow submits, approves and seals contributions until there are n.
func (p *pool) grow(t *testing.T, n int) (row takings) {
	added := n - len(p.ids)
	each := func(begin time.Time) time.Duration { return time.Since(begin) / time.Duration(added) }
	var names []contribution.Named
	begin := time.Now()
	for batch := range slices.Chunk(make([]struct{}, added), contribution.MaxBatch) {
		var items []contribution.Submit
		for range batch {
			s := contribution.Submit{Datanet: p.name, ID: freshID(), Content: poem(p.epoch)}
			commitment := sha256.Sum256([]byte(s.ID))
			s.Commitment = hex.EncodeToString(commitment[:])
			leaf, err := attribution.SnapshotLeaf(s.ID, string(accountOf(author)), commitment)
			require.NoError(t, err)
			items, names = append(items, s), append(names, contribution.Named{Datanet: p.name, ID: s.ID})
			p.ids, p.leaves = append(p.ids, s.ID), append(p.leaves, leaf)
		}
		p.submit(t, author, "contribution:SubmitBatch", contribution.SubmitBatch{Items: items})
	}
	row.submit, begin = each(begin), time.Now()
	for batch := range slices.Chunk(names, approval.MaxBatch) {
		var votes []approval.Vote
		for _, name := range batch {
			votes = append(votes, voteOn(name, approval.Approve))
		}
		for _, msp := range []string{lab, poets} {
			p.submit(t, story.User{Name: "validator1", MSP: msp}, "approval:VoteBatch", approval.VoteBatch{Items: votes})
		}
		p.submit(t, author, "approval:FinaliseBatch", approval.FinaliseBatch{Items: batch})
	}
	row.vote, begin = each(begin), time.Now()
	from := len(p.ids) - added
	for batch := range slices.Chunk(p.ids[from:], seal.MaxBatch) {
		held := p.submit(t, curator, "seal:Append", seal.Append{Datanet: p.name, From: int64(from), Contributions: batch})
		row.appendBytes = max(row.appendBytes, written(held))
		from += len(batch)
	}
	row.append, row.leaves = each(begin), len(p.ids)
	return row
}

// leave withdraws a contribution, or has it erased, and retires its leaf.
func (p *pool) leave(t *testing.T, position int, erase bool) {
	name := contribution.Named{Datanet: p.name, ID: p.ids[position]}
	if !erase {
		p.submit(t, author, "contribution:Withdraw", name)
	} else {
		p.submit(t, author, "erasure:Request", name)
		for _, msp := range []string{library, poets} {
			p.submit(t, operator(1, msp), "erasure:Acknowledge", name)
		}
	}
	p.submit(t, curator, "seal:Retire", seal.Retire{Datanet: p.name, Contributions: []string{name.ID}})
	if erase {
		p.b.Advance(erasure.Term)
		p.submit(t, author, "erasure:Complete", name)
	}
}

// without are the leaves of a snapshot: those that had left before it are tombstones.
func (p *pool) without(gone map[int]int, number int) []merkle.Hash {
	leaves := slices.Clone(p.leaves)
	for position, from := range gone {
		if from <= number {
			leaves[position] = attribution.ErasedLeaf()
		}
	}
	return leaves
}

// revise revises every stale snapshot and checks its new root; the leaves that the test knows change with it.
func (p *pool) revise(t *testing.T, snapshots [][]merkle.Hash, gone map[int]int) {
	stale := ask[ledger.Page[snapshot.Due]](t, p.b, curator, "snapshot:Stale", snapshot.Listing{Datanet: p.name})
	require.NotEmpty(t, stale.Items)
	for _, due := range stale.Items {
		leaves := snapshots[due.Number-1]
		for _, g := range due.Erased {
			require.Greater(t, gone[int(g.Position)], due.Number, "it left after the snapshot")
			leaves[g.Position] = attribution.ErasedLeaf()
		}
		held := p.hold(t, curator, "snapshot:Revise", snapshot.Named{Datanet: p.name, Number: due.Number})
		s := release[snapshot.Snapshot](t, p, held)
		require.Equal(t, attribution.SnapshotRoot(leaves), s.Root, fmt.Sprintf("revision %d of snapshot %d", s.Revision, s.Number))
	}
	stale = ask[ledger.Page[snapshot.Due]](t, p.b, curator, "snapshot:Stale", snapshot.Listing{Datanet: p.name})
	require.Empty(t, stale.Items)
}
