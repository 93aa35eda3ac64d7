package rules_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
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
	c.OpenAll(f, everyone, rulestest.User(rulestest.A, "ann", ledger.Consumer))
	c.SetSchedule(f)
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
