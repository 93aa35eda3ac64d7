package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/outbox"
	"github.com/datanet-consortium/datanet/integration/story"
)

// TestWhatGatewaysWrite kills processes with an outbox between any two steps of a write to a real network, and has a
// sequencer at work on it.
func TestWhatGatewaysWrite(t *testing.T) {
	for name, topology := range map[string][]byte{"bft": config.BFT, "raft": config.Raft} {
		t.Run(name, func(t *testing.T) {
			c := start(t, topology)
			w := newWriter(t, c)
			for _, step := range outbox.Steps {
				t.Run("killed "+string(step), func(t *testing.T) { w.survives(t, string(step), 1) })
			}
			for _, at := range []string{"after-storing:7", "after-sending:1", "after-sending:13", "after-outcome:10"} {
				t.Run("twenty writes at once, killed "+at, func(t *testing.T) { w.survives(t, at, 20) })
			}
			t.Run("copies of an envelope", func(t *testing.T) { sendCopies(t, c) })
			t.Run("a key that is elsewhere", func(t *testing.T) { signElsewhere(t, c) })
			t.Run("sequencer", func(t *testing.T) { sequence(t, c) })
		})
	}
}

// writer runs command writer as a curator.
type writer struct {
	c       *consortium
	program string
	dir     string
}

var writes = story.User{Name: "curator1", MSP: poets}

func newWriter(t *testing.T, c *consortium) *writer {
	w := &writer{c: c, dir: t.TempDir()}
	w.program = filepath.Join(w.dir, "writer")
	out, err := exec.Command("go", "build", "-tags", "failpoints", "-o", w.program, "./writer").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return w
}

// run submits the requests; fail is where the process dies, "" nowhere.
func (w *writer) run(t *testing.T, fail string, requests []outbox.Request) ([]outbox.Entry, error) {
	t.Helper()
	org, material, err := w.c.State().Organization(writes.MSP)
	require.NoError(t, err)
	root := filepath.Join(w.dir, "ca.pem")
	require.NoError(t, os.WriteFile(root, material.TLSCA.PEM, 0o600))
	input, err := json.Marshal(requests)
	require.NoError(t, err)
	process := exec.CommandContext(t.Context(), w.program, "-peer", org.PeerAddress(), "-ca", root, "-msp", org.MSPID,
		"-identity", filepath.Join(material.Dir, "users", writes.Name, "msp"), "-channel", w.c.topology.Channel,
		"-chaincode", w.c.topology.Chaincode.Name, "-database", database.SQLiteURL(filepath.Join(w.dir, "state.db")))
	process.Env = append(os.Environ(), "DATANET_OUTBOX_FAIL="+fail)
	var stdout, stderr bytes.Buffer
	process.Stdin, process.Stdout, process.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := process.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	var entries []outbox.Entry
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &entries))
	return entries, nil
}

// survives makes n writes, of which the process is killed in the midst, and makes them again.
func (w *writer) survives(t *testing.T, fail string, n int) {
	requests := make([]outbox.Request, n)
	for i := range requests {
		document, err := ledger.Encode(datanet.Create{Name: poets + "/once-" + freshID()[:8], Content: verse("Once")})
		require.NoError(t, err)
		requests[i] = outbox.Request{Account: ledger.NewAccount(writes.MSP, writes.Name), Key: freshID(), Function: "datanet:Create", Document: document}
	}
	before := w.c.height(t, poets)
	_, err := w.run(t, fail, requests)
	exit := new(exec.ExitError)
	require.ErrorAs(t, err, &exit)
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "%v", err)

	entries, err := w.run(t, "", requests)
	require.NoError(t, err)
	var last uint64
	ids := map[string]bool{}
	for _, entry := range entries {
		require.Equal(t, outbox.Committed, entry.State, "%+v", entry)
		ids[entry.TxID] = true
		last = max(last, entry.Block)
	}
	require.Len(t, ids, n)
	require.Equal(t, ids, w.c.valid(t, before, max(last, w.c.height(t, poets)-1)), "these transactions are valid, and no others")

	again, err := w.run(t, "", requests)
	require.NoError(t, err)
	for i := range again {
		require.True(t, again[i].Repeated)
		require.Equal(t, entries[i].TxID, again[i].TxID)
		require.JSONEq(t, string(entries[i].Response), string(again[i].Response))
	}
}

// valid are the ids of the valid transactions of some blocks.
func (c *consortium) valid(t *testing.T, from, to uint64) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for _, outcome := range c.outcomes(t, from, to) {
		if outcome.Code == peer.TxValidationCode_VALID {
			ids[outcome.TxID] = true
		}
	}
	return ids
}

// outcomes are what became of the transactions of some blocks, in their order.
func (c *consortium) outcomes(t *testing.T, from, to uint64) (all []fabric.Outcome) {
	t.Helper()
	client, err := c.client(writes)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	blocks, err := client.Outcomes(ctx, from)
	require.NoError(t, err)
	for number := from; number <= to; number++ {
		block, open := <-blocks
		require.True(t, open, "the stream of blocks ended")
		require.Equal(t, number, block.Block)
		all = append(all, block.Outcomes...)
	}
	return all
}

// sendCopies shows what the outbox rests on: of an envelope that is ordered several times the first copy counts, and the
// answer to who asks stays that of the first.
func sendCopies(t *testing.T, c *consortium) {
	client, err := c.client(writes)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	before := c.height(t, poets)
	envelope, err := client.Envelope(ctx, fabric.Call{Function: "datanet:Create",
		Request: datanet.Create{Name: poets + "/copies-" + freshID()[:8], Content: verse("Copies")}})
	require.NoError(t, err)
	parsed, err := fabric.ParseEnvelope(envelope.Bytes)
	require.NoError(t, err)
	require.Equal(t, envelope, parsed)
	send(ctx, t, client, parsed)
	first, err := client.Await(ctx, envelope.TxID)
	require.NoError(t, err)
	for range 3 {
		send(ctx, t, client, parsed)
	}
	must[datanet.Datanet](t, c, writes, "datanet:Create", datanet.Create{Name: poets + "/after-" + freshID()[:8], Content: verse("After")})
	again, err := client.Await(ctx, envelope.TxID)
	require.NoError(t, err)
	require.Equal(t, first, again)
	copies := 0
	for _, outcome := range c.outcomes(t, before, c.height(t, poets)-1) {
		if outcome.TxID != envelope.TxID {
			continue
		}
		if copies++; copies > 1 {
			require.Equal(t, peer.TxValidationCode_DUPLICATE_TXID, outcome.Code)
		}
	}
	t.Logf("%d copies were ordered", copies)
	require.Len(t, c.valid(t, before, c.height(t, poets)-1), 2)
}

// send sends an envelope. With BFT the outcome may be unknown although it is ordered, or since the orderers know it.
func send(ctx context.Context, t *testing.T, client *fabric.Client, envelope fabric.Envelope) {
	t.Helper()
	if err := client.Send(ctx, envelope); err != nil {
		unknown := new(fabric.UnknownError)
		require.ErrorAs(t, err, &unknown)
	}
}

// signElsewhere has a curator sign what a gateway of another identity prepares and sends.
func signElsewhere(t *testing.T, c *consortium) {
	gateway, err := c.client(operator(1, poets))
	require.NoError(t, err)
	holder, err := c.State().User(writes.MSP, writes.Name)
	require.NoError(t, err)
	sign := func(message []byte) []byte {
		signature, err := holder.Sign(message)
		require.NoError(t, err)
		signature, err = fabric.CheckSignature(holder.Credentials(), message, signature)
		require.NoError(t, err)
		return signature
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request := datanet.Create{Name: poets + "/elsewhere-" + freshID()[:8], Content: verse("Elsewhere")}
	proposal, err := gateway.ProposeFor(writes.MSP, holder.Credentials(), fabric.Call{Function: "datanet:Create", Request: request})
	require.NoError(t, err)
	says, err := fabric.ReadProposal(proposal.Message)
	require.NoError(t, err)
	require.Equal(t, "datanet:Create", says.Function)
	transaction, err := gateway.EndorseSigned(ctx, proposal.Bytes, sign(proposal.Message))
	require.NoError(t, err)
	envelope, err := fabric.Seal(transaction.Bytes, sign(transaction.Message))
	require.NoError(t, err)
	send(ctx, t, gateway, envelope)
	block, err := gateway.Await(ctx, envelope.TxID)
	require.NoError(t, err)
	status, err := gateway.StatusFor(writes.MSP, holder.Credentials(), envelope.TxID)
	require.NoError(t, err)
	same, err := gateway.AwaitSigned(ctx, status.Bytes, sign(status.Message))
	require.NoError(t, err)
	require.Equal(t, block, same)
	var created datanet.Datanet
	require.NoError(t, ledger.DecodeAnswer(envelope.Response, &created))
	require.Equal(t, request.Name, created.Name)
	height, err := gateway.Height(ctx)
	require.NoError(t, err)
	require.Greater(t, height, block)
}
