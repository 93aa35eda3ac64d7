package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/attrmgr"
	"github.com/hyperledger/fabric-lib-go/bccsp/factory"
	"github.com/hyperledger/fabric-lib-go/bccsp/sw"
	mspproto "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric/common/crypto"
	"github.com/hyperledger/fabric/msp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

func topology(t *testing.T) *network.Topology {
	t.Helper()
	topology, err := network.Parse(bytes.NewReader(config.BFT), "bft")
	require.NoError(t, err)
	return topology
}

// fabricMSP is Fabric's own view of an MSP definition.
func fabricMSP(t *testing.T, conf *mspproto.MSPConfig, keystore string) msp.MSP {
	t.Helper()
	keys := sw.NewDummyKeyStore()
	if keystore != "" {
		var err error
		keys, err = sw.NewFileBasedKeyStore(nil, keystore, true)
		require.NoError(t, err)
	}
	csp, err := sw.NewDefaultSecurityLevelWithKeystore(keys)
	require.NoError(t, err)
	m, err := msp.New(&msp.BCCSPNewOpts{NewBaseOpts: msp.NewBaseOpts{Version: msp.MSPv3_0}}, csp)
	require.NoError(t, err)
	require.NoError(t, m.Setup(conf))
	return m
}

func role(t *testing.T, mspID string, r mspproto.MSPRole_MSPRoleType) *mspproto.MSPPrincipal {
	t.Helper()
	raw, err := proto.Marshal(&mspproto.MSPRole{MspIdentifier: mspID, Role: r})
	require.NoError(t, err)
	return &mspproto.MSPPrincipal{PrincipalClassification: mspproto.MSPPrincipal_ROLE, Principal: raw}
}

func TestFabricAcceptsEveryIdentityInItsPlace(t *testing.T) {
	n := topology(t)
	n.Members[1].Keys = network.ECDSAP256
	material, err := pki.Ensure(t.TempDir(), n)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		msp    string
		folder string
		is     mspproto.MSPRole_MSPRoleType
		isNot  []mspproto.MSPRole_MSPRoleType
	}{
		"an Ed25519 peer":    {"PoetrySocietyMSP", "peer", mspproto.MSPRole_PEER, []mspproto.MSPRole_MSPRoleType{mspproto.MSPRole_ADMIN, mspproto.MSPRole_CLIENT, mspproto.MSPRole_ORDERER}},
		"an ECDSA peer":      {"NationalLibraryMSP", "peer", mspproto.MSPRole_PEER, []mspproto.MSPRole_MSPRoleType{mspproto.MSPRole_ADMIN, mspproto.MSPRole_CLIENT}},
		"an administrator":   {"PoetrySocietyMSP", "admin", mspproto.MSPRole_ADMIN, []mspproto.MSPRole_MSPRoleType{mspproto.MSPRole_PEER, mspproto.MSPRole_CLIENT}},
		"a user":             {"AILabMSP", "users/trainer1", mspproto.MSPRole_CLIENT, []mspproto.MSPRole_MSPRoleType{mspproto.MSPRole_ADMIN, mspproto.MSPRole_PEER}},
		"an orderer":         {"NeutralOperatorMSP", "orderer", mspproto.MSPRole_ORDERER, []mspproto.MSPRole_MSPRoleType{mspproto.MSPRole_ADMIN, mspproto.MSPRole_PEER}},
		"a regulator's user": {"RegulatorMSP", "users/inspector1", mspproto.MSPRole_CLIENT, []mspproto.MSPRole_MSPRoleType{mspproto.MSPRole_ADMIN}},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := material.Organization(c.msp)
			require.NoError(t, err)
			dir := filepath.Join(o.Dir, c.folder, "msp")

			// The node's own view: certificate, key and all.
			conf, err := msp.GetLocalMspConfig(dir, &factory.FactoryOpts{Default: "SW", SW: &factory.SwOpts{Security: 256, Hash: "SHA2"}}, c.msp)
			require.NoError(t, err)
			local := fabricMSP(t, conf, filepath.Join(dir, "keystore"))
			signer, err := local.GetDefaultSigningIdentity()
			require.NoError(t, err)

			// The channel's view of the same identity.
			definition, err := material.MSP(c.msp)
			require.NoError(t, err)
			remote := fabricMSP(t, definition, "")
			id, err := pki.LoadIdentity(dir, c.msp)
			require.NoError(t, err)
			serialized, err := id.Serialize()
			require.NoError(t, err)
			seen, err := remote.DeserializeIdentity(serialized)
			require.NoError(t, err)
			require.NoError(t, seen.Validate())
			require.NoError(t, seen.SatisfiesPrincipal(role(t, c.msp, c.is)))
			for _, other := range c.isNot {
				require.Error(t, seen.SatisfiesPrincipal(role(t, c.msp, other)), other)
			}

			message := []byte("a proposal")
			ours, err := id.Sign(message)
			require.NoError(t, err)
			require.NoError(t, seen.Verify(message, ours))
			require.Error(t, seen.Verify([]byte("another"), ours))
			theirs, err := signer.Sign(message)
			require.NoError(t, err)
			require.NoError(t, seen.Verify(message, theirs))
		})
	}
}

func TestVerifyingMSPIsWhatFabricReadsFromTheFolder(t *testing.T) {
	material, err := pki.Ensure(t.TempDir(), topology(t))
	require.NoError(t, err)
	o, err := material.Organization("AILabMSP")
	require.NoError(t, err)
	ours, err := o.VerifyingMSP()
	require.NoError(t, err)
	theirs, err := msp.GetVerifyingMspConfig(o.MSPDir(), o.MSPID, "bccsp")
	require.NoError(t, err)
	var a, b mspproto.FabricMSPConfig
	require.NoError(t, proto.Unmarshal(ours.Config, &a))
	require.NoError(t, proto.Unmarshal(theirs.Config, &b))
	require.True(t, proto.Equal(&a, &b), "%v\n%v", &a, &b)
	require.Equal(t, theirs.Type, ours.Type)
}

func TestAnotherOrganisationsAuthorityIsNotTrusted(t *testing.T) {
	material, err := pki.Ensure(t.TempDir(), topology(t))
	require.NoError(t, err)
	o, err := material.Organization("AILabMSP")
	require.NoError(t, err)
	admin, err := o.Admin()
	require.NoError(t, err)
	raw, err := proto.Marshal(&mspproto.SerializedIdentity{Mspid: "PoetrySocietyMSP", IdBytes: admin.Credentials()})
	require.NoError(t, err)
	definition, err := material.MSP("PoetrySocietyMSP")
	require.NoError(t, err)
	seen, err := fabricMSP(t, definition, "").DeserializeIdentity(raw)
	require.NoError(t, err)
	require.Error(t, seen.Validate())
}

func TestUsersCarryTheAttributesOfFabricCA(t *testing.T) {
	n := topology(t)
	n.Members[0].Users = []network.User{{Name: "p7", Roles: []network.Role{ledger.Curator, ledger.Validator}}}
	material, err := pki.Ensure(t.TempDir(), n)
	require.NoError(t, err)
	o, err := material.Organization("PoetrySocietyMSP")
	require.NoError(t, err)
	attributes := func(id *pki.Identity) map[string]string {
		attrs, err := attrmgr.New().GetAttributesFromCert(id.Certificate())
		require.NoError(t, err)
		return attrs.Attrs
	}
	user, err := o.User("p7")
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"hf.Affiliation":  "",
		"hf.EnrollmentID": "p7",
		"hf.Type":         "client",
		"datanet.roles":   "curator,validator",
	}, attributes(user))

	admin, err := o.User("admin")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"hf.Affiliation": "", "hf.EnrollmentID": "admin", "hf.Type": "admin"}, attributes(admin))

	_, err = o.User("operator1")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = o.User("../admin")
	require.ErrorContains(t, err, "not a user name")
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		require.NoError(t, err)
		if entry.IsDir() {
			require.Equal(t, fs.FileMode(0o700), info.Mode().Perm(), path)
			return nil
		}
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		if bytes.Contains(raw, []byte("PRIVATE KEY")) {
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), path)
			require.Equal(t, "key.pem", filepath.Base(path))
		}
		files[path] = info.ModTime().String() + string(raw)
		return nil
	}))
	return files
}

func TestASecondRunWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "crypto")
	_, err := pki.Ensure(dir, topology(t))
	require.NoError(t, err)
	before := tree(t, dir)
	require.Greater(t, len(before), 100)
	_, err = pki.Ensure(dir, topology(t))
	require.NoError(t, err)
	require.Equal(t, before, tree(t, dir))
}

func TestAnInterruptedRunIsCompleted(t *testing.T) {
	dir := t.TempDir()
	n := topology(t)
	_, err := pki.Ensure(dir, n)
	require.NoError(t, err)
	lost := filepath.Join(dir, "ailab", "peer", "msp", "signcerts", "cert.pem")
	key, err := os.ReadFile(filepath.Join(dir, "ailab", "peer", "msp", "keystore", "key.pem"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(lost))
	material, err := pki.Ensure(dir, n)
	require.NoError(t, err)
	require.FileExists(t, lost)
	o, err := material.Organization("AILabMSP")
	require.NoError(t, err)
	_, err = pki.LoadIdentity(o.Peer().MSPDir, "AILabMSP")
	require.NoError(t, err)
	again, err := os.ReadFile(filepath.Join(dir, "ailab", "peer", "msp", "keystore", "key.pem"))
	require.NoError(t, err)
	require.Equal(t, key, again)
}

func TestCertificatesFollowTheTopologyWithTheSameKey(t *testing.T) {
	dir := t.TempDir()
	n := topology(t)
	first, err := pki.EnsureOrganization(dir, &n.Members[0])
	require.NoError(t, err)
	user, err := first.User("host1")
	require.NoError(t, err)
	server, err := first.Peer().TLS.Certificate()
	require.NoError(t, err)

	n.Members[0].Users[9].Roles = []network.Role{ledger.Host, ledger.Trainer}
	require.Equal(t, "host1", n.Members[0].Users[9].Name)
	n.Members[0].Peer.Host = "10.1.2.3"
	second, err := pki.EnsureOrganization(dir, &n.Members[0])
	require.NoError(t, err)

	changed, err := second.User("host1")
	require.NoError(t, err)
	require.Equal(t, user.Certificate().PublicKey, changed.Certificate().PublicKey)
	attrs, err := attrmgr.New().GetAttributesFromCert(changed.Certificate())
	require.NoError(t, err)
	require.Equal(t, "host,trainer", attrs.Attrs["datanet.roles"])

	moved, err := second.Peer().TLS.Certificate()
	require.NoError(t, err)
	require.NoError(t, moved.Leaf.VerifyHostname("10.1.2.3"))
	require.Equal(t, server.Leaf.PublicKey, moved.Leaf.PublicKey)
}

func TestChaincodeAndPeerAuthenticateEachOther(t *testing.T) {
	material, err := pki.Ensure(t.TempDir(), topology(t))
	require.NoError(t, err)
	o, err := material.Organization("PoetrySocietyMSP")
	require.NoError(t, err)
	other, err := material.Organization("AILabMSP")
	require.NoError(t, err)

	handshake := func(client pki.TLS) error {
		roots := x509.NewCertPool()
		roots.AddCert(o.TLSCA.Certificate)
		serverCert, err := o.ChaincodeTLS().Certificate()
		require.NoError(t, err)
		clientCert, err := client.Certificate()
		require.NoError(t, err)
		a, b := net.Pipe()
		server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{serverCert}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13})
		caller := tls.Client(b, &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &clientCert, nil }, RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13})
		done := make(chan error, 1)
		go func() {
			err := server.Handshake()
			a.Close()
			done <- err
		}()
		err = caller.Handshake()
		_, _ = caller.Read(make([]byte, 1))
		b.Close()
		if refused := <-done; refused != nil {
			return refused
		}
		return err
	}
	require.NoError(t, handshake(o.ChaincodeClientTLS()))
	require.ErrorContains(t, handshake(other.ChaincodeClientTLS()), "unknown authority")
}

func TestIssuedSignaturesAreLowSAsFabricWritesThem(t *testing.T) {
	half := new(big.Int)
	for range 40 {
		n := topology(t)
		o, err := pki.EnsureOperator(t.TempDir(), &n.Ordering.Operators[0])
		require.NoError(t, err)
		id, err := pki.LoadIdentity(o.Orderer().MSPDir, o.MSPID)
		require.NoError(t, err)
		sanitized, err := crypto.SanitizeX509Cert(id.Credentials())
		require.NoError(t, err)
		require.Equal(t, string(sanitized), string(id.Credentials()))
		for _, cert := range []*x509.Certificate{id.Certificate(), o.CA.Certificate} {
			var rs struct{ R, S *big.Int }
			_, err := asn1.Unmarshal(cert.Signature, &rs)
			require.NoError(t, err)
			half.Rsh(o.CA.Certificate.PublicKey.(*ecdsa.PublicKey).Params().N, 1)
			require.LessOrEqual(t, rs.S.Cmp(half), 0)
		}
	}
}

func TestExpiryIsReportedAndRenewalKeepsIdentities(t *testing.T) {
	dir := t.TempDir()
	n := topology(t)
	material, err := pki.Ensure(dir, n)
	require.NoError(t, err)
	require.NoError(t, material.CheckExpiry(time.Now()))

	later := time.Now().Add(400 * 24 * time.Hour)
	err = material.CheckExpiry(later)
	var expired *pki.ExpiredError
	require.ErrorAs(t, err, &expired)
	require.ErrorContains(t, err, "the identity certificate of trainer1 in ailab expired on ")
	require.ErrorContains(t, err, "the tls certificate of orderer.neutraloperator.example in neutraloperator expired on ")
	require.ErrorContains(t, err, "renew the organisation's certificates")
	require.NotContains(t, err.Error(), "the authority certificate")
	require.NotContains(t, err.Error(), "identity certificate of orderer")
	require.ErrorContains(t, material.CheckExpiry(later.Add(10*365*24*time.Hour)), "needs a new authority in the channel configuration")

	all, err := material.Certificates()
	require.NoError(t, err)
	const authorities, member, regulator, operator = 8 * 2, 2 + 12 + 5, 2 + 2 + 5, 2 + 2
	require.Equal(t, authorities+3*member+regulator+4*operator, len(all))

	orderer, err := material.Organization("NeutralOperatorMSP")
	require.NoError(t, err)
	pinned, tlsBefore, err := material.Consenter("NeutralOperatorMSP")
	require.NoError(t, err)
	renewed, err := orderer.Renew()
	require.NoError(t, err)
	require.Equal(t, 3, renewed, "admin identity and both TLS certificates")
	same, tlsAfter, err := material.Consenter("NeutralOperatorMSP")
	require.NoError(t, err)
	require.Equal(t, pinned, same)
	require.NotEqual(t, tlsBefore, tlsAfter)

	lab, err := material.Organization("AILabMSP")
	require.NoError(t, err)
	old, err := lab.User("trainer1")
	require.NoError(t, err)
	_, err = lab.Renew()
	require.NoError(t, err)
	fresh, err := lab.User("trainer1")
	require.NoError(t, err)
	require.NotEqual(t, old.Certificate().SerialNumber, fresh.Certificate().SerialNumber)
	require.Equal(t, old.Certificate().PublicKey, fresh.Certificate().PublicKey)
	require.Equal(t, old.Certificate().Subject.String(), fresh.Certificate().Subject.String())
	require.False(t, fresh.Certificate().NotAfter.Before(old.Certificate().NotAfter))
	attrs, err := attrmgr.New().GetAttributesFromCert(fresh.Certificate())
	require.NoError(t, err)
	require.Equal(t, "trainer", attrs.Attrs["datanet.roles"])
	definition, err := material.MSP("AILabMSP")
	require.NoError(t, err)
	serialized, err := fresh.Serialize()
	require.NoError(t, err)
	seen, err := fabricMSP(t, definition, "").DeserializeIdentity(serialized)
	require.NoError(t, err)
	require.NoError(t, seen.Validate())
}

func TestBadMaterialIsRefusedWithASentence(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"a key that others can read": {func(t *testing.T, dir string) {
			require.NoError(t, os.Chmod(filepath.Join(dir, "ailab/admin/msp/keystore/key.pem"), 0o644))
		}, "others may use it; run chmod 600"},
		"a key of another certificate": {func(t *testing.T, dir string) {
			raw, err := os.ReadFile(filepath.Join(dir, "ailab/peer/msp/keystore/key.pem"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ailab/admin/msp/keystore/key.pem"), raw, 0o600))
		}, "does not belong to the certificate of admin"},
		"a certificate that is no PEM": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ailab/admin/msp/signcerts/cert.pem"), []byte("x"), 0o600))
		}, "must hold exactly one PEM certificate"},
		"an authority that is none": {func(t *testing.T, dir string) {
			raw, err := os.ReadFile(filepath.Join(dir, "ailab/admin/msp/signcerts/cert.pem"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ailab/ca/cert.pem"), raw, 0o600))
		}, "is not the certificate of an authority"},
		"a new user without the authority's key": {func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "ailab/ca/key.pem")))
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "ailab/users/host1")))
		}, "the authority's key is not in"},
		"a folder that is a file": {func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "ailab/users")))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ailab/users"), nil, 0o600))
		}, "certificates of ailab: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			n := topology(t)
			_, err := pki.EnsureOrganization(dir, &n.Members[2])
			require.NoError(t, err)
			c.spoil(t, dir)
			_, err = pki.EnsureOrganization(dir, &n.Members[2])
			require.ErrorContains(t, err, c.want)
		})
	}
}
