package model

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// CardListing asks for a page of a model's rate cards.
type CardListing struct {
	Named
	ledger.PageRequest
}

// Functions are the model functions.
func Functions() []*ledger.Function {
	publisher := ledger.For(ledger.Trainer, ledger.Operator)
	return []*ledger.Function{
		ledger.Command("model:Register", "Registers a model version with its lineage.", ledger.For(ledger.Trainer), register),
		ledger.Command("model:Publish", "Puts a rate card of an own model in force, or offers it to a host of another organisation.", publisher, publish),
		ledger.Command("model:Accept", "Consents to the rate card that names an account of the caller's organisation as host, and puts it in force.",
			ledger.For(ledger.Host, ledger.Operator), accept),
		ledger.Command("model:Retire", "Ends an own model: no new rate cards, no models built on it.", publisher, retire),
		ledger.Query("model:Get", "Shows a model version.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Model, error) { return Load(r, "name", req) }),
		ledger.Query("model:List", "Lists model versions by name.", ledger.Anyone,
			func(r ledger.Lister, req ledger.PageRequest) (ledger.Page[Model], error) {
				return ledger.List(r, prefix, req, ledger.Value[Model])
			}),
		ledger.Query("model:Card", "Shows a rate card of a model, 0 for the one in force.", ledger.Anyone,
			func(r ledger.Lister, req CardName) (Card, error) {
				m, err := Load(r, "name", req.Named)
				if err != nil {
					return Card{}, err
				}
				if req.Card == 0 {
					return Offered(r, m)
				}
				return LoadCard(r, m, req.Card)
			}),
		ledger.Query("model:Consent", "Shows whether the host's organisation has accepted a rate card, 0 for the latest.", ledger.Anyone, showConsent),
		ledger.Query("model:Cards", "Lists the rate cards of a model.", ledger.Anyone,
			func(r ledger.Lister, req CardListing) (ledger.Page[Card], error) {
				return ledger.List(r, cardsOf(req.Named), req.PageRequest, ledger.Value[Card])
			}),
		ledger.Query("model:Lineage", "Lists what a model descends from, nearest first, and what became of it.", ledger.Anyone, ancestry),
		ledger.Query("model:Downstream", "Lists the models downstream of a model, a datanet, a snapshot or a contribution.", ledger.Anyone, Downstream),
	}
}

func (c CardName) Validate() error {
	if err := c.Named.Validate(); err != nil {
		return err
	}
	if c.Card < 0 || c.Card > MaxCards {
		return ledger.Invalid("card", "must be from 0 to %d", MaxCards)
	}
	return nil
}
