package verify

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hyperledger/fabric/protoutil"
)

// Stats is what a verification cost.
type Stats struct {
	Seconds float64 `json:"seconds"`
	Workers int     `json:"workers"`
	// PerSecond is transactions in a second.
	PerSecond float64 `json:"transactionsPerSecond"`
	// Signatures counts those of creators, endorsers and orderers.
	Signatures int64 `json:"signatures"`
	// BareSeconds is what these signature checks alone take, spread over the workers, measured on a sample of them in
	// the same run; Ratio is its share of Seconds. Both are 0 unless asked for.
	BareSeconds float64 `json:"bareSignatureSeconds,omitempty"`
	Ratio       float64 `json:"ratioToBareSignatures,omitempty"`
}

// sampled is how many signatures the bare cost is measured on.
const sampled = 2000

// signatures counts signatures and keeps a sample for the measurement.
type signatures struct {
	count  atomic.Int64
	sample []sample
}

type sample struct {
	configuration *configuration
	signed        *protoutil.SignedData
}

// keep is called by one goroutine.
func (s *signatures) keep(c *configuration, all ...*protoutil.SignedData) {
	for _, one := range all {
		if len(s.sample) < sampled && one != nil {
			s.sample = append(s.sample, sample{c, one})
		}
	}
}

// bare measures the mean cost of a check, on one core, of identities that are known already.
func (s *signatures) bare() (time.Duration, error) {
	start := time.Now()
	for _, one := range s.sample {
		id, err := one.configuration.identity(one.signed.Identity)
		if err != nil {
			return 0, fmt.Errorf("measure signature checks: %w", err)
		}
		_ = id.Verify(one.signed.Data, one.signed.Signature) // a bad one costs as much
	}
	if len(s.sample) == 0 {
		return 0, nil
	}
	return time.Since(start) / time.Duration(len(s.sample)), nil
}
