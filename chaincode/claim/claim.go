// Package claim settles sessions and pays out their data part once others have recomputed it (docs/usage.md).
//
//	settle (the host) ──► open ──attest × quorum──► release × page ──► released
//	                        ├──object (an attestor)──► frozen ──┐
//	                        └──72 hours without a quorum────────┴──claim.decide (the members)──► decided ──release × page──► released
//
// A settlement takes the fees that vouchers prove out of many sessions of one host under one rate card. The fixed parts are
// paid at once. The data part waits as a claim: who gets it follows from receipts, which no ledger sees. Each attesting
// organisation recomputes leaves and receipts from the host's store and votes, in a slot that only its own peer, together
// with enough others for a majority, can write, for the scope of the settlement, the revisions of the snapshots, and the
// digest of the pay-out table. Release needs a quorum of equal votes on the latest revisions.
//
// An attestation reads the claim, which an objection, a decision and a release write; a settlement, an attestation and the
// first release read the snapshots, which a revision writes: whichever of two is held back loses. Once the first page is
// paid, the table is fixed, whatever becomes of the snapshots.
package claim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

const (
	// MaxSessions bounds a settlement.
	MaxSessions = 1000
	// MinData is the least data part, in micro-credits, of a settlement in which some session goes on: crumbs would be
	// divided among few, by rounding.
	MinData money.Amount = 1000
	// Term is how long attestors have before the members may decide on a claim.
	Term = 72 * time.Hour
)

// State of a claim.
type State string

const (
	Open      State = "open"      // waits for attestations
	Frozen    State = "frozen"    // an attestor has objected
	Decided   State = "decided"   // the members have named the table
	Releasing State = "releasing" // some pages are paid
	Released  State = "released"  // all is paid
)

// Named names a claim, and the settlement that made it, by the host's account and a random id.
type Named struct {
	Host ledger.Account `json:"host"`
	ID   string         `json:"id"`
}

func (n Named) Validate() error {
	if err := n.Host.Validate("host"); err != nil {
		return err
	}
	return ledger.ValidID("id", n.ID)
}

func (n Named) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{key(n)} }

// Settle is the request that settles sessions of the caller under one rate card.
type Settle struct {
	ID       string              `json:"id"`
	Model    model.CardName      `json:"model"` // the rate card by its name and number
	Card     merkle.Hash         `json:"card"`  // its digest
	Sessions []session.Presented `json:"sessions"`
}

func (s Settle) Validate() error {
	if err := ledger.ValidID("id", s.ID); err != nil {
		return err
	}
	if err := s.Model.Validate(); err != nil {
		f := ledger.AsFault(err)
		return f.At("model." + f.Field)
	}
	if s.Model.Card == 0 {
		return ledger.Invalid("model.card", "a settlement names its rate card by the number")
	}
	if len(s.Sessions) == 0 || len(s.Sessions) > MaxSessions {
		return ledger.Invalid("sessions", "a settlement is of 1 to %d sessions", MaxSessions)
	}
	seen := make(map[session.Named]bool, len(s.Sessions))
	funds := 0
	for i, p := range s.Sessions {
		if err := p.Validate(); err != nil {
			return ledger.AsFault(err).Within("sessions", i)
		}
		if seen[p.Named] {
			return ledger.Invalid("name", "stands twice in the settlement").Within("sessions", i)
		}
		seen[p.Named] = true
		if funds += len(p.Funds); funds > session.MaxFunds {
			return ledger.Invalid("funds", "a settlement names at most %d top-ups", session.MaxFunds).Within("sessions", i)
		}
	}
	return nil
}

func (s Settle) Reads(c ledger.Caller) []ledger.Key {
	keys := []ledger.Key{key(Named{Host: c.Account(), ID: s.ID}), model.CardKey(s.Model)}
	for _, p := range s.Sessions {
		keys = append(keys, p.Reads()...)
	}
	return keys
}

func (s Settle) digest() (string, error) {
	data, err := ledger.Encode(s)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}

// closes tells whether every session of the settlement is closed.
func (s Settle) closes() bool {
	for _, p := range s.Sessions {
		if !p.Close {
			return false
		}
	}
	return true
}

// Revision is the revision of a snapshot that receipts must name.
type Revision struct {
	Datanet  string      `json:"datanet"`
	Number   int         `json:"number"`
	Revision int         `json:"revision"`
	Root     merkle.Hash `json:"root"`
}

// Claim is a settlement and what is still to be paid out of its data part.
type Claim struct {
	Named
	Model     model.CardName  `json:"model"`
	Card      merkle.Hash     `json:"card"`     // digest of the rate card
	Sessions  int             `json:"sessions"` // that were settled or closed
	Uses      int64           `json:"uses"`     // that the vouchers added
	Fees      money.Amount    `json:"fees"`     // of these uses: T
	Data      money.Amount    `json:"data"`     // of the fees, by receipts: D
	Payments  []token.Payment `json:"payments"` // the other parts, paid at once
	Rest      money.Amount    `json:"rest"`     // that went back to the consumers of closed sessions
	Scope     merkle.Hash     `json:"scope"`    // digest of how far each session was and is settled; none without uses
	Revisions []Revision      `json:"revisions"`
	Attestors []string        `json:"attestors"`
	Quorum    int             `json:"quorum"`
	Slots     []string        `json:"slots"` // the members over which the attestors' slots are guarded
	State     State           `json:"state"`
	disbursement.Due
	Settled   time.Time  `json:"settled"`
	Objection *Objection `json:"objection,omitzero"`
	Decision  string     `json:"decision,omitzero"` // the proposal by which the members named the table
	Digest    string     `json:"digest"`            // of the request
	Tx        string     `json:"tx"`
	EndTx     string     `json:"endTx,omitzero"` // that paid the last page
}

// overdue tells whether the attestors' term has passed.
func (c Claim) overdue(now time.Time) bool { return !now.Before(c.Settled.Add(Term)) }

func load(r ledger.Reader, n Named) (Claim, error) {
	c, found, err := ledger.Load[Claim](r, key(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "%s has no settlement %s", n.Host, n.ID).At("id")
	}
	return c, err
}

// Detail is a claim with its slots.
type Detail struct {
	Claim
	Votes []Slot `json:"votes"`
}

// Listing asks for a page of a host's claims.
type Listing struct {
	Host ledger.Account `json:"host"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return l.Host.Validate("host") }

// Functions are the claim functions.
func Functions() []*ledger.Function {
	attestor := ledger.For(ledger.Validator)
	return []*ledger.Function{
		ledger.Command("claim:Settle", "Settles sessions of the caller by their vouchers, and closes those that it says.", ledger.For(ledger.Host), settle),
		ledger.Command("claim:Attest", "Votes for the caller's organisation on who gets the data part of a settlement.", attestor, attest),
		ledger.Command("claim:Object", "Objects for the caller's organisation to a settlement: the members decide.", attestor, object),
		ledger.Command("claim:Release", "Pays the next page of a table that a quorum or the members agree on.", ledger.Anyone, release),
		ledger.Query("claim:Get", "Shows a settlement, its claim and the votes on it.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Detail, error) {
				c, err := load(r, req)
				if err != nil {
					return Detail{}, err
				}
				slots, err := slotsOf(r, c)
				return Detail{Claim: c, Votes: slots}, err
			}),
		ledger.Query("claim:List", "Lists the settlements of a host.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Claim], error) {
				return ledger.List(r, claimsOf(req.Host), req.PageRequest, ledger.Value[Claim])
			}),
	}
}

// revisions are the latest revisions of a rate card's snapshots.
func revisions(r ledger.Reader, sources []Revision) ([]Revision, error) {
	keys := make([]ledger.Key, len(sources))
	for i, s := range sources {
		keys[i] = s.key()
	}
	if err := r.Prefetch(keys...); err != nil {
		return nil, err
	}
	latest := make([]Revision, len(sources))
	for i, s := range sources {
		var err error
		if latest[i], err = s.latest(r); err != nil {
			return nil, fmt.Errorf("revision of snapshot %d of %s: %w", s.Number, s.Datanet, err)
		}
	}
	return latest, nil
}
