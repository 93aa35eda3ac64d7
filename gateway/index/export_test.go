package index

import (
	"maps"
	"slices"
)

// Kinds are the kinds of key that can be listed.
func Kinds() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(projections)), keyed...)))
}

// Listed tells whether a kind can be listed.
func Listed(kind string) bool { return projections[kind] != nil || keyedOnly[kind] }
