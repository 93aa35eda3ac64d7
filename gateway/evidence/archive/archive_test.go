package archive_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/corpus/corpustest"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/meter"
)

const rose = "of all the gardens that the river knows the smallest keeps the rose"

func serve(t *testing.T) (*corpustest.Network, *corpustest.Server) {
	n := corpustest.Start(t)
	poem := n.Upload(corpustest.Ann, rose)
	n.Publish(n.Approve(poem), rulestest.Hash, poem.Tokens)
	return n, n.Serve()
}

func TestAnAttestorReadsLeavesOfAllSettlementsAndTextsOfItsOwn(t *testing.T) {
	n, host := serve(t)
	session, silent := host.Open(rulestest.A, use.DiscloseAll), host.Open(rulestest.B, use.DiscloseNone)
	session.Use("first", rose)
	session.Use("second", rose)
	silent.Use("third", rose)
	host.Settle(session, silent)
	session.Use("fourth", rose)
	second := host.Settle(session)

	c := n.ArchiveOf(n.Gateways[rulestest.B])
	about, err := c.About(t.Context(), second.Named)
	require.NoError(t, err)
	_, moves, err := use.DecodeScope(about.Scope)
	require.NoError(t, err)
	require.EqualValues(t, 2, moves[0].Before.N)
	require.Equal(t, session.Named, about.Sessions[0])
	body, err := c.Leaves(t.Context(), second.Named, archive.Place{Session: session.ID})
	require.NoError(t, err)
	leaves, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Len(t, leaves, 3*archive.LeafSize, "from place 0, of both settlements")
	body, err = c.Leaves(t.Context(), second.Named, archive.Place{Session: session.ID, Place: 2})
	require.NoError(t, err)
	last, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, leaves[2*archive.LeafSize:], last)
	leaf, err := use.DecodeLeaf(last)
	require.NoError(t, err)

	var texts [][]byte
	keep := func(_ int, b []byte) error { texts = append(texts, b); return nil }
	require.NoError(t, c.Texts(t.Context(), second.Named, use.All, []archive.Place{{Session: session.ID, Place: 2}}, keep))
	e, err := evidence.Decode(texts[0])
	require.NoError(t, err)
	require.Equal(t, rose, string(e.Output))
	require.Equal(t, leaf.Receipt, receipt.ID(e.Receipt))
	require.NoError(t, c.Receipts(t.Context(), second.Named, []archive.Place{{Session: session.ID, Place: 2}}, keep))
	require.Equal(t, e.Receipt, texts[1])
	for _, other := range []archive.Place{{Session: session.ID, Place: 1}, {Session: session.ID, Place: 3}, {Session: silent.ID}, {Session: merkle.Hash{1}}} {
		require.ErrorContains(t, c.Texts(t.Context(), second.Named, use.All, []archive.Place{other}, keep), "404", "%v is not of this settlement", other)
	}
	require.ErrorContains(t, c.Texts(t.Context(), claim.Named{Host: second.Host, ID: corpustest.ID()}, use.All, []archive.Place{{Session: session.ID}}, keep), "no such settlement")
	require.Len(t, texts, 2)
}

func TestOfASessionThatDisclosesNothingNoTextIsKept(t *testing.T) {
	n, host := serve(t)
	silent := host.Open(rulestest.B, use.DiscloseNone)
	silent.Use("first", rose)
	c := host.Settle(silent)
	b := n.ArchiveOf(n.Gateways[rulestest.B])
	shown := func(_ int, b []byte) error { require.Nil(t, b); return nil }
	require.NoError(t, b.Texts(t.Context(), c.Named, use.All, []archive.Place{{Session: silent.ID}}, shown))
	require.NoError(t, b.Receipts(t.Context(), c.Named, []archive.Place{{Session: silent.ID}}, shown))
	files, err := filepath.Glob(filepath.Join(host.Archive.Folder, "*"))
	require.NoError(t, err)
	for _, path := range files {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Empty(t, data)
	}
}

func TestTextsAreSealedAndForgottenOnceNothingMoreIsToBePaid(t *testing.T) {
	n, host := serve(t)
	session := host.Open(rulestest.A, use.DiscloseAll)
	session.Use("first", rose)
	c := host.Settle(session)
	path := filepath.Join(host.Archive.Folder, c.ID+".evidence")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.False(t, bytes.Contains(data, []byte("gardens")))

	require.NoError(t, host.Archive.Sweep(t.Context()))
	require.FileExists(t, path, "the claim is open")
	n.Must(rulestest.User(rulestest.B, "validator1", "validator"), "claim:Object", claim.Object{Named: c.Named, Difference: claim.Difference{Finding: "receipt", Session: session.ID}})
	n.Pass(30 * 24 * time.Hour)
	require.NoError(t, host.Archive.Sweep(t.Context()))
	require.FileExists(t, path, "the claim is frozen")
}

func TestWhatTheLedgerNeverTookIsForgottenAfterAWhile(t *testing.T) {
	n, host := serve(t)
	session := host.Open(rulestest.A, use.DiscloseAll)
	session.Use("first", rose)
	refused := meter.Settlement{ID: corpustest.ID(), Card: n.Card.Digest, Items: []meter.Item{session.Item()}}
	require.NoError(t, host.Archive.Archive(t.Context(), refused))
	path := filepath.Join(host.Archive.Folder, refused.ID+".evidence")
	require.NoError(t, host.Archive.Sweep(t.Context()))
	require.FileExists(t, path, "the index may only be late")
	session.Use("second", rose)
	c := host.Settle(session)
	b := n.ArchiveOf(n.Gateways[rulestest.B])
	body, err := b.Leaves(t.Context(), c.Named, archive.Place{Session: session.ID})
	require.NoError(t, err)
	leaves, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Len(t, leaves, 2*archive.LeafSize, "what both have archived is there once")
	n.Pass(8 * 24 * time.Hour)
	require.NoError(t, host.Archive.Sweep(t.Context()))
	require.NoFileExists(t, path)
	body, err = b.Leaves(t.Context(), c.Named, archive.Place{Session: session.ID})
	require.NoError(t, err)
	again, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, leaves, again)
}

func TestEvidenceOfABackupIsTakenBack(t *testing.T) {
	n, host := serve(t)
	session := host.Open(rulestest.A, use.DiscloseAll)
	session.Use("first", rose)
	session.Use("second", rose)
	c := host.Settle(session)
	name := c.ID + ".evidence"
	sealed, err := os.ReadFile(filepath.Join(host.Archive.Folder, name))
	require.NoError(t, err)

	lost, folder := n.Gateways[rulestest.A], filepath.Join(t.TempDir(), "evidence")
	require.NoError(t, archive.Prepare(t.Context(), lost.DB))
	require.NoError(t, host.Archive.DB.Dump(t.Context(), archive.Tables, func(p database.Piece) error { return lost.DB.Load(t.Context(), p, archive.Tables) }))
	for range 2 { // what is there stays
		require.NoError(t, archive.Backup(t.Context(), host.Archive.Folder, host.Archive.Keys, func(p archive.Part) error {
			return archive.Restore(t.Context(), folder, lost.Store, p)
		}))
	}
	again, err := archive.Open(t.Context(), archive.Options{Folder: folder, DB: lost.DB, Keys: lost.Store, Meter: host.Archive.Meter, Ledger: host.Archive.Ledger, Log: host.Archive.Log})
	require.NoError(t, err)
	require.NoError(t, again.Sweep(t.Context()))
	copied, err := os.ReadFile(filepath.Join(folder, name))
	require.NoError(t, err)
	require.Equal(t, sealed, copied)
	key, err := host.Archive.Keys.Key(t.Context(), content.EvidenceKeys, "settlement "+c.ID)
	require.NoError(t, err)
	restored, err := lost.Store.Key(t.Context(), content.EvidenceKeys, "settlement "+c.ID)
	require.NoError(t, err)
	require.Equal(t, key, restored)
	leaves := 0
	require.NoError(t, again.Added(t.Context(), c.Named, func(uint64, use.Leaf) error { leaves++; return nil }))
	require.Equal(t, 2, leaves)
	require.Error(t, archive.Restore(t.Context(), folder, lost.Store, archive.Part{ID: "../../etc/passwd"}))
	require.Error(t, archive.Restore(t.Context(), folder, lost.Store, archive.Part{ID: corpustest.ID(), FilePiece: content.FilePiece{Last: true}}), "without its key")
}

func TestNoPathLeadsOutOfTheArchive(t *testing.T) {
	_, host := serve(t)
	require.ErrorContains(t, host.Archive.Archive(t.Context(), meter.Settlement{ID: "../../etc/passwd"}), "16 bytes")
}
