package rules_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/rules"
)

func TestEveryDomainKeepsItsKeysApart(t *testing.T) {
	kinds := rules.KeyKinds()
	slices.Sort(kinds)
	require.Len(t, slices.Compact(slices.Clone(kinds)), len(kinds), "two domains write the same kind of key: %v", kinds)
}
