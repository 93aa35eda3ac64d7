package contribution

import (
	"strconv"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"contribution", "fingerprint", "fingerprint-epoch", "leavers", "leaver"}

// Key is where a contribution stands. Datanet and id must be valid.
func Key(datanet, id string) ledger.Key { return ledger.NewKey("contribution", datanet, id) }

func keysOf(datanet string) ledger.Key { return ledger.NewKey("contribution", datanet) }

// epochKey holds the fingerprint epoch in force. Every submission reads it; it changes about once a year.
var epochKey = ledger.NewKey("fingerprint-epoch")

func fingerprintKey(f Fingerprint) ledger.Key {
	return ledger.NewKey("fingerprint", strconv.Itoa(f.Epoch), f.HMAC)
}

func leaversKey(datanet string) ledger.Key { return ledger.NewKey("leavers", datanet) }

// otherLeaverKey is where a leaver stands for which the list has no room.
func otherLeaverKey(datanet, id string) ledger.Key { return ledger.NewKey("leaver", datanet, id) }

func otherLeavers(datanet string) ledger.Key { return ledger.NewKey("leaver", datanet) }

func leaverOf(key ledger.Key) string {
	_, parts, _ := key.Split()
	return parts[1]
}
