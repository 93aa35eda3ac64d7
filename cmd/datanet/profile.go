package main

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/network/secret"
)

// profile is how a person calls a gateway: in the user's own configuration folder the one in use, and in an identity's
// folder that identity's.
type profile struct {
	Identity string `json:"identity,omitempty"` // the identity's folder
	// APIKeyFile holds an API key in place of an identity: then the gateway signs.
	APIKeyFile string `json:"apiKeyFile,omitempty"`
	Gateway    string `json:"gateway,omitempty"`
	CA         string `json:"ca,omitempty"` // file of the gateway's TLS authority
	Account    string `json:"account,omitempty"`
}

const profileFile = "profile.json"

func userFolder() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the user's configuration folder: %w", err)
	}
	return filepath.Join(dir, "datanet"), nil
}

func readProfile(dir string) (profile, error) {
	var p profile
	text, err := os.ReadFile(filepath.Join(dir, profileFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, fmt.Errorf("read the profile in %s: %w", dir, err)
	}
	return p, nil
}

func (p profile) save(dir string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("save the profile: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save the profile: %w", err)
	}
	return replaceFile(filepath.Join(dir, profileFile), append(text, '\n'))
}

// replaceFile writes a file of the user's own whole or not at all.
func replaceFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
	}
	return nil
}

// gatewayFlags are those of every command that calls a gateway.
func gatewayFlags(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.String("gateway", "", "URL of your organisation's gateway (kept by datanet identity use)")
	flags.String("identity", "", "folder of your certificate and key (kept by datanet identity use)")
	flags.String("api-key-file", "", "file with your API key, in place of --identity: then the gateway signs for you")
	flags.String("ca", "", "PEM file of the authority of the gateway's TLS certificate (default: tlscacerts/ in the identity's folder, then the system's)")
}

// chosen is the profile that flags, the identity's folder and the user's profile make together, in this order.
func chosen(command *cobra.Command) (profile, error) {
	flag := func(name string) string {
		value, err := command.Flags().GetString(name)
		if err != nil {
			return ""
		}
		return value
	}
	p := profile{Identity: flag("identity"), APIKeyFile: flag("api-key-file"), Gateway: flag("gateway"), CA: flag("ca")}
	if p.Identity != "" && p.APIKeyFile != "" {
		return p, usageError{errors.New("give --identity or --api-key-file, not both")}
	}
	dir, err := userFolder()
	if err != nil {
		return p, err
	}
	used, err := readProfile(dir)
	if err != nil {
		return p, err
	}
	if p.Identity == "" && p.APIKeyFile == "" {
		p.Identity, p.APIKeyFile = used.Identity, used.APIKeyFile
	}
	if p.Identity != "" {
		own, err := readProfile(p.Identity)
		if err != nil {
			return p, err
		}
		p.Account, p.Gateway = own.Account, cmp.Or(p.Gateway, own.Gateway)
	}
	if p.Gateway == "" {
		p.Gateway = used.Gateway
		if p.Identity == "" || p.Identity == used.Identity { // another identity's folder names its own
			p.CA = cmp.Or(p.CA, used.CA)
		}
	}
	return p, nil
}

// connect makes the client of a command.
func connect(command *cobra.Command) (*client.Client, error) {
	p, err := chosen(command)
	if err != nil {
		return nil, err
	}
	if p.Gateway == "" || p.Identity == "" && p.APIKeyFile == "" {
		return nil, usageError{errors.New("no gateway or identity is chosen: run datanet identity use DIR --gateway URL, or give --gateway and --identity or --api-key-file; who is new here runs datanet identity enroll")}
	}
	o := client.Options{Gateway: p.Gateway}
	if p.Identity != "" {
		if o.Identity, err = client.LoadIdentity(p.Identity); err != nil {
			return nil, usageError{err}
		}
	} else if o.Token, err = secret.ReadToken(p.APIKeyFile); err != nil {
		return nil, usageError{fmt.Errorf("read the API key: %w", err)}
	}
	if o.Roots, err = p.roots(); err != nil {
		return nil, err
	}
	return newClient(command, o)
}

// calling wraps what a command does with its gateway.
func calling(do func(command *cobra.Command, args []string, c *client.Client) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) error {
		c, err := connect(command)
		if err != nil {
			return err
		}
		defer c.Close()
		return do(command, args, c)
	}
}

func newClient(command *cobra.Command, o client.Options) (*client.Client, error) {
	if isTerminal(command.ErrOrStderr()) {
		o.Notice = func(text string) { fmt.Fprintln(command.ErrOrStderr(), printable(text)) }
	}
	c, err := client.New(o)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// roots are the authorities that the gateway's certificate may lead to; nil are the system's.
func (p profile) roots() (*x509.CertPool, error) {
	if p.CA == "" {
		if p.Identity == "" {
			return nil, nil
		}
		return client.LoadRoots(p.Identity)
	}
	roots, err := client.ReadRoots(p.CA)
	if err == nil && roots == nil {
		err = usageError{fmt.Errorf("there is no file %s", p.CA)}
	}
	return roots, err
}

// ownAccount is the caller's account as its gateway names it.
func ownAccount(command *cobra.Command) (string, error) {
	p, err := chosen(command)
	if err != nil || p.Account != "" {
		return p.Account, err
	}
	c, err := connect(command)
	if err != nil {
		return "", err
	}
	defer c.Close()
	who, err := whoAmI(command, c)
	return string(who.Account), err
}

// gatewayName is a gateway's URL without what nobody needs to read.
func gatewayName(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}
