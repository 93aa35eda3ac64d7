package archive

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Added calls each with the leaves that a settlement of a host here has added to its sessions, in the order of its scope.
func (a *Archive) Added(ctx context.Context, n claim.Named, each func(place uint64, leaf use.Leaf) error) error {
	var about []byte
	err := a.DB.QueryRowContext(ctx, `SELECT about FROM archive_settlements WHERE id = ? AND host = ?`, n.ID, string(n.Host)).Scan(&about)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Refuse(ledger.CodeNotFound, "this gateway has archived nothing of the settlement").At("id")
	}
	if err != nil {
		return fmt.Errorf("look for settlement %s: %w", n.ID, err)
	}
	var told About
	if err := json.Unmarshal(about, &told); err != nil {
		return err
	}
	_, moves, err := use.DecodeScope(told.Scope)
	if err != nil {
		return err
	}
	for _, m := range moves {
		var leaves bytes.Buffer
		if err := a.streamLeaves(ctx, &leaves, m.Session, m.Before.N, m.After.N); err != nil {
			return err
		}
		if err := eachLeaf(&leaves, m, each); err != nil {
			return err
		}
	}
	return nil
}

// Added is the same of a host elsewhere, by its gateway.
func (c *Client) Added(ctx context.Context, n claim.Named, each func(place uint64, leaf use.Leaf) error) error {
	about, err := c.About(ctx, n)
	if err != nil {
		return err
	}
	_, moves, err := use.DecodeScope(about.Scope)
	if err != nil {
		return ErrMalformed
	}
	for some := range slices.Chunk(moves, MaxPlaces) {
		from := make([]Place, len(some))
		for i, m := range some {
			from[i] = Place{Session: m.Session, Place: m.Before.N}
		}
		body, err := c.Leaves(ctx, n, from...)
		if err != nil {
			return err
		}
		in := bufio.NewReader(body)
		for _, m := range some {
			if err := eachLeaf(in, m, each); err != nil {
				return errors.Join(err, body.Close())
			}
		}
		if err := body.Close(); err != nil {
			return err
		}
	}
	return nil
}

func eachLeaf(in io.Reader, m use.Move, each func(uint64, use.Leaf) error) error {
	encoded := make([]byte, LeafSize)
	for place := m.Before.N; place < m.After.N; place++ {
		if _, err := io.ReadFull(in, encoded); err != nil {
			return fmt.Errorf("read the leaves of session %s: %w", m.Session, err)
		}
		leaf, err := use.DecodeLeaf(encoded)
		if err == nil && leaf.Session != m.Session {
			err = ErrMalformed
		}
		if err == nil {
			err = each(place, leaf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
