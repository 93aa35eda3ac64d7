package contribution

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// Fingerprint tells equal content apart from other content without telling what it is: the HMAC-SHA-256 of the
// canonical tokens under a secret that the members' gateways share and the ledger never sees. Validators recompute it,
// since the chaincode cannot.
//
// The secret changes by epochs. A new submission is made under the epoch in force; what was registered before is moved
// to it by its contributor's organisation. Until that is done, equal content under the new epoch goes unnoticed here,
// and finding it is the validators' duty.
type Fingerprint struct {
	Epoch int    `json:"epoch"`
	HMAC  string `json:"hmac"` // 64 lower-case hex digits
}

func (f Fingerprint) Validate() error {
	if f.Epoch < 1 || f.Epoch > 1_000_000 {
		return ledger.Invalid("epoch", "epochs are numbered from 1")
	}
	if ledger.ValidDigest("hmac", f.HMAC) != nil {
		return ledger.Invalid("hmac", "expected an HMAC-SHA-256 as 64 lower-case hex digits")
	}
	return nil
}

func (f Fingerprint) validate() error {
	err := f.Validate()
	if err != nil {
		fault := ledger.AsFault(err)
		return fault.At("fingerprint." + fault.Field)
	}
	return nil
}

// Epoch is the fingerprint epoch in force.
type Epoch struct {
	Epoch int    `json:"epoch"` // from 1; 0 before the members have agreed on a secret
	Check string `json:"check"` // SHA-256("FINGERPRINT/1" ‖ secret), hex, by which a gateway knows the right secret
}

// Rotation is the parameter of a proposal of kind "fingerprint.rotate": the next epoch's secret, by its check value.
type Rotation struct {
	Check string `json:"check"`
}

// CheckRotation reports why the secret cannot become that of the next epoch.
func CheckRotation(r ledger.Reader, next Rotation) error {
	if err := ledger.ValidDigest("params.check", next.Check); err != nil {
		return err
	}
	now, err := LoadEpoch(r)
	if err == nil && now.Check == next.Check {
		err = ledger.Refuse(ledger.CodeState, "this secret is in force already, in epoch %d", now.Epoch).At("params.check")
	}
	return err
}

// Rotate begins the next epoch.
func Rotate(tx ledger.Tx, next Rotation) error {
	now, err := LoadEpoch(tx)
	if err != nil {
		return err
	}
	return ledger.Save(tx, epochKey, Epoch{Epoch: now.Epoch + 1, Check: next.Check})
}

// LoadEpoch reads the epoch in force, 0 before the first.
func LoadEpoch(r ledger.Reader) (Epoch, error) {
	e, _, err := ledger.Load[Epoch](r, epochKey)
	return e, err
}

// Registration is the contribution that holds a fingerprint.
type Registration struct {
	Datanet  string `json:"datanet"`
	ID       string `json:"id"`
	Revision int    `json:"revision"`
}

// claim takes a fingerprint of the epoch in force for a contribution.
func claim(tx ledger.Tx, f Fingerprint, by Registration) error {
	now, err := LoadEpoch(tx)
	if err != nil {
		return err
	}
	if now.Epoch == 0 {
		return ledger.Refuse(ledger.CodeState, "no fingerprint secret is in force: the members agree on one by a proposal of kind fingerprint.rotate")
	}
	if f.Epoch != now.Epoch {
		return ledger.Refuse(ledger.CodeState, "the fingerprint epoch in force is %d", now.Epoch).At("fingerprint.epoch")
	}
	first, taken, err := ledger.Load[Registration](tx, fingerprintKey(f))
	if err != nil {
		return err
	}
	if taken {
		return ledger.Refuse(ledger.CodeExists, "equal content is registered already: contribution %s of %s", first.ID, first.Datanet).At("fingerprint.hmac")
	}
	return ledger.Save(tx, fingerprintKey(f), by)
}
