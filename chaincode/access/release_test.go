package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

var (
	ann     = rulestest.User(rulestest.A, "ann", ledger.Contributor)
	curator = rulestest.User(rulestest.A, "curator1", ledger.Curator)
	keeper  = rulestest.User(rulestest.A, "operator1", ledger.Operator)
	trainer = rulestest.User(rulestest.B, "trainer1", ledger.Trainer)
)

// trained is a datanet of A with two snapshots: the first of one contribution, the second of both. B has a ticket on the
// first.
type trained struct {
	*rulestest.Consortium
	pool   string
	names  []contribution.Named
	grant  access.Named
	ticket string
}

func train(t *testing.T) *trained {
	t.Helper()
	s := &trained{Consortium: rulestest.New(t)}
	s.pool = s.Pool(t)
	s.OpenAll(t, ann, trainer)
	s.names = s.Approved(t, ann, s.pool, 2)
	for i, name := range s.names {
		s.Must(t, curator, "seal:Append", seal.Append{Datanet: s.pool, From: int64(i), Contributions: []string{name.ID}})
		s.Must(t, curator, "snapshot:Take", s.snapshot(i+1))
	}
	s.grant = access.Named{Datanet: s.pool, ID: s.ID()}
	s.Must(t, curator, "access:Grant", access.Terms{Named: s.grant, Grantee: rulestest.B, Purposes: []licence.Purpose{licence.Research},
		Expires: s.Clock.Add(100 * time.Hour)})
	s.ticket = s.ID()
	s.Must(t, trainer, "ticket:Open", ticket.Open{ID: s.ticket, Snapshots: []snapshot.Named{s.snapshot(1)}, Purpose: licence.Research,
		Grants: []ticket.GrantName{ticket.GrantName(s.grant)}})
	return s
}

func (s *trained) snapshot(number int) snapshot.Named {
	return snapshot.Named{Datanet: s.pool, Number: number}
}

// toTrain is a release of a snapshot to the trainer.
func (s *trained) toTrain(number int) access.Handover {
	return access.Handover{Named: access.Named{Datanet: s.pool, ID: s.ID()}, Snapshot: number, To: trainer.Account(), Reason: access.Training, Ticket: s.ticket}
}

// toAudit is a release of a snapshot, or else of contributions, to an organisation that is no member.
func (s *trained) toAudit(msp string, number int, names ...contribution.Named) access.Handover {
	h := access.Handover{Named: access.Named{Datanet: s.pool, ID: s.ID()}, Snapshot: number, To: ledger.NewAccount(msp, "expert1"), Reason: access.Audit}
	for _, name := range names {
		h.Contributions = append(h.Contributions, name.ID)
	}
	return h
}

func TestWhoHasItForAnAuditIsKnown(t *testing.T) {
	s := train(t)
	s.Must(t, keeper, "access:Release", s.toAudit("ZMSP", 0, s.names...))
	s.Must(t, keeper, "access:Release", s.toAudit("AuditorMSP", 1))
	s.Must(t, keeper, "access:Release", s.toAudit("AuditorMSP", 2))
	require.Equal(t, []string{rulestest.A}, s.holders(t, s.names[1]), "no member has it besides")
	require.Equal(t, []string{"AuditorMSP", "ZMSP"}, s.had(t, s.names[1]).Outside)

	for i := range access.MaxOutside - 1 {
		s.Must(t, keeper, "access:Release", s.toAudit(fmt.Sprintf("Auditor%dMSP", i), 0, s.names[0]))
	}
	_, fault := s.Try(t, keeper, "access:Release", s.toAudit("OneTooManyMSP", 0, s.names[0]))
	require.NotNil(t, fault)
	require.Equal(t, ledger.CodeState, fault.Code, "%v", fault)
	s.Must(t, keeper, "access:Release", s.toAudit("ZMSP", 0, s.names[0]))

	s.Decide(t, "member.add", member.Addition{MSP: "ZMSP"})
	require.Equal(t, []string{rulestest.A, "ZMSP"}, s.holders(t, s.names[1]), "a member now, which has to acknowledge")
}

func (s *trained) holders(t *testing.T, n contribution.Named) []string { return s.had(t, n).Members }

func (s *trained) had(t *testing.T, n contribution.Named) access.Had {
	t.Helper()
	answer, err := s.Evaluate(rulestest.Proposal(t, ann, "access:Holders", n), "")
	require.NoError(t, err)
	var had access.Had
	require.NoError(t, ledger.DecodeAnswer(answer, &had))
	return had
}

func TestASnapshotIsReleasedByItsOwnerUnderARunningTicket(t *testing.T) {
	s := train(t)
	require.Equal(t, []string{rulestest.A}, s.holders(t, s.names[0]))
	s.Must(t, keeper, "access:Release", s.toTrain(1))
	require.Equal(t, []string{rulestest.A, rulestest.B}, s.holders(t, s.names[0]))
	require.Equal(t, []string{rulestest.A}, s.holders(t, s.names[1]), "which the first snapshot does not hold")
}

func TestReleasesForTrainingThatAreRefused(t *testing.T) {
	for claim, test := range map[string]struct {
		by     ledger.Caller
		change func(s *trained, h *access.Handover)
		code   ledger.Code
		field  string
	}{
		"another snapshot than the ticket's":     {keeper, func(s *trained, h *access.Handover) { h.Snapshot = 2 }, ledger.CodeForbidden, "ticket"},
		"a ticket that nobody has opened":        {keeper, func(s *trained, h *access.Handover) { h.Ticket = s.ID() }, ledger.CodeNotFound, "ticket"},
		"to somebody else than the ticket's":     {keeper, func(s *trained, h *access.Handover) { h.To = "CMSP:trainer1" }, ledger.CodeForbidden, "ticket"},
		"of a contribution outside its snapshot": {keeper, func(s *trained, h *access.Handover) { h.Snapshot, h.Contributions = 0, []string{s.names[1].ID} }, ledger.CodeForbidden, "contributions.0"},
		"by another member than the owner":       {rulestest.User(rulestest.C, "operator1", ledger.Operator), func(*trained, *access.Handover) {}, ledger.CodeForbidden, "snapshot"},
		"under a ticket that is closed": {keeper, func(s *trained, h *access.Handover) {
			s.Must(t, trainer, "ticket:Close", ticket.Named{ID: s.ticket})
		}, ledger.CodeState, "ticket"},
		"after the terms of the ticket": {keeper, func(s *trained, h *access.Handover) { s.Clock = s.Clock.Add(101 * time.Hour) }, ledger.CodeLicence, "ticket"},
		"while a contribution in it is erased": {keeper, func(s *trained, h *access.Handover) {
			s.Must(t, ann, "erasure:Request", s.names[0])
		}, ledger.CodeState, "snapshot"},
	} {
		t.Run(claim, func(t *testing.T) {
			s := train(t)
			handover := s.toTrain(1)
			test.change(s, &handover)
			_, fault := s.Try(t, test.by, "access:Release", handover)
			require.NotNil(t, fault)
			require.Equal(t, test.code, fault.Code, "%v", fault)
			require.Equal(t, test.field, fault.Field, "%v", fault)
			if test.code != ledger.CodeState { // the honest twin
				s.Clock = time.Date(2030, 1, 1, 1, 0, 0, 0, time.UTC)
				s.Must(t, keeper, "access:Release", s.toTrain(1))
			}
		})
	}
}

func TestASnapshotIsHandedOnOnlyByWhoHoldsIt(t *testing.T) {
	s := train(t)
	onward := s.toTrain(1)
	onward.To = "CMSP:host1"
	onward.Reason, onward.Ticket, onward.Grant = access.Holding, "", s.ID()
	s.Must(t, curator, "access:Grant", access.Terms{Named: access.Named{Datanet: s.pool, ID: onward.Grant}, Grantee: rulestest.C,
		Purposes: []licence.Purpose{licence.CommercialService}, Expires: s.Clock.Add(100 * time.Hour)})
	other := rulestest.User(rulestest.B, "host1", ledger.Host)

	s.Must(t, keeper, "access:Release", s.toTrain(1))
	_, fault := s.Try(t, other, "access:Release", onward)
	require.NotNil(t, fault, "B has it to train on, not to hand it on")
	require.Equal(t, ledger.CodeForbidden, fault.Code)

	hold := s.toTrain(1)
	hold.Reason, hold.Ticket, hold.Grant = access.Holding, "", s.grant.ID
	s.Must(t, keeper, "access:Release", hold)
	s.Must(t, other, "access:Release", onward)
	require.Equal(t, []string{rulestest.A, rulestest.B, rulestest.C}, s.holders(t, s.names[0]))

	single := access.Handover{Named: access.Named{Datanet: s.pool, ID: s.ID()}, Contributions: []string{s.names[0].ID}, To: onward.To, Reason: access.Holding, Grant: onward.Grant}
	s.Must(t, other, "access:Release", single)
	single.ID, single.Contributions = s.ID(), []string{s.names[1].ID}
	_, fault = s.Try(t, other, "access:Release", single)
	require.NotNil(t, fault, "the second contribution is not in the snapshot that B holds")
	require.Equal(t, "contributions.0", fault.Field)
}

// TestNoReleaseAndErasurePassEachOther endorses a release and the request to erase on one state: whichever commits
// second is void, so no erasure misses a holder.
func TestNoReleaseAndErasurePassEachOther(t *testing.T) {
	for claim, handover := range map[string]func(s *trained) access.Handover{
		"of a snapshot": func(s *trained) access.Handover { return s.toTrain(1) },
		"of the contribution": func(s *trained) access.Handover {
			h := s.toTrain(0)
			h.Contributions = []string{s.names[0].ID}
			return h
		},
		"of a snapshot for an audit":       func(s *trained) access.Handover { return s.toAudit("AuditorMSP", 1) },
		"of the contribution for an audit": func(s *trained) access.Handover { return s.toAudit("AuditorMSP", 0, s.names[0]) },
	} {
		for _, first := range []string{"release", "erasure"} {
			t.Run(claim+", the "+first+" first", func(t *testing.T) {
				s := train(t)
				release, err := s.Propose(rulestest.Proposal(t, keeper, "access:Release", handover(s)))
				require.NoError(t, err)
				erasure, err := s.Propose(rulestest.Proposal(t, ann, "erasure:Request", s.names[0]))
				require.NoError(t, err)
				order := []*memledger.Envelope{release, erasure}
				if first == "erasure" {
					order = []*memledger.Envelope{erasure, release}
				}
				for _, envelope := range order {
					require.NoError(t, s.Submit(envelope))
				}
				block, err := s.Cut()
				require.NoError(t, err)
				require.Equal(t, []memledger.Flag{memledger.Valid, memledger.MVCCReadConflict}, block.Flags)
			})
		}
	}
}

func TestWithdrawnThenErasedIsNotReleasedByAHeldTransaction(t *testing.T) {
	s := train(t)
	s.Must(t, ann, "contribution:Withdraw", s.names[0])
	s.Must(t, curator, "seal:Retire", seal.Retire{Datanet: s.pool, Contributions: []string{s.names[0].ID}})
	release, err := s.Propose(rulestest.Proposal(t, keeper, "access:Release", s.toTrain(1)))
	require.NoError(t, err, "a ticket that was open before keeps its terms")
	s.Must(t, ann, "erasure:Request", s.names[0])
	require.NoError(t, s.Submit(release))
	block, err := s.Cut()
	require.NoError(t, err)
	require.Equal(t, []memledger.Flag{memledger.MVCCReadConflict}, block.Flags)
}
