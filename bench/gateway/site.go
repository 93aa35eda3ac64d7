package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/grpc"
	"gopkg.in/yaml.v3"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/server"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// people of the first member, for whom the gateway signs.
var contributors = []string{"contributor1", "contributor2", "contributor3", "contributor4"}

// site is a network and one gateway in this process, the first member's.
type site struct {
	settings
	dir      string
	say      func(string)
	network  *testnetwork.Network
	topology *network.Topology
	material *pki.Organization // of the first member
	msp      string
	conns    []*grpc.ClientConn
	gateway  *server.Server
	end      func() error // ends the gateway
	datanet  string
	epoch    int
	known    []contribution.Named // on the ledger
}

// start brings the network and the gateway up, with contributions to read.
func start(ctx context.Context, s settings, dir string, say func(string)) (b *site, err error) {
	source := map[string][]byte{"bft": config.BFT, "raft": config.Raft}[s.ordering]
	if source == nil {
		return nil, fmt.Errorf("--ordering is bft or raft, not %q", s.ordering)
	}
	b = &site{settings: s, dir: dir, say: say, end: func() error { return nil }}
	if b.topology, err = network.Parse(bytes.NewReader(source), "topology"); err != nil {
		return nil, err
	}
	say("building the chaincode with the yardstick")
	chaincode, builder := filepath.Join(dir, "bin", "chaincode"), filepath.Join(dir, "bin", "ccaas-builder")
	for program, source := range map[string]string{chaincode: "bench/chaincode", builder: "cmd/ccaas-builder"} {
		build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/datanet-consortium/datanet/"+source)
		if output, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w: %s", source, err, output)
		}
	}
	b.network, err = testnetwork.Start(ctx, testnetwork.Options{Dir: filepath.Join(dir, "network"), Topology: b.topology, Chaincode: chaincode, Builder: builder, Progress: say})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.stop())
		}
	}()
	b.topology = b.network.State().Topology()
	b.msp = b.topology.MemberMSPIDs()[0]
	b.datanet = b.msp + "/bench"
	if _, b.material, err = b.network.State().Organization(b.msp); err != nil {
		return nil, err
	}
	if err := b.serve(ctx); err != nil {
		return nil, err
	}
	return b, b.prepare(ctx)
}

func (b *site) stop() error {
	faults := []error{b.end()}
	for _, conn := range b.conns {
		faults = append(faults, conn.Close())
	}
	return errors.Join(append(faults, b.network.Stop())...)
}

// serve starts the gateway. It bounds no caller's rate, and has the first member's people's keys.
func (b *site) serve(ctx context.Context) error {
	org, _, err := b.network.State().Organization(b.msp)
	if err != nil {
		return err
	}
	own := b.material.GatewayTLS()
	var keep []string
	for _, user := range org.Users {
		keep = append(keep, b.material.UserMSPDir(user.Name))
	}
	text, err := yaml.Marshal(map[string]any{
		"organisation": b.msp, "channel": b.topology.Channel, "chaincode": b.topology.Chaincode.Name,
		"folder": filepath.Join(b.dir, "gateway"), "listen": "127.0.0.1:0",
		"tls":           map[string]any{"certificate": own.CertFile, "key": own.KeyFile},
		"peer":          map[string]any{"addresses": []string{org.PeerAddress()}, "authority": b.material.Peer().TLS.CAFile},
		"identity":      map[string]any{"folder": b.material.UserMSPDir(network.GatewayUser), "keep": keep},
		"organisations": []any{map[string]any{"mspId": b.msp, "authority": b.material.CACertFile()}},
		"limits":        map[string]any{"rate": 0, "burst": 0},
	})
	if err != nil {
		return err
	}
	path := filepath.Join(b.dir, "gateway.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	settings, err := server.Load(path, nil, nil)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(b.dir, "gateway.log"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if b.gateway, err = server.New(ctx, settings, "bench", slog.New(slog.NewJSONHandler(log, nil))); err != nil {
		return errors.Join(err, log.Close())
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- b.gateway.Run(serving) }()
	b.end = func() error {
		cancel()
		return errors.Join(<-ended, log.Close())
	}
	return nil
}

// person is somebody of the first member who calls the gateway.
func (b *site) person(name string) (*client.Client, error) {
	id, err := client.LoadIdentity(b.material.UserMSPDir(name))
	if err != nil {
		return nil, err
	}
	roots, err := client.ReadRoots(b.material.GatewayTLS().CAFile)
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{Gateway: "https://" + b.gateway.Address(), Roots: roots, Identity: id})
}

// party is a client of the peer itself.
func (b *site) party(msp, name string) (*fabric.Client, error) {
	org, material, err := b.network.State().Organization(msp)
	if err != nil {
		return nil, err
	}
	id, err := material.User(name)
	if err != nil {
		return nil, err
	}
	conn, err := fabric.Dial(org.PeerAddress(), material.TLSCA.PEM)
	if err != nil {
		return nil, err
	}
	b.conns = append(b.conns, conn)
	return fabric.Connect(conn, id, b.topology.Channel, b.topology.Chaincode.Name)
}

// soon submits a call and repeats it until it succeeds: peers need a moment to learn from each other what they can
// endorse, and one that lags does not know yet what the call builds on.
func soon(ctx context.Context, c *fabric.Client, function string, request any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		_, err := c.Submit(ctx, fabric.Call{Function: function, Request: request})
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", function, err)
		}
	}
}

// prepare founds the ledger, agrees on a fingerprint secret, and registers contributions to read.
func (b *site) prepare(ctx context.Context) error {
	members := b.topology.MemberMSPIDs()
	proposer, err := b.party(b.msp, "operator1")
	if err != nil {
		return err
	}
	if err := soon(ctx, proposer, "member:Found", ledger.Nothing{}); err != nil {
		return err
	}
	operator, err := b.person("operator1")
	if err != nil {
		return err
	}
	defer operator.Close()
	drawn, err := client.Do[contribution.Rotation](ctx, operator, "POST", "/v1/fingerprint-secrets", nil)
	if err != nil {
		return err
	}
	raw, err := ledger.Encode(drawn)
	if err != nil {
		return err
	}
	content := proposal.Content{ID: newID(), Kind: "fingerprint.rotate", Params: raw, Expires: time.Now().UTC().Truncate(time.Second).Add(2 * proposal.MinTerm)}
	digest, err := content.Digest()
	if err != nil {
		return err
	}
	if err := soon(ctx, proposer, "proposal:Propose", content); err != nil {
		return err
	}
	for _, msp := range members[:network.Majority(len(members))] {
		approver, err := b.party(msp, "operator2")
		if err != nil {
			return err
		}
		if err := soon(ctx, approver, "proposal:Approve", proposal.Approval{ID: content.ID, Digest: digest}); err != nil {
			return err
		}
	}
	if err := soon(ctx, proposer, "proposal:Execute", proposal.Named{ID: content.ID}); err != nil {
		return err
	}
	b.epoch = 1
	curator, err := b.party(b.msp, "curator1")
	if err != nil {
		return err
	}
	if err := soon(ctx, curator, "datanet:Create", datanet.Create{Name: b.datanet, Content: datanet.Content{Title: "Bench", Tags: []string{}, Modality: datanet.Text,
		Licence: licence.Licence{Purposes: []licence.Purpose{licence.Research}},
		Policy: datanet.Policy{Validators: slices.Sorted(slices.Values(members)), Quorum: ledger.Majority(len(members)), MaxDerivedPpm: 100_000, DataPpm: 600_000,
			ValidatorsPpm: 100_000, Tau: 12, AttestationQuorum: 1, Rest: datanet.ByTokens}}}); err != nil {
		return err
	}
	for _, name := range contributors {
		author, err := b.party(b.msp, name)
		if err != nil {
			return err
		}
		if err := soon(ctx, author, "account:Open", ledger.Nothing{}); err != nil {
			return err
		}
		for mine := 0; mine < b.contributions/len(contributors)+1; {
			var batch contribution.SubmitBatch
			for range contribution.MaxBatch {
				s := b.poem()
				batch.Items, b.known = append(batch.Items, s), append(b.known, contribution.Named{Datanet: s.Datanet, ID: s.ID})
				mine++
			}
			if err := soon(ctx, author, "contribution:SubmitBatch", batch); err != nil {
				return err
			}
		}
		b.say(fmt.Sprintf("%d contributions are on the ledger", len(b.known)))
	}
	return nil
}

// poem is a contribution that equals no other.
func (b *site) poem() contribution.Submit {
	hash := newID() + newID()
	return contribution.Submit{Datanet: b.datanet, ID: newID(), Content: contribution.Content{MediaType: "text/plain",
		Commitment: hash, Descriptor: hash, Records: 1, Tokens: 100, Provenance: provenance,
		Fingerprint: contribution.Fingerprint{Epoch: b.epoch, HMAC: hash}}}
}

var provenance = contribution.Provenance{Method: "digitised", FromYear: 1320, ToYear: 1389, Languages: []string{"fa"}}

// newID is the random id of a request.
func newID() string {
	id := make([]byte, 16)
	rand.Read(id)
	return hex.EncodeToString(id)
}

func (b *site) heading() string {
	return fmt.Sprintf(`one gateway of %d members, %s ordering, %d contributions on the ledger when reading began; gateway, clients and network share the machine
medians of %d bursts; reads: %d a burst; writes: up to %d; each client sends its next request when the last is answered`,
		len(b.topology.Members), b.topology.Ordering.Type, len(b.known), b.repetitions, b.settings.reads, b.settings.writes)
}
