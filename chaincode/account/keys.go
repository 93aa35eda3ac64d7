package account

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"account", "account-roles"}

// key is account/MSP/account, so that an organisation's accounts are one range.
func key(a ledger.Account) ledger.Key { return ledger.NewKey("account", a.MSP(), string(a)) }

func organisationKey(msp string) ledger.Key { return ledger.NewKey("account", msp) }

func seenKey(a ledger.Account, number int) ledger.Key {
	return ledger.NewKey("account-roles", string(a), fmt.Sprintf("%06d", number))
}

func seenBy(a ledger.Account) ledger.Key { return ledger.NewKey("account-roles", string(a)) }

// Key is what [MustBeOpen] reads, for prefetching. The account must be well formed.
func Key(a ledger.Account) ledger.Key { return key(a) }
