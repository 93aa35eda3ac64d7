package archive

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Receipts gives a receipt by its id, nil when it is not to be had.
type Receipts func(ctx context.Context, id merkle.Hash) ([]byte, error)

// Settled writes a settlement of a host here, as the ledger has it, in the form of package parts, for an audit. Texts are no
// part of it: a session discloses them to attestors alone.
func (a *Archive) Settled(ctx context.Context, c claim.Claim, receipts Receipts, out io.Writer) error {
	var told []byte
	err := a.DB.QueryRowContext(ctx, `SELECT about FROM archive_settlements WHERE id = ? AND host = ?`, c.ID, string(c.Host)).Scan(&told)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Refuse(ledger.CodeNotFound, "this gateway has archived nothing of the settlement").At("id")
	}
	if err != nil {
		return fmt.Errorf("look for settlement %s: %w", c.ID, err)
	}
	var about About
	if err := json.Unmarshal(told, &about); err != nil {
		return err
	}
	leaves := func(ctx context.Context, m use.Move) (io.ReadCloser, error) {
		in, written := io.Pipe()
		go func() { written.CloseWithError(a.streamLeaves(ctx, written, m.Session, 0, m.After.N)) }()
		return in, nil
	}
	return settled(ctx, c, about, leaves, receipts, out)
}

// Settled is the same of a host elsewhere, by its gateway.
func (c *Client) Settled(ctx context.Context, of claim.Claim, receipts Receipts, out io.Writer) error {
	about, err := c.About(ctx, of.Named)
	if err != nil {
		return err
	}
	leaves := func(ctx context.Context, m use.Move) (io.ReadCloser, error) {
		return c.Leaves(ctx, of.Named, Place{Session: m.Session})
	}
	return settled(ctx, of, about, leaves, receipts, out)
}

func settled(ctx context.Context, c claim.Claim, about About, leaves func(context.Context, use.Move) (io.ReadCloser, error), receipts Receipts, out io.Writer) error {
	scope := parts.Scope{Encoded: about.Scope}
	for _, s := range about.Sessions {
		scope.Sessions = append(scope.Sessions, parts.Session{Account: string(s.Account), Name: s.Name})
	}
	_, moves, err := scope.Moves()
	if err != nil || merkle.Hash(sha256.Sum256(about.Scope)) != c.Scope {
		return fmt.Errorf("%w: it shows another scope than the settlement's", ErrMalformed)
	}
	w, err := parts.NewSettlement(out, scope)
	if err != nil {
		return err
	}
	for _, m := range moves {
		in, err := leaves(ctx, m)
		if err == nil {
			err = errors.Join(settledSession(ctx, w, m, bufio.NewReaderSize(in, 64<<10), receipts), in.Close())
		}
		if err != nil {
			return fmt.Errorf("uses of session %s: %w", m.Session, err)
		}
	}
	return nil
}

// settledSession writes what a settlement has added to a session, and makes sure that it comes to what was settled.
func settledSession(ctx context.Context, w *parts.Settlement, m use.Move, in io.Reader, receipts Receipts) error {
	var tree merkle.Frontier
	encoded := make([]byte, LeafSize)
	for range m.Before.N {
		if _, err := io.ReadFull(in, encoded); err != nil {
			return fmt.Errorf("read leaves: %w", err)
		}
		tree.Append(merkle.Leaf(encoded))
	}
	if tree.Root() != m.Before.Root {
		return fmt.Errorf("%w: its leaves do not give the root before the settlement", ErrMalformed)
	}
	if err := w.Peaks(tree.Peaks()); err != nil {
		return err
	}
	for left := m.After.N - m.Before.N; left > 0; {
		uses := make([]parts.Use, min(left, askTogether))
		asking, asked := errgroup.WithContext(ctx)
		asking.SetLimit(askAbreast)
		for i := range uses {
			encoded := make([]byte, LeafSize)
			if _, err := io.ReadFull(in, encoded); err != nil {
				return errors.Join(fmt.Errorf("read leaves: %w", err), asking.Wait())
			}
			leaf, err := use.DecodeLeaf(encoded)
			if err != nil {
				return errors.Join(ErrMalformed, asking.Wait())
			}
			tree.Append(merkle.Leaf(encoded))
			uses[i].Leaf = encoded
			asking.Go(func() error {
				got, err := receipts(asked, leaf.Receipt)
				if err == nil && receipt.ID(got) == leaf.Receipt {
					uses[i].Receipt = got
				}
				return err
			})
		}
		if err := asking.Wait(); err != nil {
			return err
		}
		for _, u := range uses {
			if err := w.Use(u); err != nil {
				return err
			}
		}
		left -= uint64(len(uses))
	}
	if tree.Root() != m.After.Root {
		return fmt.Errorf("%w: its leaves do not give the root that was settled", ErrMalformed)
	}
	return nil
}

const (
	// askTogether is for how many uses receipts are held in memory, askAbreast how many are asked for at a time.
	askTogether = 64
	askAbreast  = 8
)
