package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/gateway/identity"
)

// lookEvery is how often it is looked whether the listener's files have changed.
const lookEvery = 10 * time.Second

// credentials are the listener's certificate and the identity authorities of the organisations, which may be replaced
// without a restart: a handshake looks whether their files have changed. As long as new files make no whole (one may be
// replaced before the other), the former ones stay. It is safe for concurrent use.
type credentials struct {
	config     *Config
	identities *identity.Identities
	log        *slog.Logger
	now        func() time.Time

	mutex   sync.Mutex
	current *tls.Config
	from    []version
	looked  time.Time
}

// version tells whether a file has changed.
type version struct {
	modified time.Time
	size     int64
}

func newCredentials(config *Config, identities *identity.Identities, log *slog.Logger) (*credentials, error) {
	c := &credentials{config: config, identities: identities, log: log, now: time.Now}
	from, err := c.versions()
	if err != nil {
		return nil, err
	}
	c.from, c.looked = from, c.now()
	return c, c.load()
}

func (c *credentials) versions() ([]version, error) {
	paths := []string{c.config.TLS.Certificate, c.config.TLS.Key}
	for _, o := range c.config.Organisations {
		paths = append(paths, o.Authority)
	}
	of := make([]version, len(paths))
	for i, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("look at the listener's credentials: %w", err)
		}
		of[i] = version{info.ModTime(), info.Size()}
	}
	return of, nil
}

func (c *credentials) load() error {
	own, err := tls.LoadX509KeyPair(c.config.TLS.Certificate, c.config.TLS.Key)
	if err != nil {
		return fmt.Errorf("load the listener's certificate: %w", err)
	}
	authorities, err := c.config.authorities()
	if err != nil {
		return err
	}
	if err := c.identities.Trust(authorities); err != nil {
		return fmt.Errorf("take the identity authorities: %w", err)
	}
	c.current = &tls.Config{
		Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: c.identities.ClientAuthorities(),
	}
	return nil
}

// configuration is for [tls.Config.GetConfigForClient].
func (c *credentials) configuration(*tls.ClientHelloInfo) (*tls.Config, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now := c.now()
	if now.Sub(c.looked) < lookEvery {
		return c.current, nil
	}
	c.looked = now
	from, err := c.versions() // before they are read, so that a change meanwhile is seen the next time
	if err == nil && slices.Equal(from, c.from) {
		return c.current, nil
	}
	if err == nil {
		err = c.load()
	}
	if err != nil {
		c.log.Error("the listener keeps its former certificate and authorities", "error", err)
		return c.current, nil
	}
	c.from = from
	c.log.Info("the listener has a new certificate or new authorities")
	return c.current, nil
}

// authorities reads the identity authorities of the organisations.
func (c *Config) authorities() (map[string][]byte, error) {
	authorities := map[string][]byte{}
	for _, o := range c.Organisations {
		text, err := os.ReadFile(o.Authority)
		if err != nil {
			return nil, fmt.Errorf("read the identity authority of %s: %w", o.MSPID, err)
		}
		authorities[o.MSPID] = text
	}
	return authorities, nil
}

// issuers are the OpenID Connect providers as package identity knows them.
func (c *Config) issuers() (list []identity.Issuer, err error) {
	for _, i := range c.Identity.Issuers {
		issuer := identity.Issuer{URL: i.URL, Audience: i.Audience, Claim: i.Claim}
		for _, p := range i.People {
			if issuer.Accounts == nil {
				issuer.Accounts = map[string]string{}
			}
			issuer.Accounts[p.Claim] = p.Enrolment
		}
		if i.Authority != "" {
			text, err := os.ReadFile(i.Authority)
			if err != nil {
				return nil, fmt.Errorf("read the TLS authority of the issuer %s: %w", i.URL, err)
			}
			roots := x509.NewCertPool()
			if !roots.AppendCertsFromPEM(text) {
				return nil, fmt.Errorf("the TLS authority of the issuer %s is no certificate", i.URL)
			}
			issuer.Client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
				Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute}}
		}
		list = append(list, issuer)
	}
	return list, nil
}
