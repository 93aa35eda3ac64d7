package member

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"members"}

// listKey holds all members in one value: nearly every command reads it, and it changes a few times a year.
var listKey = ledger.NewKey("members")
