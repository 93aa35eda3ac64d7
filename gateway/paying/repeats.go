package paying

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

const (
	// repeatable is how long an idempotency key is known, and maxRepeats how many are, of all callers. They are
	// forgotten when the gateway ends.
	repeatable = 24 * time.Hour
	maxRepeats = 10_000
	// maxRepeatKey bounds an idempotency key, in bytes.
	maxRepeatKey = 255
)

// repeats knows which number a client's idempotency key stands for. It is safe for concurrent use.
type repeats struct {
	mutex sync.Mutex
	known map[repeatKey]*list.Element
	order list.List // of *repeat, the oldest first
}

type repeatKey struct {
	account ledger.Account
	key     string
}

// repeat is a request that may be sent again.
type repeat struct {
	repeatKey
	digest merkle.Hash // of path and body
	at     time.Time
	busy   bool
	flight *flight // nil before it has a number
}

func newRepeats() *repeats { return &repeats{known: map[repeatKey]*list.Element{}} }

// begin starts a request under a key, or goes on with the one that the key stands for.
func (r *repeats) begin(key repeatKey, path string, body []byte) (*repeat, error) {
	if len(key.key) > maxRepeatKey {
		return nil, openai.Refuse(openai.CodeInvalid, "", "an Idempotency-Key has at most %d bytes", maxRepeatKey)
	}
	digest := merkle.Hash(sha256.Sum256(append([]byte(path+"\x00"), body...)))
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for first := r.order.Front(); first != nil; first = r.order.Front() {
		oldest := first.Value.(*repeat)
		if r.order.Len() < maxRepeats && time.Since(oldest.at) < repeatable {
			break
		}
		r.order.Remove(first)
		delete(r.known, oldest.repeatKey)
	}
	if place, ok := r.known[key]; ok {
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
	fresh := &repeat{repeatKey: key, digest: digest, at: time.Now(), busy: true}
	r.known[key] = r.order.PushBack(fresh)
	return fresh, nil
}

// end is told that a request is no longer under way. One that got no number, or whose number was given up, is forgotten:
// the next one with its key is a new request.
func (r *repeats) end(one *repeat, keep bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	one.busy = false
	if place, ok := r.known[one.repeatKey]; ok && place.Value == one && !keep {
		r.order.Remove(place)
		delete(r.known, one.repeatKey)
	}
}
