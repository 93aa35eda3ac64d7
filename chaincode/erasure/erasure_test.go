package erasure_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
)

var (
	curator = rulestest.User(rulestest.A, "curator1", ledger.Curator)
	ann     = rulestest.User(rulestest.C, "ann", ledger.Contributor)
)

func operator(msp string) ledger.Caller { return rulestest.User(msp, "operator1", ledger.Operator) }

func TestASuspendedHolderStillAcknowledges(t *testing.T) {
	c := rulestest.New(t)
	c.OpenAll(t, ann)
	name := c.Approved(t, ann, c.Pool(t), 1)[0]
	c.Must(t, ann, "erasure:Request", name)
	c.Decide(t, "member.standing", member.SetStanding{MSP: rulestest.C, Standing: member.Suspended})
	_, fault := c.Try(t, operator(rulestest.C), "erasure:Request", name)
	require.Equal(t, ledger.CodeForbidden, fault.Code)
	c.Must(t, operator(rulestest.C), "erasure:Acknowledge", name)
	c.Must(t, operator(rulestest.A), "erasure:Acknowledge", name)
	c.Must(t, operator(rulestest.B), "erasure:Complete", name)
}

func TestAcknowledgementsAtTheSameTimeDoNotConflict(t *testing.T) {
	c := rulestest.New(t)
	c.OpenAll(t, ann)
	pool := c.Pool(t)
	name := c.Approved(t, ann, pool, 1)[0]
	c.Must(t, curator, "seal:Append", seal.Append{Datanet: pool, Contributions: []string{name.ID}})
	c.Must(t, ann, "erasure:Request", name)
	for _, msp := range []string{rulestest.A, rulestest.C} {
		envelope, err := c.Propose(rulestest.Proposal(t, operator(msp), "erasure:Acknowledge", name))
		require.NoError(t, err)
		require.NoError(t, c.Submit(envelope))
	}
	retire, err := c.Propose(rulestest.Proposal(t, curator, "seal:Retire", seal.Retire{Datanet: pool, Contributions: []string{name.ID}}))
	require.NoError(t, err)
	require.NoError(t, c.Submit(retire))
	block, err := c.Cut()
	require.NoError(t, err)
	for _, flag := range block.Flags {
		require.Equal(t, "VALID", string(flag))
	}
	c.Must(t, operator(rulestest.B), "erasure:Complete", name)
	var gone erasure.Affected
	require.NoError(t, ledger.DecodeAnswer(c.Must(t, ann, "erasure:Affected", erasure.Reach{Named: name}), &gone))
	require.Equal(t, contribution.Erased, gone.State)
	require.Zero(t, gone.First, "no snapshot ever had it")
	_, fault := c.Try(t, curator, "snapshot:Take", map[string]any{"datanet": pool, "number": 1})
	require.Equal(t, ledger.CodeState, fault.Code, "nothing is left to take")
}
