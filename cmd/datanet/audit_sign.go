package main

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/audit/modelsigning"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/network/pki"
)

func newAuditSign() *cobra.Command {
	var out, identity, org string
	command := &cobra.Command{
		Use:   "sign-model NAME@VERSION FOLDER",
		Short: "Sign a model's files in the format of OpenSSF Model Signing",
		Long: `Hashes all files of a folder and signs the list with the certificate of an identity: an in-toto
statement in a Sigstore bundle, as OpenSSF Model Signing 1.0 has it. Symbolic links are
refused, and what lies in .git is left out. Files are read, nothing is sent.`,
		Args: arguments(cobra.ExactArgs(2)),
		RunE: func(command *cobra.Command, args []string) error {
			if _, err := modelNamed(args[0]); err != nil {
				return usageError{err}
			}
			if identity == "" {
				p, err := chosen(command)
				if err != nil {
					return err
				}
				if identity = p.Identity; identity == "" {
					return usageError{errors.New("--msp-dir: the MSP folder of who signs is needed")}
				}
			}
			if info, err := os.Stat(args[1]); err != nil || !info.IsDir() {
				return usageError{fmt.Errorf("there is no folder %s", args[1])}
			}
			signer, err := pki.LoadIdentity(identity, cmp.Or(org, identity))
			if err != nil {
				return err
			}
			authorities, err := certificates(filepath.Join(identity, "cacerts"))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if out == "" {
				out = filepath.Join(args[1], modelsigning.SignatureFile)
			}
			statement, err := modelsigning.Describe(args[0], os.DirFS(args[1]), withinFolder(args[1], out)...)
			if err != nil {
				return err
			}
			bundle, err := modelsigning.Sign(statement, signer, authorities...)
			if err != nil {
				return err
			}
			if err := os.WriteFile(out, bundle, 0o644); err != nil {
				return fmt.Errorf("write the signature: %w", err)
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), statement)
			}
			fmt.Fprintf(command.OutOrStdout(), "%s of %s signed by %s: %s\n", document.Count(len(statement.Predicate.Resources), "file"), args[0], signedBy(org, signer.Certificate()), out)
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&out, "signature", "", "file for the signature (default: "+modelsigning.SignatureFile+" in the folder)")
	flags.StringVar(&identity, "msp-dir", "", "MSP folder of who signs (default: the chosen identity's)")
	flags.StringVar(&org, "org", "", "MSP ID of who signs, for messages")
	return command
}

// signedBy names who signed, with the organisation. A certificate names the organisation and its authority, but no MSP ID:
// that comes from who knows whose authority it is, "" if nobody said.
func signedBy(mspID string, c *x509.Certificate) string {
	name := c.Subject.CommonName
	if mspID != "" {
		name = mspID + ":" + name
	}
	if len(c.Issuer.Organization) > 0 {
		name += " of " + strings.Join(c.Issuer.Organization, ", ")
	}
	return fmt.Sprintf("%s (certified by %s)", name, c.Issuer.CommonName)
}

// signedModel is what a verified signature says, for programs.
type signedModel struct {
	Model      string                  `json:"model"`
	Signer     string                  `json:"signer"`          // common name of the certificate
	MSPID      string                  `json:"mspId,omitempty"` // as --org says
	Issuer     string                  `json:"issuer"`          // distinguished name of the authority that certified the signer
	Serial     string                  `json:"serial"`
	Files      []modelsigning.Resource `json:"files"`
	Registered bool                    `json:"registered"` // all artifacts that the ledger names are among the files
}

func newAuditVerifyModel() *cobra.Command {
	var signature, authority, org string
	var registered bool
	command := &cobra.Command{
		Use:   "verify-model FOLDER",
		Short: "Verify a model's signature, its files, and that they are those that were registered",
		Long: `Checks a bundle of OpenSSF Model Signing 1.0 that was signed with a certificate: the signature, the
certificate against the authority, and each file against the list. Certificates name no MSP ID: --org
says whose authority it is, and the signer is named with it. With --registered it also asks
the gateway for the model that the signature names, and checks that all its artifacts, by the
digests on the ledger, are among the signed files.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			if authority == "" {
				return usageError{errors.New("--authority: the certificate of the authority of who signed is needed")}
			}
			if signature == "" {
				signature = filepath.Join(args[0], modelsigning.SignatureFile)
			}
			trusted, err := certificates(authority)
			if err != nil {
				return err
			}
			pool := x509.NewCertPool()
			for _, c := range trusted {
				pool.AddCert(c)
			}
			bundle, err := readText(signature, command.InOrStdin())
			if err != nil {
				return fmt.Errorf("the signature: %w", err)
			}
			verified, err := modelsigning.Verify(bundle, pool)
			if err != nil {
				return err
			}
			skip := ""
			if within := withinFolder(args[0], signature); len(within) > 0 {
				skip = within[0]
			}
			if err := verified.Compare(os.DirFS(args[0]), skip); err != nil {
				return fmt.Errorf("verify the model: %w", err)
			}
			result := signedModel{Model: verified.Statement.Subject[0].Name, Signer: verified.Signer.Subject.CommonName, MSPID: org, Issuer: verified.Signer.Issuer.String(), Serial: verified.Signer.SerialNumber.Text(16), Files: verified.Statement.Predicate.Resources}
			if registered {
				if err := mustBeRegistered(command, verified.Statement); err != nil {
					return err
				}
				result.Registered = true
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), result)
			}
			fmt.Fprintf(command.OutOrStdout(), "%s: %s as signed by %s\n", result.Model, document.Count(len(result.Files), "file"), signedBy(org, verified.Signer))
			if registered {
				fmt.Fprintln(command.OutOrStdout(), "they hold every artifact that the ledger names")
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&signature, "signature", "", "file of the signature (default: "+modelsigning.SignatureFile+" in the folder)")
	flags.StringVar(&authority, "authority", "", "certificates that are trusted: a PEM file, or a folder of them (required)")
	flags.StringVar(&org, "org", "", "MSP ID of the organisation whose authority it is")
	flags.BoolVar(&registered, "registered", false, "compare with the artifacts on the ledger, by the gateway")
	return command
}

// mustBeRegistered compares a signature with the model on the ledger.
func mustBeRegistered(command *cobra.Command, s modelsigning.Statement) error {
	n, err := modelNamed(s.Subject[0].Name)
	if err != nil {
		return err
	}
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	data, _, err := c.Raw(command.Context(), http.MethodGet, "/v1/models/"+escaped(n.Name)+"/versions/"+escaped(n.Version), nil, nil)
	if err != nil {
		return err
	}
	var m model.Model
	if err := ledger.DecodeAnswer(data, &m); err != nil {
		return fmt.Errorf("read the model: %w", err)
	}
	for _, artifact := range m.Artifacts {
		if !s.Has(artifact) {
			return fmt.Errorf("verify the model: the artifact %s on the ledger is none of the signed files", artifact)
		}
	}
	return nil
}

// withinFolder is the path of a file within a folder, if it lies there.
func withinFolder(folder, file string) []string {
	relative, err := filepath.Rel(folder, file)
	if err != nil || !filepath.IsLocal(relative) {
		return nil
	}
	return []string{filepath.ToSlash(relative)}
}

// certificates reads the certificates of a PEM file, or of all files of a folder.
func certificates(path string) ([]*x509.Certificate, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.pem")); err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
	}
	var list []*x509.Certificate
	for _, file := range files {
		rest, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("read certificates: there is none in %s", path)
	}
	return list, nil
}
