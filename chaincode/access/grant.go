// Package access says who may have content, and keeps who has had it.
//
// A grant is a licence that a datanet's owner gives to one organisation or account, for purposes and until a time. It
// stands under a key that only the owner's peer, together with enough others for a majority of the members, can write.
//
//	grant ──► active ──revoke (the owner)──► revoked
//	             └──expire (anyone, after its time)──► expired
//
// A training ticket reads the grant that it relies on, and revoking writes it: a ticket that is held back loses.
//
// A release records that content was handed over: by whom, to whom, why and by what right. It is recorded before the
// content leaves, and the rules check the right: a validator's organisation may have a pending contribution, the holder
// of a running ticket what it trains on, the datanet's owner and whoever has a grant what they hold, who keeps replicas by
// an agreement what is approved. So the ledger answers who has had a piece of content, and who must destroy it when it
// is erased. That nothing leaves without a record, no ledger can see: it is in the hands of those who hold the content.
package access

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

// State of a grant.
type State string

const (
	Active  State = "active"
	Revoked State = "revoked"
	Expired State = "expired"
)

// Named is a request that names a grant, or a release, of a datanet.
type Named struct {
	Datanet string `json:"datanet"`
	ID      string `json:"id"`
}

func (n Named) Validate() error {
	if err := ledger.ValidName("datanet", n.Datanet); err != nil {
		return err
	}
	return ledger.ValidID("id", n.ID)
}

// Terms is the request that grants access to a datanet.
type Terms struct {
	Named
	Grantee  string            `json:"grantee"`  // an organisation's MSP ID, or one account
	Purposes []licence.Purpose `json:"purposes"` // ascending, all of them within the datanet's licence
	Expires  time.Time         `json:"expires"`  // UTC, whole seconds
}

func (t Terms) Validate() error {
	if err := t.Named.Validate(); err != nil {
		return err
	}
	if err := validParty("grantee", t.Grantee); err != nil {
		return err
	}
	if party(t.Grantee) == ledger.Owner(t.Datanet) {
		return ledger.Invalid("grantee", "%s owns the datanet and needs no grant", party(t.Grantee))
	}
	if err := licence.ValidPurposes("purposes", t.Purposes); err != nil {
		return err
	}
	return licence.ValidTime("expires", t.Expires)
}

func (t Terms) Reads(ledger.Caller) []ledger.Key {
	return []ledger.Key{grantKey(t.Named), datanet.Key(t.Datanet)}
}

// validParty reports what is neither an MSP ID nor an account.
func validParty(field, name string) error {
	if strings.Contains(name, ":") {
		return ledger.Account(name).Validate(field)
	}
	if err := ledger.ValidMSP(name); err != nil {
		return ledger.AsFault(err).At(field)
	}
	return nil
}

// party is the organisation that a valid grantee is or belongs to.
func party(grantee string) string {
	msp, _, _ := strings.Cut(grantee, ":")
	return msp
}

// Grant is a grant as it stands on the ledger.
type Grant struct {
	Terms
	Grantor ledger.Account `json:"grantor"`
	Slots   []string       `json:"slots"` // the members when it was made, over which it is guarded
	State   State          `json:"state"`
	Tx      string         `json:"tx"`
	EndTx   string         `json:"endTx,omitzero"` // that revoked or expired it
}

// ForWhom tells whether the grant is for a caller: the caller's organisation or account.
func (g Grant) ForWhom(who ledger.Account) bool {
	return g.Grantee == string(who) || g.Grantee == who.MSP()
}

// failures tells why a grant gives nothing to an account at a time, as the end of a sentence.
func (g Grant) failures(who ledger.Account, at time.Time) []string {
	var failures []string
	if g.State != Active {
		failures = append(failures, "is "+string(g.State))
	} else if !at.Before(g.Expires) {
		failures = append(failures, "ended at "+g.Expires.Format(time.RFC3339))
	}
	if !g.ForWhom(who) {
		failures = append(failures, fmt.Sprintf("is for %s, not for %s", g.Grantee, who))
	}
	return failures
}

// Covers tells every reason why the grant does not cover a use by an account, as the end of a sentence that begins with
// the grant.
func (g Grant) Covers(who ledger.Account, use licence.Use) []string {
	failures := g.failures(who, use.At)
	if !slices.Contains(g.Purposes, use.Purpose) {
		failures = append(failures, fmt.Sprintf("covers %s, not %s", licence.List(g.Purposes), use.Purpose))
	}
	return failures
}

// LoadGrant reads a grant and checks its guard. A missing one is a fault at the given field.
func LoadGrant(r ledger.Reader, field string, n Named) (Grant, error) {
	g, found, err := ledger.Load[Grant](r, grantKey(n))
	if err != nil {
		return Grant{}, err
	}
	if !found {
		return Grant{}, ledger.Refuse(ledger.CodeNotFound, "datanet %s has no grant %s", n.Datanet, n.ID).At(field)
	}
	return g, ledger.MustBeGuarded(r, grantKey(n), ledger.Owner(n.Datanet), g.Slots)
}

func grant(tx ledger.Tx, req Terms) (Grant, error) {
	if err := mustOwn(tx, req.Datanet); err != nil {
		return Grant{}, err
	}
	existing, found, err := ledger.Load[Grant](tx, grantKey(req.Named))
	if err != nil {
		return Grant{}, err
	}
	if found {
		same, err := ledger.Same(existing.Terms, req)
		if err == nil && !same {
			err = ledger.Refuse(ledger.CodeExists, "grant %s says something else: choose a new id", req.ID).At("id")
		}
		return existing, err
	}
	d, err := datanet.Load(tx, "datanet", req.Datanet)
	if err != nil {
		return Grant{}, err
	}
	for _, p := range req.Purposes {
		if !slices.Contains(d.Licence.Purposes, p) {
			return Grant{}, ledger.Refuse(ledger.CodeLicence, "the licence of %s does not cover %s", d.Name, p).At("purposes")
		}
	}
	if !tx.Time().Before(req.Expires) {
		return Grant{}, ledger.Invalid("expires", "has passed already")
	}
	members, err := member.Load(tx)
	if err != nil {
		return Grant{}, err
	}
	if !members.Has(party(req.Grantee)) {
		return Grant{}, ledger.Invalid("grantee", "%s is not a member", party(req.Grantee))
	}
	g := Grant{Terms: req, Grantor: tx.Caller().Account(), Slots: members.Members, State: Active, Tx: tx.TxID()}
	tx.Guard(grantKey(req.Named), ledger.SlotPolicy(ledger.Owner(req.Datanet), g.Slots))
	tx.Emit("access.granted/1", g)
	return g, ledger.Save(tx, grantKey(req.Named), g)
}

func revoke(tx ledger.Tx, req Named) (Grant, error) {
	if err := mustOwn(tx, req.Datanet); err != nil {
		return Grant{}, err
	}
	g, err := LoadGrant(tx, "id", req)
	if err != nil || g.State == Revoked {
		return g, err
	}
	if g.State != Active {
		return Grant{}, ledger.Refuse(ledger.CodeState, "the grant is %s", g.State)
	}
	return endGrant(tx, g, Revoked)
}

func expire(tx ledger.Tx, req Named) (Grant, error) {
	g, err := LoadGrant(tx, "id", req)
	switch {
	case err != nil || g.State == Expired:
		return g, err
	case g.State != Active:
		return Grant{}, ledger.Refuse(ledger.CodeState, "the grant is %s", g.State)
	case tx.Time().Before(g.Expires):
		return Grant{}, ledger.Refuse(ledger.CodeState, "the grant runs until %s", g.Expires.Format(time.RFC3339))
	}
	return endGrant(tx, g, Expired)
}

func endGrant(tx ledger.Tx, g Grant, state State) (Grant, error) {
	g.State, g.EndTx = state, tx.TxID()
	tx.Emit(fmt.Sprintf("access.%s/1", state), g)
	return g, ledger.Save(tx, grantKey(g.Named), g)
}

func mustOwn(r ledger.Reader, name string) error {
	if caller, owner := r.Caller().MSP, ledger.Owner(name); caller != owner {
		return ledger.Refuse(ledger.CodeForbidden, "%s belongs to %s: %s cannot grant access to it", name, owner, caller)
	}
	return nil
}
