package token

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// SpendReads names what [Take] reads, for prefetching.
func SpendReads(c ledger.Caller, id string, source Source) []ledger.Key {
	return SpendReadsFrom(c.Account(), id, source)
}

// SpendReadsFrom names what [TakeFrom] reads.
func SpendReadsFrom(me ledger.Account, id string, source Source) []ledger.Key {
	keys := []ledger.Key{spendKey(me, id)}
	if !source.Apart {
		keys = append(keys, balanceKey(me))
	}
	for _, credit := range source.Credits {
		keys = append(keys, creditKey(me, credit))
	}
	return keys
}

// Repeated looks for the record of an earlier spend under the same id. done: the same request has been carried out.
// Another request under the id is an "exists" fault.
func Repeated(r ledger.Reader, id, kind string, request any) (spend Spend, done bool, err error) {
	return RepeatedFrom(r, r.Caller().Account(), id, kind, request)
}

// RepeatedFrom is [Repeated] for a spend of an account that is not the caller's, as a pool's.
func RepeatedFrom(r ledger.Reader, owner ledger.Account, id, kind string, request any) (spend Spend, done bool, err error) {
	key := spendKey(owner, id)
	value, err := r.Get(key)
	if err != nil || value == nil {
		return Spend{}, false, err
	}
	if spend, err = spendAt(key, value); err != nil {
		return Spend{}, false, err
	}
	digest, err := digestOf(kind, request)
	if err == nil && digest != spend.Digest {
		err = ledger.Refuse(ledger.CodeExists, "a spend %s of another content exists: choose a new id", id).At("id")
	}
	return spend, err == nil, err
}

// Take takes amount out of the caller's account for a request that [Repeated] has not seen, and records the spend.
// Where it goes is for the caller of Take. An amount of 0 only folds.
func Take(tx ledger.Tx, id, kind string, request any, amount money.Amount, payees int, source Source) (Spend, error) {
	return TakeFrom(tx, tx.Caller().Account(), id, kind, request, amount, payees, source)
}

// TakeFrom is [Take] from an account that is not the caller's. That the caller may, its own caller has checked.
func TakeFrom(tx ledger.Tx, me ledger.Account, id, kind string, request any, amount money.Amount, payees int, source Source) (Spend, error) {
	digest, err := digestOf(kind, request)
	if err != nil {
		return Spend{}, err
	}
	spend := Spend{Kind: kind, Digest: digest, Amount: amount, Payees: payees,
		Consumed: []Consumed{}, Apart: source.Apart, Tx: tx.TxID()}
	var have money.Amount
	if !source.Apart {
		balance, _, err := ledger.Load[Balance](tx, balanceKey(me))
		if err != nil {
			return Spend{}, err
		}
		have = balance.Amount
	}
	for _, id := range source.Credits {
		credit, found, err := ledger.Load[Credit](tx, creditKey(me, id))
		if err != nil {
			return Spend{}, err
		}
		if !found {
			return Spend{}, ledger.Refuse(ledger.CodeNotFound, "%s has no unspent credit %s", me, id).At("credits")
		}
		if have, err = have.Add(credit.Amount); err != nil {
			return Spend{}, ledger.Invalid("credits", "%v", err)
		}
		spend.Consumed = append(spend.Consumed, Consumed{ID: id, Amount: credit.Amount})
		tx.Delete(creditKey(me, id))
	}
	left, err := have.Sub(amount)
	if errors.Is(err, money.ErrNegative) {
		return Spend{}, ledger.Refuse(ledger.CodeInsufficient, "%v micro-credits are asked for and %v are there", amount, have)
	}
	if err != nil {
		return Spend{}, err
	}
	spend.Left = left
	switch {
	case !source.Apart:
		err = ledger.Save(tx, balanceKey(me), Balance{Amount: left})
	case left > 0:
		err = Pay(tx, me, left, "change", string(me))
	}
	if err != nil {
		return Spend{}, err
	}
	if err := ledger.Save(tx, spendKey(me, id), spend); err != nil {
		return Spend{}, err
	}
	spend.ID, spend.Account = id, me
	return spend, nil
}

// Worth is what unspent credits of an account come to; one that is missing is a "not_found" fault.
func Worth(r ledger.Reader, owner ledger.Account, credits []string) (sum money.Amount, err error) {
	for _, id := range credits {
		credit, found, err := ledger.Load[Credit](r, creditKey(owner, id))
		if err != nil {
			return 0, err
		}
		if !found {
			return 0, ledger.Refuse(ledger.CodeNotFound, "%s has no unspent credit %s", owner, id).At("credits")
		}
		if sum, err = sum.Add(credit.Amount); err != nil {
			return 0, ledger.Invalid("credits", "%v", err)
		}
	}
	return sum, nil
}

// Pay writes a credit for a payee. A transaction pays an account at most once; amounts are positive.
func Pay(tx ledger.Tx, to ledger.Account, amount money.Amount, kind, from string) error {
	return ledger.Save(tx, creditKey(to, tx.TxID()), Credit{Amount: amount, Kind: kind, From: from})
}

// creditAt is the credit of a key.
func creditAt(key ledger.Key, value []byte) (Credit, error) {
	c, err := ledger.Value[Credit](key, value)
	if err != nil {
		return Credit{}, err
	}
	owner, id, err := ownedBy(key)
	c.Owner, c.ID = owner, id
	return c, err
}

// spendAt is the record of a key.
func spendAt(key ledger.Key, value []byte) (Spend, error) {
	s, err := ledger.Value[Spend](key, value)
	if err != nil {
		return Spend{}, err
	}
	owner, id, err := ownedBy(key)
	s.Account, s.ID = owner, id
	return s, err
}

// ownedBy reads a key of the form (account, id).
func ownedBy(key ledger.Key) (ledger.Account, string, error) {
	_, parts, ok := key.Split()
	if !ok || len(parts) != 2 {
		return "", "", fmt.Errorf("key %s does not name an account and an id", key)
	}
	return ledger.Account(parts[0]), parts[1], nil
}

func digestOf(kind string, request any) (string, error) {
	data, err := ledger.Encode(struct {
		Kind    string `json:"kind"`
		Request any    `json:"request"`
	}{kind, request})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
