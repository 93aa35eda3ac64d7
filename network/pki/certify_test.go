package pki_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"
	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/cid"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

// creator is a proposal's creator as the chaincode's client identity reads it.
type creator []byte

func (c creator) GetCreator() ([]byte, error) { return c, nil }

func TestACertifiedUserIsWhomTheChaincodeSees(t *testing.T) {
	dir := t.TempDir()
	n := topology(t)
	o, err := pki.EnsureOrganization(dir, &n.Members[0])
	require.NoError(t, err)
	authority, err := pki.OpenAuthority(filepath.Join(o.Dir, "ca"))
	require.NoError(t, err)
	key, err := pki.NewKey(network.ECDSAP256)
	require.NoError(t, err)
	text, err := authority.Certify(network.User{Name: "p9", Roles: []ledger.Role{ledger.Host, ledger.Curator}}, key.Public(), 0)
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)

	caller, err := pki.CallerOf(o.MSPID, cert)
	require.NoError(t, err)
	require.Equal(t, ledger.Caller{MSP: o.MSPID, Enrolment: "p9", Roles: []ledger.Role{ledger.Curator, ledger.Host}}, caller)
	raw, err := proto.Marshal(&msp.SerializedIdentity{Mspid: o.MSPID, IdBytes: text})
	require.NoError(t, err)
	seen, err := cid.New(creator(raw))
	require.NoError(t, err)
	for name, want := range map[string]string{"hf.EnrollmentID": "p9", ledger.RolesAttribute: "host,curator"} {
		value, ok, err := seen.GetAttributeValue(name)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, value)
	}

	definition, err := o.VerifyingMSP()
	require.NoError(t, err)
	fabrics, err := fabricMSP(t, definition, "").DeserializeIdentity(raw)
	require.NoError(t, err)
	require.NoError(t, fabrics.Validate())

	text, err = authority.Certify(network.User{Name: "p9", Roles: []ledger.Role{ledger.Host}}, key.Public(), time.Minute)
	require.NoError(t, err)
	block, _ = pem.Decode(text)
	short, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	require.LessOrEqual(t, short.NotAfter.Sub(short.NotBefore), 66*time.Second, "it is backdated by a tenth of its life at most")
	require.True(t, cert.NotAfter.After(short.NotAfter))

	_, err = authority.Certify(network.User{Name: network.AdminUser, Roles: []ledger.Role{ledger.Host}}, key.Public(), 0)
	require.ErrorContains(t, err, "the administrator's name")
	_, err = authority.Certify(network.User{Name: "p9"}, key.Public(), 0)
	require.ErrorContains(t, err, "name at least one role")
}

func TestAnAuthorityWithoutItsKeyIsNotOpened(t *testing.T) {
	_, err := pki.OpenAuthority(t.TempDir())
	require.ErrorContains(t, err, "load authority")
}

func TestACertificateOfAPeerNamesNobody(t *testing.T) {
	n := topology(t)
	o, err := pki.EnsureOrganization(t.TempDir(), &n.Members[0])
	require.NoError(t, err)
	peer, err := pki.LoadIdentity(o.Peer().MSPDir, o.MSPID)
	require.NoError(t, err)
	_, err = pki.CallerOf(o.MSPID, peer.Certificate())
	require.ErrorContains(t, err, "no enrolment id")
}

func FuzzCallerOfNamesOnlyValidAccounts(f *testing.F) {
	f.Add([]byte(`{"attrs":{"hf.EnrollmentID":"p7","datanet.roles":"curator,validator"}}`))
	f.Add([]byte(`{"attrs":{"hf.EnrollmentID":"a:b"}}`))
	f.Add([]byte(`{"ATTRS":{"hf.EnrollmentID":"p7"}}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, extension []byte) {
		cert := &x509.Certificate{Extensions: []pkix.Extension{{Id: attrmgr.AttrOID, Value: extension}}}
		caller, err := pki.CallerOf("OwnMSP", cert)
		if err != nil {
			require.Equal(t, ledger.CodeForbidden, ledger.AsFault(err).Code)
			return
		}
		require.NoError(t, caller.Account().Validate(""))
		require.Equal(t, "OwnMSP", caller.Account().MSP())
	})
}
