package server

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/keystore"
	"github.com/datanet-consortium/datanet/gateway/outbox"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/network/pki"
)

// keep takes the keys of configured MSP folders into the keystore; those that are there stay, with the certificate
// that was issued later.
func (s *Server) keep() error {
	for _, folder := range s.config.Identity.Keep {
		id, err := pki.LoadIdentity(folder, s.config.Organisation)
		if err != nil {
			return fmt.Errorf("take a key into the keystore: %w", err)
		}
		key, err := pki.ReadKey(filepath.Join(folder, "keystore", "key.pem"))
		if err != nil {
			return fmt.Errorf("take a key into the keystore: %w", err)
		}
		caller, err := pki.CallerOf(s.config.Organisation, id.Certificate())
		if err != nil {
			return fmt.Errorf("take the key in %s into the keystore: %w", folder, err)
		}
		here, err := s.keys.Get(caller.Enrolment)
		if err == nil && !id.Certificate().NotBefore.After(here.Certificate().NotBefore) {
			continue
		}
		if err := s.keys.Add(caller.Enrolment, id.Credentials(), key); err != nil {
			return fmt.Errorf("take the key in %s into the keystore: %w", folder, err)
		}
	}
	return nil
}

// custody is the keystore as package identity sees it.
type custody struct{ keys *keystore.Store }

func (c custody) Add(enrolment string, certificate []byte, key crypto.Signer) error {
	return c.keys.Add(enrolment, certificate, key)
}

func (c custody) Certificate(enrolment string) ([]byte, bool, error) {
	id, err := c.keys.Get(enrolment)
	if errors.Is(err, keystore.ErrNone) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return id.Credentials(), true, nil
}

func (c custody) Renew(enrolment string, certificate []byte) error {
	return c.keys.Renew(enrolment, certificate)
}

func (c custody) Remove(enrolment string) error { return c.keys.Remove(enrolment) }

func (c custody) List() ([]string, error) { return c.keys.List() }

const (
	// renewEvery is how often is looked for certificates of kept keys that end soon, unless those that are issued here are
	// so short that it would be too late: they are renewed in the last third of their life, in which is looked twice.
	renewEvery = time.Hour
	// leastValidity bounds how short.
	leastValidity = time.Minute
)

// renewKept renews the certificates of kept keys before they end, until the context ends.
func (s *Server) renewKept(ctx context.Context) {
	ticker := time.NewTicker(min(renewEvery, s.config.Identity.Validity/6))
	defer ticker.Stop()
	for {
		s.renewDue(ctx, time.Now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) renewDue(ctx context.Context, now time.Time) {
	enrolments, err := s.keys.List()
	if err != nil {
		s.log.Error("look for certificates that end soon", "error", err)
	}
	for _, enrolment := range enrolments {
		id, err := s.keys.Get(enrolment)
		if err != nil {
			s.log.Error("look for certificates that end soon", "enrolment", enrolment, "error", err)
			continue
		}
		if !identity.EndsSoon(id.Certificate(), now) {
			continue
		}
		until := id.Certificate().NotAfter
		made, err := s.identities.RenewKept(ctx, enrolment)
		if err != nil {
			s.log.Warn("a certificate whose key is kept ends soon and could not be renewed", "enrolment", enrolment, "until", until, "error", err)
			continue
		}
		s.log.Info("a certificate whose key is kept was renewed", "enrolment", enrolment, "until", made.Expires)
	}
}

// clients are the clients of accounts whose keys are in the keystore. A certificate that was renewed makes a new client.
type clients struct {
	server    *Server
	mutex     sync.Mutex
	byAccount map[ledger.Account]*client
}

type client struct {
	identity *pki.Identity
	*fabric.Client
}

// signer finds the client of an account.
func (c *clients) signer(_ context.Context, account ledger.Account) (outbox.Signer, error) {
	if account.MSP() != c.server.config.Organisation {
		return nil, ledger.Refuse(ledger.CodeForbidden, "this gateway signs for nobody of another organisation")
	}
	id, err := c.server.keys.Get(identity.Principal{Account: account}.Enrolment())
	if errors.Is(err, keystore.ErrNone) {
		return nil, rest.ErrNoKey
	}
	if err != nil {
		return nil, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if known, ok := c.byAccount[account]; ok && known.identity == id {
		return known, nil
	}
	made, err := fabric.Connect(c.server.conn, id, c.server.config.Channel, c.server.config.Chaincode)
	if err != nil {
		return nil, err
	}
	c.byAccount[account] = &client{id, made}
	return made, nil
}

func (c *clients) close() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var faults []error
	for _, one := range c.byAccount {
		faults = append(faults, one.Close())
	}
	return errors.Join(faults...)
}
