package network_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/config"
	"github.com/datanet-consortium/datanet/network"
)

func bft(t *testing.T) *network.Topology {
	t.Helper()
	topology, err := network.Parse(bytes.NewReader(config.BFT), "bft")
	require.NoError(t, err)
	return topology
}

func TestValidateNamesTheField(t *testing.T) {
	type topology = network.Topology
	for name, c := range map[string]struct {
		breakIt func(*topology)
		want    string
	}{
		"a name that is no DNS label":           {func(n *topology) { n.Name = "Data Net" }, `name: "Data Net" is not a DNS label`},
		"a channel name with capitals":          {func(n *topology) { n.Channel = "Datanet" }, `channel: "Datanet" is not a channel name`},
		"no members":                            {func(n *topology) { n.Members = nil }, "members: name at least one member"},
		"too many members":                      {func(n *topology) { n.Members = make([]network.Organization, 65) }, "members: 65 members are more than the 64 supported"},
		"an organisation name with a slash":     {func(n *topology) { n.Members[1].Name = "../x" }, `members[1].name: "../x" is not a DNS label`},
		"an MSP ID with a colon":                {func(n *topology) { n.Members[1].MSPID = "A:B" }, `members[1].mspId: "A:B" is not an MSP ID`},
		"a bad domain":                          {func(n *topology) { n.Members[1].Domain = "-x." }, `members[1].domain: "-x." is not a DNS domain`},
		"an unknown key algorithm":              {func(n *topology) { n.Members[0].Keys = "rsa" }, `members[0].keys: "rsa" is neither ed25519 nor ecdsa-p256`},
		"a bad peer host":                       {func(n *topology) { n.Members[0].Peer.Host = "a b" }, `members[0].peer.host: "a b" is neither an IP address nor a DNS name`},
		"a bad chaincode host":                  {func(n *topology) { n.Members[0].ChaincodeService.Host = "" }, `members[0].chaincodeService.host: "" is neither`},
		"the same organisation name twice":      {func(n *topology) { n.Members[2].Name = "poetrysociety" }, `members[2].name: "poetrysociety" is already the one of members[0]`},
		"the same MSP ID twice":                 {func(n *topology) { n.Members[2].MSPID = "PoetrySocietyMSP" }, `is already the one of members[0]`},
		"the regulator also a member":           {func(n *topology) { n.Regulator.MSPID = "AILabMSP" }, `regulator.mspId: "AILabMSP" is already the one of members[2]`},
		"an operator that is also a member":     {func(n *topology) { n.Ordering.Operators[0].MSPID = "AILabMSP" }, `ordering.operators[0].mspId: "AILabMSP" is already the one of members[2]`},
		"an operator named like a member":       {func(n *topology) { n.Ordering.Operators[0].Name = "ailab" }, `ordering.operators[0].name: "ailab" is already the one of members[2]`},
		"BFT with three orderers":               {func(n *topology) { n.Ordering.Operators = n.Ordering.Operators[:3] }, "ordering.operators: bft needs at least 4 orderers to survive one that lies, here are 3"},
		"Raft without orderers":                 {func(n *topology) { n.Ordering.Type, n.Ordering.Operators = "raft", nil }, "ordering.operators: name at least one operator"},
		"an unknown consensus":                  {func(n *topology) { n.Ordering.Type = "solo" }, `ordering.type: "solo" is neither bft nor raft`},
		"an unknown role":                       {func(n *topology) { n.Members[0].Users[1].Roles = []network.Role{"king"} }, `members[0].users[1].roles[0]: "king" is not a role`},
		"a role twice":                          {func(n *topology) { n.Members[0].Users[1].Roles = []network.Role{"host", "host"} }, `members[0].users[1].roles[1]: "host" is given twice`},
		"a member's user as regulator":          {func(n *topology) { n.Members[0].Users[1].Roles = []network.Role{"regulator"} }, `members[0].users[1].roles[0]: "regulator" is not a role in this organisation`},
		"a regulator's user as operator":        {func(n *topology) { n.Regulator.Users[0].Roles = []network.Role{"operator"} }, `regulator.users[0].roles[0]: "operator" is not a role in this organisation`},
		"a user without a role":                 {func(n *topology) { n.Members[0].Users[1].Roles = nil }, "members[0].users[1].roles: name at least one role"},
		"a user named admin":                    {func(n *topology) { n.Members[0].Users[1].Name = "Admin" }, "members[0].users[1].name"},
		"a user name with a slash":              {func(n *topology) { n.Members[0].Users[1].Name = "a/b" }, `members[0].users[1].name: "a/b" is not an enrolment id`},
		"a user name of two dots":               {func(n *topology) { n.Members[0].Users[1].Name = ".." }, `members[0].users[1].name: ".." is not an enrolment id`},
		"two users that differ by case":         {func(n *topology) { n.Members[0].Users[1].Name = "OPERATOR1" }, `members[0].users[1].name: "OPERATOR1" is already the name of users[0]`},
		"two listeners on one port":             {func(n *topology) { n.Members[0].Peer.Port, n.Members[1].Peer.OperationsPort = 7051, 7051 }, "members[1].peer.operationsPort: 127.0.0.1:7051 is already taken by members[0].peer.port"},
		"a port out of range":                   {func(n *topology) { n.Ordering.Operators[3].Orderer.AdminPort = 70000 }, "ordering.operators[3].orderer.adminPort: 70000 is not a port"},
		"a preferred block above the largest":   {func(n *topology) { n.Ordering.Batch.PreferredBytes = 11 << 20 }, "ordering.batch.preferredBytes"},
		"a block larger than nodes accept":      {func(n *topology) { n.Ordering.Batch.AbsoluteBytes = 100 << 20 }, "ordering.batch.absoluteBytes"},
		"blocks without messages":               {func(n *topology) { n.Ordering.Batch.MaxMessages = 0 }, "ordering.batch.maxMessages"},
		"a complaint before the forward":        {func(n *topology) { n.Ordering.BFT.RequestForwardTimeout = time.Minute }, "ordering.bft.requestForwardTimeout: must not be longer than requestComplainTimeout"},
		"removal before the complaint":          {func(n *topology) { n.Ordering.BFT.RequestAutoRemoveTimeout = time.Second }, "ordering.bft.requestComplainTimeout: must not be longer than requestAutoRemoveTimeout"},
		"resending slower than the view change": {func(n *topology) { n.Ordering.BFT.ViewChangeTimeout = time.Millisecond }, "ordering.bft.viewChangeResendInterval"},
		"an election as quick as the heartbeat": {func(n *topology) { n.Ordering.Type, n.Ordering.Raft.ElectionTick = "raft", 1 }, "ordering.raft.electionTick"},
		"a bad chaincode name":                  {func(n *topology) { n.Chaincode.Name = "_x" }, "chaincode.name"},
		"a bad chaincode version":               {func(n *topology) { n.Chaincode.Version = "1 0" }, "chaincode.version"},
		"a sequence of zero":                    {func(n *topology) { n.Chaincode.Sequence = 0 }, "chaincode.sequence: must be at least 1"},
		"a time window of a week":               {func(n *topology) { n.TimeWindow = 168 * time.Hour }, "timeWindow: 168h0m0s is not between 1m0s and 24h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			topology := bft(t)
			c.breakIt(topology)
			require.ErrorContains(t, topology.Validate(), c.want)
		})
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	topology := bft(t)
	topology.Channel = ""
	topology.Members[1].MSPID = ""
	topology.Chaincode.Sequence = -1
	err := topology.Validate()
	require.Error(t, err)
	require.Len(t, strings.Split(err.Error(), "\n"), 3)
}

func TestValidateNewRefusesAnExistingMember(t *testing.T) {
	topology := bft(t)
	newcomer := network.Organization{Name: "university", MSPID: "UniversityMSP"}
	newcomer.ApplyDefaults(network.MemberUsers)
	require.NoError(t, topology.ValidateNew(newcomer))
	require.Len(t, topology.Members, 3)

	newcomer.MSPID = "AILabMSP"
	require.ErrorContains(t, topology.ValidateNew(newcomer), "members[3].mspId")
}

func TestListenersReachEveryPort(t *testing.T) {
	topology := bft(t)
	for i, l := range topology.Listeners() {
		require.Zero(t, *l.Port)
		*l.Port = 20_000 + i
	}
	require.Len(t, topology.Listeners(), 4*3+4*5)
	require.NoError(t, topology.Validate())
	require.Equal(t, "127.0.0.1:20000", topology.Ordering.Operators[0].OrdererAddress())
	require.Equal(t, "127.0.0.1:20012", topology.Members[0].PeerAddress())
	require.Equal(t, "127.0.0.1:20030", topology.Regulator.ChaincodeAddress())
	require.Equal(t, "127.0.0.1:20031", topology.Regulator.GatewayAddress())
}

func TestMajorityIsTheSmallestMoreThanHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "members")
		m := network.Majority(n)
		require.Greater(t, 2*m, n)
		require.LessOrEqual(t, 2*(m-1), n)
	})
}

func ExampleTopology_Listeners() {
	topology, err := network.Parse(bytes.NewReader(config.Raft), "local-raft.yaml")
	if err != nil {
		panic(err)
	}
	for _, l := range topology.Listeners()[9:13] {
		fmt.Println(l.Node, l.Use, l.Field)
	}
	// Output:
	// peer.poetrysociety peer members[0].peer.port
	// peer.poetrysociety chaincode members[0].peer.chaincodePort
	// peer.poetrysociety operations members[0].peer.operationsPort
	// chaincode.poetrysociety chaincode members[0].chaincodeService.port
}
