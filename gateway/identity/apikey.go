package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/gateway/database"
)

const (
	// MaxKeyLife is the longest life of an API key.
	MaxKeyLife = 366 * 24 * time.Hour
	// MaxKeys bounds how many API keys of an account are neither revoked nor expired.
	MaxKeys = 100
	// MaxLabel bounds a label, in bytes.
	MaxLabel = 100
)

// KeyRequest is what a new API key may do.
type KeyRequest struct {
	Label   string        `json:"label,omitempty"` // for its owner; stays in this gateway
	Scopes  []Scope       `json:"scopes"`
	Expires time.Time     `json:"expires"`
	Budget  *money.Amount `json:"budget,omitempty"` // the most that uses with it may cost; nil: no limit
}

// Key is an API key without its secret.
type Key struct {
	ID      string         `json:"id"`
	Account ledger.Account `json:"account"`
	Label   string         `json:"label,omitempty"`
	Scopes  []Scope        `json:"scopes"`
	Created time.Time      `json:"created"`
	Expires time.Time      `json:"expires"`
	Revoked *time.Time     `json:"revoked,omitempty"`
	Budget  *money.Amount  `json:"budget,omitempty"`
	Spent   money.Amount   `json:"spent"` // as the wallet counts; package identity does not know
}

func (r KeyRequest) validate(now time.Time) error {
	if len(r.Label) > MaxLabel || !utf8.ValidString(r.Label) || strings.ContainsFunc(r.Label, func(c rune) bool { return c < ' ' }) {
		return invalid("label", "a label is one line of at most %d bytes", MaxLabel)
	}
	if len(r.Scopes) == 0 {
		return invalid("scopes", "name at least one of %v", Scopes)
	}
	for i, scope := range r.Scopes {
		if !slices.Contains(Scopes, scope) || slices.Contains(r.Scopes[:i], scope) {
			return invalid("scopes", "each of %v at most once", Scopes)
		}
	}
	if !r.Expires.After(now) || r.Expires.After(now.Add(MaxKeyLife)) {
		return invalid("expires", "a key expires within %d days", MaxKeyLife/(24*time.Hour))
	}
	if r.Budget != nil && *r.Budget < 0 {
		return invalid("budget", "a budget is not negative")
	}
	return nil
}

// CreateKey makes an API key for the caller's own account. The token is shown this once. An API key may make others,
// if it has the scope admin and no budget, that can do no more than itself.
func (s *Identities) CreateKey(ctx context.Context, p Principal, request KeyRequest) (token string, key Key, err error) {
	if !p.May(Admin) {
		return "", Key{}, refuse(CodeForbidden, "API keys are made with a certificate, a login, or a key of the scope %s", Admin)
	}
	now := s.config.Now()
	if err := request.validate(now); err != nil {
		return "", Key{}, err
	}
	for _, scope := range request.Scopes {
		if !p.May(scope) {
			return "", Key{}, refuse(CodeForbidden, "this API key has no scope %s to hand on", scope)
		}
	}
	err = s.db.InTx(ctx, func(tx *database.Tx) error {
		if p.Method == APIKey {
			var budget int64
			if err := tx.QueryRowContext(ctx, `SELECT budget FROM identity_keys WHERE id = ?`, p.KeyID).Scan(&budget); err != nil {
				return err
			}
			if budget >= 0 {
				return refuse(CodeForbidden, "an API key with a budget makes no others")
			}
		}
		token, key, err = s.insertKey(ctx, tx, p.Account, p.Roles, request, now)
		return err
	})
	if err != nil {
		return "", Key{}, explain("make an API key", err)
	}
	return token, key, nil
}

func (s *Identities) insertKey(ctx context.Context, tx *database.Tx, account ledger.Account, roles []ledger.Role, r KeyRequest, now time.Time) (string, Key, error) {
	var alive int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM identity_keys WHERE account = ? AND revoked = 0 AND expires > ?`, string(account), now.Unix()).Scan(&alive)
	if err != nil {
		return "", Key{}, err
	}
	if alive >= MaxKeys {
		return "", Key{}, refuse(CodeState, "the account has %d API keys; revoke one first", alive)
	}
	id, secret, hash := keyForm.new()
	scopes := make([]string, len(r.Scopes))
	for i, scope := range r.Scopes {
		scopes[i] = string(scope)
	}
	budget := int64(-1)
	if r.Budget != nil {
		budget = int64(*r.Budget)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO identity_keys (id, hash, account, label, roles, scopes, created, expires, revoked, budget, spent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 0)`,
		id, hash, string(account), r.Label, joinRoles(roles), strings.Join(scopes, ","), now.Unix(), r.Expires.Unix(), budget)
	if err != nil {
		return "", Key{}, err
	}
	key := Key{ID: id, Account: account, Label: r.Label, Scopes: r.Scopes, Created: second(now), Expires: second(r.Expires), Budget: r.Budget}
	return keyPrefix + id + "_" + secret, key, nil
}

// record is a row of API keys with what is not shown of it.
type record struct {
	Key
	hash  []byte
	roles []ledger.Role
}

const keyColumns = `id, hash, account, label, roles, scopes, created, expires, revoked, budget`

func scanKey(row interface{ Scan(...any) error }) (record, error) {
	var (
		r                                 record
		account, roles, scopes            string
		created, expires, revoked, budget int64
	)
	if err := row.Scan(&r.ID, &r.hash, &account, &r.Label, &roles, &scopes, &created, &expires, &revoked, &budget); err != nil {
		return record{}, err
	}
	r.Account, r.roles = ledger.Account(account), ledger.ParseRoles(roles)
	for _, scope := range strings.Split(scopes, ",") {
		r.Scopes = append(r.Scopes, Scope(scope))
	}
	r.Created, r.Expires = time.Unix(created, 0).UTC(), time.Unix(expires, 0).UTC()
	if revoked != 0 {
		at := time.Unix(revoked, 0).UTC()
		r.Revoked = &at
	}
	if budget >= 0 {
		b := money.Amount(budget)
		r.Budget = &b
	}
	return r, nil
}

// byKey finds whose API key it is. A wrong secret and an unknown id get the same answer.
func (s *Identities) byKey(ctx context.Context, token string) (Principal, error) {
	unknown := refuse(CodeUnauthenticated, "the API key is not known here")
	id, hash, ok := splitKey(token)
	if !ok {
		return Principal{}, unknown
	}
	p, again, mark, err := s.byRecent(id, hash)
	if err != nil || again {
		return p, err
	}
	key, err := scanKey(s.db.QueryRowContext(ctx, `SELECT `+keyColumns+` FROM identity_keys WHERE id = ?`, id))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		same(hash, make([]byte, len(hash)))
		return Principal{}, unknown
	case err != nil:
		return Principal{}, fmt.Errorf("look for an API key: %w", err)
	case !same(hash, key.hash):
		return Principal{}, unknown
	case key.Revoked != nil:
		return Principal{}, refuse(CodeUnauthenticated, "the API key %s was revoked", id)
	case !s.config.Now().Before(key.Expires):
		return Principal{}, refuse(CodeUnauthenticated, "the API key %s expired at %s", id, stamp(key.Expires))
	case key.Account.MSP() != s.config.MSPID:
		return Principal{}, refuse(CodeForbidden, "the API key %s is not of an account of %s", id, s.config.MSPID)
	}
	certificate, err := s.certificate(Principal{Account: key.Account}.Enrolment())
	if err != nil {
		return Principal{}, err
	}
	p = Principal{Account: key.Account, Roles: key.roles, Method: APIKey, Scopes: key.Scopes, KeyID: id, Budget: key.Budget}
	// Who lost a role since has lost it here too.
	if roles, kept, err := s.kept(p.Enrolment()); err != nil {
		return Principal{}, err
	} else if kept {
		p.Roles = both(p.Roles, roles)
	}
	s.recent.keep(id, known{principal: p, hash: key.hash, expires: key.Expires, until: s.config.Now().Add(recentFor), certificate: certificate}, mark)
	return p, nil
}

// Keys lists the API keys of the caller's account, the oldest first, also those that are revoked or have expired.
func (s *Identities) Keys(ctx context.Context, p Principal) ([]Key, error) {
	if !p.May(Admin) {
		return nil, refuse(CodeForbidden, "only the scope %s sees API keys", Admin)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT `+keyColumns+` FROM identity_keys WHERE account = ? ORDER BY created, id`, string(p.Account))
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	defer rows.Close()
	keys := []Key{}
	for rows.Next() {
		key, err := scanKey(rows)
		if err != nil {
			return nil, fmt.Errorf("list API keys: %w", err)
		}
		keys = append(keys, key.Key)
	}
	return keys, rows.Err()
}

// RevokeKey ends an API key at once: one of the caller's own account, or for an operator any of the organisation. A key
// may revoke itself. To revoke again changes nothing.
func (s *Identities) RevokeKey(ctx context.Context, p Principal, id string) error {
	itself := p.Method == APIKey && p.KeyID == id
	if !p.May(Admin) && !itself {
		return refuse(CodeForbidden, "only the scope %s revokes API keys", Admin)
	}
	err := s.db.InTx(ctx, func(tx *database.Tx) error {
		var account string
		err := tx.QueryRowContext(ctx, `SELECT account FROM identity_keys WHERE id = ?`, id).Scan(&account)
		if errors.Is(err, sql.ErrNoRows) || err == nil && account != string(p.Account) && !p.Has(ledger.Operator) {
			return refuse(CodeNotFound, "the account has no such API key")
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE identity_keys SET revoked = ? WHERE id = ? AND revoked = 0`, s.config.Now().Unix(), id)
		return err
	})
	s.recent.forget(id)
	return explain("revoke an API key", err)
}

// explain leaves refusals as they are and says of other errors what was attempted.
func explain(attempt string, err error) error {
	var refusal *Error
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return fmt.Errorf("%s: %w", attempt, err)
}

func second(t time.Time) time.Time { return time.Unix(t.Unix(), 0).UTC() }
