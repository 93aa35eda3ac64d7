package seal

import (
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/licence"
)

// Terms counts the live leaves that stand under one version of their datanet. A contribution may have a stricter licence
// of its own; Strictest then is what all of those allow together. When one of them is retired Strictest stays as it is
// until all are: it never becomes laxer than it must be.
type Terms struct {
	Version   int              `json:"version"`
	Plain     int64            `json:"plain"` // leaves under the version's own licence
	Own       int64            `json:"own"`   // leaves under a stricter one
	Strictest *licence.Licence `json:"strictest,omitzero"`
}

// count adds leaves (or, with a negative n, takes them away) under a version and perhaps a licence of their own.
func count(terms []Terms, version int, own *licence.Licence, n int64) []Terms {
	i, found := slices.BinarySearchFunc(terms, version, func(t Terms, v int) int { return t.Version - v })
	if !found {
		terms = slices.Insert(terms, i, Terms{Version: version})
	}
	t := &terms[i]
	switch {
	case own == nil:
		t.Plain += n
	case n > 0 && t.Own > 0:
		t.Own += n
		both := intersect(*t.Strictest, *own)
		t.Strictest = &both
	default:
		t.Own += n
		if n > 0 {
			t.Strictest = own
		}
	}
	if t.Own == 0 {
		t.Strictest = nil
	}
	if t.Plain == 0 && t.Own == 0 {
		terms = slices.Delete(terms, i, i+1)
	}
	return terms
}

// intersect is what two licences allow together. Where they have no country in common nothing is allowed: then it has no
// purposes.
func intersect(a, b licence.Licence) licence.Licence {
	both := licence.Licence{
		Purposes:      common(a.Purposes, b.Purposes),
		DerivativePpm: max(a.DerivativePpm, b.DerivativePpm),
		Expires:       earlier(a.Expires, b.Expires),
		Geography:     a.Geography,
	}
	if len(a.Geography) == 0 {
		both.Geography = b.Geography
	} else if len(b.Geography) > 0 {
		if both.Geography = common(a.Geography, b.Geography); len(both.Geography) == 0 {
			both.Purposes = []licence.Purpose{}
		}
	}
	return both
}

func common[T comparable](a, b []T) []T {
	both := []T{}
	for _, x := range a {
		if slices.Contains(b, x) {
			both = append(both, x)
		}
	}
	return both
}

// earlier of two times of which the zero one means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
