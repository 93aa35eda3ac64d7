package identity

import (
	"bytes"
	"sync"
	"time"
)

const (
	// recentFor is how long an API key is taken for what the database said of it: uses come by the thousand a second.
	// What this gateway revokes ends at once; what another process revokes in the same database, so much later.
	recentFor = time.Second
	maxRecent = 10_000
)

// known is an API key as the database had it.
type known struct {
	principal   Principal
	hash        []byte
	expires     time.Time
	until       time.Time
	certificate []byte // of the account's kept key, when it was looked at; nil for none
}

// recent are API keys that were looked up a moment ago. It is safe for concurrent use.
type recent struct {
	mutex sync.Mutex
	keys  map[string]known
	// revoked counts, so that a look-up that a revocation overtook is not remembered.
	revoked uint64
}

// look returns a key, if it was looked up a moment ago; mark is for keep.
func (r *recent) look(id string, now time.Time) (k known, ok bool, mark uint64) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	k, ok = r.keys[id]
	return k, ok && now.Before(k.until) && now.Before(k.expires), r.revoked
}

func (r *recent) keep(id string, k known, mark uint64) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.revoked != mark {
		return
	}
	if r.keys == nil || len(r.keys) >= maxRecent {
		r.keys = map[string]known{}
	}
	r.keys[id] = k
}

func (r *recent) forget(id string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.revoked++
	delete(r.keys, id)
}

// byRecent is the principal of a key that was looked up a moment ago and whose account has the same certificate still.
func (s *Identities) byRecent(id string, hash []byte) (p Principal, ok bool, mark uint64, err error) {
	k, ok, mark := s.recent.look(id, s.config.Now())
	if !ok || !same(hash, k.hash) {
		return p, false, mark, nil
	}
	certificate, err := s.certificate(k.principal.Enrolment())
	return k.principal, err == nil && bytes.Equal(certificate, k.certificate), mark, err
}

// certificate is that of an account whose key the gateway keeps, nil for none.
func (s *Identities) certificate(enrolment string) ([]byte, error) {
	if s.config.Custody == nil {
		return nil, nil
	}
	text, ok, err := s.config.Custody.Certificate(enrolment)
	if !ok {
		return nil, err
	}
	return text, err
}
