package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/integration/story"
)

// tryForgedDatanets lets two members tamper with what belongs to datanets: heads, grants, replica agreements, votes. Real peers reject what
// the owner's peer has not endorsed, or has endorsed alone. What passes is told plainly: it is in the blocks, for the
// audit to find.
func tryForgedDatanets(t *testing.T, c *consortium) {
	curator := func(msp string) story.User { return story.User{Name: "curator1", MSP: msp} }
	create := func(msp string) datanet.Datanet {
		return must[datanet.Datanet](t, c, curator(msp), "datanet:Create", datanet.Create{Name: msp + "/forged-" + freshID()[:8], Content: verse("Verse")})
	}
	theirs, own := create(poets), create(lab)
	grant := must[access.Grant](t, c, curator(poets), "access:Grant", access.Terms{Named: access.Named{Datanet: theirs.Name, ID: freshID()},
		Grantee: lab, Purposes: []licence.Purpose{licence.Research}, Expires: c.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)})
	agreement := must[replica.Detail](t, c, curator(poets), "replica:Offer", replica.Offer{Named: replica.Named{Datanet: theirs.Name, ID: freshID()}, Keeper: library})
	epoch := ask[contribution.Epoch](t, c, curator(poets), "contribution:Epoch", ledger.Nothing{}).Epoch
	poet := story.User{Name: "contributor1", MSP: poets}
	must[any](t, c, poet, "account:Open", ledger.Nothing{})
	submitted := must[contribution.Contribution](t, c, poet, "contribution:Submit",
		contribution.Submit{Datanet: theirs.Name, ID: freshID(), Content: poem(epoch)})

	amended := func(d datanet.Datanet) []forged {
		d.Title = "Forged"
		return []forged{{Key: []string{"datanet", d.Name}, Value: d}}
	}
	widened := grant
	widened.Purposes = licence.Purposes
	voted := func(msp string) []forged {
		slot := approval.Slot{Named: submitted.Name(), Revision: 1, MSP: msp, Validator: ledger.NewAccount(msp, "validator1"),
			Verdict: voteOn(submitted.Name(), approval.Approve).Verdict, Tx: submitted.Tx}
		return []forged{{Key: []string{"vote", submitted.Datanet, submitted.ID, "000001", msp}, Value: slot}}
	}

	stolen, consented := agreement.Agreement, agreement.Consent
	stolen.Keeper = lab
	consented.By, consented.Tx = ledger.NewAccount(library, "operator1"), agreement.Tx
	consent := []forged{{Key: []string{"replica-consent", theirs.Name, agreement.ID}, Value: consented}}

	tamper(t, c, lab, library)
	for _, forgery := range []struct {
		claim     string
		writes    []forged
		endorsers []string
		want      string
	}{
		{"an amendment of another's datanet by a majority without its owner", amended(theirs), []string{lab, library}, policyFailure},
		{"an amendment of another's datanet by one peer", amended(theirs), []string{lab}, policyFailure},
		{"an amendment of its own datanet by the owner's peer alone", amended(own), []string{lab}, policyFailure},
		{"a version of another's datanet, rewritten by a majority without its owner",
			[]forged{{Key: []string{"datanet-version", theirs.Name, "0000000001"}, Value: theirs.Version}}, []string{lab, library}, policyFailure},
		{"a wider grant by a majority without the owner", []forged{{Key: []string{"grant", theirs.Name, grant.ID}, Value: widened}}, []string{lab, library}, policyFailure},
		{"a replica agreement with another keeper by a majority without the owner",
			[]forged{{Key: []string{"replica", theirs.Name, agreement.ID}, Value: stolen}}, []string{lab, library}, policyFailure},
		{"a keeper's consent by its peer alone", consent, []string{library}, policyFailure},
		{"a keeper's consent by a peer of another", consent, []string{lab}, policyFailure},
		{"a weaker guard by a majority without the owner",
			[]forged{{Key: []string{"datanet", theirs.Name}, Policy: "OR('" + lab + ".peer')"}}, []string{lab, library}, policyFailure},
		{"a vote by its organisation's peer alone", voted(lab), []string{lab}, policyFailure},
		{"a datanet in another's name, created by one peer", []forged{{Key: []string{"datanet", poets + "/" + freshID()}, Value: own}}, []string{lab}, policyFailure},
		{"an amendment of its own datanet by the owner with another: it may do so by its rules too", amended(own), []string{lab, library}, "success"},
		{"a vote by its organisation's peer with another: so it could by its rules", voted(lab), []string{lab, library}, "success"},
	} {
		outcome := try(t, c, operator(1, lab), "forge:Write", forgery.writes, forgery.endorsers...)
		require.Contains(t, outcome.String(), forgery.want, forgery.claim)
	}

	t.Run("the honest twins pass", func(t *testing.T) {
		must[any](t, c, curator(poets), "datanet:Amend", datanet.Amend{Name: theirs.Name, Version: 2, Content: verse("Amended")})
		must[any](t, c, story.User{Name: "validator1", MSP: library}, "approval:Vote", voteOn(submitted.Name(), approval.Approve))
		must[any](t, c, curator(poets), "access:Revoke", grant.Named)
		must[any](t, c, operator(1, library), "replica:Accept", agreement.Named)
	})

	t.Run("a guard that its owner and another have weakened is not trusted", func(t *testing.T) {
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write",
			[]forged{{Key: []string{"datanet", own.Name}, Policy: "OR('" + lab + ".peer')"}}, lab, library).String())
		outcome := try(t, c, poet, "contribution:Submit", contribution.Submit{Datanet: own.Name, ID: freshID(), Content: poem(epoch)})
		require.Contains(t, outcome.String(), "is not guarded as what belongs to "+lab+" must be")
	})

	t.Run("a colluding majority is only found by the audit", func(t *testing.T) {
		approved := submitted
		approved.State, approved.Approval = contribution.Approved, true
		another := must[contribution.Contribution](t, c, poet, "contribution:Submit", contribution.Submit{Datanet: theirs.Name, ID: freshID(), Content: poem(epoch)})
		approved.Submit = another.Submit
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write",
			[]forged{{Key: []string{"contribution", another.Datanet, another.ID}, Value: approved}}, lab, library).String(),
			"two of three members can write an outcome without votes: the empty slots beside it show that")
		votes := ask[approval.Votes](t, c, poet, "approval:Votes", another.Name())
		for _, slot := range votes.Slots {
			require.Empty(t, slot.Validator)
		}
		require.Equal(t, "success", try(t, c, operator(1, lab), "forge:Write",
			[]forged{{Key: []string{"datanet", poets + "/" + freshID()}, Value: own}}, lab, library).String(),
			"and create what nobody has created yet, in another's name: no guard stands there")
	})
	restore(t, c, lab, library)
}
