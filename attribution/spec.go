package attribution

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

// The numbers of the definition. They are part of the specification that every receipt names, so they never
// change under ATTR/1.
const (
	// PassageTokens and PassageRunes are what a passage has at least (section 2).
	PassageTokens = 5
	PassageRunes  = 12
	// LongestPassage is the most tokens a passage can have, since each token has a rune at least.
	LongestPassage = max(PassageTokens, PassageRunes)
	// MinSpan is the least length of a credited span, in tokens (section 4).
	MinSpan = 3
	// EchoDistance is how many tokens back an equal one makes a token an echo (section 4).
	EchoDistance = 9
	// MaxBits is the most information that one token carries, in bits (section 3).
	MaxBits = 24
	// FractionBits is the number of binary places of information (section 3).
	FractionBits = 16
)

// Spec returns the specification that a receipt names: the definition's parameters and the frozen table,
// hashed as section 6 says.
var Spec = sync.OnceValue(func() merkle.Hash {
	table := sha256.Sum256([]byte(text1.Table()))
	return sha256.Sum256(fmt.Appendf(nil, "ATTR/1 text/1 passage=%d/%d min=%d echo=%d cap=%d frac=%d %x",
		PassageTokens, PassageRunes, MinSpan, EchoDistance, MaxBits, FractionBits, table))
})
