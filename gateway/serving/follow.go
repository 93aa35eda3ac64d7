package serving

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	ledgersession "github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	ledgerindex "github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/meter"
)

const (
	// followBatch is how many changes are read at a time, followPause the wait after a failure.
	followBatch = 200
	followPause = time.Second
	// tidyEvery is how often is looked for what can be forgotten. The journal is rewritten when it holds more than
	// garbage bytes of what is settled, and in any case some hours after something was: texts that are settled are not to
	// stay in it.
	tidyEvery    = time.Minute
	compactEvery = 6 * time.Hour
	garbage      = 256 << 20
)

// session is one that consumers may use here.
type session struct {
	id     merkle.Hash
	name   ledgersession.Named
	card   model.Card
	model  *served
	sealer evidence.Sealer
}

// follow takes in what the ledger holds, and then what changes, until the context ends.
func (h *Host) follow(ctx context.Context, work *sync.WaitGroup) {
	for ctx.Err() == nil {
		if err := h.followOnce(ctx, work); err != nil && ctx.Err() == nil {
			h.Log.Error("follow the ledger's sessions", "error", err)
		}
		select {
		case <-time.After(followPause):
		case <-ctx.Done():
		}
	}
}

func (h *Host) followOnce(ctx context.Context, work *sync.WaitGroup) error {
	at, err := h.Index.Last(ctx)
	if err != nil {
		return err
	}
	if err := h.all(ctx, work); err != nil {
		return err
	}
	work.Go(func() {
		for err := h.keepReceipts(ctx); err != nil && ctx.Err() == nil; err = h.keepReceipts(ctx) {
			h.Log.Error("store the receipts of former runs", "error", err)
			select {
			case <-time.After(followPause):
			case <-ctx.Done():
			}
		}
	})
	for {
		more := h.Index.Notify()
		changes, next, err := h.Index.Changes(ctx, at, ledgerindex.ChangeFilter{}, followBatch)
		if err != nil {
			return err
		}
		for _, change := range changes {
			for _, changed := range change.Changed {
				if err := h.changed(ctx, work, changed); err != nil {
					return err
				}
			}
		}
		if next != at {
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

// all takes in what there is: models, open sessions, top-ups that are not settled, and the ends of sessions that the
// meter knows.
func (h *Host) all(ctx context.Context, work *sync.WaitGroup) error {
	if err := h.each(ctx, ledgerindex.Filter{Kind: "model"}, func(e ledgerindex.Entry) error {
		return h.changed(ctx, work, ledgerindex.Changed{Key: e.Key, Kind: "model"})
	}); err != nil {
		return err
	}
	if err := h.each(ctx, ledgerindex.Filter{Kind: "session", State: string(ledgersession.Opened)}, func(e ledgerindex.Entry) error {
		return h.sessionChanged(ctx, work, e)
	}); err != nil {
		return err
	}
	if err := h.each(ctx, ledgerindex.Filter{Kind: "fund", State: "unused"}, h.fundChanged); err != nil {
		return err
	}
	for _, known := range h.Meter.Sessions() {
		if known.Ended {
			continue
		}
		name := ledgersession.Named{Account: ledger.Account(known.Terms.Account), Name: hex.EncodeToString(known.Terms.Name[:])}
		detail, err := ask[ledgersession.Detail](ctx, h.Ledger, "session:Get", name)
		if err != nil {
			return fmt.Errorf("read session %s: %w", known.ID, err)
		}
		if detail.State == ledgersession.Ended {
			if err := h.Meter.End(known.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *Host) each(ctx context.Context, f ledgerindex.Filter, do func(ledgerindex.Entry) error) error {
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		found, err := h.Index.Entries(ctx, f, page)
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

func (h *Host) changed(ctx context.Context, work *sync.WaitGroup, c ledgerindex.Changed) error {
	switch c.Kind {
	case "model", "rate-card", "rate-card-consent":
		_, parts, ok := c.Key.Split()
		if !ok || len(parts) < 2 {
			return fmt.Errorf("%s names no model", c.Key)
		}
		return h.look(ctx, work, model.Named{Name: parts[0], Version: parts[1]})
	case "session", "fund":
		entry, err := h.Index.Entry(ctx, c.Key)
		if err != nil {
			return err
		}
		if c.Kind == "fund" {
			return h.fundChanged(entry)
		}
		return h.sessionChanged(ctx, work, entry)
	}
	return nil
}

// sessionChanged takes in a session under a rate card whose host is of this gateway.
func (h *Host) sessionChanged(ctx context.Context, work *sync.WaitGroup, e ledgerindex.Entry) error {
	var s ledgersession.Session
	if err := ledger.DecodeAnswer(e.Value, &s); err != nil {
		return fmt.Errorf("read session %s: %w", e.Key, err)
	}
	ours, err := h.Hosts(s.Host)
	if err != nil || !ours {
		return err
	}
	h.mutex.RLock()
	known := h.sessions[s.ID]
	h.mutex.RUnlock()
	if s.State == ledgersession.Ended {
		if known == nil {
			h.mutex.Lock()
			delete(h.lost, s.ID)
			h.mutex.Unlock()
			return nil
		}
		h.Log.Info("a session has ended", "session", s.ID, "account", s.Account)
		return h.Meter.End(s.ID)
	}
	if known != nil {
		return nil
	}
	if _, err := h.Meter.Session(s.ID); errors.Is(err, meter.ErrUnknown) {
		detail, err := ask[ledgersession.Detail](ctx, h.Ledger, "session:Get", s.Named)
		if err != nil {
			return fmt.Errorf("read session %s: %w", s.ID, err)
		}
		if detail.Tab.N > 0 {
			h.Log.Error("a session cannot be served: uses of it are settled that this gateway knows nothing of. Was its meter lost?", "session", s.ID)
			h.lose(s.ID)
			return nil
		}
	}
	return h.track(ctx, work, s)
}

func (h *Host) track(ctx context.Context, work *sync.WaitGroup, s ledgersession.Session) error {
	card, err := ask[model.Card](ctx, h.Ledger, "model:Card", s.Model)
	if err != nil {
		return fmt.Errorf("read the rate card of session %s: %w", s.ID, err)
	}
	m, err := ask[model.Model](ctx, h.Ledger, "model:Get", s.Model.Named)
	if err != nil {
		return fmt.Errorf("read the model of session %s: %w", s.ID, err)
	}
	key, err := h.Keys.DrawKey(ctx, content.EvidenceKeys, s.ID.String())
	if err != nil {
		return err
	}
	sealer, err := evidence.NewSealer(key)
	if err != nil {
		return err
	}
	terms, err := s.Signed()
	if err == nil {
		var sid merkle.Hash
		sid, err = h.Meter.Track(h.Channel, terms, meter.Card{Digest: s.Card, PriceIn: uint64(card.PriceIn), PriceOut: uint64(card.PriceOut), Data: uint64(card.Parts.Data)})
		if err == nil && sid != s.ID {
			err = fmt.Errorf("its terms come to %s on channel %s", sid, h.Channel)
		}
	}
	if err != nil {
		// The others go on.
		h.Log.Error("a session cannot be served", "session", s.ID, "error", err)
		return nil
	}
	one := &session{id: s.ID, name: s.Named, card: card, model: h.serve(ctx, work, m, card), sealer: sealer}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.sessions[s.ID], h.names[s.Named] = one, one
	h.wake()
	h.Log.Info("a session can be used", "session", s.ID, "account", s.Account, "model", one.model.name)
	return nil
}

// lose has requests of a session refused, whoever waits for it.
func (h *Host) lose(id merkle.Hash) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.lost[id] = true
	h.wake()
}

// wake has requests look again that wait for their session. The mutex is held.
func (h *Host) wake() {
	close(h.appeared)
	h.appeared = make(chan struct{})
}

// fundChanged takes in a top-up. One of a session of another host changes nothing.
func (h *Host) fundChanged(e ledgerindex.Entry) error {
	var f ledgersession.Fund
	if err := ledger.DecodeAnswer(e.Value, &f); err != nil {
		return fmt.Errorf("read top-up %s: %w", e.Key, err)
	}
	_, parts, ok := e.Key.Split()
	if !ok || len(parts) != 3 {
		return fmt.Errorf("%s names no top-up", e.Key)
	}
	name := ledgersession.Named{Account: ledger.Account(parts[0]), Name: parts[1]}
	h.mutex.RLock()
	s := h.names[name]
	h.mutex.RUnlock()
	if s == nil || f.Used {
		return nil
	}
	if err := h.Meter.TopUp(s.id, f.ID, uint64(f.Amount)); err != nil {
		// The session goes on with what it has.
		h.Log.Error("a top-up is not counted", "session", s.id, "topUp", f.ID, "error", err)
	}
	return nil
}

// keepReceipts stores the receipts of answers that a former run has committed and not stored.
func (h *Host) keepReceipts(ctx context.Context) error {
	const page = 200
	for _, known := range h.Meter.Sessions() {
		funds, err := h.Meter.Session(known.ID)
		if errors.Is(err, meter.ErrUnknown) {
			continue
		}
		if err != nil {
			return err
		}
		for from := funds.Settled.N; from < funds.Uses; {
			list, err := h.Meter.Answers(known.ID, from, page)
			if errors.Is(err, meter.ErrSettled) || errors.Is(err, meter.ErrUnknown) || err == nil && len(list) == 0 {
				break // settled meanwhile, and archived before
			}
			if err != nil {
				return err
			}
			if err := h.keepPage(ctx, list); err != nil {
				return err
			}
			from += uint64(len(list))
		}
	}
	h.receipts.ready()
	return nil
}

// keepPage stores the receipts of some answers of a session, unless all are.
func (h *Host) keepPage(ctx context.Context, list []meter.Answer) error {
	ids := make([]merkle.Hash, len(list))
	for i, a := range list {
		ids[i] = a.Leaf.Receipt
	}
	if stored, err := h.receipts.has(ctx, ids); stored || err != nil {
		return err
	}
	for _, a := range list {
		e, err := h.Evidence(ctx, a)
		if err != nil {
			h.Log.Error("the evidence of an answer cannot be read", "session", a.Leaf.Session, "place", a.Place, "error", err)
			continue
		}
		if err := h.receipts.add(ctx, a.Leaf.Receipt, e.Receipt); err != nil {
			return err
		}
	}
	return nil
}

// Evidence opens the evidence of an answer that the meter keeps.
func (h *Host) Evidence(ctx context.Context, a meter.Answer) (*evidence.Evidence, error) {
	h.mutex.RLock()
	s := h.sessions[a.Leaf.Session]
	h.mutex.RUnlock()
	var sealer evidence.Sealer
	if s != nil {
		sealer = s.sealer
	} else {
		key, err := h.Keys.Key(ctx, content.EvidenceKeys, a.Leaf.Session.String())
		if err != nil {
			return nil, err
		}
		if sealer, err = evidence.NewSealer(key); err != nil {
			return nil, err
		}
	}
	encoded, err := sealer.Open(a.Leaf.Session, a.Leaf.Receipt, a.Evidence)
	if err != nil {
		return nil, err
	}
	return evidence.Decode(encoded)
}

// tidy forgets sessions that have ended, and rewrites the journal without what is settled, until the context ends.
func (h *Host) tidy(ctx context.Context) {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	compacted, least := h.Now(), h.Meter.Garbage()
	keys := map[merkle.Hash]bool{}
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := h.forget(ctx, keys); err != nil && ctx.Err() == nil {
			h.Log.Error("forget sessions that have ended", "error", err)
		}
		if now, more := h.Now(), h.Meter.Garbage()-least; more > garbage || more > 0 && now.Sub(compacted) > compactEvery {
			if err := h.Meter.Compact(); err != nil {
				h.Log.Error("rewrite the meter's journal", "error", err)
				continue
			}
			compacted, least = now, h.Meter.Garbage()
		}
	}
}

// forget drops what has ended, with its texts and their key. What waits for the outcome of a settlement stays. Keys that
// could not be destroyed are left for the next time.
func (h *Host) forget(ctx context.Context, keys map[merkle.Hash]bool) error {
	ended := slices.DeleteFunc(h.Meter.Sessions(), func(s meter.Tracked) bool { return !s.Ended })
	if len(ended) > 0 {
		if err := h.Flush(ctx); err != nil {
			return err
		}
	}
	for _, known := range ended {
		if h.Meter.Forget(known.ID) != nil {
			continue // a settlement is under way
		}
		h.mutex.Lock()
		if s := h.sessions[known.ID]; s != nil {
			delete(h.sessions, known.ID)
			delete(h.names, s.name)
		}
		h.mutex.Unlock()
		keys[known.ID] = true
	}
	var failures []error
	for id := range keys {
		if err := h.Keys.DestroyKey(ctx, content.EvidenceKeys, id.String()); err != nil {
			failures = append(failures, err)
			continue
		}
		delete(keys, id)
	}
	return errors.Join(failures...)
}
