package market

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/server"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/test-network/process"
)

// stopGrace is how long a gateway may take to end.
const stopGrace = 30 * time.Second

// gateway is a member's gateway, in this process or as one of its own.
type gateway struct {
	end     func() error
	process *process.Process // nil in this process
}

// start starts the gateway of a member and waits until it is ready.
func (m *Market) start(ctx context.Context, msp string) error {
	config, err := m.configure(msp)
	if err != nil {
		return err
	}
	run := m.inside
	if m.Processes {
		run = m.outside
	}
	if m.gateways[msp], err = run(ctx, msp, config); err != nil {
		return err
	}
	return m.awaitReady(ctx, msp)
}

// Kill ends the gateway of a member at once, as a crash does.
func (m *Market) Kill(msp string) error {
	if m.gateways[msp].process == nil {
		return fmt.Errorf("the gateway of %s runs in this process", msp)
	}
	return m.gateways[msp].process.Kill()
}

// Restart starts the gateway of a member again that has ended.
func (m *Market) Restart(ctx context.Context, msp string) error { return m.start(ctx, msp) }

// configure writes the configuration of a member's gateway, which bounds no caller's rate and has the keys of its people.
func (m *Market) configure(msp string) (path string, err error) {
	org, material, err := m.Network.State().Organization(msp)
	if err != nil {
		return "", err
	}
	own := material.GatewayTLS()
	var keep []string
	for _, user := range org.Users {
		keep = append(keep, material.UserMSPDir(user.Name))
	}
	var organisations []map[string]any
	for _, other := range members {
		their, kept, err := m.Network.State().Organization(other)
		if err != nil {
			return "", err
		}
		organisations = append(organisations, map[string]any{"mspId": other, "authority": kept.CACertFile(), "gateway": their.GatewayAddress(), "tlsAuthority": kept.GatewayTLS().CAFile})
	}
	var models []map[string]any
	for _, version := range versions {
		models = append(models, map[string]any{"model": Name + "@" + version, "urls": []string{m.Upstream}, "name": "upstream"})
	}
	attestor := ValidatorName
	if msp == m.ByHand {
		attestor = ""
	}
	text, err := yaml.Marshal(map[string]any{
		"organisation": msp, "channel": m.Network.State().Topology().Channel, "chaincode": m.Network.State().Topology().Chaincode.Name,
		"folder": filepath.Join(m.Dir, "gateways", msp), "listen": org.GatewayAddress(),
		"tls":           map[string]any{"certificate": own.CertFile, "key": own.KeyFile},
		"peer":          map[string]any{"addresses": []string{org.PeerAddress()}, "authority": material.Peer().TLS.CAFile},
		"identity":      map[string]any{"folder": material.UserMSPDir(network.GatewayUser), "keep": keep},
		"organisations": organisations,
		"sequencer":     map[string]any{"quiet": "100ms"},
		"serving":       map[string]any{"models": models},
		"attestation":   map[string]any{"account": attestor},
		"settlement":    map[string]any{"courtesy": "0s"},
		"limits":        map[string]any{"rate": 0, "burst": 0},
	})
	if err != nil {
		return "", err
	}
	path = filepath.Join(m.Dir, msp+".yaml")
	return path, os.WriteFile(path, text, 0o600)
}

// inside runs a gateway in this process.
func (m *Market) inside(ctx context.Context, msp, config string) (*gateway, error) {
	settings, err := server.Load(config, nil, m.Settings)
	if err != nil {
		return nil, err
	}
	s, err := server.New(ctx, settings, "market", m.Log.With("gateway", msp))
	if err != nil {
		return nil, err
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(serving) }()
	return &gateway{end: sync.OnceValue(func() error { cancel(); return <-ended })}, nil
}

// outside runs a gateway as a process of its own, which logs to a file.
func (m *Market) outside(_ context.Context, msp, config string) (*gateway, error) {
	args := []string{"gateway", "serve", "--config", config}
	for _, setting := range m.Settings {
		args = append(args, "--set", setting)
	}
	p, err := process.Start(process.Spec{Name: "gateway of " + msp, Program: m.Program(), Args: args, Dir: m.Dir, Log: m.GatewayLog(msp)})
	if err != nil {
		return nil, err
	}
	return &gateway{process: p, end: func() error { return p.Stop(stopGrace) }}, nil
}

// Program is the path of the program datanet, which is built when gateways are processes.
func (m *Market) Program() string { return filepath.Join(m.Dir, "bin", "datanet") }

// GatewayLog is the file to which a member's gateway logs that is a process.
func (m *Market) GatewayLog(msp string) string { return filepath.Join(m.Dir, msp+".log") }

func (m *Market) awaitReady(ctx context.Context, msp string) error {
	path, err := m.Authority(msp)
	if err != nil {
		return err
	}
	roots, err := client.ReadRoots(path)
	if err != nil {
		return err
	}
	asking := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	return m.await(ctx, "the gateway of "+msp+" is ready", func() (bool, error) {
		if p := m.gateways[msp].process; p != nil && p.Exit() != nil {
			return false, p.Exit()
		}
		response, err := asking.Get(m.URL(msp) + "/readyz")
		if err != nil {
			return false, err
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
}

// stopGateways ends the gateways.
func (m *Market) stopGateways() error {
	var faults []error
	for _, g := range m.gateways {
		faults = append(faults, g.end())
	}
	return errors.Join(faults...)
}
