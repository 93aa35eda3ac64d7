// Package money is the one place for amounts, their arithmetic, splits and rounding.
package money

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Amount is a quantity of credits in micro-credits (10⁻⁶ credit), from 0 to 2⁶³−1. It is encoded as a decimal string,
// since JSON numbers lose precision above 2⁵³.
type Amount int64

// ErrOverflow: a sum exceeds 2⁶³−1 micro-credits. ErrNegative: a difference is below zero.
var (
	ErrOverflow = errors.New("the sum exceeds 9223372036854775807 micro-credits")
	ErrNegative = errors.New("the difference is below zero")
)

// Add returns a + b, or [ErrOverflow].
func (a Amount) Add(b Amount) (Amount, error) {
	if a < 0 || b < 0 {
		return 0, ErrNegative
	}
	if a > math.MaxInt64-b {
		return 0, ErrOverflow
	}
	return a + b, nil
}

// Sub returns a − b, or [ErrNegative].
func (a Amount) Sub(b Amount) (Amount, error) {
	if a < 0 || b < 0 || b > a {
		return 0, ErrNegative
	}
	return a - b, nil
}

// Sum adds amounts, or returns [ErrOverflow].
func Sum(amounts ...Amount) (total Amount, err error) {
	for _, a := range amounts {
		if total, err = total.Add(a); err != nil {
			return 0, err
		}
	}
	return total, nil
}

func (a Amount) String() string { return strconv.FormatInt(int64(a), 10) }

// MarshalText writes the decimal string; a negative amount is an error.
func (a Amount) MarshalText() ([]byte, error) {
	if a < 0 {
		return nil, fmt.Errorf("amount %d: %w", int64(a), ErrNegative)
	}
	return strconv.AppendInt(nil, int64(a), 10), nil
}

// UnmarshalText reads a decimal string: digits only, no sign, no superfluous zero, at most 2⁶³−1.
func (a *Amount) UnmarshalText(text []byte) error {
	if len(text) == 0 || len(text) > 19 || (text[0] == '0' && len(text) > 1) {
		return errNotAmount
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return errNotAmount
		}
	}
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return errNotAmount
	}
	*a = Amount(v)
	return nil
}

var errNotAmount = errors.New("an amount is a decimal string of micro-credits from 0 to 9223372036854775807")
