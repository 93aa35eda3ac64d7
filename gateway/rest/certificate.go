package rest

import (
	"crypto/x509"
	"encoding/pem"

	"github.com/datanet-consortium/datanet/network/pki"
)

// maxCertificate bounds a certificate in PEM, in bytes.
const maxCertificate = 16 << 10

// certificate is that of the caller's account, in PEM: the one given, or that of the connection. Whether its holder signs
// is seen by the signature; here it only has to name the account. Whether its authority is the organisation's is for the
// peers.
func (c *call) certificate(given string) ([]byte, error) {
	der := c.principal.Certificate
	if given != "" {
		if len(given) > maxCertificate {
			return nil, invalid("certificate", "has more than %d bytes", maxCertificate)
		}
		block, _ := pem.Decode([]byte(given))
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, invalid("certificate", "is not PEM")
		}
		der = block.Bytes
	}
	if len(der) == 0 {
		return nil, invalid("certificate", "give the account's certificate: the request came without one")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, invalid("certificate", "cannot be read: %v", err)
	}
	caller, err := pki.CallerOf(c.api.options.Organisation, cert)
	if err != nil || caller.Account() != c.principal.Account {
		return nil, invalid("certificate", "is not that of account %s", c.principal.Account)
	}
	if given != "" {
		return []byte(given), nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
