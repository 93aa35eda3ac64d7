package replay

import (
	"bytes"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/network"
	genesis "github.com/datanet-consortium/datanet/network/channel"
	"github.com/datanet-consortium/datanet/network/pki"
)

// realChannel is the configuration of a BFT network as its genesis block gives it, and its certificates.
func realChannel(t *testing.T) (*Replayer, *network.Topology, *pki.Material) {
	topology, err := network.Parse(bytes.NewReader(config.BFT), "local-bft.yaml")
	require.NoError(t, err)
	for i, listener := range topology.Listeners() {
		*listener.Port = 10000 + i // never opened
	}
	material, err := pki.Ensure(t.TempDir(), topology)
	require.NoError(t, err)
	block, err := genesis.GenesisBlock(topology, material)
	require.NoError(t, err)
	r := New("datanet")
	require.NoError(t, r.Block(withFlags(block, valid)))
	return r, topology, material
}

func signature(t *testing.T, id *pki.Identity, message string) *protoutil.SignedData {
	creator, err := id.Serialize()
	require.NoError(t, err)
	signed, err := id.Sign([]byte(message))
	require.NoError(t, err)
	return &protoutil.SignedData{Data: []byte(message), Identity: creator, Signature: signed}
}

func TestEndorsersCountByTheChannelsConfiguration(t *testing.T) {
	r, topology, material := realChannel(t)
	peerOf := func(msp string) *pki.Identity {
		org, err := material.Organization(msp)
		require.NoError(t, err)
		id, err := pki.LoadIdentity(org.Peer().MSPDir, msp)
		require.NoError(t, err)
		return id
	}
	poets, library := topology.Members[0].MSPID, topology.Members[1].MSPID
	org, err := material.Organization(poets)
	require.NoError(t, err)
	admin, err := org.Admin()
	require.NoError(t, err)
	forged := signature(t, peerOf(library), "endorsed")
	forged.Data = []byte("something else")
	stranger := signature(t, peerOf(library), "endorsed")
	stranger.Identity = bytes.Replace(stranger.Identity, []byte(library), []byte("NationalLibrarXMSP")[:len(library)], 1)
	regulator := peerOf(topology.Regulator.MSPID)

	for _, test := range []struct {
		claim      string
		signatures []*protoutil.SignedData
		want       []string
	}{
		{"peers of members count in their order", []*protoutil.SignedData{signature(t, peerOf(library), "e"), signature(t, peerOf(poets), "e")}, []string{library, poets}},
		{"an identity counts once", []*protoutil.SignedData{signature(t, peerOf(poets), "e"), signature(t, peerOf(poets), "e")}, []string{poets}},
		{"a bad signature does not count", []*protoutil.SignedData{forged, signature(t, peerOf(poets), "e")}, []string{poets}},
		{"an identity of no organisation does not count", []*protoutil.SignedData{stranger}, nil},
		{"an administrator is no peer", []*protoutil.SignedData{signature(t, admin, "e")}, nil},
		{"the regulator's peer is named, and stands in no policy", []*protoutil.SignedData{signature(t, regulator, "e")}, []string{topology.Regulator.MSPID}},
	} {
		t.Run(test.claim, func(t *testing.T) {
			got, err := r.channel.endorsers(test.signatures)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestChannelPolicyOfADefinition(t *testing.T) {
	r, topology, _ := realChannel(t)
	reference := func(name string) *peer.ApplicationPolicy {
		return &peer.ApplicationPolicy{Type: &peer.ApplicationPolicy_ChannelConfigPolicyReference{ChannelConfigPolicyReference: name}}
	}
	policy, err := r.channel.policy(reference("/Channel/Application/Endorsement"))
	require.NoError(t, err)
	require.Equal(t, 2, policy.N)
	named := map[string]bool{}
	for _, part := range policy.Of {
		named[part.MSP] = true
	}
	require.Len(t, named, 3)
	for _, msp := range topology.MemberMSPIDs() {
		require.True(t, named[msp], msp)
	}
	_, err = r.channel.policy(reference("/Channel/Application/Nothing"))
	require.ErrorContains(t, err, "no policy")
	_, err = r.channel.policy(reference("/Channel/Application/Admins"))
	require.ErrorContains(t, err, "not the peer role")
	own := ledger.PeerOf("X")
	policy, err = r.channel.policy(&peer.ApplicationPolicy{Type: &peer.ApplicationPolicy_SignaturePolicy{SignaturePolicy: envelopeOf(t, own)}})
	require.NoError(t, err)
	require.Equal(t, own, *policy)
}
