// Package schedule keeps the consortium's fee schedule: which account is the platform's and what part of every fee it
// gets, and which account redeems credits for money. It changes by a proposal of kind "schedule.set". Each change is a
// new version; all of them stay on the ledger, since fees that were agreed on name the version they follow.
package schedule

import (
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Schedule is what a fee schedule says.
type Schedule struct {
	Platform    ledger.Account `json:"platform"`    // receives the platform's part
	PlatformPpm int            `json:"platformPpm"` // of every fee, 0 to 1,000,000
	Issuer      ledger.Account `json:"issuer"`      // acknowledges redemptions
}

// Version is a fee schedule as the members decided it.
type Version struct {
	Schedule
	Number   int    `json:"number"`   // from 1
	Proposal string `json:"proposal"` // the id of the proposal that set it
	Tx       string `json:"tx"`
}

// Functions are the schedule functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Query("schedule:Get", "Shows the fee schedule in force.", ledger.Anyone,
			func(r ledger.Lister, _ ledger.Nothing) (Version, error) { return Load(r) }),
		ledger.Query("schedule:Versions", "Lists the fee schedules, the first one first.", ledger.Anyone,
			func(r ledger.Lister, req ledger.PageRequest) (ledger.Page[Version], error) {
				return ledger.List(r, versions, req, ledger.Value[Version])
			}),
	}
}

// Load reads the schedule in force; a "state" fault when the members have not set one yet.
func Load(r ledger.Reader) (Version, error) {
	v, found, err := ledger.Load[Version](r, Key)
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeState, "no fee schedule is in force: the members set it by a proposal of kind schedule.set")
	}
	return v, err
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

// Set puts a schedule in force as the next version.
func Set(tx ledger.Tx, proposal string, s Schedule) error {
	before, _, err := ledger.Load[Version](tx, Key)
	if err != nil {
		return err
	}
	v := Version{Schedule: s, Number: before.Number + 1, Proposal: proposal, Tx: tx.TxID()}
	if err := ledger.Save(tx, versionKey(v.Number), v); err != nil {
		return err
	}
	return ledger.Save(tx, Key, v)
}
