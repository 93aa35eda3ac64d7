package approval_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

// life is what one contribution must be, kept by the plainest means beside the ledger.
type life struct {
	contribution.Contribution
	votes map[string]approval.Choice // of the latest revision
}

// TestFingerprintsAndOutcomesOverRandomLives plays random operations on a few contributions of few contents. After each
// one every fingerprint is held by exactly the contribution that stands with it, and every outcome is the one that a
// plain count gives.
func TestFingerprintsAndOutcomesOverRandomLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rulestest.New(t)
		pool := c.Pool(t)
		c.OpenAll(t, ann)
		contents := []contribution.Content{c.Poem(), c.Poem(), c.Poem()}
		lives := map[string]*life{}
		ids := []string{c.ID(), c.ID(), c.ID(), c.ID()}
		for range rapid.IntRange(1, 40).Draw(t, "operations") {
			id := rapid.SampledFrom(ids).Draw(t, "contribution")
			content := rapid.SampledFrom(contents).Draw(t, "content")
			before := lives[id]
			taken := false
			for _, other := range lives {
				taken = taken || (stands(other.State) && other.Fingerprint == content.Fingerprint)
			}
			name := contribution.Named{Datanet: pool, ID: id}
			switch rapid.IntRange(0, 4).Draw(t, "operation") {
			case 0:
				_, fault := c.Try(t, ann, "contribution:Submit", contribution.Submit{Datanet: pool, ID: id, Content: content})
				switch {
				case before != nil && before.Fingerprint == content.Fingerprint:
					require.Nil(t, fault, "the same request again")
				case before != nil || taken:
					require.NotNil(t, fault)
					require.Equal(t, ledger.CodeExists, fault.Code)
				default:
					require.Nil(t, fault)
					lives[id] = &life{contribution.Contribution{Submit: contribution.Submit{Content: content}, Revision: 1, State: contribution.Pending}, map[string]approval.Choice{}}
				}
			case 1:
				msp := rapid.SampledFrom([]string{rulestest.B, rulestest.C}).Draw(t, "validator")
				choice := rapid.SampledFrom([]approval.Choice{approval.Approve, approval.Reject}).Draw(t, "choice")
				if before == nil {
					break
				}
				cast, voted := before.votes[msp]
				_, fault := c.Try(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote",
					approval.Vote{Named: name, Revision: before.Revision, Verdict: rulestest.Verdict(choice)})
				may := (voted && cast == choice) || (!voted && before.State == contribution.Pending)
				require.Equal(t, may, fault == nil, "%v", fault)
				if may {
					before.votes[msp] = choice
				}
			case 2:
				if before == nil {
					break
				}
				_, fault := c.Try(t, ann, "approval:Finalise", name)
				outcome := plainly(before)
				require.Equal(t, outcome != contribution.Pending, fault == nil, "%v", fault)
				before.State = outcome
			case 3:
				if before == nil {
					break
				}
				_, fault := c.Try(t, ann, "contribution:Withdraw", name)
				require.Equal(t, before.State != contribution.Rejected, fault == nil, "%v", fault)
				if fault == nil {
					before.State = contribution.Withdrawn
				}
			case 4:
				if before == nil {
					break
				}
				_, fault := c.Try(t, ann, "contribution:Revise",
					contribution.Revise{Datanet: pool, ID: id, Revision: before.Revision + 1, Content: content})
				may := before.State == contribution.Rejected && !taken
				require.Equal(t, may, fault == nil, "%v", fault)
				if may {
					before.Submit, before.State, before.votes = contribution.Submit{Content: content}, contribution.Pending, map[string]approval.Choice{}
					before.Revision++
				}
			}
			compare(t, c, lives)
		}
	})
}

func stands(s contribution.State) bool { return s != contribution.Rejected }

// plainly is the outcome of two votes of which both must approve.
func plainly(l *life) contribution.State {
	if l.State != contribution.Pending {
		return l.State
	}
	approvals := 0
	for _, choice := range l.votes {
		if choice == approval.Reject {
			return contribution.Rejected
		}
		approvals++
	}
	if approvals == 2 {
		return contribution.Approved
	}
	return contribution.Pending
}

// compare holds the ledger's fingerprints and states against what they must be.
func compare(t *rapid.T, c *rulestest.Consortium, lives map[string]*life) {
	want, got := map[string]string{}, map[string]string{}
	for id, l := range lives {
		want["state "+id] = fmt.Sprint(l.State, l.Revision)
		if stands(l.State) {
			want["held "+l.Fingerprint.HMAC] = id
		}
	}
	for _, entry := range c.State() {
		switch kind, parts, _ := entry.Key.Split(); kind {
		case "fingerprint":
			r, err := ledger.Value[contribution.Registration](entry.Key, entry.Value)
			require.NoError(t, err)
			got["held "+parts[1]] = r.ID
			require.Equal(t, lives[r.ID].Revision, r.Revision)
		case "contribution":
			l, err := ledger.Value[contribution.Contribution](entry.Key, entry.Value)
			require.NoError(t, err)
			got["state "+l.ID] = fmt.Sprint(l.State, l.Revision)
		}
	}
	require.Equal(t, want, got)
}
