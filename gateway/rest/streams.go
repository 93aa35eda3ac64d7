package rest

import "sync"

// streams bounds how many streams each caller has open. It is safe for concurrent use.
type streams struct {
	mutex sync.Mutex
	count map[string]int
}

func (s *streams) open(caller string) (end func(), err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.count[caller] >= maxStreams {
		return nil, newProblem(codeRate, "at most %d streams at a time", maxStreams)
	}
	if s.count == nil {
		s.count = map[string]int{}
	}
	s.count[caller]++
	return func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		if s.count[caller]--; s.count[caller] == 0 {
			delete(s.count, caller)
		}
	}, nil
}

// EndStreams ends all streams of events, so that a server that is to stop can.
func (a *API) EndStreams() { a.stopOnce.Do(func() { close(a.stopping) }) }
