package receipt

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Check reports whether the receipt is one that some corpus and output could have: that its parts are in
// order, fit their widths, and agree with each other, shares with credits and spans with the threshold.
// Whether it is the receipt of a certain answer only the corpus and the texts tell.
func (r *Receipt) Check() error {
	switch {
	case len(r.Roots) > math.MaxUint16:
		return fmt.Errorf("receipt: %d snapshot roots do not fit in 16 bits", len(r.Roots))
	case !ascending(r.Roots, func(a, b merkle.Hash) int { return bytes.Compare(a[:], b[:]) }):
		return errors.New("receipt: snapshot roots are not ascending, each once")
	case r.V == 0 || r.V-1 > r.N || (r.V == 1) != (r.N == 0):
		return fmt.Errorf("receipt: a corpus of %d tokens cannot have %d distinct ones plus one", r.N, r.V)
	case len(r.Model) > math.MaxUint16:
		return fmt.Errorf("receipt: a model name of %d bytes does not fit in 16 bits", len(r.Model))
	case r.Tau > attribution.MaxTau:
		return fmt.Errorf("receipt: tau is %d, more than %d", r.Tau, attribution.MaxTau)
	case r.CoveragePPM > Whole:
		return fmt.Errorf("receipt: coverage is %d ppm, more than all", r.CoveragePPM)
	case r.CoveragePPM > 0 && len(r.Spans) == 0:
		return errors.New("receipt: coverage without spans")
	}
	total := uint64(0)
	for i := range r.Spans {
		span := &r.Spans[i]
		if err := r.checkSpan(span); err != nil {
			return fmt.Errorf("receipt: span %d: %w", i, err)
		}
		if i > 0 {
			before := &r.Spans[i-1]
			if span.Start <= before.Start || span.End <= before.End {
				return fmt.Errorf("receipt: span %d does not start and end after the one before", i)
			}
			if span.ByteStart < before.ByteStart || span.ByteEnd < before.ByteEnd {
				return fmt.Errorf("receipt: span %d lies in bytes before the one before", i)
			}
		}
		total += span.Credit
		if total > attribution.MaxInformation*uint64(r.OutputTokens) {
			return errors.New("receipt: more credit than the output can tell")
		}
	}
	if !slices.Equal(r.Shares, Shares(r.Spans)) {
		return errors.New("receipt: shares are not those that follow from the spans")
	}
	return nil
}

func (r *Receipt) checkSpan(s *Span) error {
	length := uint64(s.End) - uint64(s.Start)
	switch {
	case s.Start >= s.End || s.End > r.OutputTokens:
		return fmt.Errorf("tokens [%d, %d) are no range of an output of %d tokens", s.Start, s.End, r.OutputTokens)
	case s.ByteStart >= s.ByteEnd || s.ByteEnd > r.OutputBytes:
		return fmt.Errorf("bytes [%d, %d) are no range of an output of %d bytes", s.ByteStart, s.ByteEnd, r.OutputBytes)
	case length < attribution.MinSpan:
		return fmt.Errorf("%d tokens are fewer than %d", length, attribution.MinSpan)
	case s.Information > attribution.MaxInformation*length:
		return fmt.Errorf("information %d is more than %d tokens can have", s.Information, length)
	case s.Credit == 0 || s.Credit > s.Information:
		return fmt.Errorf("credit %d is not between 1 and the information %d", s.Credit, s.Information)
	case s.Occurrences == 0 || s.Occurrences > r.N:
		return fmt.Errorf("%d occurrences in a corpus of %d tokens", s.Occurrences, r.N)
	case uint64(s.Home.Token)+length > r.N:
		return fmt.Errorf("home at token %d lies beyond a corpus of %d tokens", s.Home.Token, r.N)
	}
	// N is not 0 here, since the span occurs in the corpus, nor is the output empty.
	if need := attribution.Log(r.N) + attribution.Log(uint64(r.OutputTokens)) + uint64(r.Tau)*attribution.Bit; s.Information < need {
		return fmt.Errorf("information %d is below the threshold %d", s.Information, need)
	}
	if err := attribution.CheckName(s.Home.Contribution); err != nil {
		return fmt.Errorf("home: contribution id %q %w", s.Home.Contribution, err)
	}
	return checkPayees(s, length)
}

func checkPayees(s *Span, length uint64) error {
	if uint64(len(s.Payees)) > length {
		return fmt.Errorf("%d tokens cannot belong to %d accounts", length, len(s.Payees))
	}
	left := s.Credit
	for i, payee := range s.Payees {
		if err := attribution.CheckName(payee.Account); err != nil {
			return fmt.Errorf("account %q %w", payee.Account, err)
		}
		if i > 0 && payee.Account <= s.Payees[i-1].Account {
			return fmt.Errorf("account %q does not come after %q", payee.Account, s.Payees[i-1].Account)
		}
		if payee.Credit == 0 || payee.Credit > left {
			return fmt.Errorf("account %q: credit %d is not between 1 and the %d that is left", payee.Account, payee.Credit, left)
		}
		left -= payee.Credit
	}
	if left > 0 {
		return fmt.Errorf("credit of %d belongs to no account", left)
	}
	return nil
}

func ascending[T any](list []T, compare func(a, b T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}
