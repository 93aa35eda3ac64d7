// Package licence is the terms under which data may be used, as a typed document that rules can decide by.
//
// A datanet has a licence; a contribution may have a stricter one of its own. A use names a purpose, a time and, where
// it matters, a country; it is covered when no term stands against it. Whether a use that was covered stays within its
// terms outside the ledger, nobody can see here: the audit asks for evidence.
package licence

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Purpose is what data is used for, from a closed vocabulary.
type Purpose string

const (
	Research          Purpose = "research"           // to find out, results published or not
	Evaluation        Purpose = "evaluation"         // to measure models, not to train what is used
	InternalUse       Purpose = "internal-use"       // of the user's own organisation only
	CommercialService Purpose = "commercial-service" // served to others for pay
	PublicInterest    Purpose = "public-interest"    // served to the public by or for a public body
)

// Purposes lists the vocabulary.
var Purposes = []Purpose{Research, Evaluation, InternalUse, CommercialService, PublicInterest}

// Validate reports a word that is no purpose.
func (p Purpose) Validate(field string) error {
	if !slices.Contains(Purposes, p) {
		return ledger.Invalid(field, "%q is not a purpose: there are %s", ledger.Clip(string(p)), List(Purposes))
	}
	return nil
}

// ValidPurposes reports a list that is empty, repeats itself, is not ascending or holds a word that is no purpose.
func ValidPurposes(field string, purposes []Purpose) error {
	if len(purposes) == 0 {
		return ledger.Invalid(field, "at least one purpose of %s", List(Purposes))
	}
	for i, p := range purposes {
		if err := p.Validate(field); err != nil {
			return err
		}
		if i > 0 && p <= purposes[i-1] {
			return ledger.Invalid(field, "must be ascending and each once")
		}
	}
	return nil
}

// Licence is the terms. The zero time means that it does not expire.
type Licence struct {
	Purposes []Purpose `json:"purposes"` // ascending; a use is covered when its purpose is listed
	// DerivativePpm is the least part, in ppm, that models derived from a model trained on the data pay upstream of
	// every fee.
	DerivativePpm int       `json:"derivativePpm"`
	Expires       time.Time `json:"expires,omitzero"`   // UTC, whole seconds; no use begins from then on
	Geography     []string  `json:"geography,omitzero"` // ISO 3166-1 alpha-2, ascending; empty: anywhere
}

// Validate reports a malformed term at its field.
func (l Licence) Validate(field string) error {
	if err := ValidPurposes(field+".purposes", l.Purposes); err != nil {
		return err
	}
	if l.DerivativePpm < 0 || l.DerivativePpm > money.Million {
		return ledger.Invalid(field+".derivativePpm", "must be from 0 to %d", money.Million)
	}
	if err := ValidTime(field+".expires", l.Expires); err != nil {
		return err
	}
	for i, code := range l.Geography {
		if err := ValidCountry(field+".geography", code); err != nil {
			return err
		}
		if i > 0 && code <= l.Geography[i-1] {
			return ledger.Invalid(field+".geography", "must be ascending and each once")
		}
	}
	return nil
}

// ValidTime reports a time that has a fraction of a second or another zone than UTC: one moment, one form. The zero
// time passes.
func ValidTime(field string, t time.Time) error {
	if t.Nanosecond() != 0 || t.Location() != time.UTC {
		return ledger.Invalid(field, "expected UTC and whole seconds, like 2030-01-31T12:00:00Z")
	}
	return nil
}

// Use is what somebody wants to do with the data.
type Use struct {
	Purpose Purpose
	At      time.Time
	Country string // ISO 3166-1 alpha-2; "" when it is not stated, which a licence bound to countries does not cover
}

// Failure is one term that stands against a use.
type Failure struct {
	Term    string // "purpose", "expires" or "geography"
	Message string // what the licence says and what was asked, to follow "the licence"
}

// Covers returns every term that stands against a use, in the order of the licence's terms; none when it is covered.
func (l Licence) Covers(use Use) []Failure {
	var failures []Failure
	if !slices.Contains(l.Purposes, use.Purpose) {
		failures = append(failures, Failure{"purpose", fmt.Sprintf("covers %s, not %s", List(l.Purposes), use.Purpose)})
	}
	if l.Expired(use.At) {
		failures = append(failures, Failure{"expires", "expired at " + l.Expires.Format(time.RFC3339)})
	}
	if len(l.Geography) > 0 && !slices.Contains(l.Geography, use.Country) {
		asked := use.Country
		if asked == "" {
			asked = "a place that is not stated"
		}
		failures = append(failures, Failure{"geography", fmt.Sprintf("covers %s, not %s", strings.Join(l.Geography, ", "), asked)})
	}
	return failures
}

// Expired tells whether the licence has ended.
func (l Licence) Expired(at time.Time) bool { return !l.Expires.IsZero() && !at.Before(l.Expires) }

// StricterThan returns nil when every use that l covers is covered by base too and pays at least as much upstream, and
// otherwise a fault at the term that is laxer.
func (l Licence) StricterThan(base Licence, field string) error {
	for _, p := range l.Purposes {
		if !slices.Contains(base.Purposes, p) {
			return laxer(field+".purposes", "%s is not among %s", p, List(base.Purposes))
		}
	}
	if l.DerivativePpm < base.DerivativePpm {
		return laxer(field+".derivativePpm", "%d ppm are less than %d", l.DerivativePpm, base.DerivativePpm)
	}
	if !base.Expires.IsZero() && (l.Expires.IsZero() || l.Expires.After(base.Expires)) {
		return laxer(field+".expires", "it must end by %s", base.Expires.Format(time.RFC3339))
	}
	if len(base.Geography) > 0 && len(l.Geography) == 0 {
		return laxer(field+".geography", "anywhere is more than %s", strings.Join(base.Geography, ", "))
	}
	for _, code := range l.Geography {
		if len(base.Geography) > 0 && !slices.Contains(base.Geography, code) {
			return laxer(field+".geography", "%s is not among %s", code, strings.Join(base.Geography, ", "))
		}
	}
	return nil
}

func laxer(field, format string, args ...any) error {
	return ledger.Refuse(ledger.CodeLicence, "laxer than the datanet's licence: "+format, args...).At(field)
}

// List shows purposes in a sentence.
func List(purposes []Purpose) string {
	words := make([]string, len(purposes))
	for i, p := range purposes {
		words[i] = string(p)
	}
	return strings.Join(words, ", ")
}
