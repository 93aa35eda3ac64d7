package approval_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

const (
	dMSP = "DMSP"
	eMSP = "EMSP"
)

var ann = rulestest.User(rulestest.A, "ann", ledger.Contributor)

// five are five members that all validate; of four eligible ones three decide.
func five(t *testing.T) (c *rulestest.Consortium, pending contribution.Named) {
	t.Helper()
	c = rulestest.Of(t, rulestest.A, rulestest.B, rulestest.C, dMSP, eMSP)
	pool := c.Pool(t)
	c.OpenAll(t, ann)
	pending = contribution.Named{Datanet: pool, ID: c.ID()}
	c.Must(t, ann, "contribution:Submit", contribution.Submit{Datanet: pool, ID: pending.ID, Content: c.Poem()})
	return c, pending
}

func vote(t *testing.T, c *rulestest.Consortium, n contribution.Named, choice approval.Choice, msps ...string) {
	t.Helper()
	for _, msp := range msps {
		c.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote",
			approval.Vote{Named: n, Revision: 1, Verdict: rulestest.Verdict(choice)})
	}
}

func outcome(t *testing.T, c *rulestest.Consortium, n contribution.Named) contribution.State {
	t.Helper()
	answer, fault := c.Try(t, ann, "approval:Finalise", n)
	if fault != nil {
		require.Equal(t, ledger.CodeState, fault.Code, "%v", fault)
		return contribution.Pending
	}
	var final contribution.Contribution
	require.NoError(t, ledger.DecodeAnswer(answer, &final))
	return final.State
}

func TestATieDecidesOnlyWhenApprovalIsOutOfReach(t *testing.T) {
	c, pending := five(t)
	vote(t, c, pending, approval.Approve, rulestest.B)
	vote(t, c, pending, approval.Reject, rulestest.C)
	require.Equal(t, contribution.Pending, outcome(t, c, pending), "one to one, two slots are open")
	vote(t, c, pending, approval.Approve, dMSP)
	require.Equal(t, contribution.Pending, outcome(t, c, pending), "two to one, one slot is open")
	vote(t, c, pending, approval.Reject, eMSP)
	require.Equal(t, contribution.Rejected, outcome(t, c, pending), "two to two, three would have to approve")
}

func TestThreeOfFourDecideWithoutTheFourth(t *testing.T) {
	c, pending := five(t)
	vote(t, c, pending, approval.Approve, rulestest.B, rulestest.C, dMSP)
	require.Equal(t, contribution.Approved, outcome(t, c, pending))
}

func TestVotesOfASuspendedMemberDoNotCount(t *testing.T) {
	c, pending := five(t)
	vote(t, c, pending, approval.Approve, rulestest.B, rulestest.C, dMSP)
	c.Decide(t, "member.standing", member.SetStanding{MSP: dMSP, Standing: member.Suspended})
	require.Equal(t, contribution.Pending, outcome(t, c, pending), "three have approved, one of them is suspended")
	_, fault := c.Try(t, rulestest.User(dMSP, "validator2", ledger.Validator), "approval:Vote",
		approval.Vote{Named: pending, Revision: 1, Verdict: rulestest.Verdict(approval.Reject)})
	require.Equal(t, ledger.CodeForbidden, fault.Code)
	vote(t, c, pending, approval.Approve, eMSP)
	require.Equal(t, contribution.Approved, outcome(t, c, pending))
}

func TestAVoteKeepsTheMembersOfItsSubmission(t *testing.T) {
	c, pending := five(t)
	c.Must(t, rulestest.User(rulestest.A, "curator1", ledger.Curator), "datanet:Amend",
		datanet.Amend{Name: pending.Datanet, Version: 2, Content: rulestest.Verse(rulestest.A, rulestest.B, rulestest.C)})
	vote(t, c, pending, approval.Approve, rulestest.B, rulestest.C)
	require.Equal(t, contribution.Pending, outcome(t, c, pending), "two would decide under the later version")
	vote(t, c, pending, approval.Approve, eMSP)
	require.Equal(t, contribution.Approved, outcome(t, c, pending))
}
