package access

import (
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

// right tells why a contribution may not be released to the recipient, nil when it may.
type right func(c contribution.Contribution) error

// rightOf checks by what right the recipient gets content at all, and returns what is to be checked of each
// contribution.
func rightOf(r ledger.Reader, req Handover) (right, error) {
	members, err := member.Load(r)
	if err != nil {
		return nil, err
	}
	to := req.To.MSP()
	if req.Reason == Audit {
		if members.Has(to) {
			return nil, forbidden("a member gets content to validate, to train on or to hold; an audit is by an organisation that is none")
		}
		return func(contribution.Contribution) error { return nil }, nil
	}
	if !members.Active(to) {
		return nil, forbidden("%s is not a member in good standing", to)
	}
	switch req.Reason {
	case Validation:
		return func(c contribution.Contribution) error {
			if c.State != contribution.Pending {
				return forbidden("the contribution is %s: only a pending one is validated", c.State)
			}
			if !slices.Contains(c.Eligible, to) {
				return forbidden("%s does not validate it", to)
			}
			return nil
		}, nil
	case Training:
		return trainingRight(r, req)
	case Attestation:
		return attestationRight(r, req)
	case Replica:
		return replicaRight(r, req)
	case Return:
		return func(c contribution.Contribution) error {
			if c.Contributor.MSP() != to {
				return forbidden("it came from %s: it returns to nobody else", c.Contributor.MSP())
			}
			return nil
		}, nil
	}
	return holdingRight(r, req)
}

func trainingRight(r ledger.Reader, req Handover) (right, error) {
	t, err := ticket.Load(r, "ticket", req.Ticket)
	if err != nil {
		return nil, err
	}
	if err := t.Running(r.Time()); err != nil {
		return nil, ledger.AsFault(err).At("ticket")
	}
	if t.Trainer.MSP() != req.To.MSP() {
		return nil, forbidden("ticket %s is of %s", t.ID, t.Trainer.MSP()).At("ticket")
	}
	if req.Snapshot != 0 && !t.Has(req.snapshot()) {
		return nil, forbidden("ticket %s is not for snapshot %d of %s", t.ID, req.Snapshot, req.Datanet).At("ticket")
	}
	return func(c contribution.Contribution) error {
		place, sealed, err := seal.PlaceOf(r, c.Name())
		if err != nil {
			return err
		}
		for _, s := range t.Sources {
			if sealed && s.Datanet == req.Datanet && within(place, s.Number) {
				return nil
			}
		}
		return forbidden("it is in no snapshot of ticket %s", t.ID)
	}, nil
}

// attestationRight is that of the organisations that recompute receipts: they need the corpus of the model.
func attestationRight(r ledger.Reader, req Handover) (right, error) {
	card, err := model.Served(r, "card", *req.Card)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(card.Attestors, req.To.MSP()) {
		return nil, forbidden("%s is none of the attestors of rate card %d of %s", req.To.MSP(), card.Card, card.Named).At("card")
	}
	if req.Snapshot != 0 && !slices.Contains(card.Snapshots, req.snapshot()) {
		return nil, forbidden("snapshot %d of %s is not in the lineage of %s", req.Snapshot, req.Datanet, card.Named).At("card")
	}
	return func(c contribution.Contribution) error {
		place, sealed, err := seal.PlaceOf(r, c.Name())
		if err != nil {
			return err
		}
		for _, s := range card.Snapshots {
			if sealed && s.Datanet == req.Datanet && within(place, s.Number) {
				return nil
			}
		}
		return forbidden("it is in no snapshot of the lineage of %s", card.Named)
	}, nil
}

// replicaRight is that of who keeps replicas by an agreement: of what is approved, for as long as both sides stand by it.
func replicaRight(r ledger.Reader, req Handover) (right, error) {
	a, err := replica.InForce(r, "agreement", replica.Named{Datanet: req.Datanet, ID: req.Agreement})
	if err != nil {
		return nil, err
	}
	if a.Keeper != req.To.MSP() {
		return nil, forbidden("replica agreement %s is with %s", a.ID, a.Keeper).At("agreement")
	}
	return func(c contribution.Contribution) error {
		if c.State != contribution.Approved {
			return ledger.Refuse(ledger.CodeState, "the contribution is %s: replicas are of approved ones", c.State)
		}
		return nil
	}, nil
}

func holdingRight(r ledger.Reader, req Handover) (right, error) {
	if req.Grant != "" {
		g, err := LoadGrant(r, "grant", Named{req.Datanet, req.Grant})
		if err != nil {
			return nil, err
		}
		if failures := g.failures(req.To, r.Time()); len(failures) > 0 {
			return nil, ledger.Refuse(ledger.CodeLicence, "the grant %s %s", g.ID, strings.Join(failures, " and ")).At("grant")
		}
	} else if req.To.MSP() != ledger.Owner(req.Datanet) {
		return nil, forbidden("only the owner of %s holds content without a grant", req.Datanet).At("grant")
	}
	if req.Snapshot != 0 {
		if _, err := snapshot.Load(r, req.snapshot()); err != nil {
			return nil, ledger.AsFault(err).At("snapshot")
		}
	}
	return func(c contribution.Contribution) error {
		if c.State != contribution.Pending && c.State != contribution.Approved {
			return ledger.Refuse(ledger.CodeState, "the contribution is %s", c.State)
		}
		return nil
	}, nil
}

func forbidden(format string, args ...any) *ledger.Fault {
	return ledger.Refuse(ledger.CodeForbidden, format, args...)
}
