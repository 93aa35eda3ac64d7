package datanet

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"datanet", "datanet-version"}

var prefix = ledger.NewKey("datanet")

// Key is where a datanet's head stands. The name must be valid.
func Key(name string) ledger.Key { return ledger.NewKey("datanet", name) }

// VersionKey is where a version stands, for prefetching [LoadVersion]. Name and number must be valid.
func VersionKey(name string, version int) ledger.Key {
	return ledger.NewKey("datanet-version", name, fmt.Sprintf("%010d", version))
}

func versionsOf(name string) ledger.Key { return ledger.NewKey("datanet-version", name) }
