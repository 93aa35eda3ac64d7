package modelsigning_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/modelsigning"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

func folder() fstest.MapFS {
	return fstest.MapFS{"model.json": {Data: []byte("{}")}, "weights/b.bin": {Data: []byte("b")}, "weights/a.bin": {Data: []byte("a")},
		".git/config": {Data: []byte("x")}, "model.sig": {Data: []byte("old")}}
}

// person is a user of a new organisation, with the organisation's authority.
func person(t *testing.T, keys network.KeyAlgorithm) (*pki.Identity, *x509.Certificate, *x509.CertPool) {
	org := network.Organization{Name: "lab", MSPID: "LabMSP", Keys: keys}
	org.ApplyDefaults(network.MemberUsers)
	org.Keys = keys
	material, err := pki.EnsureOrganization(t.TempDir(), &org)
	require.NoError(t, err)
	trainer, err := material.Enrol(network.User{Name: "trainer9", Roles: []network.Role{"trainer"}}, keys)
	require.NoError(t, err)
	authorities := x509.NewCertPool()
	authorities.AddCert(material.CA.Certificate)
	return trainer, material.CA.Certificate, authorities
}

func TestWhatAFabricIdentitySignsIsVerified(t *testing.T) {
	for _, keys := range []network.KeyAlgorithm{network.Ed25519, network.ECDSAP256} {
		t.Run(string(keys), func(t *testing.T) {
			signer, authority, authorities := person(t, keys)
			statement, err := modelsigning.Describe("LabMSP/verse@1.0", folder(), "model.sig")
			require.NoError(t, err)
			require.Len(t, statement.Predicate.Resources, 3)
			require.Equal(t, "weights/a.bin", statement.Predicate.Resources[1].Name)
			bundle, err := modelsigning.Sign(statement, signer, authority)
			require.NoError(t, err)
			verified, err := modelsigning.Verify(bundle, authorities)
			require.NoError(t, err)
			require.Equal(t, statement, verified.Statement)
			require.Equal(t, signer.Certificate().Raw, verified.Signer.Raw)
			require.NoError(t, verified.Compare(folder(), "model.sig"))
			require.True(t, statement.Has("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"), "SHA-256 of {}")

			t.Run("files that are others, missing or unsigned are found", func(t *testing.T) {
				for what, change := range map[string]func(fstest.MapFS){
					"is not the file":    func(f fstest.MapFS) { f["weights/a.bin"] = &fstest.MapFile{Data: []byte("c")} },
					"is missing":         func(f fstest.MapFS) { delete(f, "weights/a.bin") },
					"was not signed":     func(f fstest.MapFS) { f["weights/c.bin"] = &fstest.MapFile{Data: []byte("c")} },
					"is no regular file": func(f fstest.MapFS) { f["link"] = &fstest.MapFile{Mode: os.ModeSymlink} },
				} {
					changed := folder()
					change(changed)
					require.ErrorContains(t, verified.Compare(changed, "model.sig"), what)
				}
			})
			t.Run("another authority is not trusted", func(t *testing.T) {
				_, _, others := person(t, keys)
				_, err := modelsigning.Verify(bundle, others)
				require.ErrorContains(t, err, "certificate")
			})
			t.Run("no changed bundle is verified", func(t *testing.T) {
				for i := 0; i < len(bundle); i += 5 {
					changed := []byte(string(bundle))
					changed[i] ^= 1
					again, err := modelsigning.Verify(changed, authorities)
					if err == nil { // what nothing covers: white space, the form of base64, a second spelling of a name
						require.Equal(t, statement, again.Statement)
					}
				}
			})
		})
	}
}

// The payload's form is that of the specification's own examples, by its names.
func TestTheStatementHasTheFormOfTheSpecification(t *testing.T) {
	signer, authority, _ := person(t, network.ECDSAP256)
	statement, err := modelsigning.Describe("m", folder())
	require.NoError(t, err)
	bundle, err := modelsigning.Sign(statement, signer, authority)
	require.NoError(t, err)
	var b struct {
		MediaType string `json:"mediaType"`
		Material  struct {
			Chain struct {
				Certificates []struct {
					RawBytes string `json:"rawBytes"`
				} `json:"certificates"`
			} `json:"x509CertificateChain"`
		} `json:"verificationMaterial"`
		Envelope struct {
			Payload, PayloadType string
			Signatures           []struct{ Sig string }
		} `json:"dsseEnvelope"`
	}
	require.NoError(t, json.Unmarshal(bundle, &b))
	require.Len(t, b.Material.Chain.Certificates, 2)
	payload, err := base64.StdEncoding.DecodeString(b.Envelope.Payload)
	require.NoError(t, err)
	var s map[string]any
	require.NoError(t, json.Unmarshal(payload, &s))
	require.Equal(t, "https://in-toto.io/Statement/v1", s["_type"])
	require.Equal(t, "https://model_signing/signature/v1.0", s["predicateType"])
	serialization := s["predicate"].(map[string]any)["serialization"].(map[string]any)
	require.Equal(t, map[string]any{"method": "files", "hash_type": "sha256", "allow_symlinks": false,
		"ignore_paths": []any{".git", ".gitattributes", ".github", ".gitignore"}}, serialization)
}

func TestAFolderWithoutFilesIsNotSigned(t *testing.T) {
	_, err := modelsigning.Describe("m", fstest.MapFS{".git/config": {}})
	require.Error(t, err)
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"mediaType":"` + modelsigning.BundleType + `","verificationMaterial":{"x509CertificateChain":{"certificates":[{"rawBytes":"AA=="}]}},"dsseEnvelope":{"payload":"e30=","payloadType":"` +
		modelsigning.PayloadType + `","signatures":[{"sig":"AA=="}]}}`))
	f.Add([]byte(strings.Repeat("{", 100)))
	f.Fuzz(func(t *testing.T, bundle []byte) {
		_, err := modelsigning.Verify(bundle, x509.NewCertPool())
		require.Error(t, err, "nobody is trusted")
	})
}
