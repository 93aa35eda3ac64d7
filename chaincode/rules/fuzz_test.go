package rules_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

// FuzzFunctions sends arbitrary documents to every function: whatever comes, the answer is a value or a fault that is
// not internal. What is accepted writes all of a transaction, and what is refused writes nothing of it.
func FuzzFunctions(f *testing.F) {
	functions := rules.New(nil).Functions()
	market := rulestest.NewMarket(f)
	c := market.Consortium
	everyone := rulestest.User(rulestest.B, "all", ledger.Roles...)
	ann := rulestest.User(rulestest.A, "ann", ledger.Consumer, ledger.Contributor)
	c.OpenAll(f, everyone, ann)
	usage := usageRequests(f, market, everyone)
	accepted := requests(f, c, market.Pool, ann)
	maps.Copy(accepted, usage)
	maps.Copy(accepted, trainingRequests(f, c, everyone, ann))
	understood := otherRequests(f, c, everyone, accepted)
	for i, function := range functions {
		request, ok := accepted[function.Name]
		if !ok {
			request = understood[function.Name]
		}
		require.NotNil(f, request, "%s has no seed", function.Name)
		document, err := ledger.Encode(request)
		require.NoError(f, err)
		_, err = c.Propose(memledger.Proposal{Caller: everyone, Function: function.Name, Document: document})
		if ok {
			require.NoError(f, err, "%s: a seed that the rules accept", function.Name)
		} else if err != nil {
			require.NotEqual(f, ledger.CodeInvalid, ledger.AsFault(err).Code, "%s: a seed that is well formed: %v", function.Name, err)
		}
		f.Add(uint8(i), document)
		f.Add(uint8(i), []byte(`{}`))
	}
	kinds, there := rules.KeyKinds(), map[ledger.Key]bool{}
	for _, entry := range c.State() {
		there[entry.Key] = true
	}
	f.Fuzz(func(t *testing.T, index uint8, document []byte) {
		function := functions[int(index)%len(functions)]
		envelope, err := c.Propose(memledger.Proposal{Caller: everyone, Function: function.Name, Document: document})
		if err != nil {
			fault := new(ledger.Fault)
			require.ErrorAs(t, err, &fault, "%s", function.Name)
			require.NotEqual(t, ledger.CodeInternal, fault.Code, "%s: %v", function.Name, fault)
			require.Nil(t, envelope, "%s: a refusal leaves nothing to order", function.Name)
			return
		}
		tx := envelope.Transaction
		require.True(t, jsontext.Value(envelope.Response).IsValid(), "%s", function.Name)
		require.Equal(t, envelope.Event != nil, len(tx.Writes)+len(tx.Policies) > 0, "%s has an event exactly when it writes", function.Name)
		require.False(t, function.Query && envelope.Event != nil, "%s is a query", function.Name)
		if envelope.Event != nil {
			require.Regexp(t, `^[a-z]+\.[a-z-]+/[1-9][0-9]*$`, envelope.Event.Name, "%s: events have a type and a version", function.Name)
		}
		written := map[ledger.Key]bool{}
		for _, w := range tx.Writes {
			kind, _, ok := w.Key.Split()
			require.True(t, ok && slices.Contains(kinds, kind), "%s writes %s", function.Name, w.Key)
			require.True(t, w.Delete || jsontext.Value(w.Value).IsValid(), "%s writes %s", function.Name, w.Key)
			written[w.Key] = !w.Delete
		}
		for _, p := range tx.Policies {
			require.True(t, written[p.Key] || there[p.Key], "%s guards %s, which would not be there", function.Name, p.Key)
		}
	})
}

// requests are requests of B that its rules accept, on datanets of A and B with contributions of Ann.
func requests(f *testing.F, c *rulestest.Consortium, pool string, ann ledger.Caller) map[string]any {
	own := datanet.Create{Name: rulestest.B + "/verse", Content: rulestest.Verse(c.Members()...)}
	c.Must(f, rulestest.User(rulestest.B, "curator1", ledger.Curator), "datanet:Create", own)
	pending := contribution.Named{Datanet: pool, ID: c.ID()}
	c.Must(f, ann, "contribution:Submit", contribution.Submit{Datanet: pool, ID: pending.ID, Content: c.Poem()})
	approved := c.Approved(f, ann, pool, 1)[0]
	submit := contribution.Submit{Datanet: pool, ID: c.ID(), Content: c.Poem()}
	submit.Licence = &licence.Licence{Purposes: []licence.Purpose{licence.Research}, Expires: c.Clock.AddDate(1, 0, 0), Geography: []string{"AF", "IR"}}
	vote := approval.Vote{Named: pending, Revision: 1, Verdict: rulestest.Verdict(approval.Reject)}
	grant := access.Named{Datanet: own.Name, ID: c.ID()}
	return map[string]any{
		"datanet:Create":           datanet.Create{Name: rulestest.B + "/other", Content: rulestest.Verse(c.Members()...)},
		"datanet:Amend":            datanet.Amend{Name: own.Name, Version: 2, Content: own.Content},
		"datanet:Retire":           datanet.Named{Name: own.Name},
		"datanet:Version":          datanet.VersionName{Name: own.Name, Version: 1},
		"contribution:Submit":      submit,
		"contribution:SubmitBatch": contribution.SubmitBatch{Items: []contribution.Submit{submit}},
		"contribution:Get":         approved,
		"approval:Vote":            vote,
		"approval:VoteBatch":       approval.VoteBatch{Items: []approval.Vote{vote}},
		"approval:FinaliseBatch":   approval.FinaliseBatch{Items: []contribution.Named{approved}},
		"access:Grant": access.Terms{Named: grant, Grantee: rulestest.C, Purposes: []licence.Purpose{licence.Research},
			Expires: c.Clock.AddDate(1, 0, 0)},
		"access:Holders": approved,
	}
}
