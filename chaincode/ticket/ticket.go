// Package ticket is the licence interlock of training: nobody gets content to train on before the ledger has checked
// that licence and grant cover it.
//
//	open ──register a model──► used ──register further versions──► used
//	  ├──close──► closed (without a model: released data that was never used)
//	  └──expire (anyone, after the terms have ended)──► expired        used: the same
//
// A trainer opens a ticket on snapshots for one purpose. Every failure is named at once: a snapshot that does not exist
// or holds contributions that have left, a licence that does not cover purpose, time or place, a grant that is missing,
// revoked, expired or another's. What holds is frozen in the ticket: revisions and roots, the versions of the datanets,
// the economic terms, and when the first of licences and grants ends. Later amendments and revocations do not touch it.
//
// One ticket may yield several model versions, as one training run does, until it is closed or its terms end.
package ticket

import (
	"fmt"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// State of a ticket.
type State string

const (
	Opened  State = "open"
	Used    State = "used"
	Closed  State = "closed"
	Expired State = "expired"
)

const (
	MaxSnapshots = 16 // of one ticket
	MaxModels    = 64 // that one ticket yields
)

// GrantName names a licence grant of a datanet's owner.
type GrantName struct {
	Datanet string `json:"datanet"`
	ID      string `json:"id"`
}

func (g GrantName) Validate() error {
	if err := ledger.ValidName("datanet", g.Datanet); err != nil {
		return err
	}
	return ledger.ValidID("id", g.ID)
}

// Granted tells every reason why a grant does not cover a use by a caller, as the end of a sentence, and when the grant
// ends. It is all that a ticket asks of licence grants.
type Granted func(r ledger.Reader, g GrantName, by ledger.Caller, use licence.Use) (failures []string, expires time.Time, err error)

// Open is the request that opens a ticket.
type Open struct {
	ID        string           `json:"id"`
	Snapshots []snapshot.Named `json:"snapshots"` // ascending by datanet, one of each
	Purpose   licence.Purpose  `json:"purpose"`
	Country   string           `json:"country,omitzero"` // where it is used, ISO 3166-1 alpha-2; needed where a licence names countries
	Grants    []GrantName      `json:"grants,omitzero"`  // for the datanets of other organisations, ascending by datanet, one of each
}

func (o Open) Validate() error {
	if err := ledger.ValidID("id", o.ID); err != nil {
		return err
	}
	if len(o.Snapshots) == 0 || len(o.Snapshots) > MaxSnapshots {
		return ledger.Invalid("snapshots", "a ticket is for 1 to %d snapshots", MaxSnapshots)
	}
	for i, s := range o.Snapshots {
		if err := s.Validate(); err != nil {
			f := ledger.AsFault(err)
			return f.At(fmt.Sprintf("snapshots.%d.%s", i, f.Field))
		}
		if i > 0 && s.Datanet <= o.Snapshots[i-1].Datanet {
			return ledger.Invalid("snapshots", "must be ascending by datanet, one of each")
		}
	}
	if err := o.Purpose.Validate("purpose"); err != nil {
		return err
	}
	if o.Country != "" {
		if err := licence.ValidCountry("country", o.Country); err != nil {
			return err
		}
	}
	if len(o.Grants) > len(o.Snapshots) {
		return ledger.Invalid("grants", "at most one for each snapshot")
	}
	for i, g := range o.Grants {
		if err := g.Validate(); err != nil {
			f := ledger.AsFault(err)
			return f.At(fmt.Sprintf("grants.%d.%s", i, f.Field))
		}
		if i > 0 && g.Datanet <= o.Grants[i-1].Datanet {
			return ledger.Invalid("grants", "must be ascending by datanet, one of each")
		}
	}
	return nil
}

func (o Open) Reads(ledger.Caller) []ledger.Key {
	keys := []ledger.Key{Key(o.ID)}
	for _, s := range o.Snapshots {
		keys = append(keys, s.Reads(ledger.Caller{})...)
	}
	return keys
}

// Source is a snapshot and the terms under which it is used, as they stood when the ticket was opened.
type Source struct {
	snapshot.Named
	Revision int         `json:"revision"`
	Root     merkle.Hash `json:"root"`
	Records  int64       `json:"records"`
	Tokens   int64       `json:"tokens"`
	Versions []int       `json:"versions"`       // of the datanet, under which its contributions stand
	Grant    string      `json:"grant,omitzero"` // the id of the grant; none for the owner's own organisation
	Due
}

// Due is what the datanets ask of a model. Where contributions stand under several versions, and over several datanets,
// the strictest wins.
type Due struct {
	DataPpm       int `json:"dataPpm"`       // least part of a fee for the data
	ValidatorsPpm int `json:"validatorsPpm"` // least part of a fee for the validators
	DerivativePpm int `json:"derivativePpm"` // least part that models derived from the model pay upstream
	Tau           int `json:"tau"`
	Attestations  int `json:"attestations"` // organisations that recompute receipts
	// Validators are all organisations that validate one of them, ascending: those who may recompute receipts.
	Validators []string `json:"validators"`
}

// Strictest is what both together ask.
func (d Due) Strictest(e Due) Due {
	return Due{DataPpm: max(d.DataPpm, e.DataPpm), ValidatorsPpm: max(d.ValidatorsPpm, e.ValidatorsPpm),
		DerivativePpm: max(d.DerivativePpm, e.DerivativePpm), Tau: max(d.Tau, e.Tau), Attestations: max(d.Attestations, e.Attestations),
		Validators: slices.Compact(slices.Sorted(slices.Values(slices.Concat(d.Validators, e.Validators))))}
}

// Ticket is a ticket.
type Ticket struct {
	ID      string          `json:"id"`
	Trainer ledger.Account  `json:"trainer"`
	Purpose licence.Purpose `json:"purpose"`
	Country string          `json:"country,omitzero"`
	Sources []Source        `json:"sources"`
	Expires time.Time       `json:"expires,omitzero"` // when the first of its licences and grants ends
	State   State           `json:"state"`
	Models  []string        `json:"models"` // name@version, in the order of registration
	Digest  string          `json:"digest"` // of the request
	Tx      string          `json:"tx"`
	EndTx   string          `json:"endTx,omitzero"` // that closed or expired it
}

// Running tells whether content may be released and models registered under the ticket.
func (t Ticket) Running(now time.Time) error {
	switch {
	case t.State != Opened && t.State != Used:
		return ledger.Refuse(ledger.CodeState, "ticket %s is %s", t.ID, t.State)
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return ledger.Refuse(ledger.CodeLicence, "the terms of ticket %s have ended at %s", t.ID, t.Expires.Format(time.RFC3339))
	}
	return nil
}

// Has tells whether the ticket is for a snapshot.
func (t Ticket) Has(n snapshot.Named) bool {
	return slices.ContainsFunc(t.Sources, func(s Source) bool { return s.Named == n })
}

// Load reads a ticket; field is the request's field that names it.
func Load(r ledger.Reader, field, id string) (Ticket, error) {
	t, found, err := ledger.Load[Ticket](r, Key(id))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "no ticket %s", id).At(field)
	}
	return t, err
}

// Yield notes that a model was registered under the ticket, which must be running. It emits no event.
func Yield(tx ledger.Tx, t Ticket, model string) error {
	if len(t.Models) >= MaxModels {
		return ledger.Refuse(ledger.CodeState, "ticket %s has yielded %d models: open another one", t.ID, MaxModels)
	}
	t.State, t.Models = Used, append(slices.Clone(t.Models), model)
	return ledger.Save(tx, Key(t.ID), t)
}
