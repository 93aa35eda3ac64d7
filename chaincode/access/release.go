package access

import (
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

// Reason is why content is released.
type Reason string

const (
	Validation  Reason = "validation"  // a validator of an eligible organisation, while the contribution is pending
	Training    Reason = "training"    // the trainer's organisation of a running ticket
	Holding     Reason = "holding"     // to keep and hand on: the datanet's owner, or whoever has a grant
	Attestation Reason = "attestation" // an attestor of a rate card, to recompute receipts of its model
	Replica     Reason = "replica"     // to keep and hand on what is approved, by an agreement (package replica)
	Return      Reason = "return"      // back to the contributor's organisation, whose gateway has lost it
	Audit       Reason = "audit"       // an organisation that is no member, as the regulator is not
)

// MaxContributions bounds the contributions of one release.
const MaxContributions = 1000

// Handover is the request that records a release: of contributions, or of all that a snapshot holds in its latest
// revision.
type Handover struct {
	Named
	Contributions []string        `json:"contributions,omitzero"` // ids, each once
	Snapshot      int             `json:"snapshot,omitzero"`      // its number
	To            ledger.Account  `json:"to"`
	Reason        Reason          `json:"reason"`
	Ticket        string          `json:"ticket,omitzero"`    // for training
	Grant         string          `json:"grant,omitzero"`     // for holding, except by the datanet's owner
	Card          *model.CardName `json:"card,omitzero"`      // for attestation: the rate card, by its number
	Agreement     string          `json:"agreement,omitzero"` // for a replica
}

func (h Handover) Validate() error {
	if err := h.Named.Validate(); err != nil {
		return err
	}
	if (len(h.Contributions) == 0) == (h.Snapshot == 0) {
		return ledger.Invalid("contributions", "a release is of contributions or of a snapshot")
	}
	if len(h.Contributions) > MaxContributions {
		return ledger.Invalid("contributions", "at most %d", MaxContributions)
	}
	seen := make(map[string]bool, len(h.Contributions))
	for _, id := range h.Contributions {
		if err := ledger.ValidID("contributions", id); err != nil {
			return err
		}
		if seen[id] {
			return ledger.Invalid("contributions", "%s stands twice", id)
		}
		seen[id] = true
	}
	if h.Snapshot != 0 {
		if err := h.snapshot().Validate(); err != nil {
			return ledger.AsFault(err).At("snapshot")
		}
	}
	if err := h.To.Validate("to"); err != nil {
		return err
	}
	return h.validateRight()
}

func (h Handover) validateRight() error {
	switch h.Reason {
	case Validation, Training, Holding, Attestation, Replica, Return, Audit:
	default:
		return ledger.Invalid("reason", "must be %s, %s, %s, %s, %s, %s or %s", Validation, Training, Holding, Attestation, Replica, Return, Audit)
	}
	if h.Reason == Validation && h.Snapshot != 0 {
		return ledger.Invalid("snapshot", "what is validated is in no snapshot yet")
	}
	if (h.Reason == Replica || h.Reason == Return) && h.Snapshot != 0 {
		return ledger.Invalid("snapshot", "for a %s contributions are named", h.Reason)
	}
	if (h.Reason == Replica) != (h.Agreement != "") {
		return ledger.Invalid("agreement", "an agreement is named for a replica, and only then")
	}
	if (h.Reason == Training) != (h.Ticket != "") {
		return ledger.Invalid("ticket", "a ticket is named for training, and only then")
	}
	if h.Reason != Holding && h.Grant != "" {
		return ledger.Invalid("grant", "a grant is named for holding only: what is trained on is released by a ticket")
	}
	if (h.Reason == Attestation) != (h.Card != nil) {
		return ledger.Invalid("card", "a rate card is named for attestation, and only then")
	}
	if h.Card != nil {
		if err := h.Card.Validate(); err != nil {
			f := ledger.AsFault(err)
			return f.At("card." + f.Field)
		}
		if h.Card.Card == 0 {
			return ledger.Invalid("card.card", "a release names the rate card by its number")
		}
	}
	if h.Ticket != "" {
		if err := ledger.ValidID("ticket", h.Ticket); err != nil {
			return err
		}
	}
	if h.Agreement != "" {
		if err := ledger.ValidID("agreement", h.Agreement); err != nil {
			return err
		}
	}
	if h.Grant != "" {
		return ledger.ValidID("grant", h.Grant)
	}
	return nil
}

func (h Handover) snapshot() snapshot.Named {
	return snapshot.Named{Datanet: h.Datanet, Number: h.Snapshot}
}

func (h Handover) Reads(c ledger.Caller) []ledger.Key {
	keys := []ledger.Key{releaseKey(h.Named)}
	if h.Snapshot != 0 {
		keys = append(keys, snapshotHolderKey(h.Datanet, c.MSP), snapshotHolderKey(h.Datanet, h.To.MSP()))
		keys = append(keys, h.snapshot().Reads(c)...)
	}
	for _, id := range h.Contributions {
		keys = append(keys, contribution.Key(h.Datanet, id), holderKey(h.Datanet, id, h.To.MSP()))
		if h.Reason == Audit {
			keys = append(keys, outsideKey(h.Datanet, id))
		}
	}
	if h.Ticket != "" {
		keys = append(keys, ticket.Key(h.Ticket))
	}
	if h.Agreement != "" {
		keys = append(keys, replica.Named{Datanet: h.Datanet, ID: h.Agreement}.Reads(c)...)
	}
	if h.Card != nil {
		keys = append(keys, model.Key(h.Card.Named), model.CardKey(*h.Card))
	}
	if h.Grant != "" {
		keys = append(keys, grantKey(Named{h.Datanet, h.Grant}))
	}
	return keys
}

// Release is a release as it stands on the ledger.
type Release struct {
	Handover
	By ledger.Account `json:"by"` // who handed it over
	Tx string         `json:"tx"`
}

// Released is a release as the lists of a contribution and of a datanet's snapshots show it.
type Released struct {
	Release  string         `json:"release"` // its id
	Snapshot int            `json:"snapshot,omitzero"`
	By       ledger.Account `json:"by"`
	To       ledger.Account `json:"to"`
	Reason   Reason         `json:"reason"`
	Tx       string         `json:"tx"`
}

// LoadRelease reads a release.
func LoadRelease(r ledger.Reader, n Named) (Release, error) {
	rel, found, err := ledger.Load[Release](r, releaseKey(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "datanet %s has no release %s", n.Datanet, n.ID).At("id")
	}
	return rel, err
}

// release records a release. It reads what withdrawing and erasing write, so one that is held back loses against them.
func release(tx ledger.Tx, req Handover) (Release, error) {
	existing, found, err := ledger.Load[Release](tx, releaseKey(req.Named))
	if err != nil {
		return Release{}, err
	}
	me := tx.Caller().Account()
	if found {
		same, err := ledger.Same(existing.Handover, req)
		if err == nil && (!same || existing.By != me) {
			err = ledger.Refuse(ledger.CodeExists, "release %s says something else: choose a new id", req.ID).At("id")
		}
		return existing, err
	}
	right, err := rightOf(tx, req)
	if err != nil {
		return Release{}, err
	}
	rel := Release{Handover: req, By: me, Tx: tx.TxID()}
	note := Released{Release: req.ID, Snapshot: req.Snapshot, By: me, To: req.To, Reason: req.Reason, Tx: rel.Tx}
	if req.Snapshot != 0 {
		err = releaseSnapshot(tx, rel, note)
	} else {
		err = releaseContributions(tx, rel, note, right)
	}
	if err != nil {
		return Release{}, err
	}
	tx.Emit("access.released/1", rel)
	return rel, ledger.Save(tx, releaseKey(req.Named), rel)
}

func releaseContributions(tx ledger.Tx, rel Release, note Released, right right) error {
	places, err := snapshotsOf(tx, rel.Datanet, tx.Caller().MSP)
	if err != nil {
		return err
	}
	for i, id := range rel.Contributions {
		field := fmt.Sprintf("contributions.%d", i)
		c, err := contribution.Load(tx, contribution.Named{Datanet: rel.Datanet, ID: id})
		if err != nil {
			return ledger.AsFault(err).At(field)
		}
		if c.State == contribution.Erasing || c.State == contribution.Erased {
			return ledger.Refuse(ledger.CodeState, "contribution %s is %s", id, c.State).At(field)
		}
		if err := mustHold(tx, c, places); err != nil {
			return ledger.AsFault(err).At(field)
		}
		if err := right(c); err != nil {
			return ledger.AsFault(err).At(field)
		}
		if err := ledger.Save(tx, releasedKey(rel.Datanet, id, rel.ID), note); err != nil {
			return err
		}
		if err := hold(tx, c, rel); err != nil {
			return err
		}
	}
	return nil
}

func releaseSnapshot(tx ledger.Tx, rel Release, note Released) error {
	caller := tx.Caller().MSP
	s, err := snapshot.Load(tx, rel.snapshot())
	if err != nil {
		return ledger.AsFault(err).At("snapshot")
	}
	mine, err := snapshotsOf(tx, rel.Datanet, caller)
	if err != nil {
		return err
	}
	if caller != ledger.Owner(rel.Datanet) && !slices.Contains(mine.Custody, rel.Snapshot) {
		return ledger.Refuse(ledger.CodeForbidden, "snapshot %d was not released to %s to hand it on", rel.Snapshot, caller).At("snapshot")
	}
	gone, err := snapshot.Withdrawn(tx, s)
	if err != nil {
		return err
	}
	for _, g := range gone {
		if g.State == contribution.Erasing || g.State == contribution.Erased {
			return ledger.Refuse(ledger.CodeState, "the snapshot holds contribution %s, which is %s: release the others by their ids, or a later revision", g.ID, g.State).At("snapshot")
		}
	}
	if err := ledger.Save(tx, snapshotReleasedKey(rel.Datanet, rel.Snapshot, rel.ID), note); err != nil {
		return err
	}
	return holdSnapshot(tx, rel, mine)
}
