// Package market is a market for the use of models on a real network, for tests and benchmarks: the local network, a
// gateway of each member, in this process or as processes that can be killed, and a model that one of them hosts and the
// others pay for.
//
// Everything is made as people make it: a contributor uploads texts, the other members' validators approve them, the
// sequencer seals them, a trainer takes them by a ticket, registers versions of a model and publishes them, one with a
// price and, on data that asks for no part of a fee, one without. What writes the answers is a server of OpenAI's
// interface that the caller brings. The gateways of those who validate attest what hosts settle.
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
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/grpc"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/access"
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
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// The members of the local network, by what they do here.
const (
	Owner    = "PoetrySocietyMSP" // of datanets and model, and the host
	Consumer = "AILabMSP"
	Third    = "NationalLibraryMSP" // another consumer
)

var members = []string{Owner, Consumer, Third}

// platformPpm is the platform's part of a fee.
const platformPpm = 50_000

// The people.
const (
	contributorName = "contributor1"
	curatorName     = "curator1"
	trainerName     = "trainer1"
	hostName        = "host1"
	// ValidatorName is who attests.
	ValidatorName = "validator1"
	// ConsumerName is who pays, of [Consumer] and of [Third].
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
	// Credits are minted for each consumer.
	Credits money.Amount
	// Processes has gateways run as processes of the program datanet; else they run in this one.
	Processes bool
	// ByHand is a member whose gateway attests nothing by itself: its validators have it do so.
	ByHand string
	// Settings are added to the configuration of all gateways.
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

// Open opens a market. After an error nothing runs.
func Open(ctx context.Context, o Options) (*Market, error) {
	m := &Market{Options: o, conns: map[string]*grpc.ClientConn{}, gateways: map[string]*gateway{}}
	topology, err := network.Parse(bytes.NewReader(config.BFT), "topology")
	if err != nil {
		return nil, err
	}
	programs := filepath.Join(o.Dir, "bin")
	needed := []string{"chaincode", "ccaas-builder"}
	if o.Processes {
		needed = append(needed, "datanet")
	}
	for _, program := range needed {
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
	for _, msp := range members {
		if err := m.start(ctx, msp); err != nil {
			return err
		}
	}
	if err := m.found(ctx); err != nil {
		return err
	}
	// Equal content is registered once, so the other text has a line more.
	asks := datanet.Policy{DataPpm: 600_000, ValidatorsPpm: 100_000}
	if err := errors.Join(m.contribute(ctx, Datanet, m.Text, asks), m.contribute(ctx, openDatanet, m.Text+"\n\nwhatever is in here may be used for nothing by everybody\n", datanet.Policy{})); err != nil {
		return err
	}
	var err error
	if m.Paid, err = m.Publish(ctx, Offer{Version: paidVersion, Host: Owner, PriceIn: m.PriceIn, PriceOut: m.PriceOut}); err != nil {
		return err
	}
	if m.Free, err = m.Publish(ctx, Offer{Version: freeVersion, Datanet: openDatanet, Host: Owner}); err != nil {
		return err
	}
	return errors.Join(m.fund(ctx, Consumer), m.fund(ctx, Third))
}

// Close ends everything.
func (m *Market) Close() error {
	faults := []error{m.stopGateways()}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, conn := range m.conns {
		faults = append(faults, conn.Close())
	}
	return errors.Join(append(faults, m.Network.Stop())...)
}

// URL is where a member's gateway is called.
func (m *Market) URL(msp string) string {
	org, _, err := m.Network.State().Organization(msp)
	if err != nil {
		panic(err) // the constants name no others
	}
	return "https://" + org.GatewayAddress()
}

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

// Submit calls a function as somebody, past the gateway, until it succeeds: peers need a moment to learn from each other
// what they can endorse, and one that lags does not know yet what the call builds on.
func (m *Market) Submit(ctx context.Context, msp, name, function string, request any) ([]byte, error) {
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
	if _, err := m.Submit(ctx, Owner, "operator1", "proposal:Propose", content); err != nil {
		return err
	}
	for _, msp := range []string{Owner, Consumer} {
		if _, err := m.Submit(ctx, msp, "operator2", "proposal:Approve", proposal.Approval{ID: content.ID, Digest: digest}); err != nil {
			return err
		}
	}
	_, err = m.Submit(ctx, Owner, "operator1", "proposal:Execute", proposal.Named{ID: content.ID})
	return err
}

// found founds the ledger, with accounts, a fee schedule and a fingerprint secret.
func (m *Market) found(ctx context.Context) error {
	if _, err := m.Submit(ctx, Owner, "operator1", "member:Found", ledger.Nothing{}); err != nil {
		return err
	}
	for _, who := range [][2]string{{Owner, contributorName}, {Owner, trainerName}, {Owner, hostName}, {Owner, "operator1"}, {Owner, "operator2"}, {Consumer, ConsumerName},
		{Consumer, hostName}, {Third, ConsumerName}} {
		if _, err := m.Submit(ctx, who[0], who[1], "account:Open", ledger.Nothing{}); err != nil {
			return err
		}
	}
	if err := m.decide(ctx, "schedule.set", schedule.Schedule{Platform: ledger.NewAccount(Owner, "operator1"), PlatformPpm: platformPpm, Issuer: ledger.NewAccount(Owner, "operator2")}); err != nil {
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

	openDatanet              = Owner + "/open-verse" // asks for no part of a fee
	paidVersion, freeVersion = "1", "2"
)

// versions are those of the model that gateways have a server for.
var versions = []string{paidVersion, freeVersion, "3", "4"}

// contribute makes a datanet that asks for parts of a fee, has a text uploaded, approved and sealed, and takes a snapshot.
func (m *Market) contribute(ctx context.Context, name, text string, asks datanet.Policy) error {
	content := datanet.Content{Title: "Verse", Tags: []string{}, Modality: datanet.Text, Licence: licence.Licence{Purposes: slices.Sorted(slices.Values(licence.Purposes))},
		Policy: datanet.Policy{Validators: slices.Sorted(slices.Values([]string{Owner, Consumer, Third})), Quorum: 2, MaxDerivedPpm: money.Million, DataPpm: asks.DataPpm,
			ValidatorsPpm: asks.ValidatorsPpm, Tau: 12, AttestationQuorum: 2, Rest: datanet.ByTokens}}
	if _, err := m.Submit(ctx, Owner, curatorName, "datanet:Create", datanet.Create{Name: name, Content: content}); err != nil {
		return err
	}
	author, err := m.Person(Owner, contributorName)
	if err != nil {
		return err
	}
	defer author.Close()
	upload := client.Upload{ID: ID(), Files: []client.File{{Name: "verse.txt", Bytes: int64(len(text))}}, Rules: ingest.Rules{Split: true}}
	if err := author.Upload(ctx, upload, strings.NewReader(text), nil); err != nil {
		return err
	}
	n := contribution.Named{Datanet: name, ID: ID()}
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
		if _, err := m.Submit(ctx, msp, ValidatorName, "approval:Vote", approval.Vote{Named: n, Revision: 1, Verdict: verdict}); err != nil {
			return err
		}
	}
	if err := m.await(ctx, "the contribution is sealed", func() (bool, error) {
		head, _, err := client.Get[seal.Head](ctx, author, "/v1/datanets/"+name+"/seal", nil)
		return head.Count == 1, err
	}); err != nil {
		return err
	}
	_, err = m.Submit(ctx, Owner, curatorName, "snapshot:Take", snapshot.Named{Datanet: name, Number: 1})
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

// Offer is a version of the model and its rate card.
type Offer struct {
	Version  string
	Datanet  string // "": that which asks for parts
	Host     string // an organisation
	PriceIn  money.Amount
	PriceOut money.Amount
}

// Publish trains a version and puts its rate card in force. Its host's organisation, if it is another one than the owner,
// gets a grant of the data and accepts the card.
func (m *Market) Publish(ctx context.Context, o Offer) (card model.Card, err error) {
	if o.Datanet == "" {
		o.Datanet = Datanet
	}
	artifact := sha256.Sum256([]byte("the model behind the upstream"))
	digest := hex.EncodeToString(artifact[:])
	author, err := m.Person(Owner, trainerName)
	if err != nil {
		return card, err
	}
	defer author.Close()
	taken, _, err := client.Get[snapshot.Snapshot](ctx, author, "/v1/datanets/"+o.Datanet+"/snapshots/1", map[string][]string{"at": {"ledger"}})
	if err != nil {
		return card, err
	}
	opened := ticket.Open{ID: ID(), Snapshots: []snapshot.Named{{Datanet: o.Datanet, Number: 1}}, Purpose: licence.CommercialService}
	if _, err := m.Submit(ctx, Owner, trainerName, "ticket:Open", opened); err != nil {
		return card, err
	}
	n := model.Named{Name: Name, Version: o.Version}
	answer, err := m.Submit(ctx, Owner, trainerName, "model:Register", model.Register{Named: n, Tickets: []string{opened.ID}, Bases: []model.Named{},
		Artifacts: []string{digest}, Manifest: digest, Purpose: licence.CommercialService, Corpus: model.Corpus{Tokens: taken.Tokens, Distinct: 1, Digest: digest}})
	if err != nil {
		return card, err
	}
	var registered model.Model
	if err := ledger.DecodeAnswer(answer, &registered); err != nil {
		return card, err
	}
	publish := model.Publish{Named: n, Card: 1, PriceIn: o.PriceIn, PriceOut: o.PriceOut, Host: ledger.NewAccount(o.Host, hostName), HostPpm: 100_000,
		OwnerPpm: money.Million - platformPpm - 100_000 - registered.Due.DataPpm - registered.Due.ValidatorsPpm}
	if answer, err = m.Submit(ctx, Owner, trainerName, "model:Publish", publish); err != nil {
		return card, err
	}
	if err := ledger.DecodeAnswer(answer, &card); err != nil || o.Host == Owner {
		return card, err
	}
	terms := access.Terms{Named: access.Named{Datanet: o.Datanet, ID: ID()}, Grantee: o.Host, Purposes: []licence.Purpose{licence.CommercialService},
		Expires: time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)}
	if _, err := m.Submit(ctx, Owner, curatorName, "access:Grant", terms); err != nil {
		return card, err
	}
	_, err = m.Submit(ctx, o.Host, hostName, "model:Accept", model.CardName{Named: n, Card: 1})
	return card, err
}

// fund gives the consumer of an organisation credits.
func (m *Market) fund(ctx context.Context, msp string) error {
	account := ledger.NewAccount(msp, ConsumerName)
	if err := m.decide(ctx, "token.mint", token.Mint{To: account, Amount: m.Credits}); err != nil {
		return err
	}
	person, err := m.Person(msp, ConsumerName)
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
	_, err = m.Submit(ctx, msp, ConsumerName, "token:Fold", fold)
	return err
}

// ID is the random id of a request.
func ID() string {
	id := make([]byte, 16)
	rand.Read(id)
	return hex.EncodeToString(id)
}
