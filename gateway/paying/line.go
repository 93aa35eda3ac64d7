package paying

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// errNone is a model for which the account has no session.
var errNone = errors.New("the account has no open session for this model: open one with datanet session open")

// errApart is a session of which the host has other books, and perhaps will not have the right ones again.
var errApart = errors.New("the host's gateway does not know the session as it stands here, perhaps since it was restored from an earlier state: " +
	"open another one with datanet session open; what is left in this one comes back after it has expired")

// line is the sessions of one account for one model, and the requests that wait until one of them has room. It is safe
// for concurrent use.
type line struct {
	mutex    sync.Mutex
	sessions []*prepaid
	next     int    // where the search begins, so that sessions are used in turn
	freed    uint64 // how often room was made
	waiting  list.List
}

func (l *line) add(p *prepaid) {
	l.mutex.Lock()
	l.sessions = append(l.sessions, p)
	l.mutex.Unlock()
	l.wake()
}

func (l *line) remove(p *prepaid) {
	l.mutex.Lock()
	l.sessions = slices.DeleteFunc(slices.Clone(l.sessions), func(other *prepaid) bool { return other == p })
	l.mutex.Unlock()
	l.wake()
}

// room tells that a session has room for a request: who waits longest tries.
func (l *line) room() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.freed++
	if first := l.waiting.Front(); first != nil {
		close(l.waiting.Remove(first).(chan struct{}))
	}
}

// wake has everybody try who waits.
func (l *line) wake() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.freed++
	for first := l.waiting.Front(); first != nil; first = l.waiting.Front() {
		close(l.waiting.Remove(first).(chan struct{}))
	}
}

// take asks in a session that has room, and waits for one as long as the context allows. A name confines it to that
// session. What no other session can mend, and what is left when none has room or funds, is the wallet's error. A session
// that is apart is only tried when there is no other, by one request at a time.
func (l *line) take(ctx context.Context, name string, ask func(*prepaid) (wallet.Ask, error)) (*prepaid, wallet.Ask, error) {
	for {
		l.mutex.Lock()
		freed, from := l.freed, l.next
		sessions := l.sessions
		if l.next++; l.next >= len(sessions) {
			l.next = 0
		}
		l.mutex.Unlock()
		failure, full := errNone, false
		for i := range 2 * len(sessions) {
			p, apart := sessions[(from+i)%len(sessions)], i >= len(sessions)
			if name != "" && p.Name != name || p.apart.Load() != apart || apart && full {
				continue
			}
			if apart && p.busy() {
				if !errors.Is(failure, wallet.ErrFunds) {
					failure = errApart
				}
				continue
			}
			a, err := ask(p)
			switch {
			case err == nil:
				return p, a, nil
			case errors.Is(err, wallet.ErrWindow):
				full = true
			case errors.Is(err, wallet.ErrFunds), errors.Is(err, wallet.ErrEnded), errors.Is(err, wallet.ErrStopped), errors.Is(err, wallet.ErrUnknown):
				if !errors.Is(failure, wallet.ErrFunds) { // what a top-up mends is the better advice
					failure = err
				}
			default:
				return nil, a, err
			}
		}
		if !full {
			return nil, wallet.Ask{}, failure
		}
		if err := l.wait(ctx, freed); err != nil {
			return nil, wallet.Ask{}, err
		}
	}
}

// wait returns when room was made since freed was read.
func (l *line) wait(ctx context.Context, freed uint64) error {
	l.mutex.Lock()
	if l.freed != freed {
		l.mutex.Unlock()
		return nil
	}
	turn := make(chan struct{})
	place := l.waiting.PushBack(turn)
	l.mutex.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mutex.Lock()
	l.waiting.Remove(place) // nothing, if it was its turn meanwhile
	l.mutex.Unlock()
	select {
	case <-turn: // which is for somebody else then
		l.room()
	default:
	}
	return wallet.ErrWindow
}
