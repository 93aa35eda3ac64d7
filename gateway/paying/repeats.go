package paying

import (
	"container/list"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

const (
	// repeatable is how long an idempotency key is known, and maxRepeats how many are, of all callers.
	repeatable = 24 * time.Hour
	maxRepeats = 10_000
	// maxRepeatKey bounds an idempotency key, in bytes.
	maxRepeatKey = 255
	// compactRepeats is the length of the journal, in bytes, from which on it is rewritten: several times what all that
	// are known take.
	compactRepeats = 16 << 20
)

// The kinds of record.
const (
	recordNumbered  = 1
	recordForgotten = 2
)

// repeats knows which number a client's idempotency key stands for, durably before a request with the number leaves. It is
// safe for concurrent use.
type repeats struct {
	mutex sync.Mutex
	log   *journal.Log
	known map[merkle.Hash]*list.Element
	order list.List // of *repeat, the oldest first
}

// repeat is a request that may be sent again.
type repeat struct {
	key    merkle.Hash // of account and idempotency key
	digest merkle.Hash // of path and body
	at     time.Time
	busy   bool
	flight *flight // nil before it has a number, and after a restart
	// What the number is of, zeros before there is one.
	session merkle.Hash
	request use.Request
}

// numbered tells whether the request has a number.
func (r *repeat) numbered() bool { return r.session != merkle.Hash{} }

func openRepeats(medium journal.Medium) (*repeats, error) {
	r := &repeats{known: map[merkle.Hash]*list.Element{}}
	log, err := journal.Open(medium, func(_ int64, record []byte) error { return r.replay(record) })
	if err != nil {
		return nil, fmt.Errorf("open the idempotency keys: %w", err)
	}
	r.log = log
	r.forgetOld()
	return r, nil
}

func (r *repeats) close() error { return r.log.Close() }

func (r *repeats) replay(record []byte) error {
	kind, in := journal.NewReader(record)
	one := &repeat{key: in.Hash()}
	if kind == recordNumbered {
		one.digest, one.at, one.session = in.Hash(), time.Unix(int64(in.Uint64()), 0), in.Hash()
		one.request = use.Request{Number: in.Uint64(), Cap: in.Uint64(), Body: in.Hash()}
	}
	if err := in.End(); err != nil {
		return err
	}
	if place, ok := r.known[one.key]; ok {
		r.order.Remove(place)
		delete(r.known, one.key)
	}
	switch kind {
	case recordNumbered:
		r.known[one.key] = r.order.PushBack(one)
	case recordForgotten:
	default:
		return errors.New("a record of an unknown kind: was it written by a later version?")
	}
	return nil
}

func (r *repeat) record() []byte {
	w := journal.NewWriter(recordNumbered)
	w.Hash(r.key)
	w.Hash(r.digest)
	w.Uint64(uint64(r.at.Unix()))
	w.Hash(r.session)
	w.Uint64(r.request.Number)
	w.Uint64(r.request.Cap)
	w.Hash(r.request.Body)
	return *w
}

// forgetOld drops those that were known long enough, and the oldest of too many, with mutex locked.
func (r *repeats) forgetOld() {
	for first := r.order.Front(); first != nil; first = r.order.Front() {
		oldest := first.Value.(*repeat)
		if r.order.Len() < maxRepeats && time.Since(oldest.at) < repeatable {
			return
		}
		r.order.Remove(first)
		delete(r.known, oldest.key)
	}
}

// begin starts a request under a key, or goes on with the one that the key stands for.
func (r *repeats) begin(account ledger.Account, key, path string, body []byte) (*repeat, error) {
	if len(key) > maxRepeatKey {
		return nil, openai.Refuse(openai.CodeInvalid, "", "an Idempotency-Key has at most %d bytes", maxRepeatKey)
	}
	id := merkle.Hash(sha256.Sum256([]byte(string(account) + "\x00" + key)))
	digest := merkle.Hash(sha256.Sum256(append([]byte(path+"\x00"), body...)))
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.forgetOld()
	if place, ok := r.known[id]; ok {
		known := place.Value.(*repeat)
		switch {
		case known.digest != digest:
			return nil, openai.Refuse(openai.CodeConflict, "", "the Idempotency-Key was used for another request")
		case known.busy:
			return nil, openai.Refuse(openai.CodeInProgress, "", "the request with this Idempotency-Key is being answered")
		}
		known.busy = true
		return known, nil
	}
	fresh := &repeat{key: id, digest: digest, at: time.Now(), busy: true}
	r.known[id] = r.order.PushBack(fresh)
	return fresh, nil
}

// number notes durably which request a key stands for.
func (r *repeats) number(one *repeat, f *flight, request use.Request) error {
	r.mutex.Lock()
	one.flight, one.session, one.request = f, f.p.sid, request
	ticket, err := uint64(0), error(nil)
	if r.log.Size() > compactRepeats {
		err = r.compact()
	}
	if err == nil {
		_, ticket, err = r.log.Append(one.record())
	}
	r.mutex.Unlock()
	if err == nil {
		err = r.log.Wait(ticket)
	}
	if err != nil {
		return fmt.Errorf("keep an idempotency key: %w", err)
	}
	return nil
}

// compact rewrites the journal as what is known, with mutex locked.
func (r *repeats) compact() error {
	return r.log.Rewrite(func(add func([]byte) (int64, error)) error {
		for place := r.order.Front(); place != nil; place = place.Next() {
			if one := place.Value.(*repeat); one.numbered() {
				if _, err := add(one.record()); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// end is told that a request is no longer under way. One that got no number, or whose number was given up, is forgotten:
// the next one with its key is a new request.
func (r *repeats) end(one *repeat, keep bool) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	one.busy = false
	place, ok := r.known[one.key]
	if keep || !ok || place.Value != one {
		return nil
	}
	r.order.Remove(place)
	delete(r.known, one.key)
	if !one.numbered() {
		return nil
	}
	forgotten := journal.NewWriter(recordForgotten)
	forgotten.Hash(one.key)
	if _, _, err := r.log.Append(*forgotten); err != nil { // a crash that takes it leaves a number that was given up
		return fmt.Errorf("forget an idempotency key: %w", err)
	}
	return nil
}
