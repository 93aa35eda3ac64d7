package schedule

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"schedule"}

// Key holds the schedule in force.
var Key = ledger.NewKey("schedule")
