package ticket_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

var (
	curator = rulestest.User(rulestest.A, "curator1", ledger.Curator)
	trainer = rulestest.User(rulestest.A, "trainer1", ledger.Trainer)
	other   = rulestest.User(rulestest.B, "trainer1", ledger.Trainer)
	ann     = rulestest.User(rulestest.C, "ann", ledger.Contributor)
)

// approve has a contribution with a licence of its own approved.
func approve(t *testing.T, c *rulestest.Consortium, pool string, own *licence.Licence) string {
	content := c.Poem()
	content.Licence = own
	name := contribution.Named{Datanet: pool, ID: c.ID()}
	c.Must(t, ann, "contribution:Submit", contribution.Submit{Datanet: pool, ID: name.ID, Content: content})
	for _, msp := range []string{rulestest.A, rulestest.B} {
		c.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: name, Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
	}
	c.Must(t, ann, "approval:Finalise", name)
	return name.ID
}

func take(t *testing.T, c *rulestest.Consortium, pool string, number, from int, ids ...string) []snapshot.Named {
	if len(ids) > 0 {
		c.Must(t, curator, "seal:Append", seal.Append{Datanet: pool, From: int64(from), Contributions: ids})
	}
	c.Must(t, curator, "snapshot:Take", snapshot.Named{Datanet: pool, Number: number})
	return []snapshot.Named{{Datanet: pool, Number: number}}
}

func TestEveryFailureIsNamedAtOnce(t *testing.T) {
	c := rulestest.New(t)
	c.OpenAll(t, ann)
	pool := c.Pool(t)
	id := approve(t, c, pool, nil)
	one := take(t, c, pool, 1, 0, id)
	narrow := rulestest.Verse(c.Members()...)
	narrow.Licence = licence.Licence{Purposes: []licence.Purpose{licence.Evaluation}, Geography: []string{"IR"}, Expires: c.Clock.Add(48 * time.Hour)}
	second := datanet.Create{Name: rulestest.A + "/narrow", Content: narrow}
	c.Must(t, curator, "datanet:Create", second)
	take(t, c, second.Name, 1, 0, approve(t, c, second.Name, nil))
	c.Must(t, ann, "contribution:Withdraw", contribution.Named{Datanet: pool, ID: id})
	c.Clock = c.Clock.Add(49 * time.Hour)

	_, fault := c.Try(t, other, "ticket:Open", ticket.Open{ID: c.ID(), Purpose: licence.Research,
		Snapshots: []snapshot.Named{{Datanet: second.Name, Number: 1}, one[0], {Datanet: pool + "-2", Number: 1}}})
	require.Equal(t, ledger.CodeLicence, fault.Code)
	require.Equal(t, "snapshots.0", fault.Field)
	for _, reason := range []string{"covers evaluation, not research", "expired at", "covers IR, not a place that is not stated",
		rulestest.B + " needs a grant of " + rulestest.A + " for " + second.Name, "needs a grant of " + rulestest.A + " for " + pool,
		"holds 1 contributions that have left", "has no snapshot 1"} {
		require.Contains(t, fault.Message, reason)
	}
	require.Equal(t, 7, len(strings.Split(fault.Message, "; ")), "nothing but these: %s", fault.Message)
}

func TestAContributionsOwnLicenceCounts(t *testing.T) {
	c := rulestest.New(t)
	c.OpenAll(t, ann)
	pool := c.Pool(t)
	strict := approve(t, c, pool, &licence.Licence{Purposes: []licence.Purpose{licence.Research}, DerivativePpm: 70_000, Expires: c.Clock.Add(240 * time.Hour)})
	one := take(t, c, pool, 1, 0, approve(t, c, pool, nil), strict)
	open := func(snapshots []snapshot.Named, purpose licence.Purpose) (opened ticket.Ticket, fault *ledger.Fault) {
		answer, fault := c.Try(t, trainer, "ticket:Open", ticket.Open{ID: c.ID(), Snapshots: snapshots, Purpose: purpose})
		if fault == nil {
			require.NoError(t, ledger.DecodeAnswer(answer, &opened))
		}
		return opened, fault
	}
	_, fault := open(one, licence.CommercialService)
	require.Contains(t, fault.Message, "1 contributions to "+pool+" allow by licences of their own")
	opened, fault := open(one, licence.Research)
	require.Nil(t, fault)
	require.Equal(t, 70_000, opened.Sources[0].DerivativePpm)
	require.Equal(t, c.Clock.Add(240*time.Hour), opened.Expires)

	c.Must(t, ann, "contribution:Withdraw", contribution.Named{Datanet: pool, ID: strict})
	c.Must(t, curator, "seal:Retire", seal.Retire{Datanet: pool, Contributions: []string{strict}})
	opened, fault = open(take(t, c, pool, 2, 2), licence.CommercialService)
	require.Nil(t, fault, "without it the datanet's licence decides")
	require.Zero(t, opened.Expires)
}

func TestContributionsKeepTheVersionTheyWereSubmittedUnder(t *testing.T) {
	c := rulestest.New(t)
	c.OpenAll(t, ann)
	pool := c.Pool(t)
	first := approve(t, c, pool, nil)
	amended := rulestest.Verse(c.Members()...)
	amended.Licence.Purposes, amended.DataPpm, amended.Tau = []licence.Purpose{licence.Research}, 300_000, 20
	c.Must(t, curator, "datanet:Amend", datanet.Amend{Name: pool, Version: 2, Content: amended})
	old := take(t, c, pool, 1, 0, first)
	both := take(t, c, pool, 2, 1, approve(t, c, pool, nil))
	commercial := func(snapshots []snapshot.Named) *ledger.Fault {
		_, fault := c.Try(t, trainer, "ticket:Open", ticket.Open{ID: c.ID(), Snapshots: snapshots, Purpose: licence.CommercialService})
		return fault
	}
	require.Nil(t, commercial(old))
	require.Contains(t, commercial(both).Message, "version 2, covers research")
	var opened ticket.Ticket
	require.NoError(t, ledger.DecodeAnswer(c.Must(t, trainer, "ticket:Open", ticket.Open{ID: c.ID(), Snapshots: both, Purpose: licence.Research}), &opened))
	require.Equal(t, []int{1, 2}, opened.Sources[0].Versions)
	require.Equal(t, 600_000, opened.Sources[0].DataPpm, "the strictest version wins")
	require.Equal(t, 20, opened.Sources[0].Tau)
}
