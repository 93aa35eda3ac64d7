package identity

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

// MaxInvitationLife is the longest time in which an invitation can be used.
const MaxInvitationLife = 30 * 24 * time.Hour

// InvitationRequest is what an operator offers a person.
type InvitationRequest struct {
	Roles   []ledger.Role `json:"roles"`
	Expires time.Time     `json:"expires"`
}

// Invitation is an offer to enrol, without its code.
type Invitation struct {
	ID        string         `json:"id"`
	Roles     []ledger.Role  `json:"roles"`
	Inviter   ledger.Account `json:"inviter"`
	Created   time.Time      `json:"created"`
	Expires   time.Time      `json:"expires"`
	Revoked   *time.Time     `json:"revoked,omitempty"`
	Used      *time.Time     `json:"used,omitempty"`
	Enrolment string         `json:"enrolment,omitempty"` // the pseudonym of who used it
}

// Invite makes a code with which one person can enrol once. The code is shown this once.
func (s *Identities) Invite(ctx context.Context, p Principal, request InvitationRequest) (code string, invitation Invitation, err error) {
	if err := s.operates(p); err != nil {
		return "", Invitation{}, err
	}
	now := s.config.Now()
	if !request.Expires.After(now) || request.Expires.After(now.Add(MaxInvitationLife)) {
		return "", Invitation{}, invalid("expires", "an invitation expires within %d days", MaxInvitationLife/(24*time.Hour))
	}
	if err := (network.User{Name: pseudonym(), Roles: request.Roles}).Validate(); err != nil {
		return "", Invitation{}, invalid("roles", "%v", err)
	}
	id, secret, hash := codeForm.new()
	_, err = s.db.ExecContext(ctx, `INSERT INTO identity_invitations (id, hash, roles, inviter, created, expires, revoked, used, enrolment) VALUES (?, ?, ?, ?, ?, ?, 0, 0, '')`,
		id, hash, joinRoles(request.Roles), string(p.Account), now.Unix(), request.Expires.Unix())
	if err != nil {
		return "", Invitation{}, fmt.Errorf("make an invitation: %w", err)
	}
	return printCode(id, secret), Invitation{ID: id, Roles: request.Roles, Inviter: p.Account, Created: second(now), Expires: second(request.Expires)}, nil
}

func (s *Identities) operates(p Principal) error {
	if !p.May(Admin) || !p.Has(ledger.Operator) {
		return refuse(CodeForbidden, "only operators of %s invite people", s.config.MSPID)
	}
	if s.config.Authority == nil {
		return refuse(CodeState, "this gateway has no certificate authority: people of %s are enrolled elsewhere", s.config.MSPID)
	}
	return nil
}

const invitationColumns = `id, hash, roles, inviter, created, expires, revoked, used, enrolment`

func scanInvitation(row interface{ Scan(...any) error }) (Invitation, []byte, error) {
	var (
		i                               Invitation
		hash                            []byte
		roles, inviter                  string
		created, expires, revoked, used int64
	)
	if err := row.Scan(&i.ID, &hash, &roles, &inviter, &created, &expires, &revoked, &used, &i.Enrolment); err != nil {
		return Invitation{}, nil, err
	}
	i.Roles, i.Inviter = ledger.ParseRoles(roles), ledger.Account(inviter)
	i.Created, i.Expires = time.Unix(created, 0).UTC(), time.Unix(expires, 0).UTC()
	if revoked != 0 {
		at := time.Unix(revoked, 0).UTC()
		i.Revoked = &at
	}
	if used != 0 {
		at := time.Unix(used, 0).UTC()
		i.Used = &at
	}
	return i, hash, nil
}

// Invitations lists the latest invitations, the newest first.
func (s *Identities) Invitations(ctx context.Context, p Principal, limit int) ([]Invitation, error) {
	if err := s.operates(p); err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, `SELECT `+invitationColumns+` FROM identity_invitations ORDER BY created DESC, id LIMIT ?`, min(max(limit, 1), 1000))
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}
	defer rows.Close()
	list := []Invitation{}
	for rows.Next() {
		i, _, err := scanInvitation(rows)
		if err != nil {
			return nil, fmt.Errorf("list invitations: %w", err)
		}
		list = append(list, i)
	}
	return list, rows.Err()
}

// RevokeInvitation ends an invitation that nobody has used. To revoke again changes nothing.
func (s *Identities) RevokeInvitation(ctx context.Context, p Principal, id string) error {
	if err := s.operates(p); err != nil {
		return err
	}
	err := s.db.InTx(ctx, func(tx *database.Tx) error {
		i, _, err := scanInvitation(tx.QueryRowContext(ctx, `SELECT `+invitationColumns+` FROM identity_invitations WHERE id = ?`, id))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return refuse(CodeNotFound, "there is no such invitation")
		case err != nil:
			return err
		case i.Used != nil:
			return refuse(CodeState, "the invitation was used at %s", stamp(*i.Used))
		}
		_, err = tx.ExecContext(ctx, `UPDATE identity_invitations SET revoked = ? WHERE id = ? AND revoked = 0`, s.config.Now().Unix(), id)
		return err
	})
	return explain("revoke an invitation", err)
}

// EnrolRequest uses an invitation: with a certificate request, or with Custody for a key that the gateway makes and
// keeps.
type EnrolRequest struct {
	Code    string `json:"code"`
	Request string `json:"request,omitempty"` // PKCS #10 in PEM; the private key stays with the person
	Custody bool   `json:"custody,omitempty"`
}

// Enrolment is a new account of the organisation.
type Enrolment struct {
	Account     ledger.Account `json:"account"`
	Roles       []ledger.Role  `json:"roles"`
	Certificate string         `json:"certificate"` // PEM
	Expires     time.Time      `json:"expires"`     // of the certificate
	Token       string         `json:"token,omitempty"`
	Key         *Key           `json:"key,omitempty"` // custody: the API key whose token this is
}

func (e Enrolment) enrolment() string { return Principal{Account: e.Account}.Enrolment() }

// custodyKeyLife is the life of the API key that comes with a kept key.
const custodyKeyLife = 90 * 24 * time.Hour

// Enrol issues a certificate for a fresh pseudonym with the invitation's roles. A code works once; the same code with
// the same key is answered again as before, so a person whose connection broke simply repeats. Of simultaneous uses of
// a code with different keys one wins.
func (s *Identities) Enrol(ctx context.Context, request EnrolRequest) (Enrolment, error) {
	if s.config.Authority == nil {
		return Enrolment{}, refuse(CodeState, "this gateway enrols nobody")
	}
	if request.Custody && s.config.Custody == nil {
		return Enrolment{}, refuse(CodeState, "this gateway keeps no keys for people; send a certificate request")
	}
	if request.Custody == (request.Request != "") {
		return Enrolment{}, invalid("request", "send a certificate request, or ask for custody")
	}
	public, private, err := s.keyFor(request)
	if err != nil {
		return Enrolment{}, err
	}
	fingerprint, err := fingerprintOf(public)
	if err != nil {
		return Enrolment{}, err
	}
	now := s.config.Now()
	var (
		made     Enrolment
		repeated bool
	)
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		invitation, err := invitationOf(ctx, tx, request.Code)
		if err != nil {
			return err
		}
		switch {
		case invitation.Used != nil:
			repeated = true
			made, err = s.repeat(ctx, tx, invitation, fingerprint)
			return err
		case invitation.Revoked != nil:
			return refuse(CodeState, "the invitation was revoked; ask for a new one")
		case !now.Before(invitation.Expires):
			return refuse(CodeState, "the invitation expired at %s; ask for a new one", stamp(invitation.Expires))
		}
		repeated = false
		made, err = s.certify(pseudonym(), invitation.Roles, public)
		if err != nil {
			return err
		}
		enrolment := made.enrolment()
		if _, err := tx.ExecContext(ctx, `UPDATE identity_invitations SET used = ?, enrolment = ? WHERE id = ?`, now.Unix(), enrolment, invitation.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO identity_enrolments (enrolment, roles, public_key, certificate, custody, created) VALUES (?, ?, ?, ?, ?, ?)`,
			enrolment, joinRoles(made.Roles), fingerprint, made.Certificate, flag(request.Custody), now.Unix()); err != nil {
			return err
		}
		if !request.Custody {
			return nil
		}
		token, key, err := s.insertKey(ctx, tx, made.Account, made.Roles, KeyRequest{Label: "enrolment", Scopes: slices.Clone(Scopes), Expires: now.Add(custodyKeyLife)}, now)
		made.Token, made.Key = token, &key
		return err
	})
	if err != nil {
		return Enrolment{}, explain("enrol", err)
	}
	if request.Custody && !repeated {
		enrolment := made.enrolment()
		if err := s.config.Custody.Add(enrolment, []byte(made.Certificate), private); err != nil {
			return Enrolment{}, fmt.Errorf("enrol: keep the key of %s (the invitation is used up, make a new one): %w", enrolment, err)
		}
	}
	return made, nil
}

func (s *Identities) keyFor(request EnrolRequest) (crypto.PublicKey, crypto.Signer, error) {
	if !request.Custody {
		public, err := publicKey([]byte(request.Request))
		return public, nil, err
	}
	private, err := pki.NewKey(s.config.Keys)
	if err != nil {
		return nil, nil, fmt.Errorf("enrol: make a key: %w", err)
	}
	return private.Public(), private, nil
}

// invitationOf finds the invitation of a code. A wrong code and an unknown one get the same answer.
func invitationOf(ctx context.Context, tx *database.Tx, code string) (Invitation, error) {
	unknown := refuse(CodeUnauthenticated, "the invitation code is not known here")
	id, hash, ok := splitCode(code)
	if !ok {
		return Invitation{}, unknown
	}
	invitation, kept, err := scanInvitation(tx.QueryRowContext(ctx, `SELECT `+invitationColumns+` FROM identity_invitations WHERE id = ?`, id))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		same(hash, make([]byte, len(hash)))
		return Invitation{}, unknown
	case err != nil:
		return Invitation{}, err
	case !same(hash, kept):
		return Invitation{}, unknown
	}
	return invitation, nil
}

// repeat answers a used code again for the key that used it.
func (s *Identities) repeat(ctx context.Context, tx *database.Tx, invitation Invitation, fingerprint []byte) (Enrolment, error) {
	var (
		key         []byte
		certificate string
	)
	err := tx.QueryRowContext(ctx, `SELECT public_key, certificate FROM identity_enrolments WHERE enrolment = ?`, invitation.Enrolment).Scan(&key, &certificate)
	if err != nil {
		return Enrolment{}, err
	}
	if !same(key, fingerprint) {
		return Enrolment{}, refuse(CodeState, "the invitation was used already; ask for a new one")
	}
	return s.answer(certificate)
}

func (s *Identities) certify(enrolment string, roles []ledger.Role, public crypto.PublicKey) (Enrolment, error) {
	text, err := s.config.Authority.Certify(network.User{Name: enrolment, Roles: roles}, public, s.config.Validity)
	if err != nil {
		return Enrolment{}, err
	}
	return s.answer(string(text))
}

func (s *Identities) answer(certificate string) (Enrolment, error) {
	cert, err := parseCertificate([]byte(certificate))
	if err != nil {
		return Enrolment{}, err
	}
	caller, err := pki.CallerOf(s.config.MSPID, cert)
	if err != nil {
		return Enrolment{}, err
	}
	return Enrolment{Account: caller.Account(), Roles: caller.Roles, Certificate: certificate, Expires: cert.NotAfter.UTC()}, nil
}

// Renew issues the caller's next certificate: for the same enrolment, the same roles and the same key, of which the
// certificate request is the proof. Of who shows no certificate it renews that whose key the gateway keeps; see
// [Identities.RenewKept].
func (s *Identities) Renew(ctx context.Context, p Principal, request string) (Enrolment, error) {
	if request == "" && p.Method != Certificate {
		if !p.May(Admin) || p.Account.MSP() != s.config.MSPID {
			return Enrolment{}, refuse(CodeForbidden, "only the scope %s renews a certificate", Admin)
		}
		return s.RenewKept(ctx, p.Enrolment())
	}
	if s.config.Authority == nil {
		return Enrolment{}, refuse(CodeState, "this gateway renews no certificates")
	}
	if p.Method != Certificate || p.Account == "" {
		return Enrolment{}, refuse(CodeForbidden, "a certificate is renewed by who shows the old one")
	}
	old, err := x509.ParseCertificate(p.Certificate)
	if err != nil {
		return Enrolment{}, fmt.Errorf("renew the certificate of %s: %w", p.Account, err)
	}
	public, err := publicKey([]byte(request))
	if err != nil {
		return Enrolment{}, err
	}
	if !sameKey(public, old.PublicKey) {
		return Enrolment{}, invalid("request", "the request must be for the key of the certificate that it renews; for another key ask for an invitation")
	}
	if len(p.Roles) == 0 || reserved(p.Enrolment()) && p.Enrolment() != GatewayEnrolment {
		return Enrolment{}, refuse(CodeForbidden, "the certificate of %s is renewed by the organisation's administrator", p.Account)
	}
	made, err := s.certify(p.Enrolment(), slices.Clone(p.Roles), public)
	if err != nil {
		return Enrolment{}, fmt.Errorf("renew the certificate of %s: %w", p.Account, err)
	}
	if _, err := s.db.ExecContext(ctx, `UPDATE identity_enrolments SET certificate = ? WHERE enrolment = ?`, made.Certificate, p.Enrolment()); err != nil {
		return Enrolment{}, fmt.Errorf("renew the certificate of %s: %w", p.Account, err)
	}
	return made, nil
}

func fingerprintOf(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encode a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
