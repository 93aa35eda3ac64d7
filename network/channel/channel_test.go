package channel_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/hyperledger/fabric-lib-go/bccsp"
	"github.com/hyperledger/fabric-lib-go/bccsp/sw"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer/smartbft"
	"github.com/hyperledger/fabric/common/channelconfig"
	"github.com/hyperledger/fabric/common/policies"
	smartbftutil "github.com/hyperledger/fabric/orderer/consensus/smartbft/util"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/channel"
	"github.com/datanet-consortium/datanet/network/pki"
)

// consortium is a topology with its certificates.
type consortium struct {
	*network.Topology
	*pki.Material
	dir string
}

func found(t testing.TB, yaml []byte, dir string, edit ...func(*network.Topology)) consortium {
	t.Helper()
	n, err := network.Parse(bytes.NewReader(yaml), "test")
	require.NoError(t, err)
	for i := range n.Members {
		n.Members[i].Users = n.Members[i].Users[:1]
	}
	for _, e := range edit {
		e(n)
	}
	for i, l := range n.Listeners() {
		*l.Port = 20_000 + i
	}
	material, err := pki.Ensure(dir, n)
	require.NoError(t, err)
	return consortium{n, material, dir}
}

func (c consortium) genesis(t testing.TB) *common.Block {
	t.Helper()
	block, err := channel.GenesisBlock(c.Topology, c.Material)
	require.NoError(t, err)
	return block
}

func crypto(t testing.TB) bccsp.BCCSP {
	t.Helper()
	csp, err := sw.NewDefaultSecurityLevelWithKeystore(sw.NewDummyKeyStore())
	require.NoError(t, err)
	return csp
}

// bundle is Fabric's own reading of a configuration block.
func bundle(t testing.TB, block *common.Block) *channelconfig.Bundle {
	t.Helper()
	envelope, err := protoutil.ExtractEnvelope(block, 0)
	require.NoError(t, err)
	b, err := channelconfig.NewBundleFromEnvelope(envelope, crypto(t))
	require.NoError(t, err)
	return b
}

// holder loads an identity by MSP ID and folder: peer, orderer, admin or
// users/NAME.
func (c consortium) holder(t testing.TB, mspID, folder string) *pki.Identity {
	t.Helper()
	o, err := c.Material.Organization(mspID)
	require.NoError(t, err)
	id, err := pki.LoadIdentity(o.Dir+"/"+folder+"/msp", mspID)
	require.NoError(t, err)
	return id
}

func signed(t testing.TB, signers ...*pki.Identity) []*protoutil.SignedData {
	t.Helper()
	var set []*protoutil.SignedData
	for _, id := range signers {
		creator, err := id.Serialize()
		require.NoError(t, err)
		signature, err := id.Sign([]byte("data"))
		require.NoError(t, err)
		set = append(set, &protoutil.SignedData{Data: []byte("data"), Identity: creator, Signature: signature})
	}
	return set
}

func evaluate(t testing.TB, b *channelconfig.Bundle, path string, signers ...*pki.Identity) error {
	t.Helper()
	policy, ok := b.PolicyManager().GetPolicy(path)
	require.True(t, ok, path)
	return policy.EvaluateSignedData(signed(t, signers...))
}

func TestFabricAcceptsTheGenesisBlock(t *testing.T) {
	for name, c := range map[string]struct {
		yaml      []byte
		consensus string
		orderers  int
	}{
		"with SmartBFT": {config.BFT, "BFT", 4},
		"with Raft":     {config.Raft, "etcdraft", 3},
	} {
		t.Run(name, func(t *testing.T) {
			n := found(t, c.yaml, t.TempDir())
			block := n.genesis(t)
			require.Equal(t, protoutil.ComputeBlockDataHash(block.Data), block.Header.DataHash)
			require.Empty(t, block.Header.PreviousHash)
			b := bundle(t, block)
			require.Equal(t, "datanet", b.ConfigtxValidator().ChannelID())
			require.NoError(t, channelconfig.ValidateCapabilities(block, crypto(t)))
			ordering, ok := b.OrdererConfig()
			require.True(t, ok)
			require.Equal(t, c.consensus, ordering.ConsensusType())
			require.NoError(t, ordering.Capabilities().Supported())
			require.Len(t, ordering.Organizations(), c.orderers)
			require.Equal(t, []string{"127.0.0.1:20000"}, ordering.Organizations()["poetrysociety-orderer"].Endpoints())
			application, ok := b.ApplicationConfig()
			require.True(t, ok)
			require.Equal(t, int32(n.Members[2].Peer.Port), application.Organizations()["ailab"].AnchorPeers()[0].Port)
			require.True(t, application.Capabilities().LifecycleV20())
			require.True(t, b.ChannelConfig().Capabilities().ConsensusTypeBFT())

			organizations, err := channelconfig.ExtractMSPIDsForApplicationOrgs(block, crypto(t))
			require.NoError(t, err)
			require.ElementsMatch(t, []string{"PoetrySocietyMSP", "NationalLibraryMSP", "AILabMSP", "RegulatorMSP"}, organizations)
		})
	}
}

func TestGenesisBlockDependsOnItsArgumentsAlone(t *testing.T) {
	n := found(t, config.BFT, t.TempDir())
	require.Equal(t, protoutil.MarshalOrPanic(n.genesis(t)), protoutil.MarshalOrPanic(n.genesis(t)))
	first := n.genesis(t)
	n.TimeWindow *= 2
	require.True(t, proto.Equal(first, n.genesis(t)), "the time window is a setting of peers")
	n.Ordering.Batch.MaxMessages++
	require.False(t, proto.Equal(first, n.genesis(t)))
}

func TestSmartBFTAcceptsItsOptions(t *testing.T) {
	n := found(t, config.BFT, t.TempDir())
	b := bundle(t, n.genesis(t))
	ordering, _ := b.OrdererConfig()
	var options smartbft.Options
	require.NoError(t, proto.Unmarshal(ordering.ConsensusMetadata(), &options))
	for self := uint64(1); self <= 4; self++ {
		c, err := smartbftutil.ConfigFromMetadataOptions(self, &options)
		require.NoError(t, err)
		require.Equal(t, n.Ordering.BFT.RequestBatchMaxInterval, c.RequestBatchMaxInterval)
		require.Equal(t, n.Ordering.BFT.LeaderHeartbeatTimeout, c.LeaderHeartbeatTimeout)
		require.False(t, c.LeaderRotation)
	}
	require.Len(t, ordering.Consenters(), 4)
	require.Equal(t, uint32(20_000), ordering.Consenters()[0].Port)
}

// The plain reference is configtxgen's own computation of the policy.
func TestBFTBlockValidationIsConfigtxgens(t *testing.T) {
	for _, extra := range []int{0, 1, 2, 3, 6} {
		n := found(t, config.BFT, t.TempDir(), func(n *network.Topology) {
			n.Members = n.Members[:1]
			for i := range extra {
				op := network.Operator{Name: fmt.Sprintf("op%d", i), MSPID: fmt.Sprintf("Op%dMSP", i)}
				op.Domain, op.Orderer.Host = op.Name+".example", "127.0.0.1"
				n.Ordering.Operators = append(n.Ordering.Operators, op)
			}
		})
		block := n.genesis(t)
		conf, _, err := channel.ConfigOf(block)
		require.NoError(t, err)
		ours := conf.ChannelGroup.Groups["Orderer"]
		ordering, _ := bundle(t, block).OrdererConfig()
		theirs := proto.Clone(ours).(*common.ConfigGroup)
		policies.EncodeBFTBlockVerificationPolicy(ordering.Consenters(), theirs)
		require.True(t, proto.Equal(ours, theirs), "%d orderers", 4+extra)
	}
}

func TestBlocksNeedOrderersSignatures(t *testing.T) {
	const path = "/Channel/Orderer/BlockValidation"
	t.Run("three of four with SmartBFT", func(t *testing.T) {
		n := found(t, config.BFT, t.TempDir())
		b := bundle(t, n.genesis(t))
		var orderers []*pki.Identity
		for _, op := range n.Ordering.Operators {
			orderers = append(orderers, n.holder(t, op.MSPID, "orderer"))
		}
		require.NoError(t, evaluate(t, b, path, orderers[1:]...))
		require.Error(t, evaluate(t, b, path, orderers[2:]...))
		require.Error(t, evaluate(t, b, path, orderers[0], orderers[0], orderers[0]))
	})
	t.Run("one with Raft, but of no other identity of the operator", func(t *testing.T) {
		n := found(t, config.Raft, t.TempDir())
		b := bundle(t, n.genesis(t))
		require.NoError(t, evaluate(t, b, path, n.holder(t, "AILabOrdererMSP", "orderer")))
		require.Error(t, evaluate(t, b, path, n.holder(t, "AILabOrdererMSP", "admin")))
		require.Error(t, evaluate(t, b, path, n.holder(t, "AILabMSP", "peer")))
	})
}

func TestWhoMayReadAndWrite(t *testing.T) {
	n := found(t, config.Raft, t.TempDir())
	b := bundle(t, n.genesis(t))
	for name, c := range map[string]struct {
		msp, folder            string
		reads, writes, propose bool
	}{
		"a member's user":             {"AILabMSP", "users/operator1", true, true, true},
		"a member's administrator":    {"AILabMSP", "admin", true, true, true},
		"the regulator's user":        {"RegulatorMSP", "users/inspector1", true, false, true},
		"the regulator's peer":        {"RegulatorMSP", "peer", true, false, true},
		"the regulator's admin":       {"RegulatorMSP", "admin", true, true, true},
		"an orderer":                  {"AILabOrdererMSP", "orderer", true, true, false},
		"an operator's administrator": {"AILabOrdererMSP", "admin", true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			id := n.holder(t, c.msp, c.folder)
			application, _ := b.ApplicationConfig()
			check := func(allowed bool, path string) {
				err := evaluate(t, b, path, id)
				if allowed {
					require.NoError(t, err, path)
				} else {
					require.Error(t, err, path)
				}
			}
			check(c.reads, "/Channel/Readers")
			check(c.writes, "/Channel/Writers")
			for _, query := range []string{"peer/Propose", "_lifecycle/QueryChaincodeDefinition", "_lifecycle/QueryChaincodeDefinitions", "_lifecycle/CheckCommitReadiness"} {
				check(c.propose, application.APIPolicyMapper().PolicyRefForAPI(query))
			}
		})
	}
}

// members founds a consortium of n members on Raft, without users.
func members(t testing.TB, dir string, n int) consortium {
	return found(t, config.Raft, dir, func(topology *network.Topology) {
		topology.Members = nil
		for i := range n {
			org := network.Organization{Name: fmt.Sprintf("m%d", i), MSPID: fmt.Sprintf("M%dMSP", i), Users: []network.User{}}
			org.ApplyDefaults(nil)
			topology.Members = append(topology.Members, org)
		}
		topology.Regulator.Users = []network.User{}
	})
}

func TestOnlyAMajorityOfMembersDecides(t *testing.T) {
	for n := 1; n <= 7; n++ {
		t.Run(fmt.Sprintf("%d members", n), func(t *testing.T) {
			c := members(t, t.TempDir(), n)
			block := c.genesis(t)
			b := bundle(t, block)
			conf, _, err := channel.ConfigOf(block)
			require.NoError(t, err)
			listed, err := channel.Members(conf)
			require.NoError(t, err)
			require.Equal(t, slices.Sorted(slices.Values(c.MemberMSPIDs())), listed)

			rapid.Check(t, func(t *rapid.T) {
				kind := rapid.SampledFrom([]struct{ folder, policy string }{
					{"peer", "Endorsement"}, {"peer", "LifecycleEndorsement"}, {"admin", "Admins"},
				}).Draw(t, "policy")
				all := rapid.Permutation(append(c.MemberMSPIDs(), "RegulatorMSP", "AILabOrdererMSP")).Draw(t, "order")
				some := all[:rapid.IntRange(0, len(all)).Draw(t, "signers")]
				counted := 0
				var signers []*pki.Identity
				for _, msp := range some {
					folder := kind.folder
					switch {
					case msp == "AILabOrdererMSP":
						folder = "admin"
					case msp != "RegulatorMSP":
						counted++
					}
					o, err := c.Material.Organization(msp)
					require.NoError(t, err)
					id, err := pki.LoadIdentity(o.Dir+"/"+folder+"/msp", msp)
					require.NoError(t, err)
					signers = append(signers, id)
				}
				policy, ok := b.PolicyManager().GetPolicy("/Channel/Application/" + kind.policy)
				require.True(t, ok)
				var set []*protoutil.SignedData
				for _, id := range signers {
					creator, err := id.Serialize()
					require.NoError(t, err)
					signature, err := id.Sign([]byte("data"))
					require.NoError(t, err)
					set = append(set, &protoutil.SignedData{Data: []byte("data"), Identity: creator, Signature: signature})
				}
				err := policy.EvaluateSignedData(set)
				require.Equal(t, 2*counted > n, err == nil, "%s by %v", kind.policy, some)
			})
		})
	}
}

func TestAnEndorsementIsAPeersAndAConsentAnAdministrators(t *testing.T) {
	n := found(t, config.Raft, t.TempDir())
	b := bundle(t, n.genesis(t))
	var users, admins, peers []*pki.Identity
	for _, m := range n.Members {
		users = append(users, n.holder(t, m.MSPID, "users/operator1"))
		admins = append(admins, n.holder(t, m.MSPID, "admin"))
		peers = append(peers, n.holder(t, m.MSPID, "peer"))
	}
	require.Error(t, evaluate(t, b, "/Channel/Application/Endorsement", users...))
	require.Error(t, evaluate(t, b, "/Channel/Application/LifecycleEndorsement", admins...))
	require.Error(t, evaluate(t, b, "/Channel/Application/Admins", peers...))
	require.Error(t, evaluate(t, b, "/Channel/Admins", admins...), "the orderers' administrators have a say in the whole channel")
}

func TestUnresolvedPortsAreRefused(t *testing.T) {
	n := found(t, config.Raft, t.TempDir())
	n.Members[1].Peer.Port = 0
	_, err := channel.GenesisBlock(n.Topology, n.Material)
	require.ErrorContains(t, err, "peer.nationallibrary has no port yet")
	n = found(t, config.BFT, t.TempDir())
	n.Ordering.Operators[3].Orderer.Port = 0
	_, err = channel.GenesisBlock(n.Topology, n.Material)
	require.ErrorContains(t, err, "orderer.neutraloperator has no port yet")
}

func TestAnInvalidTopologyIsRefused(t *testing.T) {
	n := found(t, config.BFT, t.TempDir())
	n.Ordering.Operators = n.Ordering.Operators[:3]
	_, err := channel.GenesisBlock(n.Topology, n.Material)
	require.ErrorContains(t, err, "bft needs at least 4 orderers")
}
