// Package market is a market for the use of a model on a real network, for tests and benchmarks: the local network,
// a gateway of each of two members in this process over TLS, and a model that one of them hosts and the other pays for.
//
// Everything is made as people make it: a contributor uploads a text, the other members' validators approve it, the
// sequencer seals it, a trainer takes it by a ticket, registers two versions of a model and publishes them, one with a
// price and one without. What writes the answers is a server of OpenAI's interface that the caller brings.
package market

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/grpc"
	"gopkg.in/yaml.v3"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/server"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// The members of the local network, by what they do here.
const (
	Owner    = "PoetrySocietyMSP" // of datanet and model, and the host
	Consumer = "AILabMSP"
	Third    = "NationalLibraryMSP"
)

// The people.
const (
	contributorName = "contributor1"
	validatorName   = "validator1"
	curatorName     = "curator1"
	trainerName     = "trainer1"
	hostName        = "host1"
	// ConsumerName is who pays.
	ConsumerName = "consumer1"
)

// Options say what market to open.
type Options struct {
	Dir string
	// Text is what the contributor uploads.
	Text string
	// Upstream is the base URL of the server that writes the answers, as http://127.0.0.1:8000/v1.
	Upstream string
	// PriceIn and PriceOut are for 1,000 tokens, in micro-credits.
	PriceIn, PriceOut money.Amount
	// Credits are minted for the consumer.
	Credits money.Amount
	// Settings are added to the configuration of both gateways.
	Settings []string
	Log      *slog.Logger
	Progress func(string)
}

// Market is an open market.
type Market struct {
	Options
	Network *testnetwork.Network
	// Paid and Free are the published versions.
	Paid, Free model.Card

	mutex    sync.Mutex
	conns    map[string]*grpc.ClientConn
	gateways map[string]*gateway
}

type gateway struct {
	*server.Server
	end func() error
}

// Open opens a market. After an error nothing runs.
func Open(ctx context.Context, o Options) (*Market, error) {
	m := &Market{Options: o, conns: map[string]*grpc.ClientConn{}, gateways: map[string]*gateway{}}
	topology, err := network.Parse(bytes.NewReader(config.BFT), "topology")
	if err != nil {
		return nil, err
	}
	programs := filepath.Join(o.Dir, "bin")
	for _, program := range []string{"chaincode", "ccaas-builder"} {
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(programs, program), "github.com/datanet-consortium/datanet/cmd/"+program)
		if output, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w: %s", program, err, output)
		}
	}
	m.Network, err = testnetwork.Start(ctx, testnetwork.Options{Dir: filepath.Join(o.Dir, "network"), Topology: topology,
		Chaincode: filepath.Join(programs, "chaincode"), Builder: filepath.Join(programs, "ccaas-builder"), Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	if err := m.set(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// set starts the gateways and publishes the models.
func (m *Market) set(ctx context.Context) error {
	for _, msp := range []string{Owner, Consumer} {
		if err := m.serve(ctx, msp); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context) error{m.found, m.contribute, m.train, m.fund} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything.
func (m *Market) Close() error {
	var faults []error
	for _, g := range m.gateways {
		faults = append(faults, g.end())
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, conn := range m.conns {
		faults = append(faults, conn.Close())
	}
	return errors.Join(append(faults, m.Network.Stop())...)
}

// serve starts the gateway of a member, which bounds no caller's rate and has the keys of its people.
func (m *Market) serve(ctx context.Context, msp string) error {
	org, material, err := m.Network.State().Organization(msp)
	if err != nil {
		return err
	}
	own := material.GatewayTLS()
	var keep []string
	for _, user := range org.Users {
		keep = append(keep, material.UserMSPDir(user.Name))
	}
	var organisations []map[string]any
	for _, other := range []string{Owner, Consumer, Third} {
		their, kept, err := m.Network.State().Organization(other)
		if err != nil {
			return err
		}
		organisations = append(organisations, map[string]any{"mspId": other, "authority": kept.CACertFile(), "gateway": their.GatewayAddress(), "tlsAuthority": kept.GatewayTLS().CAFile})
	}
	var models []map[string]any
	if msp == Owner {
		for _, version := range []string{paidVersion, freeVersion} {
			models = append(models, map[string]any{"model": Name + "@" + version, "urls": []string{m.Upstream}, "name": "upstream"})
		}
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
		"limits":        map[string]any{"rate": 0, "burst": 0},
	})
	if err != nil {
		return err
	}
	path := filepath.Join(m.Dir, msp+".yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	settings, err := server.Load(path, nil, m.Settings)
	if err != nil {
		return err
	}
	s, err := server.New(ctx, settings, "market", m.Log.With("gateway", msp))
	if err != nil {
		return err
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(serving) }()
	m.gateways[msp] = &gateway{s, sync.OnceValue(func() error { cancel(); return <-ended })}
	return nil
}

// URL is where a member's gateway is called, and Roots its TLS authority.
func (m *Market) URL(msp string) string { return "https://" + m.gateways[msp].Address() }

// Authority is the PEM file of the TLS authority of a member's gateway.
func (m *Market) Authority(msp string) (string, error) {
	_, material, err := m.Network.State().Organization(msp)
	if err != nil {
		return "", err
	}
	return material.GatewayTLS().CAFile, nil
}

// Person is somebody who calls the gateway of the own organisation with a certificate.
func (m *Market) Person(msp, name string) (*client.Client, error) {
	folder, roots, err := m.Folder(msp, name)
	if err != nil {
		return nil, err
	}
	id, err := client.LoadIdentity(folder)
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{Gateway: m.URL(msp), Roots: roots, Identity: id})
}

// Folder is somebody's folder of certificate and key, and the TLS authority of the gateway.
func (m *Market) Folder(msp, name string) (string, *x509.CertPool, error) {
	_, material, err := m.Network.State().Organization(msp)
	if err != nil {
		return "", nil, err
	}
	roots, err := client.ReadRoots(material.GatewayTLS().CAFile)
	return material.UserMSPDir(name), roots, err
}

// submit calls a function as somebody, past the gateway, until it succeeds: peers need a moment to learn from each other
// what they can endorse, and one that lags does not know yet what the call builds on.
func (m *Market) submit(ctx context.Context, msp, name, function string, request any) ([]byte, error) {
	m.mutex.Lock()
	org, material, err := m.Network.State().Organization(msp)
	conn := m.conns[msp]
	if err == nil && conn == nil {
		if conn, err = fabric.Dial(org.PeerAddress(), material.TLSCA.PEM); err == nil {
			m.conns[msp] = conn
		}
	}
	m.mutex.Unlock()
	if err != nil {
		return nil, err
	}
	var id *pki.Identity
	if id, err = material.User(name); err != nil {
		return nil, err
	}
	topology := m.Network.State().Topology()
	c, err := fabric.Connect(conn, id, topology.Channel, topology.Chaincode.Name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		committed, err := c.Submit(ctx, fabric.Call{Function: function, Request: request})
		if err == nil {
			return committed.Response, nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("%s by %s of %s: %w", function, name, msp, err)
		}
	}
}

// Block is a block of the channel.
func (m *Market) Block(ctx context.Context, number uint64) (*common.Block, error) {
	m.mutex.Lock()
	conn := m.conns[Owner]
	m.mutex.Unlock()
	id, err := m.Network.State().User(Owner, "operator1")
	if err != nil {
		return nil, err
	}
	topology := m.Network.State().Topology()
	c, err := fabric.Connect(conn, id, topology.Channel, topology.Chaincode.Name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	blocks, err := c.Blocks(ctx, number)
	if err != nil {
		return nil, err
	}
	block, ok := <-blocks
	if !ok {
		return nil, fmt.Errorf("there is no block %d", number)
	}
	return block, nil
}

// decide carries a proposal through.
func (m *Market) decide(ctx context.Context, kind string, params any) error {
	raw, err := ledger.Encode(params)
	if err != nil {
		return err
	}
	content := proposal.Content{ID: ID(), Kind: kind, Params: raw, Expires: time.Now().UTC().Truncate(time.Second).Add(2 * proposal.MinTerm)}
	digest, err := content.Digest()
	if err != nil {
		return err
	}
	if _, err := m.submit(ctx, Owner, "operator1", "proposal:Propose", content); err != nil {
		return err
	}
	for _, msp := range []string{Owner, Consumer} {
		if _, err := m.submit(ctx, msp, "operator2", "proposal:Approve", proposal.Approval{ID: content.ID, Digest: digest}); err != nil {
			return err
		}
	}
	_, err = m.submit(ctx, Owner, "operator1", "proposal:Execute", proposal.Named{ID: content.ID})
	return err
}

// found founds the ledger, with accounts, a fee schedule and a fingerprint secret.
func (m *Market) found(ctx context.Context) error {
	if _, err := m.submit(ctx, Owner, "operator1", "member:Found", ledger.Nothing{}); err != nil {
		return err
	}
	for _, who := range [][2]string{{Owner, contributorName}, {Owner, trainerName}, {Owner, hostName}, {Owner, "operator1"}, {Owner, "operator2"}, {Consumer, ConsumerName}} {
		if _, err := m.submit(ctx, who[0], who[1], "account:Open", ledger.Nothing{}); err != nil {
			return err
		}
	}
	if err := m.decide(ctx, "schedule.set", schedule.Schedule{Platform: ledger.NewAccount(Owner, "operator1"), PlatformPpm: 50_000, Issuer: ledger.NewAccount(Owner, "operator2")}); err != nil {
		return err
	}
	operator, err := m.Person(Owner, "operator1")
	if err != nil {
		return err
	}
	defer operator.Close()
	drawn, err := client.Do[contribution.Rotation](ctx, operator, http.MethodPost, "/v1/fingerprint-secrets", nil)
	if err != nil {
		return err
	}
	return m.decide(ctx, "fingerprint.rotate", drawn)
}

// Datanet is the name of the datanet, Name that of the model.
const (
	Datanet = Owner + "/verse"
	Name    = Owner + "/verse"

	paidVersion, freeVersion = "1", "2"
)

// contribute has a text uploaded, approved and sealed, and takes a snapshot.
func (m *Market) contribute(ctx context.Context) error {
	content := datanet.Content{Title: "Verse", Tags: []string{}, Modality: datanet.Text, Licence: licence.Licence{Purposes: slices.Sorted(slices.Values(licence.Purposes))},
		Policy: datanet.Policy{Validators: slices.Sorted(slices.Values([]string{Owner, Consumer, Third})), Quorum: 2, MaxDerivedPpm: 100_000, DataPpm: 600_000,
			ValidatorsPpm: 100_000, Tau: 12, AttestationQuorum: 1, Rest: datanet.ByTokens}}
	if _, err := m.submit(ctx, Owner, curatorName, "datanet:Create", datanet.Create{Name: Datanet, Content: content}); err != nil {
		return err
	}
	author, err := m.Person(Owner, contributorName)
	if err != nil {
		return err
	}
	defer author.Close()
	upload := client.Upload{ID: ID(), Files: []client.File{{Name: "verse.txt", Bytes: int64(len(m.Text))}}, Rules: ingest.Rules{Split: true}}
	file := filepath.Join(m.Dir, "verse.txt")
	if err := os.WriteFile(file, []byte(m.Text), 0o600); err != nil {
		return err
	}
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := author.Upload(ctx, upload, from, nil); err != nil {
		return err
	}
	n := contribution.Named{Datanet: Datanet, ID: ID()}
	prepared, err := author.FinishUpload(ctx, upload.ID, client.Finish{Descriptor: client.Descriptor{Author: "Ann Onymous"}, Datanet: n.Datanet, Contribution: n.ID})
	if err != nil {
		return err
	}
	provenance := contribution.Provenance{Method: "digitised", FromYear: 1320, ToYear: 1389, Languages: []string{"en"}}
	if _, _, err := client.Write[contribution.Contribution](ctx, author, http.MethodPut, "/v1/datanets/"+n.Datanet+"/contributions/"+n.ID, "", prepared.Content(provenance)); err != nil {
		return err
	}
	report := sha256.Sum256([]byte("a report"))
	for _, msp := range []string{Consumer, Third} {
		verdict := approval.Verdict{Choice: approval.Approve, Score: 90, Reason: approval.Sound, Report: hex.EncodeToString(report[:])}
		if _, err := m.submit(ctx, msp, validatorName, "approval:Vote", approval.Vote{Named: n, Revision: 1, Verdict: verdict}); err != nil {
			return err
		}
	}
	if err := m.await(ctx, "the contribution is sealed", func() (bool, error) {
		head, _, err := client.Get[seal.Head](ctx, author, "/v1/datanets/"+Datanet+"/seal", nil)
		return head.Count == 1, err
	}); err != nil {
		return err
	}
	_, err = m.submit(ctx, Owner, curatorName, "snapshot:Take", snapshot.Named{Datanet: Datanet, Number: 1})
	return err
}

// await asks until something holds.
func (m *Market) await(ctx context.Context, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		ok, err := holds()
		if ok {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, errors.Join(ctx.Err(), err))
		}
	}
}

// train registers and publishes the model's versions.
func (m *Market) train(ctx context.Context) error {
	artifact := sha256.Sum256([]byte("the model behind the upstream"))
	digest := hex.EncodeToString(artifact[:])
	author, err := m.Person(Owner, trainerName)
	if err != nil {
		return err
	}
	defer author.Close()
	taken, _, err := client.Get[snapshot.Snapshot](ctx, author, "/v1/datanets/"+Datanet+"/snapshots/1", map[string][]string{"at": {"ledger"}})
	if err != nil {
		return err
	}
	for version, card := range map[string]*model.Card{paidVersion: &m.Paid, freeVersion: &m.Free} {
		opened := ticket.Open{ID: ID(), Snapshots: []snapshot.Named{{Datanet: Datanet, Number: 1}}, Purpose: licence.CommercialService}
		if _, err := m.submit(ctx, Owner, trainerName, "ticket:Open", opened); err != nil {
			return err
		}
		n := model.Named{Name: Name, Version: version}
		if _, err := m.submit(ctx, Owner, trainerName, "model:Register", model.Register{Named: n, Tickets: []string{opened.ID}, Bases: []model.Named{},
			Artifacts: []string{digest}, Manifest: digest, Purpose: licence.CommercialService, Corpus: model.Corpus{Tokens: taken.Tokens, Distinct: 1, Digest: digest}}); err != nil {
			return err
		}
		publish := model.Publish{Named: n, Card: 1, PriceIn: m.PriceIn, PriceOut: m.PriceOut, Host: ledger.NewAccount(Owner, hostName), HostPpm: 100_000, OwnerPpm: 150_000}
		if version == freeVersion {
			publish.PriceIn, publish.PriceOut = 0, 0
		}
		answer, err := m.submit(ctx, Owner, trainerName, "model:Publish", publish)
		if err != nil {
			return err
		}
		if err := ledger.DecodeAnswer(answer, card); err != nil {
			return err
		}
	}
	return nil
}

// fund gives the consumer credits.
func (m *Market) fund(ctx context.Context) error {
	account := ledger.NewAccount(Consumer, ConsumerName)
	if err := m.decide(ctx, "token.mint", token.Mint{To: account, Amount: m.Credits}); err != nil {
		return err
	}
	person, err := m.Person(Consumer, ConsumerName)
	if err != nil {
		return err
	}
	defer person.Close()
	var credits ledger.Page[token.Credit]
	if err := m.await(ctx, "the consumer's peer has the credits", func() (held bool, err error) {
		credits, _, err = client.Get[ledger.Page[token.Credit]](ctx, person, client.Path("accounts", string(account), "credits"), map[string][]string{"at": {"ledger"}})
		return len(credits.Items) > 0, err
	}); err != nil {
		return err
	}
	fold := token.Fold{ID: ID()}
	for _, credit := range credits.Items {
		fold.Credits = append(fold.Credits, credit.ID)
	}
	_, err = m.submit(ctx, Consumer, ConsumerName, "token:Fold", fold)
	return err
}

// ID is the random id of a request.
func ID() string {
	id := make([]byte, 16)
	rand.Read(id)
	return hex.EncodeToString(id)
}
