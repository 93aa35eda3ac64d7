// Package integration_test runs the product on a real network: Fabric's own peers and orderers, our chaincode, TLS
// everywhere.
package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-lib-go/common/flogging"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/integration/story"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// The organisations of the local network.
const (
	poets     = "PoetrySocietyMSP"
	library   = "NationalLibraryMSP"
	lab       = "AILabMSP"
	regulator = "RegulatorMSP"
)

var members = []string{lab, library, poets}

func TestMain(m *testing.M) {
	flogging.ActivateSpec("error") // Fabric's packages log every connection otherwise
	os.Exit(m.Run())
}

// consortium is a running network and clients of its users.
type consortium struct {
	*testnetwork.Network
	topology *network.Topology
	programs string
	shift    time.Duration // how far the stories' clock is ahead of the machine's

	certified map[story.User]*pki.Identity // whom certify has certified

	mutex   sync.Mutex
	conns   map[string]*grpc.ClientConn
	clients map[story.User]*fabric.Client
}

// start builds the programs and brings up a network whose peers accept proposals of any time, so that stories can let
// time pass, unless an adjustment changes that.
func start(t *testing.T, topology []byte, adjust ...func(*testnetwork.Options)) *consortium {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real network")
	}
	dir := t.TempDir()
	for _, program := range []string{"../cmd/chaincode", "../cmd/ccaas-builder", "./tampered"} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bin")+"/", program).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	parsed, err := parse(topology)
	require.NoError(t, err)
	c := &consortium{programs: filepath.Join(dir, "bin"), conns: map[string]*grpc.ClientConn{}, clients: map[story.User]*fabric.Client{},
		certified: map[story.User]*pki.Identity{}}
	options := testnetwork.Options{
		Dir: filepath.Join(dir, "network"), Topology: parsed, TimeWindow: 10 * 365 * 24 * time.Hour,
		Chaincode: filepath.Join(c.programs, "chaincode"), Builder: filepath.Join(c.programs, "ccaas-builder"),
		Progress: func(s string) { t.Log(s) },
	}
	for _, change := range adjust {
		change(&options)
	}
	c.Network, err = testnetwork.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.stop()) })
	c.topology = c.State().Topology()
	cells, err := parse(topology)
	require.NoError(t, err)
	withCells(cells)
	for _, org := range append(cells.Members, cells.Regulator) {
		for _, user := range org.Users {
			if strings.HasPrefix(user.Name, cell("")) {
				c.certify(t, org.MSPID, user)
			}
		}
	}
	outcome, err := c.Submit(t.Context(), story.Call{User: story.User{Name: "operator1", MSP: poets}, Function: "member:Found", Document: []byte("{}")})
	require.NoError(t, err)
	require.Equal(t, "success", outcome.String())
	return c
}

func (c *consortium) stop() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var errs []error
	for _, client := range c.clients {
		errs = append(errs, client.Close())
	}
	for _, conn := range c.conns {
		errs = append(errs, conn.Close())
	}
	clear(c.clients)
	clear(c.conns)
	return errors.Join(append(errs, c.Network.Stop())...)
}

// connection is the one connection to an organisation's peer.
func (c *consortium) connection(msp string) (*grpc.ClientConn, error) {
	if conn, ok := c.conns[msp]; ok {
		return conn, nil
	}
	org, material, err := c.State().Organization(msp)
	if err != nil {
		return nil, err
	}
	conn, err := fabric.Dial(org.PeerAddress(), material.TLSCA.PEM)
	if err == nil {
		c.conns[msp] = conn
	}
	return conn, err
}

// admin is the name under which client finds an organisation's administrator.
const admin = "admin"

// client calls as a user through the peer of the user's organisation.
func (c *consortium) client(user story.User) (*fabric.Client, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if client, ok := c.clients[user]; ok {
		return client, nil
	}
	conn, err := c.connection(user.MSP)
	if err != nil {
		return nil, err
	}
	identity, certified := c.certified[user]
	switch {
	case certified:
	case user.Name == admin:
		identity, err = c.State().Admin(user.MSP)
	default:
		identity, err = c.State().User(user.MSP, user.Name)
	}
	if err != nil {
		return nil, err
	}
	client, err := fabric.Connect(conn, identity, c.topology.Channel, c.topology.Chaincode.Name)
	if err == nil {
		c.clients[user] = client
	}
	return client, err
}

var _ story.Backend = (*consortium)(nil)

// Now is the time of the stories' next proposal.
func (c *consortium) Now() time.Time { return time.Now().Add(c.shift) }

// Advance puts the stories' clock ahead.
func (c *consortium) Advance(d time.Duration) { c.shift += d }

// patience bounds one call, also one that waits for peers which discover each other only some time after a start, or one of
// which lags behind a sequencer, on a busy machine.
const patience = 2 * time.Minute

func (c *consortium) call(call story.Call) fabric.Call {
	out := fabric.Call{Function: call.Function, Request: call.Document, Endorsers: call.Endorsers}
	if c.shift != 0 {
		out.Time = c.Now()
	}
	return out
}

func (c *consortium) Submit(ctx context.Context, call story.Call) (story.Outcome, error) {
	held, outcome, err := c.Hold(ctx, call)
	if err != nil || held == nil {
		return outcome, err
	}
	return c.Release(ctx, held)
}

func (c *consortium) Evaluate(ctx context.Context, call story.Call) (story.Outcome, error) {
	client, err := c.client(call.User)
	if err != nil {
		return story.Outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if len(call.Endorsers) == 0 {
		call.Endorsers = []string{call.User.MSP}
	}
	answer, err := client.Evaluate(ctx, c.call(call))
	if err != nil {
		return outcomeOf(err, story.AtEndorsement)
	}
	return story.Outcome{Response: answer}, nil
}

func (c *consortium) Hold(ctx context.Context, call story.Call) (story.Held, story.Outcome, error) {
	client, err := c.client(call.User)
	if err != nil {
		return nil, story.Outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	endorsed, err := client.Endorse(ctx, c.call(call))
	for again := time.NewTicker(200 * time.Millisecond); fabric.Again(err) && ctx.Err() == nil; <-again.C {
		endorsed, err = client.Endorse(ctx, c.call(call))
	}
	if err != nil {
		outcome, err := outcomeOf(err, story.AtEndorsement)
		return nil, outcome, err
	}
	return endorsed, story.Outcome{TxID: endorsed.TxID(), Response: endorsed.Response()}, nil
}

func (c *consortium) Release(ctx context.Context, held story.Held) (story.Outcome, error) {
	endorsed := held.(*fabric.Endorsed)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := endorsed.Submit(ctx); err != nil {
		outcome, err := outcomeOf(err, story.AtOrdering)
		outcome.TxID = endorsed.TxID()
		return outcome, err
	}
	return story.Outcome{TxID: endorsed.TxID(), Response: endorsed.Response()}, c.awaitEverywhere(ctx, endorsed.TxID())
}

// awaitEverywhere waits until every peer has committed a transaction, so that the next step of a story is
// endorsed on top of this one wherever it goes.
func (c *consortium) awaitEverywhere(ctx context.Context, txID string) error {
	for _, msp := range append([]string{regulator}, members...) {
		client, err := c.client(story.User{Name: somebody[msp], MSP: msp})
		if err != nil {
			return err
		}
		if err := client.Status(ctx, txID); err != nil {
			return fmt.Errorf("at the peer of %s: %w", msp, err)
		}
	}
	return nil
}

// outcomeOf tells what became of a call that failed. A failure that none of the kinds of package fabric explains is a
// refusal at the given stage.
func outcomeOf(err error, stage story.Stage) (story.Outcome, error) {
	var fault *ledger.Fault
	var invalid *fabric.InvalidError
	var refused *fabric.RefusedError
	var unknown *fabric.UnknownError
	switch {
	case errors.As(err, &fault):
		return story.Outcome{Fault: fault}, nil
	case errors.As(err, &invalid):
		return story.Outcome{Flag: memledger.Flag(invalid.Code.String())}, nil
	case errors.As(err, &refused):
		return story.Outcome{Refused: story.AtOrdering, Reason: err.Error()}, nil
	case errors.As(err, &unknown):
		return story.Outcome{}, err
	}
	return story.Outcome{Refused: stage, Reason: err.Error()}, nil
}

// must submits a request that has to succeed and returns its answer.
func must[Res any](t *testing.T, c *consortium, user story.User, function string, request any, endorsers ...string) Res {
	t.Helper()
	outcome := try(t, c, user, function, request, endorsers...)
	require.Equal(t, "success", outcome.String(), "%s by %s", function, user)
	var response Res
	require.NoError(t, ledger.DecodeAnswer(outcome.Response, &response))
	return response
}

// try submits a request and returns what became of it.
func try(t *testing.T, c *consortium, user story.User, function string, request any, endorsers ...string) story.Outcome {
	t.Helper()
	document, err := ledger.Encode(request)
	require.NoError(t, err)
	outcome, err := c.Submit(t.Context(), story.Call{User: user, Function: function, Document: document, Endorsers: endorsers})
	require.NoError(t, err, "%s by %s", function, user)
	return outcome
}

func operator(n int, msp string) story.User {
	return story.User{Name: fmt.Sprintf("operator%d", n), MSP: msp}
}

func parse(topology []byte) (*network.Topology, error) {
	return network.Parse(bytes.NewReader(topology), "topology")
}
