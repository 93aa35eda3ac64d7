package demo

import (
	"fmt"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// credits is an amount as people read it.
func credits(a money.Amount) string { return amount(a) + " credits" }

// amount is the same in a table.
func amount(a money.Amount) string { return fmt.Sprintf("%d.%06d", a/credit, a%credit) }

// short is an account without most of its pseudonym; people.json has the whole.
func short(a ledger.Account) string {
	msp, enrolment, _ := strings.Cut(string(a), ":")
	if len(enrolment) != 32 {
		return string(a)
	}
	return msp + ":" + enrolment[:8] + "…"
}

// percent is a part in ppm as people read it, rounded down to hundredths.
func percent(ppm int) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%02d", ppm/10_000, ppm%10_000/100), "0"), ".") + " %"
}

// sentence joins names as a sentence does.
func sentence(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
