package token

import (
	"regexp"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
)

// RedeemTerm is how long the issuer has to acknowledge a redemption or to return it; after that its owner may take it
// back.
const RedeemTerm = 30 * 24 * time.Hour

// RedemptionState of a redemption.
type RedemptionState string

const (
	Escrowed RedemptionState = "escrowed"
	Paid     RedemptionState = "paid"     // the issuer has acknowledged payment
	Returned RedemptionState = "returned" // the credits went back
)

// Redemption is credits on their way out: held in escrow until the issuer, named by the fee schedule when it was
// asked for, acknowledges payment with a reference, or they return.
type Redemption struct {
	ID        string          `json:"id"`
	Account   ledger.Account  `json:"account"`
	Amount    money.Amount    `json:"amount"`
	Issuer    ledger.Account  `json:"issuer"`
	Until     time.Time       `json:"until"` // from then on the owner may take it back
	State     RedemptionState `json:"state"`
	Reference string          `json:"reference,omitzero"`
	Tx        string          `json:"tx"`
	EndTx     string          `json:"endTx,omitzero"`
}

// Redeem asks for credits to be paid out.
type Redeem struct {
	ID     string       `json:"id"`
	Amount money.Amount `json:"amount"`
	Source
}

func (r Redeem) Validate() error {
	if err := ledger.ValidID("id", r.ID); err != nil {
		return err
	}
	if r.Amount == 0 {
		return ledger.Invalid("amount", "must be positive")
	}
	return r.Source.Validate()
}

func (r Redeem) Reads(c ledger.Caller) []ledger.Key {
	return append(SpendReads(c, r.ID, r.Source), schedule.Key, redemptionKey(c.Account(), r.ID))
}

// RedemptionName names a redemption by its owner and id.
type RedemptionName struct {
	Account ledger.Account `json:"account"`
	ID      string         `json:"id"`
}

func (n RedemptionName) Validate() error {
	if err := n.Account.Validate("account"); err != nil {
		return err
	}
	return ledger.ValidID("id", n.ID)
}

// Acknowledgement is the issuer's word that a redemption was paid, with the payment's reference.
type Acknowledgement struct {
	RedemptionName
	Reference string `json:"reference"`
}

// A reference is a bank's or a ledger's, never free text.
var referencePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$`)

func (a Acknowledgement) Validate() error {
	if !referencePattern.MatchString(a.Reference) {
		return ledger.Invalid("reference", "expected 1 to 64 letters, digits or . _ : / -")
	}
	return a.RedemptionName.Validate()
}

func redeem(tx ledger.Tx, req Redeem) (Redemption, error) {
	me := tx.Caller().Account()
	_, done, err := Repeated(tx, req.ID, "redeem", req)
	if err != nil {
		return Redemption{}, err
	}
	if done {
		return loadRedemption(tx, RedemptionName{Account: me, ID: req.ID})
	}
	s, err := schedule.Load(tx)
	if err != nil {
		return Redemption{}, err
	}
	if s.Issuer == me {
		return Redemption{}, ledger.Refuse(ledger.CodeForbidden, "the issuer cannot redeem its own credits")
	}
	if _, err := Take(tx, req.ID, "redeem", req, req.Amount, 0, req.Source); err != nil {
		return Redemption{}, err
	}
	r := Redemption{ID: req.ID, Account: me, Amount: req.Amount, Issuer: s.Issuer,
		Until: tx.Time().Add(RedeemTerm).Truncate(time.Second).UTC(), State: Escrowed, Tx: tx.TxID()}
	tx.Emit("token.redemption-requested/1", r)
	return r, ledger.Save(tx, redemptionKey(me, req.ID), r)
}

func acknowledge(tx ledger.Tx, req Acknowledgement) (Redemption, error) {
	r, err := loadRedemption(tx, req.RedemptionName)
	switch {
	case err != nil:
		return Redemption{}, err
	case tx.Caller().Account() != r.Issuer:
		return Redemption{}, ledger.Refuse(ledger.CodeForbidden, "only the issuer %s acknowledges this redemption", r.Issuer)
	case r.State == Paid && r.Reference == req.Reference:
		return r, nil
	case r.State != Escrowed:
		return Redemption{}, ledger.Refuse(ledger.CodeState, "the redemption is %s", r.State)
	}
	r.State, r.Reference, r.EndTx = Paid, req.Reference, tx.TxID()
	tx.Emit("token.redemption-paid/1", r)
	return r, ledger.Save(tx, redemptionKey(r.Account, r.ID), r)
}

func returnRedemption(tx ledger.Tx, req RedemptionName) (Redemption, error) {
	r, err := loadRedemption(tx, req)
	if err != nil {
		return Redemption{}, err
	}
	me := tx.Caller().Account()
	if me != r.Issuer && me != r.Account {
		return Redemption{}, ledger.Refuse(ledger.CodeForbidden, "only the issuer or the owner returns a redemption")
	}
	if r.State == Returned {
		return r, nil
	}
	if r.State != Escrowed {
		return Redemption{}, ledger.Refuse(ledger.CodeState, "the redemption is %s", r.State)
	}
	if me == r.Account && tx.Time().Before(r.Until) {
		return Redemption{}, ledger.Refuse(ledger.CodeState, "the issuer has until %s; after that it can be taken back",
			r.Until.Format(time.RFC3339))
	}
	if err := Pay(tx, r.Account, r.Amount, "returned", r.ID); err != nil {
		return Redemption{}, err
	}
	r.State, r.EndTx = Returned, tx.TxID()
	tx.Emit("token.redemption-returned/1", r)
	return r, ledger.Save(tx, redemptionKey(r.Account, r.ID), r)
}

func loadRedemption(r ledger.Reader, n RedemptionName) (Redemption, error) {
	redemption, found, err := ledger.Load[Redemption](r, redemptionKey(n.Account, n.ID))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "%s has no redemption %s", n.Account, n.ID).At("id")
	}
	return redemption, err
}
