package wallet

import (
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
)

// Accept checks the answer at the next place and, when it is right, has later vouchers cover it. It returns once that is
// durable. A wrong answer is a *[WrongError] and stops the session. Answers beyond the next place are [ErrEarlier], and
// change nothing; those before it are [ErrSigned], unless the latest leaf comes as another one, which is wrong.
//
// An answer to a request that the session's key has signed and this wallet has not, as a copy of the wallet does, is right
// too; a request that waits under its number is given up then, since the host never answers it.
func (w *Wallet) Accept(a Answer, c Checker) error {
	w.mu.Lock()
	s := w.sessions[a.Leaf.Session]
	err := s.usable()
	var ours bool
	if err == nil {
		ours = s.sent(a.Ask.Request)
		switch n := s.tree.Size(); {
		case a.Place > n:
			err = ErrEarlier
		case a.Place+1 == n:
			hash, failure := a.Leaf.Hash()
			if err = ErrSigned; failure != nil || hash != s.last {
				w.mu.Unlock()
				return w.stop(s, a.Place, "the place has another leaf already")
			}
		case a.Place < n:
			err = ErrSigned
		}
	}
	w.mu.Unlock()
	if err != nil {
		return fmt.Errorf("accept answer at place %d: %w", a.Place, err)
	}
	if reason := s.check(a, c, ours); reason != nil {
		return w.stop(s, a.Place, reason.Error())
	}
	err = w.durably(func() (uint64, error) {
		if err := s.usable(); err != nil {
			return 0, err
		}
		// Another Accept may have come in between.
		if s.tree.Size() != a.Place {
			return 0, ErrSigned
		}
		if s.signed.Has(a.Leaf.Number) {
			return 0, errTwice
		}
		if s.amount+a.Leaf.Fee > s.funded {
			return 0, errUnfunded
		}
		leaf, err := a.Leaf.Encode()
		if err != nil {
			return 0, err
		}
		if _, waits := s.waiting[a.Leaf.Number]; waits && !s.sent(a.Ask.Request) {
			if _, err := w.giveUp(s, a.Leaf.Number); err != nil {
				return 0, err
			}
		}
		record := journal.NewWriter(recordAccept)
		record.Bytes(leaf)
		s.ticket, err = w.write(record)
		return s.ticket, err
	})
	if errors.Is(err, errTwice) || errors.Is(err, errUnfunded) {
		return w.stop(s, a.Place, err.Error())
	}
	if err != nil {
		return fmt.Errorf("accept answer at place %d: %w", a.Place, err)
	}
	return nil
}

var (
	errTwice    = errors.New("its request has been answered and signed for")
	errUnfunded = errors.New("its fee exceeds what the session has left")
)

// sent tells whether a request waits for its answer, exactly as it is.
func (s *session) sent(r use.Request) bool {
	waiting, ok := s.waiting[r.Number]
	return ok && waiting.Request == r
}

// check reports what is wrong with an answer. It reads nothing of the session that changes.
func (s *session) check(a Answer, c Checker, ours bool) error {
	r := a.Ask.Request
	switch {
	case a.Leaf.Card != s.terms.Card:
		return fmt.Errorf("its rate card is %s", a.Leaf.Card)
	case r.Number != a.Leaf.Number:
		return fmt.Errorf("it is for request %d and shows request %d", a.Leaf.Number, r.Number)
	}
	if !ours {
		digest, err := r.Digest()
		if err != nil {
			return err
		}
		if a.Ask.Voucher.Session != s.id || a.Ask.Voucher.Card != s.terms.Card || a.Ask.Voucher.Request != digest {
			return errors.New("the request that it shows is not of this session")
		}
		if err := s.terms.Key.Verify(a.Ask.Voucher, a.Ask.Signature); err != nil {
			return fmt.Errorf("the request that it shows: %w", err)
		}
	}
	fee, err := use.Fee(a.Leaf.In, a.Leaf.Out, s.prices.In, s.prices.Out)
	switch {
	case err != nil:
		return err
	case fee != a.Leaf.Fee:
		return fmt.Errorf("its fee is %d, its units cost %d", a.Leaf.Fee, fee)
	case fee > r.Cap:
		return fmt.Errorf("its fee is %d, the cap %d", fee, r.Cap)
	}
	return c.Check(r, a.Leaf, a.Evidence)
}

// stop records that nothing more is signed in a session and returns why.
func (w *Wallet) stop(s *session, place uint64, reason string) error {
	wrong := &WrongError{place, reason}
	if err := w.halt(s, place, reason); err != nil {
		return errors.Join(wrong, err)
	}
	return wrong
}

func (w *Wallet) halt(s *session, place uint64, reason string) error {
	if len(reason) > 1024 {
		reason = reason[:1024]
	}
	return w.durably(func() (uint64, error) {
		if s.stopped != "" {
			return 0, nil
		}
		record := journal.NewWriter(recordStop)
		record.Hash(s.id)
		record.String(fmt.Sprintf("place %d: %s", place, reason))
		return w.write(record)
	})
}

// accept is the state after an answer, whose place is the next one.
func (w *Wallet) accept(s *session, leaf use.Leaf, hash merkle.Hash) {
	w.drop(s, leaf.Number, leaf.Fee)
	s.tree.Append(hash)
	s.amount += leaf.Fee
	s.last = hash
	s.signed.Add(leaf.Number)
	s.move()
}

// drop ends the waiting of a request, which has cost so much.
func (w *Wallet) drop(s *session, number, fee uint64) {
	r, ok := s.waiting[number]
	if !ok {
		return
	}
	delete(s.waiting, number)
	s.caps -= r.Cap
	if a := w.keys[r.key]; a != nil {
		a.caps -= r.Cap
		a.spent += fee
	}
}
