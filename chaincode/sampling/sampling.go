// Package sampling keeps the secrets with which validating organisations draw the uses that they recompute.
//
//	register (the secret's commitment) ──► sealed ──reveal (the secret)──► revealed
//
// An attestation names a sealed secret. As long as it is sealed nobody can foresee what its organisation checks; once it
// is revealed everybody can see what it should have checked. Each is under a key that only the organisation's peer,
// together with enough others for a majority, can write. That a secret was registered before the claims that it was used
// for, the order of the blocks tells; a rule cannot see it.
package sampling

import (
	"encoding/hex"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

// Named names a secret by its organisation and a random id.
type Named struct {
	MSP string `json:"msp"`
	ID  string `json:"id"`
}

func (n Named) Validate() error {
	if err := ledger.ValidMSP(n.MSP); err != nil {
		return ledger.AsFault(err).At("msp")
	}
	return ledger.ValidID("id", n.ID)
}

func (n Named) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{key(n)} }

// Secret is a secret as the ledger knows it.
type Secret struct {
	Named
	Commitment merkle.Hash    `json:"commitment"`
	Secret     string         `json:"secret,omitzero"` // 32 bytes in hex, once revealed
	By         ledger.Account `json:"by"`              // who registered it
	Slots      []string       `json:"slots"`           // the members over which it is guarded
	Tx         string         `json:"tx"`
	RevealTx   string         `json:"revealTx,omitzero"`
}

// Register is the request that registers the commitment of a secret of the caller's organisation.
type Register struct {
	ID         string      `json:"id"`
	Commitment merkle.Hash `json:"commitment"`
}

func (r Register) Validate() error {
	if r.Commitment == (merkle.Hash{}) {
		return ledger.Invalid("commitment", "is missing")
	}
	return ledger.ValidID("id", r.ID)
}

// Reveal is the request that shows a secret of the caller's organisation.
type Reveal struct {
	ID     string `json:"id"`
	Secret string `json:"secret"` // 32 bytes in hex
}

func (r Reveal) Validate() error {
	if err := ledger.ValidID("id", r.ID); err != nil {
		return err
	}
	return ledger.ValidDigest("secret", r.Secret)
}

// Listing asks for a page of an organisation's secrets.
type Listing struct {
	MSP string `json:"msp"`
	ledger.PageRequest
}

func (l Listing) Validate() error {
	if err := ledger.ValidMSP(l.MSP); err != nil {
		return ledger.AsFault(err).At("msp")
	}
	return nil
}

// Functions are the sampling functions.
func Functions() []*ledger.Function {
	checker := ledger.For(ledger.Validator, ledger.Operator)
	return []*ledger.Function{
		ledger.Command("sampling:Register", "Registers the commitment of a secret with which the caller's organisation will draw what it recomputes.", checker, register),
		ledger.Command("sampling:Reveal", "Shows a secret of the caller's organisation. Nothing is attested with it any more.", checker, reveal),
		ledger.Query("sampling:Get", "Shows a secret's commitment and, once revealed, the secret.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Secret, error) { return load(r, req) }),
		ledger.Query("sampling:List", "Lists the secrets of an organisation.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Secret], error) {
				return ledger.List(r, secretsOf(req.MSP), req.PageRequest, ledger.Value[Secret])
			}),
	}
}

func load(r ledger.Reader, n Named) (Secret, error) {
	s, found, err := ledger.Load[Secret](r, key(n))
	if err != nil {
		return s, err
	}
	if !found {
		return s, ledger.Refuse(ledger.CodeNotFound, "%s has registered no secret %s", n.MSP, n.ID).At("id")
	}
	return s, ledger.MustBeGuarded(r, key(n), n.MSP, s.Slots)
}

// MustBeSealed reports a secret that is not registered, or revealed already, at the given field.
func MustBeSealed(r ledger.Reader, field string, n Named) error {
	s, err := load(r, n)
	if err != nil {
		return ledger.AsFault(err).At(field)
	}
	if s.Secret != "" {
		return ledger.Refuse(ledger.CodeState, "secret %s of %s has been revealed: register another one", n.ID, n.MSP).At(field)
	}
	return nil
}

func register(tx ledger.Tx, req Register) (Secret, error) {
	n := Named{MSP: tx.Caller().MSP, ID: req.ID}
	s, found, err := ledger.Load[Secret](tx, key(n))
	if err != nil {
		return s, err
	}
	if found {
		if s.Commitment != req.Commitment {
			err = ledger.Refuse(ledger.CodeExists, "secret %s of %s has another commitment", n.ID, n.MSP).At("id")
		}
		return s, err
	}
	members, err := member.Load(tx)
	if err != nil {
		return Secret{}, err
	}
	s = Secret{Named: n, Commitment: req.Commitment, By: tx.Caller().Account(), Slots: members.Members, Tx: tx.TxID()}
	tx.Guard(key(n), ledger.SlotPolicy(n.MSP, s.Slots))
	tx.Emit("sampling.registered/1", s)
	return s, ledger.Save(tx, key(n), s)
}

func reveal(tx ledger.Tx, req Reveal) (Secret, error) {
	n := Named{MSP: tx.Caller().MSP, ID: req.ID}
	s, err := load(tx, n)
	if err != nil {
		return s, err
	}
	var secret use.Secret
	if _, err := hex.Decode(secret[:], []byte(req.Secret)); err != nil {
		return Secret{}, ledger.Invalid("secret", "not hex")
	}
	switch {
	case secret.Commitment() != s.Commitment:
		return Secret{}, ledger.Invalid("secret", "is not the one whose commitment was registered")
	case s.Secret != "":
		return s, nil
	}
	s.Secret, s.RevealTx = req.Secret, tx.TxID()
	tx.Emit("sampling.revealed/1", s)
	return s, ledger.Save(tx, key(n), s)
}
