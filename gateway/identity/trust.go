package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/network/pki"
)

// trust knows the identity authorities of the consortium's organisations.
type trust struct {
	own   string
	roots map[string]string // raw certificate of an authority → its organisation's MSP ID
	pool  *x509.CertPool
}

// newTrust takes the PEM of each organisation's identity authority by MSP ID. Two organisations with one authority
// could pass for each other and are refused.
func newTrust(own string, authorities map[string][]byte) (*trust, error) {
	t := &trust{own: own, roots: map[string]string{}, pool: x509.NewCertPool()}
	if _, ok := authorities[own]; !ok {
		return nil, fmt.Errorf("the identity authority of %s, the gateway's own organisation, is missing", own)
	}
	for msp, text := range authorities {
		if err := ledger.ValidMSP(msp); err != nil {
			return nil, err
		}
		block, _ := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("the identity authority of %s is not a PEM certificate", msp)
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the identity authority of %s: %w", msp, err)
		}
		if !root.IsCA {
			return nil, fmt.Errorf("the identity authority of %s: the certificate of %s is not that of an authority", msp, root.Subject.CommonName)
		}
		if other, twice := t.roots[string(root.Raw)]; twice {
			return nil, fmt.Errorf("%s and %s have the same identity authority", other, msp)
		}
		t.roots[string(root.Raw)] = msp
		t.pool.AddCert(root)
	}
	return t, nil
}

// caller is who the client certificate of a connection names. The chains were verified in the handshake, maybe hours
// ago, so the time is checked again.
func (t *trust) caller(state *tls.ConnectionState, now time.Time) (ledger.Caller, *x509.Certificate, error) {
	if len(state.VerifiedChains) == 0 {
		return ledger.Caller{}, nil, refuse(CodeUnauthenticated, "the client certificate is not one of a member organisation")
	}
	msp := ""
	for _, chain := range state.VerifiedChains {
		owner, known := t.roots[string(chain[len(chain)-1].Raw)]
		if !known || msp != "" && owner != msp {
			return ledger.Caller{}, nil, refuse(CodeUnauthenticated, "the client certificate does not lead to one organisation's authority")
		}
		msp = owner
		for _, cert := range chain {
			if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
				return ledger.Caller{}, nil, refuse(CodeUnauthenticated, "the certificate of %s is not valid at %s: its time is from %s to %s",
					ledger.Clip(cert.Subject.CommonName), stamp(now), stamp(cert.NotBefore), stamp(cert.NotAfter))
			}
		}
	}
	leaf := state.VerifiedChains[0][0]
	caller, err := pki.CallerOf(msp, leaf)
	if fault := new(ledger.Fault); errors.As(err, &fault) {
		return ledger.Caller{}, nil, refuse(CodeForbidden, "%s", fault.Message)
	}
	return caller, leaf, err
}

// principal turns a verified certificate into who calls: a person of the own organisation, or a member's gateway.
func (t *trust) principal(state *tls.ConnectionState, now time.Time) (Principal, error) {
	caller, cert, err := t.caller(state, now)
	if err != nil {
		return Principal{}, err
	}
	switch {
	case caller.MSP == t.own:
		return Principal{Account: caller.Account(), Roles: caller.Roles, Method: Certificate, Certificate: cert.Raw}, nil
	case caller.Enrolment == GatewayEnrolment:
		return Principal{Gateway: caller.MSP, Roles: caller.Roles, Method: Certificate, Certificate: cert.Raw}, nil
	default:
		return Principal{}, refuse(CodeForbidden, "this is the gateway of %s; people of %s use their own organisation's gateway", t.own, caller.MSP)
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
