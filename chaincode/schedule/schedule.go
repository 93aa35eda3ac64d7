// Package schedule keeps the consortium's fee schedule: which account is the platform's and what part of every fee it
// gets, and which account redeems credits for money. It changes by a proposal of kind "schedule.set".
package schedule

import (
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Schedule is the fee schedule in force.
type Schedule struct {
	Platform    ledger.Account `json:"platform"`    // receives the platform's part
	PlatformPpm int            `json:"platformPpm"` // of every fee, 0 to 1,000,000
	Issuer      ledger.Account `json:"issuer"`      // acknowledges redemptions
}

// Functions are the schedule functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Query("schedule:Get", "Shows the fee schedule in force.", ledger.Anyone,
			func(r ledger.Lister, _ ledger.Nothing) (Schedule, error) { return Load(r) }),
	}
}

// Load reads the schedule in force; a "state" fault when the members have not set one yet.
func Load(r ledger.Reader) (Schedule, error) {
	s, found, err := ledger.Load[Schedule](r, Key)
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeState, "no fee schedule is in force: the members set it by a proposal of kind schedule.set")
	}
	return s, err
}

// Check reports why a schedule cannot be set.
func Check(r ledger.Reader, s Schedule) error {
	if s.PlatformPpm < 0 || s.PlatformPpm > money.Million {
		return ledger.Invalid("params.platformPpm", "must be from 0 to %d", money.Million)
	}
	if err := account.MustBeOpen(r, "params.platform", s.Platform); err != nil {
		return err
	}
	return account.MustBeOpen(r, "params.issuer", s.Issuer)
}

// Set puts a schedule in force.
func Set(tx ledger.Tx, s Schedule) error { return ledger.Save(tx, Key, s) }
