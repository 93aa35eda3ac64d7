package member_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

func TestASuspendedMemberMayAskAndNotAct(t *testing.T) {
	c := rulestest.New(t)
	user := rulestest.User(rulestest.C, "ann", ledger.Contributor)
	held, err := c.Propose(rulestest.Proposal(t, rulestest.User(rulestest.C, "bob", ledger.Contributor), "account:Open", ledger.Nothing{}))
	require.NoError(t, err)
	c.Decide(t, "member.standing", member.SetStanding{MSP: rulestest.C, Standing: member.Suspended})

	_, fault := c.Try(t, user, "account:Open", ledger.Nothing{})
	require.Equal(t, ledger.CodeForbidden, fault.Code)
	c.Must(t, user, "member:List", ledger.Nothing{})
	require.NoError(t, c.Submit(held))
	block, err := c.Cut()
	require.NoError(t, err)
	require.Equal(t, "MVCC_READ_CONFLICT", string(block.Flags[0]), "what was endorsed before the suspension and held back")

	c.Decide(t, "member.standing", member.SetStanding{MSP: rulestest.C, Standing: member.Active})
	c.Must(t, user, "account:Open", ledger.Nothing{})
}

func TestApprovalsOfASuspendedMemberDoNotCount(t *testing.T) {
	c := rulestest.New(t)
	raw, err := ledger.Encode(member.Addition{MSP: "DMSP"})
	require.NoError(t, err)
	content := proposal.Content{ID: c.ID(), Kind: "member.add", Params: raw, Expires: c.Clock.AddDate(0, 0, 2)}
	digest, err := content.Digest()
	require.NoError(t, err)
	c.Must(t, rulestest.User(rulestest.A, "operator1", ledger.Operator), "proposal:Propose", content)
	for _, msp := range []string{rulestest.B, rulestest.C} {
		c.Must(t, rulestest.User(msp, "operator2", ledger.Operator), "proposal:Approve", proposal.Approval{ID: content.ID, Digest: digest})
	}
	c.Decide(t, "member.standing", member.SetStanding{MSP: rulestest.C, Standing: member.Suspended})
	execute := func() *ledger.Fault {
		_, fault := c.Try(t, rulestest.User(rulestest.A, "operator1", ledger.Operator), "proposal:Execute", proposal.Named{ID: content.ID})
		return fault
	}
	require.Equal(t, ledger.CodeState, execute().Code, "one active approval of two that are needed")
	c.Decide(t, "member.standing", member.SetStanding{MSP: rulestest.C, Standing: member.Active})
	require.Nil(t, execute())
}

func TestSoManyMembersStayActiveThatTheyCanDecide(t *testing.T) {
	c := rulestest.New(t)
	c.Decide(t, "member.standing", member.SetStanding{MSP: rulestest.C, Standing: member.Suspended})
	for claim, set := range map[string]member.SetStanding{
		"the last two bind the consortium":  {MSP: rulestest.B, Standing: member.Suspended},
		"already suspended":                 {MSP: rulestest.C, Standing: member.Suspended},
		"already active":                    {MSP: rulestest.A, Standing: member.Active},
		"no member":                         {MSP: "XMSP", Standing: member.Suspended},
		"no standing that the members know": {MSP: rulestest.C, Standing: "resting"},
	} {
		raw, err := ledger.Encode(set)
		require.NoError(t, err)
		content := proposal.Content{ID: c.ID(), Kind: "member.standing", Params: raw, Expires: c.Clock.AddDate(0, 0, 2)}
		_, fault := c.Try(t, rulestest.User(rulestest.A, "operator1", ledger.Operator), "proposal:Propose", content)
		require.NotNil(t, fault, claim)
	}
}
