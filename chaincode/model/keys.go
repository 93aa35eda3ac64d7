package model

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"model", "rate-card", "rate-card-consent", "downstream"}

var prefix = ledger.NewKey("model")

// Key is where a model version stands. The name must be valid.
func Key(n Named) ledger.Key { return ledger.NewKey("model", n.Name, n.Version) }

func cardKey(n Named, card int) ledger.Key {
	return ledger.NewKey("rate-card", n.Name, n.Version, fmt.Sprintf("%06d", card))
}

// consentKey is where the host's organisation consents to a rate card.
func consentKey(n Named, card int) ledger.Key {
	return ledger.NewKey("rate-card-consent", n.Name, n.Version, fmt.Sprintf("%06d", card))
}

func cardsOf(n Named) ledger.Key { return ledger.NewKey("rate-card", n.Name, n.Version) }

// The keys under which a model stands below everything that it descends from.
func belowSnapshot(s snapshot.Named, m Named) ledger.Key {
	return ledger.NewKey("downstream", "datanet", s.Datanet, fmt.Sprintf("%010d", s.Number), m.Name, m.Version)
}

func belowDatanet(datanet string) ledger.Key { return ledger.NewKey("downstream", "datanet", datanet) }

func belowModel(base, m Named) ledger.Key {
	return ledger.NewKey("downstream", "model", base.Name, base.Version, m.Name, m.Version)
}

func below(base Named) ledger.Key {
	return ledger.NewKey("downstream", "model", base.Name, base.Version)
}
