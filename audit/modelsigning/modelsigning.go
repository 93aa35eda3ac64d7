// Package modelsigning signs the files of a model, and checks such a signature, in the format of OpenSSF Model Signing
// 1.0 with certificates: what a member's people sign with their Fabric identities, others verify with tools of theirs.
//
//	files ──SHA-256 of each, by path──► in-toto statement ──DSSE──► signature ──► Sigstore bundle (model.sig)
//
// The statement's subject is the model's name with the SHA-256 over the digests of all files in the order of their
// paths; its predicate lists them. The bundle carries the signer's certificate and its authority's, and no entry of a
// transparency log: the ledger, on which the model is registered with its digests, is that. Certificates are checked
// against the authorities that the verifier trusts, at the time when they began, since a signature outlives them.
//
// Identities with ECDSA keys are verified by every tool of the format; Ed25519, the members' usual key, by those that
// take it. The subject's name is the model's on the ledger, not that of a folder; tools take it for information.
package modelsigning

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// The names that the formats prescribe.
const (
	BundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://model_signing/signature/v1.0"
)

// SignatureFile is the name under which a signature usually stands in a model's folder.
const SignatureFile = "model.sig"

// MaxBundle bounds a bundle in bytes.
const MaxBundle = 16 << 20

// always are the paths at the top of a folder that are never signed.
var always = []string{".git", ".gitattributes", ".github", ".gitignore"}

// Bundle is a Sigstore bundle with a DSSE envelope.
type Bundle struct {
	MediaType    string   `json:"mediaType"`
	Verification Material `json:"verificationMaterial"`
	Envelope     Envelope `json:"dsseEnvelope"`
}

// Material is what a bundle is verified with.
type Material struct {
	Chain *Chain `json:"x509CertificateChain,omitempty"`
	// Certificate stands for a chain of one, in bundles of tools that know no authorities.
	Certificate *Certificate `json:"certificate,omitempty"`
	// Entries are those of a transparency log. None is ever written or looked at; some tools want the empty list.
	Entries []json.RawMessage `json:"tlogEntries"`
}

// certificates are the signer's and those of its authorities.
func (m Material) certificates() []Certificate {
	switch {
	case m.Chain != nil:
		return m.Chain.Certificates
	case m.Certificate != nil:
		return []Certificate{*m.Certificate}
	}
	return nil
}

// Chain is the signer's certificate and those of its authorities, in DER.
type Chain struct {
	Certificates []Certificate `json:"certificates"`
}

// Certificate is a certificate in DER.
type Certificate struct {
	RawBytes []byte `json:"rawBytes"`
}

// Envelope is a DSSE envelope.
type Envelope struct {
	Payload     []byte      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []Signature `json:"signatures"`
}

// Signature is a signature over the envelope's payload and its type.
type Signature struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid,omitempty"`
}

// Statement is an in-toto statement of model signing.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// Subject is the model.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// Predicate lists the files.
type Predicate struct {
	Serialization Serialization `json:"serialization"`
	Resources     []Resource    `json:"resources"`
}

// Serialization says how the files were listed and hashed.
type Serialization struct {
	Method        string   `json:"method"`
	HashType      string   `json:"hash_type"`
	AllowSymlinks bool     `json:"allow_symlinks"`
	IgnorePaths   []string `json:"ignore_paths"`
}

// Resource is a file and its digest.
type Resource struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"` // hex
}

// Signer signs as a person: Ed25519 over the message, ECDSA over its digest, which is SHA-256 for P-256.
type Signer interface {
	Certificate() *x509.Certificate
	Sign(message []byte) ([]byte, error)
}

// Describe lists the files of a folder. The ignored paths, relative to it, are left out, with all below them; a symbolic
// link is an error.
func Describe(name string, folder fs.FS, ignore ...string) (Statement, error) {
	ignored := slices.Sorted(slices.Values(append(slices.Clone(always), ignore...)))
	s := Statement{Type: StatementType, PredicateType: PredicateType,
		Predicate: Predicate{Serialization: Serialization{Method: "files", HashType: "sha256", IgnorePaths: slices.Compact(ignored)}, Resources: []Resource{}}}
	err := fs.WalkDir(folder, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case slices.Contains(ignored, file):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is no regular file", file)
		case !utf8.ValidString(file):
			return fmt.Errorf("the name of %q is not UTF-8", file)
		}
		digest, err := hashFile(folder, file)
		if err == nil {
			s.Predicate.Resources = append(s.Predicate.Resources, Resource{Name: file, Algorithm: "sha256", Digest: digest})
		}
		return err
	})
	if err != nil {
		return s, fmt.Errorf("list the files of the model: %w", err)
	}
	if len(s.Predicate.Resources) == 0 {
		return s, errors.New("list the files of the model: there are none")
	}
	slices.SortFunc(s.Predicate.Resources, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
	root, err := s.root()
	s.Subject = []Subject{{Name: name, Digest: map[string]string{"sha256": root}}}
	return s, err
}

func hashFile(folder fs.FS, name string) (string, error) {
	file, err := folder.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// root is the digest over all files' digests in their order.
func (s Statement) root() (string, error) {
	h := sha256.New()
	for _, r := range s.Predicate.Resources {
		digest, err := hex.DecodeString(r.Digest)
		if err != nil || len(digest) != sha256.Size {
			return "", fmt.Errorf("the digest of %s is no SHA-256", r.Name)
		}
		h.Write(digest)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Sign signs a statement. The authorities are those of the signer's certificate, nearest first.
func Sign(s Statement, signer Signer, authorities ...*x509.Certificate) ([]byte, error) {
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("sign the model: %w", err)
	}
	message := preAuthentication(PayloadType, payload)
	sig, err := signer.Sign(message)
	if err == nil {
		err = check(signer.Certificate(), message, sig) // a kind of key that nobody verifies is found out here
	}
	if err != nil {
		return nil, fmt.Errorf("sign the model: %w", err)
	}
	chain := &Chain{}
	for _, c := range append([]*x509.Certificate{signer.Certificate()}, authorities...) {
		chain.Certificates = append(chain.Certificates, Certificate{c.Raw})
	}
	b := Bundle{MediaType: BundleType, Verification: Material{Chain: chain, Entries: []json.RawMessage{}},
		Envelope: Envelope{Payload: payload, PayloadType: PayloadType, Signatures: []Signature{{Sig: sig}}}}
	data, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("sign the model: %w", err)
	}
	return append(data, '\n'), nil
}

// preAuthentication is what DSSE signs.
func preAuthentication(kind string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)
}

// Verified is a signature that was found good.
type Verified struct {
	Statement Statement
	Signer    *x509.Certificate
}

// Verify checks a bundle: that its signature is good, by a certificate that one of the authorities has issued for
// signing, and that its statement is consistent. Whether the files are those, [Verified.Compare] tells.
func Verify(bundle []byte, authorities *x509.CertPool) (Verified, error) {
	var v Verified
	fail := func(format string, args ...any) (Verified, error) {
		return Verified{}, fmt.Errorf("verify the model's signature: "+format, args...)
	}
	if len(bundle) > MaxBundle {
		return fail("a bundle has at most %d bytes", MaxBundle)
	}
	var b Bundle
	if err := json.Unmarshal(bundle, &b); err != nil {
		return fail("%w", err)
	}
	switch {
	case b.MediaType != BundleType:
		return fail("media type %q is not %s", b.MediaType, BundleType)
	case b.Envelope.PayloadType != PayloadType || len(b.Envelope.Signatures) != 1:
		return fail("the envelope is not one signed statement of in-toto")
	case len(b.Verification.certificates()) == 0:
		return fail("it has no certificate: only signatures with certificates are verified here")
	}
	var err error
	if v.Signer, err = trusted(b.Verification.certificates(), authorities); err != nil {
		return fail("%w", err)
	}
	if err := check(v.Signer, preAuthentication(PayloadType, b.Envelope.Payload), b.Envelope.Signatures[0].Sig); err != nil {
		return fail("%w", err)
	}
	if err := json.Unmarshal(b.Envelope.Payload, &v.Statement); err != nil {
		return fail("read the statement: %w", err)
	}
	if err := v.Statement.check(); err != nil {
		return fail("%w", err)
	}
	return v, nil
}

func trusted(chain []Certificate, authorities *x509.CertPool) (*x509.Certificate, error) {
	certificates := make([]*x509.Certificate, len(chain))
	between := x509.NewCertPool()
	for i, c := range chain {
		var err error
		if certificates[i], err = x509.ParseCertificate(c.RawBytes); err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i, err)
		}
		if i > 0 {
			between.AddCert(certificates[i])
		}
	}
	leaf := certificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: authorities, Intermediates: between, CurrentTime: leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	switch {
	case err != nil:
		return nil, fmt.Errorf("the signer's certificate: %w", err)
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return nil, errors.New("the signer's certificate is not for signatures")
	case len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning):
		return nil, errors.New("the signer's certificate is for other uses, as TLS")
	}
	return leaf, nil
}

func check(signer *x509.Certificate, message, sig []byte) error {
	good := false
	switch key := signer.PublicKey.(type) {
	case ed25519.PublicKey:
		good = ed25519.Verify(key, message, sig)
	case *ecdsa.PublicKey:
		var digest []byte
		switch size := key.Curve.Params().BitSize; size {
		case 256:
			sum := sha256.Sum256(message)
			digest = sum[:]
		case 384:
			sum := sha512.Sum384(message)
			digest = sum[:]
		case 521:
			sum := sha512.Sum512(message)
			digest = sum[:]
		default:
			return fmt.Errorf("an ECDSA key of %d bits is not verified here", size)
		}
		good = ecdsa.VerifyASN1(key, digest, sig)
	default:
		return fmt.Errorf("a key of type %T is not verified here", key)
	}
	if !good {
		return errors.New("the signature is wrong")
	}
	return nil
}

// check reports a statement that is not one of model signing, or whose subject is not the digest of its files.
func (s Statement) check() error {
	p := s.Predicate
	switch {
	case s.Type != StatementType || s.PredicateType != PredicateType:
		return errors.New("the statement is none of model signing 1.0")
	case p.Serialization.Method != "files" || p.Serialization.HashType != "sha256":
		return fmt.Errorf("files hashed by %s and %s are not verified here", p.Serialization.Method, p.Serialization.HashType)
	case len(s.Subject) != 1 || len(p.Resources) == 0:
		return errors.New("the statement must have one subject and some files")
	}
	for i, r := range p.Resources {
		if r.Algorithm != "sha256" || r.Name != path.Clean(r.Name) || !fs.ValidPath(r.Name) {
			return fmt.Errorf("file %q is not named or hashed as it must be", r.Name)
		}
		if i > 0 && r.Name <= p.Resources[i-1].Name {
			return errors.New("the files are not in the order of their names")
		}
	}
	root, err := s.root()
	if err == nil && s.Subject[0].Digest["sha256"] != root {
		err = errors.New("the subject is not the digest of the files")
	}
	return err
}

// Compare reports the first difference between the files of a folder and those that were signed: one that is missing,
// that is another, or that nobody signed. The signature's own file, by its path in the folder, is left out.
func (v Verified) Compare(folder fs.FS, signature string) error {
	found, err := Describe(v.Statement.Subject[0].Name, folder, append(slices.Clone(v.Statement.Predicate.Serialization.IgnorePaths), signature)...)
	if err != nil {
		return err
	}
	signed := map[string]string{}
	for _, r := range v.Statement.Predicate.Resources {
		signed[r.Name] = r.Digest
	}
	for _, r := range found.Predicate.Resources {
		digest, there := signed[r.Name]
		switch {
		case !there:
			return fmt.Errorf("%s was not signed", r.Name)
		case digest != r.Digest:
			return fmt.Errorf("%s is not the file that was signed", r.Name)
		}
		delete(signed, r.Name)
	}
	for _, r := range v.Statement.Predicate.Resources {
		if _, missing := signed[r.Name]; missing {
			return fmt.Errorf("%s was signed and is missing", r.Name)
		}
	}
	return nil
}

// Has tells whether a file of this digest, SHA-256 in hex, was signed.
func (s Statement) Has(digest string) bool {
	return slices.ContainsFunc(s.Predicate.Resources, func(r Resource) bool { return r.Digest == digest })
}
