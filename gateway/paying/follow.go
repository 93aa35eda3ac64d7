package paying

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	ledgersession "github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/index"
)

const (
	// followBatch is how many changes of the index are read at once.
	followBatch = 200
	// followPause is the wait before the index is read anew after a failure.
	followPause = time.Second
	// compactAt is the length of the wallet's journal, in bytes, from which on it is rewritten when it has doubled.
	compactAt = 64 << 20
)

// Run follows the ledger into the wallet until the context ends: sessions that spend with keys of this gateway, their
// top-ups and ends, and the rate cards in force. At its beginning it fetches what a crash has left unanswered.
func (c *Consumer) Run(ctx context.Context) {
	c.work.Go(func() { c.vouch(ctx) })
	for ctx.Err() == nil {
		if err := c.follow(ctx); err != nil && ctx.Err() == nil {
			c.options.Log.Error("follow the ledger's sessions", "error", err)
			_ = sleep(ctx, followPause) // the loop sees the end
		}
	}
}

// follow takes in all that stands, then what changes.
func (c *Consumer) follow(ctx context.Context) error {
	at, err := c.options.Index.Last(ctx)
	if err != nil {
		return err
	}
	if err := c.all(ctx); err != nil {
		return err
	}
	c.recovered.Do(c.recover)
	compacted := c.options.Wallet.Size()
	for {
		more := c.options.Index.Notify()
		changes, next, err := c.options.Index.Changes(ctx, at, index.ChangeFilter{}, followBatch)
		if err != nil {
			return err
		}
		for _, change := range changes {
			for _, changed := range change.Changed {
				if err := c.change(ctx, changed); err != nil {
					return err
				}
			}
		}
		if size := c.options.Wallet.Size(); size > compactAt && size > 2*compacted {
			if err := c.options.Wallet.Compact(); err != nil {
				return err
			}
			compacted = c.options.Wallet.Size()
		}
		c.reached(next)
		if at != next {
			at = next
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// reached notes how far changes are taken in.
func (c *Consumer) reached(at index.Cursor) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.taken != at {
		c.taken = at
		close(c.moved)
		c.moved = make(chan struct{})
	}
}

// current waits until all changes are taken in that the index has now: whoever has just opened a session finds it.
func (c *Consumer) current(ctx context.Context) error {
	last, err := c.options.Index.Last(ctx)
	if err != nil {
		return err
	}
	for {
		c.mutex.Lock()
		at, moved := c.taken, c.moved
		c.mutex.Unlock()
		if at.Block > last.Block || at.Block == last.Block && at.Position >= last.Position {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// all takes in what the index has of models, sessions and top-ups.
func (c *Consumer) all(ctx context.Context) error {
	if err := c.each(ctx, index.Filter{Kind: "model"}, func(e index.Entry) error { return c.changedModel(ctx, e.Key) }); err != nil {
		return err
	}
	own := c.options.Organisation
	if err := c.each(ctx, index.Filter{Kind: "session", Organisation: own}, func(e index.Entry) error { return c.changedSession(ctx, e) }); err != nil {
		return err
	}
	return c.each(ctx, index.Filter{Kind: "fund", Organisation: own}, func(e index.Entry) error { return c.changedFund(e) })
}

func (c *Consumer) each(ctx context.Context, f index.Filter, do func(index.Entry) error) error {
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		found, err := c.options.Index.Entries(ctx, f, page)
		if err != nil {
			return err
		}
		for _, e := range found.Items {
			if err := do(e); err != nil {
				return err
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			return nil
		}
	}
}

// change takes in an entry that a transaction wrote.
func (c *Consumer) change(ctx context.Context, changed index.Changed) error {
	switch changed.Kind {
	case "model", "rate-card", "rate-card-consent":
		return c.changedModel(ctx, changed.Key)
	case "session", "fund":
		if changed.Organisation != c.options.Organisation {
			return nil
		}
		entry, err := c.options.Index.Entry(ctx, changed.Key)
		if err != nil {
			return err
		}
		if changed.Kind == "fund" {
			return c.changedFund(entry)
		}
		return c.changedSession(ctx, entry)
	}
	return nil
}

// changedModel looks at the model that a key of its own, of a rate card or of a consent begins with.
func (c *Consumer) changedModel(ctx context.Context, key ledger.Key) error {
	_, parts, ok := key.Split()
	if !ok || len(parts) < 2 {
		return fmt.Errorf("%s names no model", key)
	}
	return c.look(ctx, model.Named{Name: parts[0], Version: parts[1]})
}

// changedSession tracks a session whose spending key is here, and ends it when the ledger has.
func (c *Consumer) changedSession(ctx context.Context, entry index.Entry) error {
	var s ledgersession.Session
	if err := ledger.DecodeAnswer(entry.Value, &s); err != nil {
		return fmt.Errorf("read session %s: %w", entry.Key, err)
	}
	c.mutex.Lock()
	known := c.byName[s.Named]
	c.mutex.Unlock()
	switch {
	case s.State == ledgersession.Ended:
		return c.end(s, known)
	case known != nil:
		return nil
	}
	key, ours := c.options.Keys.of(s.Account, s.Key)
	if !ours {
		return nil // its account pays with a client of its own
	}
	o, err := c.agreed(ctx, s.Model, s.Card)
	if err != nil {
		return fmt.Errorf("session %s: %w", s.ID, err)
	}
	terms := use.Terms{Account: string(s.Account), Host: string(s.Host), Card: s.Card, Key: s.Key, Window: uint16(s.Window),
		Expires: uint64(s.Expires.Unix()), Grace: uint16(s.Grace), Disclosure: s.Disclosure, Escrow: uint64(s.Escrow)}
	if _, err := hex.Decode(terms.Name[:], []byte(s.Name)); err != nil {
		return fmt.Errorf("session %s: its name: %w", s.ID, err)
	}
	sid, err := c.options.Wallet.Track(c.options.Channel, terms, o.prices())
	if err != nil {
		return err
	}
	at, err := c.options.Wallet.Session(sid)
	if err != nil {
		return err
	}
	p := &prepaid{Session: s, sid: sid, offer: o, key: key, former: at.Waiting, flights: map[uint64]*flight{}}
	p.accepted.Store(at.N)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	place := lineKey{s.Account, s.Model.Named.String()}
	if p.line = c.lines[place]; p.line == nil {
		p.line = &line{}
		c.lines[place] = p.line
	}
	c.byName[s.Named] = p
	p.line.add(p)
	c.options.Log.Info("a session can be used", "account", s.Account, "session", s.Name, "model", s.Model.Named.String())
	return nil
}

// end is told of a session that has ended on the ledger, known if it was used. Its key is destroyed, unless others have it.
func (c *Consumer) end(s ledgersession.Session, known *prepaid) error {
	if known != nil {
		c.mutex.Lock()
		delete(c.byName, s.Named)
		c.mutex.Unlock()
		known.line.remove(known)
		if err := c.options.Wallet.End(known.sid); err != nil {
			return err
		}
	}
	for _, other := range c.sessions() {
		if other.Key.String() == s.Key.String() {
			return nil
		}
	}
	if _, ours := c.options.Keys.of(s.Account, s.Key); !ours {
		return nil
	}
	return c.options.Keys.destroy(s.Key)
}

// changedFund adds a top-up of a session that is paid from here.
func (c *Consumer) changedFund(entry index.Entry) error {
	_, parts, ok := entry.Key.Split()
	if !ok || len(parts) != 3 {
		return fmt.Errorf("%s is no top-up", entry.Key)
	}
	var f ledgersession.Fund
	if err := ledger.DecodeAnswer(entry.Value, &f); err != nil {
		return fmt.Errorf("read top-up %s: %w", entry.Key, err)
	}
	c.mutex.Lock()
	p := c.byName[ledgersession.Named{Account: ledger.Account(parts[0]), Name: parts[1]}]
	c.mutex.Unlock()
	if p == nil {
		return nil
	}
	if err := c.options.Wallet.TopUp(p.sid, f.ID, uint64(f.Amount)); err != nil {
		return errors.Join(fmt.Errorf("session %s", p.sid), err)
	}
	p.line.wake()
	return nil
}
