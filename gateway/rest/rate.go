package rest

import (
	"container/list"
	"sync"

	"golang.org/x/time/rate"
)

// maxCallers bounds how many callers are remembered; beyond it the one that was silent longest is forgotten, and has its
// full burst again.
const maxCallers = 10_000

// rates bounds how many requests each caller may send. It is safe for concurrent use.
type rates struct {
	limit rate.Limit
	burst int

	mutex  sync.Mutex
	known  map[string]*list.Element
	recent list.List // of *caller, the latest first
}

type caller struct {
	name    string
	limiter *rate.Limiter
}

// newRates allows as many requests per second, and burst at once; a perSecond of 0 allows everything.
func newRates(perSecond, burst int) *rates {
	return &rates{limit: rate.Limit(perSecond), burst: max(burst, 1), known: map[string]*list.Element{}}
}

// take counts a request, or returns the problem that there were too many.
func (r *rates) take(name string) error {
	if r.limit == 0 {
		return nil
	}
	if r.of(name).Allow() {
		return nil
	}
	return newProblem(codeRate, "at most %v requests per second, and %d at once", float64(r.limit), r.burst)
}

func (r *rates) of(name string) *rate.Limiter {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if known, ok := r.known[name]; ok {
		r.recent.MoveToFront(known)
		return known.Value.(*caller).limiter
	}
	if len(r.known) >= maxCallers {
		oldest := r.recent.Remove(r.recent.Back()).(*caller)
		delete(r.known, oldest.name)
	}
	c := &caller{name, rate.NewLimiter(r.limit, r.burst)}
	r.known[name] = r.recent.PushFront(c)
	return c.limiter
}
