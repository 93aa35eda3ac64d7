package schedule

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"schedule", "schedule-version"}

// Key holds the schedule in force.
var Key = ledger.NewKey("schedule")

var versions = ledger.NewKey("schedule-version")

func versionKey(number int) ledger.Key {
	return ledger.NewKey("schedule-version", fmt.Sprintf("%06d", number))
}
