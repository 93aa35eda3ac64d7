package rules_test

import (
	"maps"
	"slices"
	"testing"

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
// not internal, and a refusal leaves nothing behind.
func FuzzFunctions(f *testing.F) {
	functions := rules.New(nil).Functions()
	for i := range functions {
		f.Add(uint8(i), []byte(`{}`))
		f.Add(uint8(i), []byte(`{"id":"00000000000000000000000000000000","account":"AMSP:ann","datanet":"AMSP/verse","number":1,"msp":"AMSP"}`))
	}
	f.Add(uint8(0), []byte(`{"id":"00000000000000000000000000000000","kind":"token.mint","params":{"to":"AMSP:ann","amount":"5"},"expires":"2030-01-02T00:00:00Z"}`))
	f.Add(uint8(0), []byte(`{"id":"00000000000000000000000000000000","to":"AMSP:ann","amount":"5","credits":["0000000000000000000000000000000000000000000000000000000000000000"],"apart":true}`))
	c := rulestest.New(f)
	everyone := rulestest.User(rulestest.B, "all", ledger.Roles...)
	ann := rulestest.User(rulestest.A, "ann", ledger.Consumer, ledger.Contributor)
	c.OpenAll(f, everyone, ann)
	c.SetSchedule(f)
	seeds := requests(f, c, ann)
	maps.Copy(seeds, trainingRequests(f, c, everyone, ann))
	for name, request := range seeds {
		i := slices.IndexFunc(functions, func(f *ledger.Function) bool { return f.Name == name })
		document, err := ledger.Encode(request)
		require.NoError(f, err)
		_, err = c.Propose(memledger.Proposal{Caller: everyone, Function: name, Document: document})
		require.NoError(f, err, "%s: a seed that the rules accept", name)
		f.Add(uint8(i), document)
	}
	f.Fuzz(func(t *testing.T, index uint8, document []byte) {
		function := functions[int(index)%len(functions)]
		before := len(c.State())
		_, err := c.Propose(memledger.Proposal{Caller: everyone, Function: function.Name, Document: document})
		if err != nil {
			fault := new(ledger.Fault)
			require.ErrorAs(t, err, &fault, "%s", function.Name)
			require.NotEqual(t, ledger.CodeInternal, fault.Code, "%s: %v", function.Name, fault)
		}
		require.Len(t, c.State(), before)
	})
}

// requests are requests of B that its rules accept, on datanets of A and B with contributions of Ann.
func requests(f *testing.F, c *rulestest.Consortium, ann ledger.Caller) map[string]any {
	pool := c.Pool(f)
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
