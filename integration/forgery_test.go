package integration_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/integration/story"
)

// forged is one write of the tampered chaincode.
type forged struct {
	Key    []string `json:"key"`
	Value  any      `json:"value,omitzero"`
	Policy string   `json:"policy,omitzero"`
}

const policyFailure = "flag ENDORSEMENT_POLICY_FAILURE"

// tryForgeries lets members tamper with their own chaincode and shows which of their transactions real peers reject,
// each beside an honest twin that passes, and what a colluding majority can do.
func tryForgeries(t *testing.T, c *consortium) {
	consumer := story.User{Name: "consumer1", MSP: lab}
	must[any](t, c, consumer, "account:Open", ledger.Nothing{})
	owner := accountOf(consumer)
	content, digest := mintOf(t, c, owner, 5)
	must[any](t, c, operator(1, poets), "proposal:Propose", content)
	fill := func(msp string) []forged {
		return []forged{{Key: []string{"proposal-slot", content.ID, msp}, Value: proposal.Slot{Proposal: content.ID, MSP: msp,
			Approver: ledger.NewAccount(msp, "operator2"), Tx: digest}}}
	}
	credit := []forged{{Key: []string{"credit", string(owner), digest},
		Value: token.Credit{ID: digest, Owner: owner, Amount: 1_000_000, Kind: "mint", From: "nobody"}}}
	slot := []forged{{Key: []string{"proposal-slot", freshID(), lab}, Value: proposal.Slot{MSP: lab}, Policy: "OR('" + lab + ".peer')"}}

	tamper(t, c, lab, library, regulator)
	for _, forgery := range []struct {
		claim     string
		by        story.User
		writes    []forged
		endorsers []string
		want      string
	}{
		{"a vote in an organisation's slot by its own peer alone", operator(1, lab), fill(lab), []string{lab}, policyFailure},
		{"a vote in another's slot by a majority without it", operator(1, lab), fill(poets), []string{lab, library}, policyFailure},
		{"a slot created by a minority", operator(1, lab), slot, []string{lab}, policyFailure},
		{"credits minted by one organisation", operator(1, lab), credit, []string{lab}, policyFailure},
		{"a write by the regulator's client, endorsed by a majority", story.User{Name: "inspector1", MSP: regulator}, slot, []string{lab, library}, "refused at ordering"},
		{"a write by the regulator's admin, endorsed by one organisation", story.User{Name: admin, MSP: regulator}, slot, []string{lab}, policyFailure},
		{"a vote in another's slot with the regulator's endorsement", operator(1, lab), fill(lab), []string{lab, regulator}, policyFailure},
	} {
		outcome := try(t, c, forgery.by, "forge:Write", forgery.writes, forgery.endorsers...)
		require.Contains(t, outcome.String(), forgery.want, forgery.claim)
	}

	t.Run("the honest twins pass", func(t *testing.T) {
		approval := approvalOf(content.ID, digest)
		require.Equal(t, policyFailure, try(t, c, operator(2, lab), "proposal:Approve", approval, lab).String(), "an honest vote endorsed by its own peer alone")
		require.Equal(t, policyFailure, try(t, c, operator(2, lab), "proposal:Approve", approval, poets, library).String(), "an honest vote endorsed by the others alone")
		must[any](t, c, operator(2, lab), "proposal:Approve", approval, lab, poets)
		must[any](t, c, operator(2, poets), "proposal:Approve", approval)
		execute := named(content.ID)
		require.Equal(t, policyFailure, try(t, c, operator(1, poets), "proposal:Execute", execute, poets).String(), "a mint executed by one organisation")
		must[any](t, c, operator(1, poets), "proposal:Execute", execute)
		for _, name := range []string{"inspector1", admin} {
			outcome := try(t, c, story.User{Name: name, MSP: regulator}, "proposal:Expire", execute, poets, library)
			require.Contains(t, outcome.String(), "fault forbidden", "a write by the regulator's %s through honest chaincode", name)
		}
	})

	t.Run("a colluding majority is only found by the audit", func(t *testing.T) {
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write", credit, lab, library).String(),
			"two of three members can invent credits: their chaincode is the rule")
		require.Error(t, c.tally(t).Check(), "the tally over the state shows it")
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write",
			[]forged{{Key: credit[0].Key, Value: token.Credit{ID: digest, Owner: owner, Amount: 0, Kind: "mint", From: "nobody"}}}, lab, library).String())
		require.NoError(t, c.tally(t).Check(), "the invented credits are taken back, for the tests that follow")
	})

	t.Run("approvals in slots that a majority weakened do not count", func(t *testing.T) {
		weak, digest := mintOf(t, c, owner, 7)
		must[any](t, c, operator(1, poets), "proposal:Propose", weak)
		for _, msp := range []string{lab, library} {
			must[any](t, c, operator(2, msp), "proposal:Approve", approvalOf(weak.ID, digest))
		}
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write",
			[]forged{{Key: []string{"proposal-slot", weak.ID, lab}, Policy: "OR('" + lab + ".peer')"}}, lab, library).String(),
			"the owner of a slot and one other can weaken it")
		outcome := try(t, c, operator(1, poets), "proposal:Execute", named(weak.ID))
		require.Contains(t, outcome.String(), "is not guarded as what belongs to "+lab+" must be")
	})
	restore(t, c, lab, library, regulator)
}

func mintOf(t *testing.T, c *consortium, to ledger.Account, amount money.Amount) (proposal.Content, string) {
	t.Helper()
	params, err := ledger.Encode(token.Mint{To: to, Amount: amount})
	require.NoError(t, err)
	content := proposal.Content{ID: freshID(), Kind: "token.mint", Params: params, Expires: c.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)}
	digest, err := content.Digest()
	require.NoError(t, err)
	return content, digest
}

// tamper has organisations run the dishonest chaincode, restore the honest one again.
func tamper(t *testing.T, c *consortium, msps ...string)  { replace(t, c, "tampered", msps) }
func restore(t *testing.T, c *consortium, msps ...string) { replace(t, c, "chaincode", msps) }

func replace(t *testing.T, c *consortium, program string, msps []string) {
	t.Helper()
	for _, msp := range msps {
		require.NoError(t, c.SetChaincodeBinary(t.Context(), msp, filepath.Join(c.programs, program)))
	}
}

func named(id string) proposal.Named { return proposal.Named{ID: id} }

func approvalOf(id, digest string) proposal.Approval {
	return proposal.Approval{ID: id, Digest: digest}
}
