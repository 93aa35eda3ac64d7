package integration_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/integration/story"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

// certify has an organisation's CA certify anything, as a CA can: roles that the topology would refuse, or none. The
// attribute extension is written here by hand, in Fabric CA's form.
func (c *consortium) certify(t *testing.T, msp string, user network.User) {
	t.Helper()
	_, org, err := c.State().Organization(msp)
	require.NoError(t, err)
	keyPEM, err := os.ReadFile(filepath.Join(org.Dir, "ca", "key.pem"))
	require.NoError(t, err)
	block, _ := pem.Decode(keyPEM)
	require.NotNil(t, block)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	roles := ""
	for i, role := range user.Roles {
		if i > 0 {
			roles += ","
		}
		roles += string(role)
	}
	holder := &x509.Certificate{}
	require.NoError(t, attrmgr.New().AddAttributesToCert(&attrmgr.Attributes{Attrs: map[string]string{
		"hf.EnrollmentID": user.Name, "hf.Type": "client", "hf.Affiliation": "", "datanet.roles": roles}}, holder))
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: user.Name, OrganizationalUnit: []string{"client"}},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: holder.Extensions, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, org.CA.Certificate, public, parsed.(crypto.Signer))
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	identity, err := pki.NewIdentity(msp, certificate, private)
	require.NoError(t, err)
	c.certified[story.User{Name: user.Name, MSP: msp}] = identity
}
