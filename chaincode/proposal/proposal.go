// Package proposal is how the consortium binds itself: minting, the fee schedule, new members.
//
// Peers endorse automatically, so an endorsement is not consent. A proposal therefore has a slot for every member,
// created with it and guarded so that only that member's peer, together with enough others to make a majority, can
// write it. An operator of the member approves into the slot; nobody else can, whatever their chaincode says. When a
// majority of the members has approved, anyone executes the proposal, once.
//
//	propose ──► open ──approve × majority──► execute ──► executed
//	              ├──withdraw (the proposer)──► withdrawn
//	              └──expire (anyone, after its time)──► expired
//
// Approvals only read the proposal and write their own slot, so they never conflict with each other. Executing,
// withdrawing and expiring write the proposal itself, which every approval reads: one that was held back loses.
// Until somebody sends expire, a held approval may still pass.
package proposal

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

// State of a proposal.
type State string

const (
	Open      State = "open"
	Executed  State = "executed"
	Withdrawn State = "withdrawn"
	Expired   State = "expired"
)

// A proposal may stay open from MinTerm to MaxTerm. Deadlines are counted in hours, since a transaction's time is its
// client's, within minutes.
const (
	MinTerm = time.Hour
	MaxTerm = 90 * 24 * time.Hour
)

// maxParams bounds a proposal's parameters, in bytes.
const maxParams = 64 << 10

// Content is what a proposal says, as its proposer sent it. ID is chosen by the proposer.
type Content struct {
	ID      string         `json:"id"`
	Kind    string         `json:"kind"`
	Params  jsontext.Value `json:"params"`
	Expires time.Time      `json:"expires"` // UTC, whole seconds
}

func (c Content) Validate() error {
	if err := ledger.ValidID("id", c.ID); err != nil {
		return err
	}
	if len(c.Params) > maxParams {
		return ledger.Invalid("params", "%d bytes exceed the limit of %d", len(c.Params), maxParams)
	}
	if c.Params.Kind() != '{' {
		return ledger.Invalid("params", "expected an object")
	}
	if c.Expires.Nanosecond() != 0 || c.Expires.Location() != time.UTC {
		return ledger.Invalid("expires", "expected UTC and whole seconds, like 2030-01-31T12:00:00Z")
	}
	return nil
}

// Digest is what an approval names: the SHA-256 of the canonical content, in hex, so that an operator approves what
// the operator saw.
func (c Content) Digest() (string, error) {
	c.Params = c.Params.Clone()
	if err := c.Params.Canonicalize(); err != nil {
		return "", ledger.Invalid("params", "not canonical JSON: %v", err)
	}
	data, err := ledger.Encode(c)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// Proposal is a proposal's head as it stands on the ledger.
type Proposal struct {
	Content
	Digest   string         `json:"digest"`
	Proposer ledger.Account `json:"proposer"`
	Slots    []string       `json:"slots"` // the members that may approve: all of them when it was made
	State    State          `json:"state"`
	Tx       string         `json:"tx"`                // that proposed it
	EndTx    string         `json:"endTx,omitzero"`    // that executed, withdrew or expired it
	Approved []string       `json:"approved,omitzero"` // once executed: the members whose approvals counted
}

// Slot is a member's place for its approval; Approver is "" until there is one.
type Slot struct {
	Proposal string         `json:"proposal"`
	MSP      string         `json:"msp"`
	Approver ledger.Account `json:"approver"`
	Tx       string         `json:"tx,omitzero"`
}

// Kind is a sort of proposal that the members can make. Params reaches both functions as it was proposed.
type Kind struct {
	Name string
	Doc  string
	// Check reports why a proposal with these parameters makes no sense now. It runs when it is proposed and again
	// before it is executed.
	Check func(r ledger.Reader, params jsontext.Value) error
	// Execute does what the proposal says. It emits no event: the proposal's own names its kind and parameters.
	Execute func(tx ledger.Tx, id string, params jsontext.Value) error
}

// NewKind makes a kind whose parameters are decoded strictly as T.
func NewKind[T any](name, doc string, check func(ledger.Reader, T) error, execute func(tx ledger.Tx, id string, params T) error) Kind {
	decode := func(raw jsontext.Value) (params T, err error) {
		if err := ledger.Decode(raw, &params); err != nil {
			f := ledger.AsFault(err)
			return params, f.At(join("params", f.Field))
		}
		return params, nil
	}
	return Kind{
		Name: name, Doc: doc,
		Check: func(r ledger.Reader, raw jsontext.Value) error {
			params, err := decode(raw)
			if err != nil {
				return err
			}
			return check(r, params)
		},
		Execute: func(tx ledger.Tx, id string, raw jsontext.Value) error {
			params, err := decode(raw)
			if err != nil {
				return err
			}
			return execute(tx, id, params)
		},
	}
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + "." + b
}

func load(r ledger.Reader, id string) (Proposal, error) {
	p, found, err := ledger.Load[Proposal](r, headKey(id))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "no proposal %s", id).At("id")
	}
	return p, err
}

// approvals returns the active members whose slots hold an approval, each slot under exactly the policy that it must have.
// A colluding majority could create a weaker slot: one is refused here and reported by the audit.
func approvals(r ledger.Reader, p Proposal, members member.Members) ([]string, error) {
	approved := []string{}
	for _, msp := range p.Slots {
		slot, found, err := ledger.Load[Slot](r, slotKey(p.ID, msp))
		if err != nil {
			return nil, err
		}
		if !found || slot.Approver == "" || !members.Active(msp) {
			continue
		}
		if err := ledger.MustBeGuarded(r, slotKey(p.ID, msp), msp, p.Slots); err != nil {
			return nil, err
		}
		approved = append(approved, msp)
	}
	return approved, nil
}

// sameContent tells whether a repeated request says what the first one said.
func sameContent(p Proposal, c Content, caller ledger.Account) (bool, error) {
	digest, err := c.Digest()
	return digest == p.Digest && caller == p.Proposer, err
}
