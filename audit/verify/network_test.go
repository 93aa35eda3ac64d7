package verify

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-config/configtx"
	"github.com/hyperledger/fabric-lib-go/common/flogging"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer/etcdraft"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/channel"
	lifecyclenet "github.com/datanet-consortium/datanet/network/lifecycle"
	"github.com/datanet-consortium/datanet/network/pki"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

const (
	poets   = "PoetrySocietyMSP"
	library = "NationalLibraryMSP"
	lab     = "AILabMSP"
)

func TestMain(m *testing.M) {
	flogging.ActivateSpec("fatal") // Fabric's packages log every signature that is not good otherwise
	code := m.Run()
	if recordedDir != "" {
		_ = os.RemoveAll(recordedDir) // a temporary folder
	}
	for _, dir := range storyDirs {
		_ = os.RemoveAll(dir) // a temporary folder
	}
	os.Exit(code)
}

// recording is what a real network did: its blocks, and all its keys.
type recording struct {
	state    *testnetwork.State // nil of a network in memory
	topology *network.Topology
	material *pki.Material
	blocks   []*common.Block
}

// user is the identity of one of the users.
func (r *recording) user(msp, name string) (*pki.Identity, error) {
	org, err := r.material.Organization(msp)
	if err != nil {
		return nil, err
	}
	return org.User(name)
}

func (r *recording) admin(msp string) (*pki.Identity, error) {
	org, err := r.material.Organization(msp)
	if err != nil {
		return nil, err
	}
	return org.Admin()
}

var recordedDir string

// orderings are the topologies on which networks are recorded.
var orderings = map[string][]byte{"bft": config.BFT, "raft": config.Raft}

var recorded = map[string]func() (*recording, error){"bft": recordOnce("bft"), "raft": recordOnce("raft")}

func recordOnce(ordering string) func() (*recording, error) {
	return sync.OnceValues(func() (*recording, error) {
		if recordedDir == "" {
			var err error
			if recordedDir, err = os.MkdirTemp("", "audit-network-"); err != nil {
				return nil, err
			}
		}
		return record(filepath.Join(recordedDir, ordering), orderings[ordering])
	})
}

func recordedNetwork(t *testing.T, ordering string) *recording {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real network")
	}
	r, err := recorded[ordering]()
	require.NoError(t, err)
	return r
}

// record runs a network with a few transactions of each verdict and takes its blocks from the regulator's peer.
func record(dir string, ordering []byte) (_ *recording, err error) {
	for _, program := range []string{"../../cmd/chaincode", "../../cmd/ccaas-builder"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bin")+"/", program).CombinedOutput(); err != nil {
			return nil, errors.Join(err, errors.New(string(out)))
		}
	}
	topology, err := network.Parse(bytes.NewReader(ordering), "topology")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	n, err := testnetwork.Start(ctx, testnetwork.Options{Dir: filepath.Join(dir, "network"), Topology: topology,
		Chaincode: filepath.Join(dir, "bin", "chaincode"), Builder: filepath.Join(dir, "bin", "ccaas-builder")})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.Stop()) }()
	r := &recording{state: n.State(), topology: n.State().Topology(), material: n.State().Material()}
	if err := r.act(ctx); err != nil {
		return nil, err
	}
	return r, r.take(ctx)
}

// act founds the members, mints credits, and sends one transaction that is endorsed too little and one that conflicts.
func (r *recording) act(ctx context.Context) error {
	var errs []error
	call := func(user, msp, function string, request any, endorsers ...string) {
		client, closer, err := r.connect(user, msp)
		if err != nil {
			errs = append(errs, err)
			return
		}
		defer closer()
		again := time.NewTicker(200 * time.Millisecond)
		defer again.Stop()
		_, err = client.Submit(ctx, fabric.Call{Function: function, Request: request, Endorsers: endorsers})
		var unknown *fabric.UnknownError
		for ; (fabric.Again(err) || errors.As(err, &unknown)) && ctx.Err() == nil; <-again.C { // peers may not know each other yet
			_, err = client.Submit(ctx, fabric.Call{Function: function, Request: request, Endorsers: endorsers})
		}
		errs = append(errs, err, r.state.AwaitLevel(ctx))
	}
	call("operator1", poets, "member:Found", ledger.Nothing{})
	call("consumer1", lab, "account:Open", ledger.Nothing{})
	params, err := ledger.Encode(token.Mint{To: ledger.NewAccount(lab, "consumer1"), Amount: money.Amount(5_000_000)})
	if err != nil {
		return err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	content := proposal.Content{ID: hex.EncodeToString(id[:]), Kind: "token.mint", Params: params, Expires: time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)}
	digest, err := content.Digest()
	if err != nil {
		return err
	}
	approval := proposal.Approval{ID: content.ID, Digest: digest}
	call("operator1", poets, "proposal:Propose", content)
	expected := len(errs)
	call("operator2", lab, "proposal:Approve", approval, lab) // its own peer alone is not enough
	var invalid *fabric.InvalidError
	if !errors.As(errors.Join(errs[expected:]...), &invalid) {
		return errors.Join(append(errs, errors.New("an approval endorsed by one organisation was not refused"))...)
	}
	errs = errs[:expected]
	call("operator2", lab, "proposal:Approve", approval)
	call("operator2", library, "proposal:Approve", approval)
	call("operator1", poets, "proposal:Execute", proposal.Named{ID: content.ID})
	if err := errors.Join(append(errs, r.conflict(ctx), r.reconfigure(ctx))...); err != nil {
		return err
	}
	call("operator1", library, "account:Open", ledger.Nothing{})
	return errors.Join(errs...)
}

// reconfigure changes the channel in every way that the network's operators would: a fourth organisation becomes a member and
// leaves again, blocks get other sizes, an orderer is taken out.
func (r *recording) reconfigure(ctx context.Context) error {
	newcomer := network.Organization{Name: "academy", MSPID: "AcademyMSP"}
	newcomer.ApplyDefaults(network.MemberUsers)
	newcomer.Peer.Port = 7051 // nobody listens there
	material, err := pki.EnsureOrganization(filepath.Join(recordedDir, r.topology.Channel+"-"+string(r.topology.Ordering.Type), "academy"), &newcomer)
	if err != nil {
		return err
	}
	r.state.Material().Add(material)
	name, operators := r.topology.Channel, r.topology.Ordering.Operators
	policies := map[string]*common.ConfigPolicy{}
	err = r.change(ctx, []string{lab, library}, func(config *common.Config) (channel.Update, error) {
		policies = proto.Clone(config.ChannelGroup).(*common.ConfigGroup).Groups["Application"].Policies
		return channel.AddMember(config, name, &newcomer, r.state.Material())
	})
	if err != nil {
		return fmt.Errorf("add a member: %w", err)
	}
	err = r.edit(ctx, []string{lab, library, poets}, func(group *common.ConfigGroup) error {
		application := group.Groups["Application"]
		delete(application.Groups, newcomer.Name)
		for name, policy := range policies {
			application.Policies[name].Policy = policy.Policy
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove a member: %w", err)
	}
	consenting := []string{operators[0].MSPID, operators[1].MSPID, operators[2].MSPID}
	err = r.edit(ctx, consenting, func(group *common.ConfigGroup) error {
		values := group.Groups["Orderer"].Values
		size := &orderer.BatchSize{}
		if err := proto.Unmarshal(values["BatchSize"].Value, size); err != nil {
			return err
		}
		size.MaxMessageCount++
		size.PreferredMaxBytes /= 2
		return errors.Join(put(values["BatchSize"], size), put(values["BatchTimeout"], &orderer.BatchTimeout{Timeout: "100ms"}))
	})
	if err != nil {
		return fmt.Errorf("change the size of blocks: %w", err)
	}
	last := operators[len(operators)-1]
	err = r.edit(ctx, consenting, func(group *common.ConfigGroup) error { return withoutOrderer(group.Groups["Orderer"], last) })
	if err != nil {
		return fmt.Errorf("take an orderer out: %w", err)
	}
	return nil
}

func put(value *common.ConfigValue, message proto.Message) (err error) {
	value.Value, err = proto.Marshal(message)
	return err
}

// withoutOrderer takes the last orderer out of the consenters, its organisation out of the ordering service, and both out of
// the policy for blocks.
func withoutOrderer(group *common.ConfigGroup, last network.Operator) error {
	delete(group.Groups, last.Name)
	consensus := &orderer.ConsensusType{}
	if err := proto.Unmarshal(group.Values["ConsensusType"].Value, consensus); err != nil {
		return err
	}
	validation, policy := &common.SignaturePolicyEnvelope{}, group.Policies["BlockValidation"].Policy
	if err := proto.Unmarshal(policy.Value, validation); err != nil {
		return err
	}
	left := len(validation.Identities) - 1
	rules := validation.Rule.GetNOutOf()
	validation.Identities, rules.Rules = validation.Identities[:left], rules.Rules[:left]
	if consensus.Type == "BFT" {
		mapping := &common.Orderers{}
		if err := proto.Unmarshal(group.Values["Orderers"].Value, mapping); err != nil {
			return err
		}
		mapping.ConsenterMapping = mapping.ConsenterMapping[:left]
		rules.N = int32((left + (left-1)/3 + 2) / 2)
		if err := put(group.Values["Orderers"], mapping); err != nil {
			return err
		}
	} else {
		metadata := &etcdraft.ConfigMetadata{}
		if err := proto.Unmarshal(consensus.Metadata, metadata); err != nil {
			return err
		}
		metadata.Consenters = metadata.Consenters[:left]
		var err error
		if consensus.Metadata, err = proto.Marshal(metadata); err != nil {
			return err
		}
		if err := put(group.Values["ConsensusType"], consensus); err != nil {
			return err
		}
	}
	value, err := proto.Marshal(validation)
	policy.Value = value
	return err
}

// edit changes the channel's configuration with the consent of administrators.
func (r *recording) edit(ctx context.Context, consenting []string, change func(group *common.ConfigGroup) error) error {
	return r.change(ctx, consenting, func(config *common.Config) (channel.Update, error) {
		edited := configtx.New(config)
		if err := change(edited.UpdatedConfig().ChannelGroup); err != nil {
			return nil, err
		}
		return edited.ComputeMarshaledUpdate(r.topology.Channel)
	})
}

// change has an update of the configuration ordered, and waits until it is in force.
func (r *recording) change(ctx context.Context, consenting []string, compute func(config *common.Config) (channel.Update, error)) error {
	org, own, err := r.state.Organization(lab)
	if err != nil {
		return err
	}
	admin, err := r.state.Admin(lab)
	if err != nil {
		return err
	}
	conn, err := lifecyclenet.Dial(org.PeerAddress(), own.TLSCA.PEM)
	if err != nil {
		return err
	}
	defer conn.Close()
	name := r.topology.Channel
	config, err := lifecyclenet.NewPeer(conn, admin).Config(ctx, name)
	if err != nil {
		return err
	}
	sequence := config.Sequence
	update, err := compute(config)
	if err != nil {
		return err
	}
	var consents []*common.ConfigSignature
	for _, msp := range consenting {
		signer, err := r.admin(msp)
		if err != nil {
			return err
		}
		consent, err := update.Sign(signer)
		if err != nil {
			return err
		}
		consents = append(consents, consent)
	}
	envelope, err := update.Envelope(admin, consents...)
	if err != nil {
		return err
	}
	operator := r.topology.Ordering.Operators[0]
	ordering, err := r.state.Material().Organization(operator.MSPID)
	if err != nil {
		return err
	}
	to, err := lifecyclenet.Dial(operator.OrdererAddress(), ordering.TLSCA.PEM)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := lifecyclenet.Broadcast(ctx, []grpc.ClientConnInterface{to}, envelope); err != nil {
		return err
	}
	_, err = lifecyclenet.NewPeer(conn, admin).AwaitConfig(ctx, name, func(config *common.Config) bool { return config.Sequence > sequence })
	return errors.Join(err, r.state.AwaitLevel(ctx))
}

// conflict endorses the same change twice and sends both.
func (r *recording) conflict(ctx context.Context) error {
	client, closer, err := r.connect("consumer1", library)
	if err != nil {
		return err
	}
	defer closer()
	var both [2]*fabric.Endorsed
	for i := range both {
		if both[i], err = client.Endorse(ctx, fabric.Call{Function: "account:Open", Request: ledger.Nothing{}}); err != nil {
			return err
		}
	}
	if _, err := both[0].Submit(ctx); err != nil {
		return err
	}
	var invalid *fabric.InvalidError
	if _, err := both[1].Submit(ctx); !errors.As(err, &invalid) {
		return errors.New("the second of two conflicting transactions was not refused")
	}
	return r.state.AwaitLevel(ctx)
}

func (r *recording) connect(user, msp string) (*fabric.Client, func(), error) {
	org, material, err := r.state.Organization(msp)
	if err != nil {
		return nil, nil, err
	}
	identity, err := r.state.User(msp, user)
	if err != nil {
		return nil, nil, err
	}
	conn, err := fabric.Dial(org.PeerAddress(), material.TLSCA.PEM)
	if err != nil {
		return nil, nil, err
	}
	client, err := fabric.Connect(conn, identity, r.state.Topology().Channel, r.state.Topology().Chaincode.Name)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return client, func() {
		_ = client.Close()
		_ = conn.Close()
	}, nil
}

// take reads all blocks from the regulator's peer.
func (r *recording) take(ctx context.Context) error {
	regulator := r.state.Topology().Regulator
	client, closer, err := r.connect(regulator.Users[0].Name, regulator.MSPID)
	if err != nil {
		return err
	}
	defer closer()
	height, err := client.Height(ctx)
	if err != nil {
		return err
	}
	blocks, err := client.Blocks(ctx, 0)
	if err != nil {
		return err
	}
	for range height {
		block, open := <-blocks
		if !open {
			return errors.New("the stream of blocks ended")
		}
		r.blocks = append(r.blocks, block)
	}
	return nil
}
