package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

func newIdentity() *cobra.Command {
	command := newGroup("identity", "Your certificate and key, invitations, API keys")
	command.AddCommand(newIdentityEnroll(), newIdentityRenew(), newIdentityShow(), newIdentityUse(), newIdentityInvite(), newIdentityRetire(), newIdentityKey())
	return command
}

func newIdentityEnroll() *cobra.Command {
	var code, algorithm string
	var custody bool
	command := &cobra.Command{
		Use:   "enroll [DIR]",
		Short: "Use an invitation: make a key here and get a certificate for it",
		Long: `Makes a private key, which never leaves this machine, and uses the code of an invitation to
get a certificate for it from your organisation. The certificate names you by a random
pseudonym. DIR is where both are kept; left out, it is in your configuration folder. The
identity is then used by all commands (see datanet identity use).

A command that was interrupted is simply repeated: the key that is there is used again.

With --custody the gateway makes and keeps the key, and signs for you; what you get is an
API key for other programs.`,
		Example: "  datanet identity enroll --gateway https://gateway.poetry.example:7443 --ca ca.pem --code abcd-efgh-…",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			if code == "" {
				return usageError{errors.New("give the invitation's code with --code")}
			}
			address, roots, err := newcomer(command)
			if err != nil {
				return err
			}
			c, err := newClient(command, client.Options{Gateway: address, Roots: roots.pool})
			if err != nil {
				return err
			}
			defer c.Close()
			if custody {
				return enrolInCustody(command, c, code)
			}
			dir := ""
			if len(args) > 0 {
				dir = args[0]
			}
			return enrol(command, c, enrolment{dir: dir, code: code, gateway: address, roots: roots.text, keys: network.KeyAlgorithm(algorithm)})
		},
	}
	command.Flags().StringVar(&code, "code", "", "the invitation's code")
	command.Flags().StringVar(&algorithm, "keys", string(network.Ed25519), "algorithm of the key: "+string(network.Ed25519)+" or "+string(network.ECDSAP256))
	command.Flags().BoolVar(&custody, "custody", false, "let the gateway keep the key")
	return command
}

// authorities are the roots of a gateway's TLS certificate, and the text to keep of them.
type authorities struct {
	pool *x509.CertPool
	text []byte
}

// newcomer reads how a gateway is reached by somebody who has no identity yet.
func newcomer(command *cobra.Command) (address string, roots authorities, err error) {
	if address, err = command.Flags().GetString("gateway"); err != nil {
		return "", roots, err
	}
	if address == "" {
		return "", roots, usageError{errors.New("give the URL of your organisation's gateway with --gateway")}
	}
	path, err := command.Flags().GetString("ca")
	if err != nil || path == "" {
		return address, roots, err
	}
	if roots.text, err = os.ReadFile(path); err != nil {
		return "", roots, usageError{err}
	}
	roots.pool = x509.NewCertPool()
	if !roots.pool.AppendCertsFromPEM(roots.text) {
		return "", roots, usageError{fmt.Errorf("there is no certificate in %s", path)}
	}
	return address, roots, nil
}

type enrolment struct {
	dir, code, gateway string
	roots              []byte
	keys               network.KeyAlgorithm
}

func enrol(command *cobra.Command, c *client.Client, e enrolment) error {
	user, err := userFolder()
	if err != nil {
		return err
	}
	dir := e.dir
	if dir == "" {
		// Until the pseudonym is known the folder is named by the gateway.
		dir = filepath.Join(user, "identities", strings.NewReplacer(":", "-", "/", "-").Replace(gatewayName(e.gateway)))
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return usageError{err}
	}
	if _, err := os.Stat(filepath.Join(dir, "signcerts", "cert.pem")); !errors.Is(err, fs.ErrNotExist) {
		return usageError{errors.Join(err, fmt.Errorf("%s holds an identity already: name another folder, or renew it by datanet identity renew", dir))}
	}
	request, err := certificateRequest(dir, e.keys)
	if err != nil {
		return err
	}
	made, err := c.Enrol(command.Context(), identity.EnrolRequest{Code: e.code, Request: request})
	if err != nil {
		return err
	}
	if len(e.roots) > 0 {
		if err := client.SaveRoots(dir, e.roots); err != nil {
			return err
		}
	}
	if err := client.SaveCertificate(dir, []byte(made.Certificate)); err != nil {
		return err
	}
	if _, err := client.LoadIdentity(dir); err != nil {
		return fmt.Errorf("the certificate that the gateway issued: %w", err)
	}
	if err := (profile{Gateway: e.gateway, Account: string(made.Account)}).save(dir); err != nil {
		return err
	}
	if err := (profile{Identity: dir, Gateway: e.gateway}).save(user); err != nil {
		return err
	}
	return printIdentity(command, described{Account: made.Account, Roles: made.Roles, Expires: made.Expires, Folder: dir, Gateway: e.gateway})
}

// certificateRequest signs a request with the folder's key, which it makes if there is none.
func certificateRequest(dir string, keys network.KeyAlgorithm) (string, error) {
	path := filepath.Join(dir, "keystore", "key.pem")
	key, err := pki.ReadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = pki.NewKey(keys); err == nil {
			err = client.SaveKey(dir, key)
		}
	}
	if err != nil {
		return "", usageError{err}
	}
	return client.CertificateRequest(key)
}

func enrolInCustody(command *cobra.Command, c *client.Client, code string) error {
	made, err := c.Enrol(command.Context(), identity.EnrolRequest{Code: code, Custody: true})
	if err != nil {
		return err
	}
	if wantsJSON(command) {
		return printJSON(command.OutOrStdout(), made)
	}
	out := command.OutOrStdout()
	fmt.Fprintf(out, "account  %s\nroles    %s\n\n", made.Account, joined(made.Roles))
	fmt.Fprintln(out, "The gateway keeps the key and signs for you. Your API key, shown this once:")
	_, err = fmt.Fprintln(out, made.Token)
	return err
}

func newIdentityRenew() *cobra.Command {
	return &cobra.Command{
		Use:   "renew",
		Short: "Get the next certificate for the same key and account",
		Long: `Gets the next certificate for the same key and account, while the present one is valid. With an
API key it is that of the key which the gateway keeps for you; the gateway does so by itself a
month before it ends, if it has the authority of your organisation.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			p, err := chosen(command)
			if err != nil {
				return err
			}
			c, err := connect(command)
			if err != nil {
				return err
			}
			defer c.Close()
			if p.Identity == "" {
				made, err := c.Renew(command.Context(), "")
				if err != nil {
					return err
				}
				return printIdentity(command, described{Account: made.Account, Roles: made.Roles, Expires: made.Expires, APIKey: p.APIKeyFile, Gateway: p.Gateway})
			}
			request, err := certificateRequest(p.Identity, "")
			if err != nil {
				return err
			}
			made, err := c.Renew(command.Context(), request)
			if err != nil {
				return err
			}
			if err := client.SaveCertificate(p.Identity, []byte(made.Certificate)); err != nil {
				return err
			}
			return printIdentity(command, described{Account: made.Account, Roles: made.Roles, Expires: made.Expires, Folder: p.Identity, Gateway: p.Gateway})
		},
	}
}

// described is an identity as it is shown.
type described struct {
	Account ledger.Account `json:"account"`
	Roles   []ledger.Role  `json:"roles"`
	Expires time.Time      `json:"expires,omitzero"` // of the certificate
	Folder  string         `json:"folder,omitempty"`
	APIKey  string         `json:"apiKeyFile,omitempty"`
	Gateway string         `json:"gateway"`
}

// describe is what the gateway says of who calls with a profile.
func describe(command *cobra.Command, c *client.Client, p profile) (described, error) {
	who, err := c.WhoAmI(command.Context())
	if err != nil {
		return described{}, err
	}
	d := described{Account: who.Account, Roles: who.Roles, Folder: p.Identity, APIKey: p.APIKeyFile, Gateway: p.Gateway}
	if own := c.Identity(); own != nil {
		d.Expires = own.Certificate.NotAfter
	} else if who.Kept != nil {
		d.Expires = who.Kept.Expires
	}
	return d, nil
}

func printIdentity(command *cobra.Command, d described) error {
	if wantsJSON(command) {
		return printJSON(command.OutOrStdout(), d)
	}
	out := command.OutOrStdout()
	fmt.Fprintf(out, "account      %s\nroles        %s\n", d.Account, joined(d.Roles))
	if !d.Expires.IsZero() {
		fmt.Fprintf(out, "certificate  until %s\n", d.Expires.UTC().Format(time.RFC3339))
	}
	if d.APIKey != "" {
		fmt.Fprintf(out, "API key      %s\n", d.APIKey)
	} else {
		fmt.Fprintf(out, "folder       %s\n", d.Folder)
	}
	_, err := fmt.Fprintf(out, "gateway      %s\n", d.Gateway)
	return err
}

func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

func newIdentityShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show who you are to your gateway",
		Args:  arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error {
			p, err := chosen(command)
			if err != nil {
				return err
			}
			d, err := describe(command, c, p)
			if err != nil {
				return err
			}
			return printIdentity(command, d)
		}),
	}
}

func newIdentityUse() *cobra.Command {
	return &cobra.Command{
		Use:   "use [DIR]",
		Short: "Choose the identity and the gateway that all commands use",
		Long: `Keeps in your configuration folder which identity and which gateway all commands use. DIR
holds signcerts/cert.pem and keystore/key.pem, and tlscacerts/cert.pem for the gateway, as
datanet identity enroll makes it and as the users' msp folders of a network are.

In place of DIR, --api-key-file names a file with an API key of yours. Your organisation's
gateway then signs for you, if it keeps your key.`,
		Example: "  datanet identity use network/crypto/ailab/users/trainer1/msp --gateway https://127.0.0.1:7443\n" +
			"  datanet identity use --api-key-file key.txt --gateway https://127.0.0.1:7443 --ca ca.pem",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) > 0 {
				if err := command.Flags().Set("identity", args[0]); err != nil {
					return err
				}
			}
			p, err := chosen(command)
			if err != nil {
				return err
			}
			for _, path := range []*string{&p.Identity, &p.APIKeyFile, &p.CA} {
				if *path == "" {
					continue
				}
				if *path, err = filepath.Abs(*path); err != nil {
					return usageError{err}
				}
			}
			switch {
			case p.Gateway == "":
				return usageError{errors.New("give the URL of your organisation's gateway with --gateway")}
			case p.Identity == "" && p.APIKeyFile == "":
				return usageError{errors.New("name the folder of your identity, or a file with your API key by --api-key-file")}
			}
			c, err := connect(command)
			if err != nil {
				return err
			}
			defer c.Close()
			user, err := userFolder()
			if err != nil {
				return err
			}
			if err := (profile{Identity: p.Identity, APIKeyFile: p.APIKeyFile, Gateway: p.Gateway, CA: p.CA}).save(user); err != nil {
				return err
			}
			d, err := describe(command, c, p)
			if err != nil {
				return fmt.Errorf("the identity is chosen, but: %w", err)
			}
			return printIdentity(command, d)
		},
	}
}

func whoAmI(command *cobra.Command, c *client.Client) (client.Caller, error) {
	return c.WhoAmI(command.Context())
}

func newIdentityInvite() *cobra.Command {
	var (
		roles []string
		valid time.Duration
	)
	command := &cobra.Command{
		Use:     "invite",
		Short:   "Invite a person to your organisation by a code that works once",
		Long:    "Makes a code with which one person can enrol once, with the given roles. For operators.",
		Example: "  datanet identity invite --roles contributor --valid 48h",
		Args:    arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error {
			request := identity.InvitationRequest{Expires: time.Now().Add(valid)}
			for _, r := range roles {
				request.Roles = append(request.Roles, ledger.Role(r))
			}
			made, err := c.Invite(command.Context(), request)
			if err != nil {
				return err
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), made)
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "code     %s\nroles    %s\nexpires  %s\n\nHand the code over in private; it is shown this once.\n",
				made.Code, joined(made.Invitation.Roles), made.Invitation.Expires.Format(time.RFC3339))
			return err
		}),
	}
	command.Flags().StringSliceVar(&roles, "roles", nil, "roles of the person")
	command.Flags().DurationVar(&valid, "valid", 7*24*time.Hour, "how long the code can be used")
	_ = command.RegisterFlagCompletionFunc("roles", cobra.FixedCompletions(roleNames(), cobra.ShellCompDirectiveNoFileComp))
	return command
}

func roleNames() []cobra.Completion {
	names := make([]cobra.Completion, len(ledger.Roles))
	for i, r := range ledger.Roles {
		names[i] = string(r)
	}
	return names
}

func newIdentityKey() *cobra.Command {
	command := newGroup("key", "API keys of your account, for other programs")
	command.AddCommand(newKeyCreate(), newKeyList(), newKeyRevoke())
	return command
}

func newKeyCreate() *cobra.Command {
	var (
		scopes        []string
		valid         time.Duration
		label, budget string
	)
	command := &cobra.Command{
		Use:   "create",
		Short: "Make an API key",
		Args:  arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			request := identity.KeyRequest{Label: label, Expires: time.Now().Add(valid)}
			for _, s := range scopes {
				request.Scopes = append(request.Scopes, identity.Scope(s))
			}
			if budget != "" {
				amount := new(money.Amount)
				if err := amount.UnmarshalText([]byte(budget)); err != nil {
					return usageError{fmt.Errorf("--budget: %w", err)}
				}
				request.Budget = amount
			}
			c, err := connect(command)
			if err != nil {
				return err
			}
			defer c.Close()
			made, err := c.CreateKey(command.Context(), request)
			if err != nil {
				return err
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), made)
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "%s\n", made.Token)
			fmt.Fprintf(command.ErrOrStderr(), "key %s, scopes %s, until %s; it is shown this once\n", made.Key.ID, joined(made.Key.Scopes), made.Key.Expires.Format(time.RFC3339))
			return err
		},
	}
	command.Flags().StringSliceVar(&scopes, "scopes", []string{string(identity.Read)}, "what the key may do: read, write, content, use, admin")
	command.Flags().DurationVar(&valid, "valid", 90*24*time.Hour, "how long the key works")
	command.Flags().StringVar(&label, "label", "", "a note for yourself")
	command.Flags().StringVar(&budget, "budget", "", "the most that it may spend, in micro-credits")
	return command
}

func newKeyList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List your API keys",
		Args:  arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error {
			keys, err := c.Keys(command.Context())
			if err != nil {
				return err
			}
			data, err := ledger.Encode(ledger.Page[identity.Key]{Items: keys})
			if err != nil {
				return err
			}
			return resource{columns: []string{"id", "label", "scopes", "expires", "revoked", "budget", "spent"}}.print(command, data, client.Meta{})
		}),
	}
}

func newIdentityRetire() *cobra.Command {
	return &cobra.Command{
		Use:   "retire ACCOUNT",
		Short: "End what a person who has left can do through the gateway",
		Long: `Ends what a person of your organisation can do through its gateway. Nobody is let in for the account
any more, its API keys end, the key that the gateway keeps for it is destroyed, and its certificates
are not renewed. A certificate that the person holds is good at peers until it ends. What the account
has on the ledger stays; its credits can be paid out only by who still has its key. There is no way back.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: calling(func(command *cobra.Command, args []string, c *client.Client) error {
			account := ledger.Account(args[0])
			if err := account.Validate("account"); err != nil {
				return usageError{err}
			}
			me, err := c.WhoAmI(command.Context())
			if err != nil {
				return err
			}
			if account.MSP() != me.Organisation {
				return usageError{fmt.Errorf("%s is of another organisation: only its own operators retire it", account)}
			}
			if err := c.Retire(command.Context(), identity.Principal{Account: account}.Enrolment()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.ErrOrStderr(), "%s acts through the gateway no more\n", args[0])
			return err
		}),
	}
}

func newKeyRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End an API key",
		Args:  arguments(cobra.ExactArgs(1)),
		RunE: calling(func(command *cobra.Command, args []string, c *client.Client) error {
			return c.RevokeKey(command.Context(), args[0])
		}),
	}
}
