package verify

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hyperledger/fabric/protoutil"
	"golang.org/x/sync/errgroup"
)

// Stats is what a verification cost.
type Stats struct {
	Seconds float64 `json:"seconds"`
	Workers int     `json:"workers"`
	// PerSecond is transactions in a second.
	PerSecond float64 `json:"transactionsPerSecond"`
	// Signatures counts those of creators, endorsers and orderers.
	Signatures int64 `json:"signatures"`
	// BareSeconds is what these signature checks alone take on as many workers, measured on an even sample of them; Ratio
	// is its share of Seconds. Both are 0 until [Report.MeasureSignatures].
	BareSeconds float64 `json:"bareSignatureSeconds,omitempty"`
	Ratio       float64 `json:"ratioToBareSignatures,omitempty"`
}

// The bare cost is measured on so many signatures, each several times, so that it takes long enough to be measured.
const (
	sampled = 1000
	times   = 16
)

// signatures counts signatures and keeps a sample, each with the same chance.
type signatures struct {
	count  atomic.Int64
	guard  sync.Mutex
	seen   int
	sample []sample
}

type sample struct {
	configuration *configuration
	signed        *protoutil.SignedData
}

func (s *signatures) keep(c *configuration, transactions []*transaction) {
	s.guard.Lock()
	defer s.guard.Unlock()
	one := func(signed func() *protoutil.SignedData) {
		s.seen++
		if len(s.sample) < sampled {
			s.sample = append(s.sample, sample{c, signed()})
		} else if i := rand.IntN(s.seen); i < sampled {
			s.sample[i] = sample{c, signed()}
		}
	}
	for _, t := range transactions {
		if t.own != nil {
			one(func() *protoutil.SignedData { return t.own })
		}
		for i := range t.endorsements {
			one(func() *protoutil.SignedData { return t.signer(i) })
		}
	}
}

// MeasureSignatures measures what the signature checks of the verification cost alone: of identities that are known
// already, on as many workers. The verification must have been asked to measure. It returns how much of them it made.
func (r *Report) MeasureSignatures() (share float64, err error) {
	all := r.measured.sample
	if len(all) == 0 {
		return 0, nil
	}
	for _, one := range all {
		if id := one.configuration.identity(one.signed.Identity); id.err != nil {
			return 0, fmt.Errorf("measure signature checks: %w", id.err)
		}
	}
	start := time.Now()
	var workers errgroup.Group
	var next atomic.Int64
	for range r.Stats.Workers {
		workers.Go(func() error {
			for i := int(next.Add(1)) - 1; i < times*len(all); i = int(next.Add(1)) - 1 {
				one := all[i%len(all)]
				_ = one.configuration.signed(one.signed) // a bad one costs as much
			}
			return nil
		})
	}
	_ = workers.Wait() // they return none
	share = float64(times*len(all)) / float64(r.Stats.Signatures)
	r.Stats.BareSeconds = time.Since(start).Seconds() / share
	r.Stats.Ratio = r.Stats.BareSeconds / r.Stats.Seconds
	return share, nil
}
