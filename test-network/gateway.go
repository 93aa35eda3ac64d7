package testnetwork

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/test-network/process"
)

// gatewayFile is the name of a gateway's configuration in its node's folder.
const gatewayFile = "gateway.yaml"

// sealQuiet is how long nothing more must have been approved before it is sealed.
const sealQuiet = 200 * time.Millisecond

// readyLimit is how long a start waits until a gateway has caught up with its peer. Whether it has is in the status then.
const readyLimit = time.Minute

// longestHealth bounds in bytes what is read of a gateway's health.
const longestHealth = 64 << 10

// gatewayNode describes the gateway of an organisation and writes its configuration. It signs for all users of the
// topology, since on one machine nobody else could keep their keys any better. The regulator's only reads.
func (s *State) gatewayNode(org *network.Organization, options *Options) (*node, error) {
	content, err := s.gatewayConfig(org)
	if err != nil {
		return nil, err
	}
	name := org.GatewayNode()
	home := s.folder.node(name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, explainDisk(fmt.Errorf("make the folder of %s: %w", name, err))
	}
	path := s.folder.join("nodes", name, gatewayFile)
	if err := writeFile(path, content); err != nil {
		return nil, err
	}
	gateway, err := s.gateway(org)
	if err != nil {
		return nil, err
	}
	return &node{name: name, mspID: org.MSPID, address: org.GatewayAddress(), spec: process.Spec{
		Name: name, Program: options.Gateway, Args: []string{"gateway", "serve", "--config", path}, Dir: home, Log: s.folder.log(name),
		Healthy: func(ctx context.Context) error { return gateway.ready(ctx, name) },
		Env:     []string{}, // none of this process
	}}, nil
}

// gatewayConfig is what a gateway reads, see config/gateway.yaml.
func (s *State) gatewayConfig(org *network.Organization) ([]byte, error) {
	material, err := s.material.Organization(org.MSPID)
	if err != nil {
		return nil, err
	}
	own := material.GatewayTLS()
	identity := map[string]any{"folder": material.UserMSPDir(network.GatewayUser), "authority": material.CADir()}
	readOnly := org == &s.topology.Regulator
	if !readOnly {
		var keep []string
		for _, user := range org.Users {
			keep = append(keep, material.UserMSPDir(user.Name))
		}
		identity["keep"] = keep
	}
	var organisations []map[string]any
	for _, other := range s.topology.Organizations() {
		their, err := s.material.Organization(other.MSPID)
		if err != nil {
			return nil, err
		}
		known := map[string]any{"mspId": other.MSPID, "authority": their.CACertFile()}
		if other != &s.topology.Regulator {
			maps.Copy(known, map[string]any{"gateway": other.GatewayAddress(), "tlsAuthority": their.GatewayTLS().CAFile})
		}
		organisations = append(organisations, known)
	}
	content, err := yaml.Marshal(map[string]any{
		"organisation": org.MSPID, "channel": s.topology.Channel, "chaincode": s.topology.Chaincode.Name, "readOnly": readOnly,
		"folder": s.folder.data(org.GatewayNode()), "listen": org.GatewayAddress(),
		"tls":      map[string]any{"certificate": own.CertFile, "key": own.KeyFile},
		"peer":     map[string]any{"addresses": []string{org.PeerAddress()}, "authority": material.Peer().TLS.CAFile},
		"identity": identity, "organisations": organisations,
		// Nobody on one machine approves for long: what is approved may be sealed soon.
		"sequencer": map[string]any{"quiet": sealQuiet.String()},
		// One validator's key is here, so the gateway attests, and who has worked out a table pays by it.
		"attestation": map[string]any{"account": attestor(org)}, "settlement": map[string]any{"courtesy": "0s"},
	})
	if err != nil {
		return nil, fmt.Errorf("write the configuration of %s: %w", org.GatewayNode(), err)
	}
	return content, nil
}

// attestor is the user as whom an organisation's gateway attests, "" when none is a validator.
func attestor(org *network.Organization) string {
	for _, user := range org.Users {
		if slices.Contains(user.Roles, ledger.Validator) {
			return user.Name
		}
	}
	return ""
}

// runGateways starts the gateways of all organisations that do not run, and starts those again whose configuration has
// changed, as all do when an organisation joins.
func (n *Network) runGateways(ctx context.Context, state *State) error {
	if n.options.Gateway == "" {
		return nil
	}
	if err := executable("the gateways", n.options.Gateway); err != nil {
		return err
	}
	var starting errgroup.Group
	for _, org := range state.topology.Organizations() {
		before, err := readFile(state.folder.join("nodes", org.GatewayNode(), gatewayFile))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		planned, err := state.gatewayNode(org, &n.options)
		if err != nil {
			return err
		}
		after, err := readFile(state.folder.join("nodes", org.GatewayNode(), gatewayFile))
		if err != nil {
			return err
		}
		if running, err := n.find(planned.name); err == nil && running.process != nil && running.process.Exit() == nil {
			if bytes.Equal(before, after) {
				continue
			}
			if err := running.process.Stop(stopGrace); err != nil {
				return err
			}
		}
		if err := n.run(planned); err != nil {
			return err
		}
		n.put(planned)
		starting.Go(func() error {
			limited, cancel := context.WithTimeout(ctx, readyLimit)
			defer cancel()
			err := planned.process.WaitHealthy(limited)
			if err != nil && limited.Err() != nil && ctx.Err() == nil {
				n.options.Progress(err.Error())
				return nil
			}
			return err
		})
	}
	if err := starting.Wait(); err != nil {
		return because(ctx, err)
	}
	n.options.Progress("the gateways serve")
	return nil
}

// gatewayClient asks a gateway how it is.
type gatewayClient struct {
	address string
	client  *http.Client
}

func (s *State) gateway(org *network.Organization) (*gatewayClient, error) {
	material, err := s.material.Organization(org.MSPID)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(material.TLSCA.PEM) {
		return nil, fmt.Errorf("the TLS authority of %s is no certificate", org.MSPID)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}
	return &gatewayClient{address: org.GatewayAddress(), client: &http.Client{Timeout: askLimit, Transport: transport}}, nil
}

// get calls a path and gives the body of an answer with the status, or a worse one, to read.
func (g *gatewayClient) get(ctx context.Context, path string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+g.address+path, nil)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}
	answer, err := g.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusServiceUnavailable {
		return fmt.Errorf("%s is answered with %s", path, answer.Status)
	}
	return read(io.LimitReader(answer.Body, longestHealth))
}

// askGateway asks a gateway whether it can do its work.
func (s *State) askGateway(ctx context.Context, node *NodeStatus) error {
	org, ok := s.topology.Organization(node.MSPID)
	if !ok {
		return fmt.Errorf("%s has no organisation", node.Name)
	}
	gateway, err := s.gateway(org)
	if err != nil {
		return err
	}
	return gateway.ready(ctx, node.Name)
}

// ready tells what a gateway lacks to do its work.
func (g *gatewayClient) ready(ctx context.Context, name string) error {
	var health struct {
		Checks map[string]bool `json:"checks"`
	}
	if err := g.get(ctx, "/readyz", func(body io.Reader) error { return json.NewDecoder(body).Decode(&health) }); err != nil {
		return fmt.Errorf("%s does not say how it is: %w", name, err)
	}
	var unwell []string
	for check, well := range health.Checks {
		if !well {
			unwell = append(unwell, check)
		}
	}
	if len(unwell) > 0 {
		slices.Sort(unwell)
		return fmt.Errorf("%s is not ready: %s", name, strings.Join(unwell, ", "))
	}
	return nil
}

// GatewayURL is the base of the HTTP interface of an organisation's gateway.
func (s *State) GatewayURL(mspID string) (string, error) {
	org, ok := s.topology.Organization(mspID)
	if !ok {
		return "", fmt.Errorf("%s is not an organisation of this network", mspID)
	}
	return "https://" + org.GatewayAddress(), nil
}
