package actors_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/rest/resttest"
	"github.com/datanet-consortium/datanet/network"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// stage is a running network and how its gateways are reached.
type stage struct {
	datanet string // the program
	dir     string // the network's state folder
	state   *testnetwork.State

	mutex sync.Mutex
	doors map[string]*door // by the organisation's name
}

// door is a gateway as callers see it.
type door struct {
	org      *network.Organization
	url      string
	roots    *x509.CertPool
	ca       string // file of the authority
	document []byte
}

// raise builds the programs and starts the network with datanet network up and these flags, as a person would.
func raise(t *testing.T, flags ...string) *stage {
	bin := t.TempDir()
	out, err := exec.Command("go", "build", "-o", bin+"/", "../../cmd/datanet", "../../cmd/chaincode", "../../cmd/ccaas-builder").CombinedOutput()
	require.NoError(t, err, "%s", out)
	s := &stage{datanet: filepath.Join(bin, "datanet"), dir: filepath.Join(t.TempDir(), "net"), doors: map[string]*door{}}
	t.Cleanup(func() { require.NoError(t, s.network("down", "--clean")) })
	require.NoError(t, s.network(append([]string{"up"}, flags...)...))
	s.state, err = testnetwork.Open(s.dir)
	require.NoError(t, err)
	return s
}

func (s *stage) network(words ...string) error {
	out, err := s.ask(words...)
	if err != nil {
		return fmt.Errorf("datanet network %v: %w\n%s", words, err, out)
	}
	return nil
}

// ask runs a command of the network and returns what it prints.
func (s *stage) ask(words ...string) ([]byte, error) {
	var stderr bytes.Buffer
	command := exec.Command(s.datanet, append(append([]string{"network"}, words...), "--dir", s.dir)...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return append(out, stderr.Bytes()...), err
	}
	return out, nil
}

// process finds the id of a process of the network.
func (s *stage) process(name string) (*os.Process, error) {
	out, err := s.ask("status", "--json") // which fails, and says so behind the status, when anything is not well
	var status testnetwork.Status
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&status); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	for _, node := range status.Nodes {
		if node.Name == name && node.PID != 0 {
			return os.FindProcess(node.PID)
		}
	}
	return nil, fmt.Errorf("no process %s runs: %w", name, err)
}

// door finds the gateway of an organisation by its name.
func (s *stage) door(name string) (*door, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if known, ok := s.doors[name]; ok {
		return known, nil
	}
	for _, org := range s.state.Topology().Organizations() {
		if org.Name != name {
			continue
		}
		_, material, err := s.state.Organization(org.MSPID)
		if err != nil {
			return nil, err
		}
		d := &door{org: org, url: "https://" + org.GatewayAddress(), ca: material.GatewayTLS().CAFile, roots: x509.NewCertPool()}
		authority, err := os.ReadFile(d.ca)
		if err != nil {
			return nil, err
		}
		d.roots.AppendCertsFromPEM(authority)
		if d.document, err = d.fetch("/openapi.json"); err != nil {
			return nil, err
		}
		s.doors[name] = d
		return d, nil
	}
	return nil, fmt.Errorf("there is no organisation %q", name)
}

// An answer may take so long, and what gateways do by themselves so long on a machine that is busy with all stories at once.
const (
	answerLimit = 60 * time.Second
	patience    = 2 * time.Minute
)

// client calls the gateway with the identity in a folder, or as nobody when it is "".
func (d *door) client(folder string) (*http.Client, error) {
	config := &tls.Config{RootCAs: d.roots, MinVersion: tls.VersionTLS13}
	if folder != "" {
		own, err := tls.LoadX509KeyPair(filepath.Join(folder, "signcerts", "cert.pem"), filepath.Join(folder, "keystore", "key.pem"))
		if err != nil {
			return nil, fmt.Errorf("load the identity: %w", err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return &http.Client{Timeout: answerLimit, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}, nil
}

func (d *door) fetch(path string) ([]byte, error) {
	client, err := d.client("")
	if err != nil {
		return nil, err
	}
	response, err := client.Get(d.url + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// judged makes a client's answers be checked against the gateway's API document. The documents of members differ in
// nothing but the organisation, and reading one takes seconds, so they share one reading.
func (d *door) judged(t resttest.T, client *http.Client) {
	document := bytes.ReplaceAll(d.document, []byte("gateway of "+d.org.MSPID), []byte("gateway"))
	client.Transport = resttest.New(t, document).Transport(client.Transport)
}

// identity is the MSP folder of a person of the topology, "" for anybody else.
func (s *stage) identity(org *network.Organization, person string) (string, error) {
	for _, user := range org.Users {
		if user.Name == person {
			_, material, err := s.state.Organization(org.MSPID)
			if err != nil {
				return "", err
			}
			return material.UserMSPDir(person), nil
		}
	}
	return "", nil
}

func (s *stage) setup(e *testscript.Env) error {
	e.Setenv("NETWORK", s.dir)
	e.Setenv("PATH", filepath.Dir(s.datanet)+string(filepath.ListSeparator)+e.Getenv("PATH"))
	return nil
}
