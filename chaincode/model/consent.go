package model

import (
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Consent is the place in which the organisation of a rate card's host accepts the card; By is "" until it has.
type Consent struct {
	Named
	Card int            `json:"card"`
	MSP  string         `json:"msp"` // the host's organisation
	By   ledger.Account `json:"by"`
	Tx   string         `json:"tx,omitzero"`
}

// foreign tells whether a card's host is of another organisation than the model's owner, and has to be asked.
func (c Card) foreign() bool { return c.Host.MSP() != ledger.Owner(c.Name) }

// Offered reads the rate card in force. Whoever owes or charges a fee relies on this and not on the model alone: the
// owner, colluding with a majority, can write any number there, but not the consent of the host's organisation.
func Offered(r ledger.Reader, m Model) (Card, error) {
	c, err := LoadCard(r, m, m.Card)
	if err != nil || !c.foreign() {
		return c, err
	}
	slot, err := loadConsent(r, m, c)
	if err == nil && slot.By == "" {
		err = ledger.Refuse(ledger.CodeState, "%s has not accepted rate card %d of %s", slot.MSP, c.Card, m.Named).At("card")
	}
	return c, err
}

// Served reads a rate card by its number, whether in force or not, if its host's organisation has agreed to it; a missing
// one is a fault at the given field.
func Served(r ledger.Reader, field string, n CardName) (Card, error) {
	m, err := Load(r, field, n.Named)
	if err != nil {
		return Card{}, err
	}
	c, err := LoadCard(r, m, n.Card)
	if err != nil {
		return c, ledger.AsFault(err).At(field)
	}
	if !c.foreign() {
		return c, nil
	}
	slot, err := loadConsent(r, m, c)
	if err == nil && slot.By == "" {
		err = ledger.Refuse(ledger.CodeState, "%s has not accepted rate card %d of %s", slot.MSP, c.Card, m.Named)
	}
	if err != nil {
		return c, ledger.AsFault(err).At(field)
	}
	return c, nil
}

func loadConsent(r ledger.Reader, m Model, c Card) (Consent, error) {
	key := consentKey(m.Named, c.Card)
	slot, found, err := ledger.Load[Consent](r, key)
	if err != nil {
		return slot, err
	}
	if !found || slot.MSP != c.Host.MSP() {
		return slot, ledger.Refuse(ledger.CodeState, "rate card %d of %s has no place for the consent of %s", c.Card, m.Named, c.Host.MSP()).At("card")
	}
	return slot, ledger.MustBeGuarded(r, key, slot.MSP, m.Slots)
}

// askHost creates the place for the consent of the host's organisation.
func askHost(tx ledger.Tx, m Model, c Card) error {
	slot := Consent{Named: c.Named, Card: c.Card, MSP: c.Host.MSP()}
	key := consentKey(c.Named, c.Card)
	tx.Guard(key, ledger.SlotPolicy(slot.MSP, m.Slots))
	return ledger.Save(tx, key, slot)
}

// accept consents to the card that waits, for the organisation of its host, and puts it in force. It reads what a later
// card and the model's end write, so an acceptance held back loses against them.
func accept(tx ledger.Tx, req CardName) (Consent, error) {
	if req.Card == 0 {
		return Consent{}, ledger.Invalid("card", "an acceptance says which rate card it is for, by its number")
	}
	m, err := Load(tx, "name", req.Named)
	if err != nil {
		return Consent{}, err
	}
	c, err := LoadCard(tx, m, req.Card)
	if err != nil {
		return Consent{}, err
	}
	if caller := tx.Caller(); c.Host.MSP() != caller.MSP {
		return Consent{}, ledger.Refuse(ledger.CodeForbidden, "the host of rate card %d is %s: %s cannot consent for it", c.Card, c.Host, caller.MSP)
	}
	if !c.foreign() {
		return Consent{}, ledger.Refuse(ledger.CodeState, "rate card %d needs no consent: its host is of the organisation that owns %s", c.Card, m.Named).At("card")
	}
	slot, err := loadConsent(tx, m, c)
	switch {
	case err != nil || slot.By != "":
		return slot, err
	case m.State != Registered:
		return Consent{}, ledger.Refuse(ledger.CodeState, "model %s is %s", m.Named, m.State)
	case m.Offer != c.Card:
		return Consent{}, ledger.Refuse(ledger.CodeState, "a later rate card has taken the place of number %d", c.Card).At("card")
	}
	m.Card, m.Offer = c.Card, 0
	slot.By, slot.Tx = tx.Caller().Account(), tx.TxID()
	tx.Emit("model.accepted/1", slot)
	if err := ledger.Save(tx, Key(m.Named), m); err != nil {
		return Consent{}, err
	}
	return slot, ledger.Save(tx, consentKey(m.Named, c.Card), slot)
}

func showConsent(r ledger.Lister, req CardName) (Consent, error) {
	m, err := Load(r, "name", req.Named)
	if err != nil {
		return Consent{}, err
	}
	if req.Card == 0 {
		req.Card = max(m.Card, m.Offer)
	}
	c, err := LoadCard(r, m, req.Card)
	if err != nil {
		return Consent{}, err
	}
	if !c.foreign() {
		return Consent{}, ledger.Refuse(ledger.CodeNotFound, "rate card %d needs no consent: its host is of the organisation that owns %s", c.Card, m.Named).At("card")
	}
	return loadConsent(r, m, c)
}
