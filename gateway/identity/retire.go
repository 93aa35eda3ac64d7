package identity

import (
	"context"
	"fmt"
	"sync"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
)

// retired are the enrolments that act through this gateway no more.
type retired struct {
	mutex      sync.RWMutex
	enrolments map[string]bool
}

func (r *retired) add(enrolment string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.enrolments == nil {
		r.enrolments = map[string]bool{}
	}
	r.enrolments[enrolment] = true
}

func (r *retired) has(enrolment string) bool {
	r.mutex.RLock()
	defer r.mutex.RUnlock()
	return r.enrolments[enrolment]
}

// Retire ends what an account of the organisation can do through this gateway, for who has left: nobody is let in for it any
// more, by certificate, token or API key; its API keys end, the key that the gateway keeps for it is destroyed, and its
// certificates are not renewed. A certificate that the person holds is good at peers until it ends: no gateway can call it
// back. To retire again changes nothing.
func (s *Identities) Retire(ctx context.Context, p Principal, enrolment string) error {
	account := ledger.NewAccount(s.config.MSPID, enrolment)
	switch {
	case !p.May(Admin) || !p.Has(ledger.Operator):
		return refuse(CodeForbidden, "only operators of %s retire people", s.config.MSPID)
	case account.Validate("") != nil:
		return invalid("id", "this is no enrolment id")
	case reserved(enrolment):
		return refuse(CodeForbidden, "%s is no person", enrolment)
	case account == p.Account:
		return refuse(CodeState, "another operator retires you: somebody has to stay")
	}
	err := s.db.InTx(ctx, func(tx *database.Tx) error {
		now := s.config.Now().Unix()
		if _, err := tx.ExecContext(ctx, `INSERT INTO identity_retired (enrolment, operator, at) VALUES (?, ?, ?) ON CONFLICT (enrolment) DO NOTHING`,
			enrolment, string(p.Account), now); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE identity_keys SET revoked = ? WHERE account = ? AND revoked = 0`, now, string(account))
		return err
	})
	if err != nil {
		return fmt.Errorf("retire %s: %w", enrolment, err)
	}
	s.retired.add(enrolment)
	return s.destroyKept(enrolment)
}

func (s *Identities) destroyKept(enrolment string) error {
	if s.config.Custody == nil {
		return nil
	}
	if err := s.config.Custody.Remove(enrolment); err != nil {
		return fmt.Errorf("retire %s: %w", enrolment, err)
	}
	return nil
}

// recallRetired reads who was retired, and destroys keys that were taken back since, or that an interruption left.
func (s *Identities) recallRetired(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, `SELECT enrolment FROM identity_retired`)
	if err != nil {
		return fmt.Errorf("read who was retired: %w", err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var enrolment string
		if err := rows.Scan(&enrolment); err != nil {
			return fmt.Errorf("read who was retired: %w", err)
		}
		all = append(all, enrolment)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read who was retired: %w", err)
	}
	for _, enrolment := range all {
		s.retired.add(enrolment)
		if err := s.destroyKept(enrolment); err != nil {
			return err
		}
	}
	return nil
}

// current refuses who was retired.
func (s *Identities) current(p Principal, err error) (Principal, error) {
	if err == nil && p.Account != "" && p.Account.MSP() == s.config.MSPID && s.retired.has(p.Enrolment()) {
		return Principal{}, refuse(CodeUnauthenticated, "%s acts through this gateway no more; ask an operator of %s", p.Account, s.config.MSPID)
	}
	return p, err
}
