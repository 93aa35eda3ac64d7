package channel_test

import (
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/common/channelconfig"
	"github.com/hyperledger/fabric/common/policydsl"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/channel"
	"github.com/datanet-consortium/datanet/network/pki"
)

// newcomer makes an organisation that is not in the channel yet.
func (c consortium) newcomer(t *testing.T, name, mspID string) *network.Organization {
	t.Helper()
	org := &network.Organization{Name: name, MSPID: mspID}
	org.ApplyDefaults(network.MemberUsers)
	org.Peer.Port = 21_000
	o, err := pki.EnsureOrganization(c.dir, org)
	require.NoError(t, err)
	c.Add(o)
	return org
}

func (c consortium) signUpdate(t *testing.T, u channel.Update, msps ...string) *common.Envelope {
	t.Helper()
	var consents []*common.ConfigSignature
	for _, id := range msps {
		s, err := u.Sign(c.holder(t, id, "admin"))
		require.NoError(t, err)
		consents = append(consents, s)
	}
	envelope, err := u.Envelope(c.holder(t, "AILabMSP", "users/operator1"), consents...)
	require.NoError(t, err)
	return envelope
}

// apply has Fabric judge the update as an orderer does, and gives the
// configuration that results.
func apply(b *channelconfig.Bundle, envelope *common.Envelope) (*common.Config, error) {
	proposed, err := b.ConfigtxValidator().ProposeConfigUpdate(envelope)
	if err != nil {
		return nil, err
	}
	return proposed.Config, nil
}

func TestAddMemberNeedsAMajorityOfMembers(t *testing.T) {
	n := found(t, config.BFT, t.TempDir())
	block := n.genesis(t)
	b := bundle(t, block)
	current, name, err := channel.ConfigOf(block)
	require.NoError(t, err)
	require.Equal(t, "datanet", name)
	before := proto.Clone(current)
	update, err := channel.AddMember(current, name, n.newcomer(t, "university", "UniversityMSP"), n.Material)
	require.NoError(t, err)
	require.True(t, proto.Equal(before, current))

	for what, signers := range map[string][]string{
		"nobody":                           nil,
		"one member":                       {"AILabMSP"},
		"one member twice":                 {"AILabMSP", "AILabMSP"},
		"one member and the regulator":     {"AILabMSP", "RegulatorMSP"},
		"one member and an operator":       {"AILabMSP", "AILabOrdererMSP"},
		"one member and the newcomer":      {"AILabMSP", "UniversityMSP"},
		"all orderers and the regulator":   {"AILabOrdererMSP", "PoetrySocietyOrdererMSP", "NationalLibraryOrdererMSP", "NeutralOperatorMSP", "RegulatorMSP"},
		"the regulator and the newcomer":   {"RegulatorMSP", "UniversityMSP"},
		"nobody but the neutral operator":  {"NeutralOperatorMSP"},
		"a member, an orderer, a newcomer": {"PoetrySocietyMSP", "NeutralOperatorMSP", "UniversityMSP"},
	} {
		_, err := apply(b, n.signUpdate(t, update, signers...))
		require.Error(t, err, what)
	}

	// Consent to one update is no consent to another.
	other, err := channel.AddMember(current, name, n.newcomer(t, "library2", "Library2MSP"), n.Material)
	require.NoError(t, err)
	var consents []*common.ConfigSignature
	for _, id := range n.MemberMSPIDs() {
		s, err := other.Sign(n.holder(t, id, "admin"))
		require.NoError(t, err)
		consents = append(consents, s)
	}
	mixed, err := update.Envelope(n.holder(t, "AILabMSP", "admin"), consents...)
	require.NoError(t, err)
	_, err = apply(b, mixed)
	require.Error(t, err)

	next, err := apply(b, n.signUpdate(t, update, "AILabMSP", "PoetrySocietyMSP"))
	require.NoError(t, err)
	members, err := channel.Members(next)
	require.NoError(t, err)
	require.Equal(t, []string{"AILabMSP", "NationalLibraryMSP", "PoetrySocietyMSP", "UniversityMSP"}, members)

	grown, err := channelconfig.NewBundle(name, next, crypto(t))
	require.NoError(t, err)
	require.NoError(t, b.ValidateNew(grown))
	peer := func(msp string) *pki.Identity { return n.holder(t, msp, "peer") }
	const endorsement = "/Channel/Application/Endorsement"
	require.Error(t, evaluate(t, grown, endorsement, peer("AILabMSP"), peer("PoetrySocietyMSP")))
	require.NoError(t, evaluate(t, grown, endorsement, peer("AILabMSP"), peer("PoetrySocietyMSP"), peer("UniversityMSP")))
	require.Error(t, evaluate(t, grown, endorsement, peer("AILabMSP"), peer("UniversityMSP"), peer("RegulatorMSP")))
	admin := func(msp string) *pki.Identity { return n.holder(t, msp, "admin") }
	require.Error(t, evaluate(t, grown, "/Channel/Application/Admins", admin("AILabMSP"), admin("UniversityMSP")))
	require.NoError(t, evaluate(t, grown, "/Channel/Application/Admins", admin("AILabMSP"), admin("UniversityMSP"), admin("NationalLibraryMSP")))

	// A newcomer must look exactly like a founding member.
	founder, joined := next.ChannelGroup.Groups["Application"].Groups["ailab"], next.ChannelGroup.Groups["Application"].Groups["university"]
	require.Equal(t, len(founder.Policies), len(joined.Policies))
	require.Equal(t, len(founder.Values), len(joined.Values))
}

func TestAddMemberRefusesWhoIsThereAlready(t *testing.T) {
	n := found(t, config.BFT, t.TempDir())
	current, name, err := channel.ConfigOf(n.genesis(t))
	require.NoError(t, err)
	for what, change := range map[string]func(*network.Organization){
		"a member's MSP ID":    func(o *network.Organization) { o.MSPID = "AILabMSP" },
		"a member's name":      func(o *network.Organization) { o.Name = "ailab" },
		"the regulator":        func(o *network.Organization) { o.MSPID = "RegulatorMSP" },
		"an ordering operator": func(o *network.Organization) { o.MSPID = "NeutralOperatorMSP" },
	} {
		org := n.newcomer(t, "university", "UniversityMSP")
		change(org)
		_, err := channel.AddMember(current, name, org, n.Material)
		require.ErrorContains(t, err, "the channel already has", what)
	}
	org := n.newcomer(t, "university", "UniversityMSP")
	org.Peer.Port = 0
	_, err = channel.AddMember(current, name, org, n.Material)
	require.ErrorContains(t, err, "peer.university has no port yet")
}

func TestMembersRefusesAPolicyThatIsNoMajority(t *testing.T) {
	n := found(t, config.Raft, t.TempDir())
	withPolicy := func(rule string) *common.Config {
		conf, _, err := channel.ConfigOf(n.genesis(t))
		require.NoError(t, err)
		envelope, err := policydsl.FromString(rule)
		require.NoError(t, err)
		conf.ChannelGroup.Groups["Application"].Policies["Endorsement"].Policy.Value = protoutil.MarshalOrPanic(envelope)
		return conf
	}
	members, err := channel.Members(withPolicy("OutOf(2, 'C.peer', 'A.peer', 'B.peer')"))
	require.NoError(t, err)
	require.Equal(t, []string{"A", "B", "C"}, members)
	for rule, want := range map[string]string{
		"OutOf(1, 'A.peer', 'B.peer', 'C.peer')":                "is not a majority of its members",
		"OutOf(3, 'A.peer', 'B.peer', 'C.peer')":                "is not a majority of its members",
		"OutOf(2, 'A.peer', 'B.peer', 'C.member')":              "names C.MEMBER, which is not a peer",
		"AND('A.peer', OutOf(1, 'B.peer', 'C.peer'))":           "is not a majority of its members",
		"OutOf(2, 'A.peer', OutOf(1, 'B.peer'), 'C.peer')":      "does not count every member once",
		"OutOf(2, 'A.peer', 'A.peer', 'B.peer')":                "counts a member twice",
		"OutOf(2, 'A.peer', 'B.peer', 'C.peer', 'RegMSP.peer')": "is not a majority of its members",
	} {
		_, err := channel.Members(withPolicy(rule))
		require.ErrorContains(t, err, want, rule)
	}

	meta := withPolicy("OutOf(1, 'A.peer')")
	meta.ChannelGroup.Groups["Application"].Policies["Endorsement"].Policy.Type = int32(common.Policy_IMPLICIT_META)
	_, err = channel.Members(meta)
	require.ErrorContains(t, err, "is not a signature policy")
	_, err = channel.Members(&common.Config{})
	require.ErrorContains(t, err, "has no policy /Channel/Application/Endorsement")
}

func TestConfigOfRefusesOtherBlocks(t *testing.T) {
	for what, block := range map[string]*common.Block{
		"nothing":           nil,
		"an empty one":      {},
		"two envelopes":     {Data: &common.BlockData{Data: [][]byte{{}, {}}}},
		"an empty envelope": {Data: &common.BlockData{Data: [][]byte{{}}}},
		"a transaction": {Data: &common.BlockData{Data: [][]byte{protoutil.MarshalOrPanic(&common.Envelope{
			Payload: protoutil.MarshalOrPanic(&common.Payload{Header: &common.Header{
				ChannelHeader: protoutil.MarshalOrPanic(&common.ChannelHeader{Type: int32(common.HeaderType_ENDORSER_TRANSACTION)}),
			}}),
		})}}},
	} {
		_, _, err := channel.ConfigOf(block)
		require.ErrorIs(t, err, channel.ErrNotConfiguration, what)
	}
}

func FuzzMembers(f *testing.F) {
	n := found(f, config.Raft, f.TempDir(), func(n *network.Topology) {
		n.Members = n.Members[:1]
		n.Members[0].Users, n.Regulator.Users = []network.User{}, []network.User{}
	})
	f.Add(n.genesis(f).Data.Data[0])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, envelope []byte) {
		conf, _, err := channel.ConfigOf(&common.Block{Data: &common.BlockData{Data: [][]byte{envelope}}})
		if err != nil {
			return
		}
		members, err := channel.Members(conf)
		if err == nil {
			require.NotEmpty(t, members)
		}
	})
}
