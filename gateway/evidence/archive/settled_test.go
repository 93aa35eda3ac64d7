package archive_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/corpus/corpustest"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
)

// TestARegulatorReadsLeavesAndReceiptsAndNoText settles a session twice, so that the second settlement begins amid its tree.
func TestARegulatorReadsLeavesAndReceiptsAndNoText(t *testing.T) {
	n, host := serve(t)
	session := host.Open(rulestest.A, use.DiscloseAll)
	made := map[merkle.Hash][]byte{}
	note := func(u *corpustest.Use) {
		encoded, err := u.Receipt.Encode()
		require.NoError(t, err)
		id, err := u.Receipt.ID()
		require.NoError(t, err)
		made[id] = encoded
	}
	for _, prompt := range []string{"first", "second", "third"} {
		session.Use(prompt, rose, note)
	}
	host.Settle(session)
	session.Use("fourth", rose, note)
	session.Use("fifth", rose, note)
	second := host.Settle(session)

	regulator := n.ArchiveOf(&corpustest.Gateway{MSP: rulestest.Regulator})
	withheld := merkle.Hash{}
	receipts := func(_ context.Context, id merkle.Hash) ([]byte, error) {
		if id == withheld {
			return []byte("another receipt"), nil
		}
		return made[id], nil
	}
	var shown, own bytes.Buffer
	require.NoError(t, regulator.Settled(t.Context(), second, receipts, &shown))
	require.NoError(t, host.Archive.Settled(t.Context(), second, receipts, &own))
	require.Equal(t, own.Bytes(), shown.Bytes(), "the host's own gateway and another one")
	read := func() (uses []parts.Use) {
		var tree *merkle.Frontier
		var last use.Move
		require.NoError(t, parts.SettlementReader{
			Scope: func(s parts.Scope) error { require.Equal(t, session.Name, s.Sessions[0].Name); return nil },
			Peaks: func(_ int, m use.Move, peaks []merkle.Hash) (err error) {
				last = m
				tree, err = merkle.NewFrontier(m.Before.N, peaks)
				require.Equal(t, m.Before.Root, tree.Root())
				return err
			},
			Use: func(_ int, _ uint64, u parts.Use) error {
				tree.Append(merkle.Leaf(u.Leaf))
				uses = append(uses, u)
				return nil
			},
		}.Read(&shown))
		require.Equal(t, last.After.Root, tree.Root())
		return uses
	}
	uses := read()
	require.Len(t, uses, 2)
	for _, u := range uses {
		leaf, err := use.DecodeLeaf(u.Leaf)
		require.NoError(t, err)
		require.Equal(t, made[leaf.Receipt], u.Receipt)
		require.Nil(t, u.Evidence)
		withheld = leaf.Receipt
	}
	require.NoError(t, regulator.Settled(t.Context(), second, receipts, &shown))
	require.Nil(t, read()[1].Receipt, "what the leaf does not name is no receipt of it")

	none := func(int, []byte) error { return nil }
	place := []archive.Place{{Session: session.ID, Place: 3}}
	require.ErrorContains(t, regulator.Texts(t.Context(), second.Named, use.All, place, none), "none of the attestors")
	require.ErrorContains(t, regulator.Receipts(t.Context(), second.Named, place, none), "none of the attestors")
	other := second
	other.Scope = merkle.Hash{1}
	require.ErrorIs(t, regulator.Settled(t.Context(), other, receipts, io.Discard), archive.ErrMalformed)
	require.NotContains(t, shown.String(), "gardens")
	_, err := evidence.Decode(shown.Bytes())
	require.Error(t, err)
}
