package modelsigning_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/secure-systems-lab/go-securesystemslib/signerverifier"
	sigstore "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	envelope "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/datanet-consortium/datanet/audit/modelsigning"
	"github.com/datanet-consortium/datanet/network"
)

// The reference implementation (sigstore/model-transparency 1.1.0, Python) made this bundle of a P-384 key for its own tests,
// scripts/tests/v1.1.0-certificate; its files hold their names. The root is not at hand: the authority below it is trusted.
func TestTheReferenceImplementationsBundleIsVerified(t *testing.T) {
	bundle, err := os.ReadFile(filepath.Join("testdata", "python-1.1.0-certificate.sig"))
	require.NoError(t, err)
	authorities := x509.NewCertPool()
	authority, err := x509.ParseCertificate(decode(t, bundle).GetVerificationMaterial().GetX509CertificateChain().GetCertificates()[1].GetRawBytes())
	require.NoError(t, err)
	authorities.AddCert(authority)
	verified, err := modelsigning.Verify(bundle, authorities)
	require.NoError(t, err)
	files := fstest.MapFS{"ignore-me": {Data: []byte("ignore-me")}, "model.sig": {Data: bundle}}
	for _, name := range []string{"signme-1", "signme-2"} {
		files[name] = &fstest.MapFile{Data: []byte(name)}
	}
	require.NoError(t, verified.Compare(files, "model.sig"))
	files["signme-1"].Data = []byte("signme-2")
	require.ErrorContains(t, verified.Compare(files, "model.sig"), "signme-1 is not the file")
	_, err = modelsigning.Verify(bundle, x509.NewCertPool())
	require.Error(t, err)
}

// decode reads a bundle strictly, with Sigstore's own definition of it.
func decode(t *testing.T, bundle []byte) *sigstore.Bundle {
	var b sigstore.Bundle
	require.NoError(t, protojson.Unmarshal(bundle, &b))
	return &b
}

// The parts of the format that have implementations here: Sigstore's bundle, the envelope and keys of securesystemslib, and
// in-toto's statement.
func TestOthersVerifyWhatAFabricIdentitySigns(t *testing.T) {
	for _, keys := range []network.KeyAlgorithm{network.Ed25519, network.ECDSAP256} {
		t.Run(string(keys), func(t *testing.T) {
			signer, authority, _ := person(t, keys)
			statement, err := modelsigning.Describe("LabMSP/verse@1.0", folder(), "model.sig")
			require.NoError(t, err)
			bundle, err := modelsigning.Sign(statement, signer, authority)
			require.NoError(t, err)

			b := decode(t, bundle)
			require.Equal(t, modelsigning.BundleType, b.GetMediaType())
			chain := b.GetVerificationMaterial().GetX509CertificateChain().GetCertificates()
			require.Len(t, chain, 2)
			leaf, err := x509.ParseCertificate(chain[0].GetRawBytes())
			require.NoError(t, err)
			require.NoError(t, leaf.CheckSignatureFrom(authority))

			verifier, err := dsse.NewEnvelopeVerifier(key(t, leaf.PublicKey))
			require.NoError(t, err)
			sealed := b.GetDsseEnvelope()
			e := &dsse.Envelope{PayloadType: sealed.GetPayloadType(), Payload: base64.StdEncoding.EncodeToString(sealed.GetPayload())}
			for _, s := range sealed.GetSignatures() {
				e.Signatures = append(e.Signatures, dsse.Signature{KeyID: s.GetKeyid(), Sig: base64.StdEncoding.EncodeToString(s.GetSig())})
			}
			accepted, payload, err := verifier.VerifyAndDecode(t.Context(), e)
			require.NoError(t, err)
			require.Len(t, accepted, 1)
			e.PayloadType += "x"
			_, err = verifier.Verify(t.Context(), e)
			require.Error(t, err)

			var s intoto.Statement
			require.NoError(t, protojson.Unmarshal(payload, &s))
			require.NoError(t, s.Validate())
			require.Equal(t, statement.Subject[0].Digest, s.GetSubject()[0].GetDigest())
			require.Len(t, s.GetPredicate().AsMap()["resources"], 3)
		})
	}
}

// key is a public or private key as securesystemslib takes it.
func key(t *testing.T, k any) dsse.SignerVerifier {
	kind, der, err := "PUBLIC KEY", []byte(nil), error(nil)
	if _, private := k.(crypto.Signer); private {
		kind = "PRIVATE KEY"
		der, err = x509.MarshalPKCS8PrivateKey(k)
	} else {
		der, err = x509.MarshalPKIXPublicKey(k)
	}
	require.NoError(t, err)
	loaded, err := signerverifier.LoadKey(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	require.NoError(t, err)
	if loaded.KeyType == signerverifier.ED25519KeyType {
		made, err := signerverifier.NewED25519SignerVerifierFromSSLibKey(loaded)
		require.NoError(t, err)
		return made
	}
	made, err := signerverifier.NewECDSASignerVerifierFromSSLibKey(loaded)
	require.NoError(t, err)
	return made
}

func TestWhatOthersSignIsVerified(t *testing.T) {
	_, authority, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	root := certify(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, authority.Public(), authority)
	authorities := x509.NewCertPool()
	authorities.AddCert(root)
	statement, err := modelsigning.Describe("m", folder(), "model.sig")
	require.NoError(t, err)
	payload, err := json.Marshal(statement)
	require.NoError(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	keys := map[string]crypto.Signer{"ed25519": edwards}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		keys[curve.Params().Name], err = ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
	}
	for name, private := range keys {
		t.Run(name, func(t *testing.T) {
			leaf := certify(t, &x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature}, root, private.Public(), authority)
			signer, err := dsse.NewEnvelopeSigner(key(t, private))
			require.NoError(t, err)
			signed, err := signer.SignPayload(t.Context(), modelsigning.PayloadType, payload)
			require.NoError(t, err)
			sig, err := base64.StdEncoding.DecodeString(signed.Signatures[0].Sig)
			require.NoError(t, err)
			one, other := &common.X509Certificate{RawBytes: leaf.Raw}, &common.X509Certificate{RawBytes: root.Raw}
			for _, material := range []*sigstore.VerificationMaterial{
				{Content: &sigstore.VerificationMaterial_Certificate{Certificate: one}}, // what the Go implementation writes without a chain
				{Content: &sigstore.VerificationMaterial_X509CertificateChain{X509CertificateChain: &common.X509CertificateChain{Certificates: []*common.X509Certificate{one, other}}}},
			} {
				b := &sigstore.Bundle{MediaType: modelsigning.BundleType, VerificationMaterial: material, Content: &sigstore.Bundle_DsseEnvelope{DsseEnvelope: &envelope.Envelope{
					Payload: payload, PayloadType: signed.PayloadType, Signatures: []*envelope.Signature{{Sig: sig, Keyid: signed.Signatures[0].KeyID}}}}}
				bundle, err := protojson.Marshal(b)
				require.NoError(t, err)
				verified, err := modelsigning.Verify(bundle, authorities)
				require.NoError(t, err)
				require.Equal(t, statement, verified.Statement)
			}
		})
	}
}

// certify makes a certificate of what matters here.
func certify(t *testing.T, template, parent *x509.Certificate, public any, by crypto.Signer) *x509.Certificate {
	template.SerialNumber, template.Subject = big.NewInt(1), pkix.Name{CommonName: "somebody"}
	template.NotBefore, template.NotAfter = time.Unix(1_700_000_000, 0), time.Unix(1_800_000_000, 0)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	require.NoError(t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return made
}
