package seal

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"seal", "page", "retired", "sealed"}

// HeadKey is where a datanet's head stands. The name must be valid.
func HeadKey(datanet string) ledger.Key { return ledger.NewKey("seal", datanet) }

func pageKey(datanet string, page int) ledger.Key {
	return ledger.NewKey("page", datanet, fmt.Sprintf("%08d", page))
}

func retiredKey(datanet string, page int) ledger.Key {
	return ledger.NewKey("retired", datanet, fmt.Sprintf("%08d", page))
}

func placeKey(datanet, contribution string) ledger.Key {
	return ledger.NewKey("sealed", datanet, contribution)
}
