package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

func TestTheDoctorSaysWhatIsLost(t *testing.T) {
	for claim, test := range map[string]struct {
		lost           client.Lost
		result, detail string
	}{
		"not looked yet":  {client.Lost{}, resultOK, "being looked through"},
		"nothing is lost": {client.Lost{Looked: time.Now()}, resultOK, "are there"},
		"one is": {client.Lost{Looked: time.Now(), Count: 1, Items: []client.LostContent{{Datanet: "AMSP/verse", ID: "cd", Why: "nobody else holds it"}}},
			resultProblem, "lost: 1 content of the organisation's contributors, such as cd of AMSP/verse: nobody else holds it"},
		"one cannot be read": {client.Lost{Looked: time.Now(), Unreadable: 1, Unread: []client.UnreadContent{{Datanet: "AMSP/verse", ID: "cd", Why: "permission denied"}}},
			resultProblem, "1 content that cannot be read, such as cd of AMSP/verse: permission denied"},
	} {
		d := &doctor{ctx: t.Context()}
		d.lost(test.lost)
		require.Len(t, d.findings, 1, claim)
		require.Equal(t, test.result, d.findings[0].Result, claim)
		require.Contains(t, d.findings[0].Detail, test.detail, claim)
	}
}

func TestTheDoctorSaysWhichModelsAreNotServed(t *testing.T) {
	d := &doctor{ctx: t.Context()}
	d.hosted([]client.Hosted{{Model: "AMSP/a@1", Served: true}, {Model: "AMSP/b@1", Lacks: "corpus"}, {Model: "AMSP/c@1", Lacks: "artifact", Why: "it is not here"},
		{Model: "AMSP/d@1", Lacks: "server", Why: "none is well"}, {Model: "AMSP/e@1", Lacks: "corpus", Why: "no grant"}})
	var out bytes.Buffer
	require.NoError(t, printFindings(&out, d.findings))
	require.Equal(t, `warning  models: AMSP/b@1 cannot be served yet: its corpus is being prepared
         → wait, and ask again
problem  models: AMSP/c@1 cannot be served for lack of its artifact: it is not here
         → `+lacking["artifact"]+`
problem  models: AMSP/d@1 cannot be served for lack of its server: none is well
         → `+lacking["server"]+`
problem  models: AMSP/e@1 cannot be served for lack of its corpus: no grant
         → `+lacking["corpus"]+`
ok       models: 1 model served
`, out.String())
	d = &doctor{ctx: t.Context()}
	d.hosted(nil)
	require.Len(t, d.findings, 1)
	require.Contains(t, d.findings[0].Detail, "hosts none")
}

func TestTheDoctorSaysWhatBecomesOfAKeptCertificate(t *testing.T) {
	person, gateway := ledger.NewAccount("PoetrySocietyMSP", "ann"), ledger.NewAccount("PoetrySocietyMSP", identity.GatewayEnrolment)
	for claim, test := range map[string]struct {
		account        ledger.Account
		left           time.Duration
		renewable      bool
		result, detail string
		remedy         string
	}{
		"it has ended":                       {person, -time.Hour, false, resultProblem, "expired on", "identity.authority"},
		"it has ended before it was renewed": {person, -time.Hour, true, resultProblem, "expired on", "identity.authority"},
		"it ends and nobody renews it":       {person, 24 * time.Hour, false, resultWarning, "cannot renew it", "identity.authority"},
		"it is the gateway's own":            {gateway, 24 * time.Hour, false, resultWarning, "cannot renew it", "the gateway's next certificate"},
		"it ends and is renewed":             {person, 24 * time.Hour, true, resultOK, "the gateway renews it", ""},
		"it lasts":                           {person, 2 * expiresSoon, false, resultOK, "is valid until", ""},
	} {
		t.Run(claim, func(t *testing.T) {
			d := &doctor{ctx: t.Context()}
			d.kept("kept certificate", identity.KeptCertificate{Account: test.account, Expires: time.Now().Add(test.left), Renewable: test.renewable})
			require.Len(t, d.findings, 1)
			require.Equal(t, test.result, d.findings[0].Result)
			require.Contains(t, d.findings[0].Detail, test.detail)
			require.Contains(t, d.findings[0].Remedy, test.remedy)
			require.Equal(t, test.remedy == "", d.findings[0].Remedy == "")
		})
	}
}
