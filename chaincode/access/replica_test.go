package access_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

var keeperB = rulestest.User(rulestest.B, "operator1", ledger.Operator)

// offered is an agreement of A with B that B has not accepted.
func (s *trained) offered(t *testing.T) replica.Named {
	t.Helper()
	n := replica.Named{Datanet: s.pool, ID: s.ID()}
	s.Must(t, curator, "replica:Offer", replica.Offer{Named: n, Keeper: rulestest.B})
	return n
}

func (s *trained) agreed(t *testing.T) replica.Named {
	t.Helper()
	n := s.offered(t)
	s.Must(t, keeperB, "replica:Accept", n)
	return n
}

// toReplicate is a release of contributions to B's gateway under an agreement.
func (s *trained) toReplicate(n replica.Named, names ...contribution.Named) access.Handover {
	h := access.Handover{Named: access.Named{Datanet: s.pool, ID: s.ID()}, To: ledger.NewAccount(rulestest.B, "gateway"), Reason: access.Replica, Agreement: n.ID}
	for _, name := range names {
		h.Contributions = append(h.Contributions, name.ID)
	}
	return h
}

func TestAKeeperHandsOnWhatItKeepsAndHasToAcknowledgeItsErasure(t *testing.T) {
	s := train(t)
	n := s.agreed(t)
	onward := s.toAudit("AuditorMSP", 0, s.names[0])
	_, fault := s.Try(t, keeperB, "access:Release", onward)
	require.NotNil(t, fault)
	require.Equal(t, ledger.CodeForbidden, fault.Code, "it has nothing yet")

	s.Must(t, keeper, "access:Release", s.toReplicate(n, s.names...))
	had := s.had(t, s.names[0])
	require.Equal(t, []string{rulestest.A, rulestest.B}, had.Members)
	require.Equal(t, []string{rulestest.A, rulestest.B}, had.Custody)
	s.Must(t, keeperB, "access:Release", onward)

	s.Must(t, keeperB, "replica:End", n)
	var e erasure.Erasure
	require.NoError(t, ledger.DecodeAnswer(s.Must(t, ann, "erasure:Request", s.names[0]), &e))
	require.Equal(t, []string{rulestest.A, rulestest.B}, e.Holders, "ended or not, it has it")
	s.Must(t, keeperB, "erasure:Acknowledge", s.names[0])
}

func TestWhoHasItForAnotherReasonHandsItOnOnlyAsAReplica(t *testing.T) {
	s := train(t)
	n := s.agreed(t)
	s.Must(t, keeper, "access:Release", s.toTrain(1))
	require.Equal(t, []string{rulestest.A}, s.had(t, s.names[0]).Custody)
	s.Must(t, keeper, "access:Release", s.toReplicate(n, s.names[0]))
	require.Equal(t, []string{rulestest.A, rulestest.B}, s.had(t, s.names[0]).Custody)
}

func TestReplicasThatAreNotReleased(t *testing.T) {
	for claim, test := range map[string]struct {
		by     ledger.Caller
		change func(t *testing.T, s *trained, n replica.Named, h *access.Handover)
		code   ledger.Code
		field  string
	}{
		"without an agreement":  {keeper, func(_ *testing.T, s *trained, _ replica.Named, h *access.Handover) { h.Agreement = s.ID() }, ledger.CodeNotFound, "agreement"},
		"without its name":      {keeper, func(_ *testing.T, _ *trained, _ replica.Named, h *access.Handover) { h.Agreement = "" }, ledger.CodeInvalid, "agreement"},
		"under a malformed one": {keeper, func(_ *testing.T, _ *trained, _ replica.Named, h *access.Handover) { h.Agreement = "x" }, ledger.CodeInvalid, "agreement"},
		"for another reason":    {keeper, func(_ *testing.T, _ *trained, _ replica.Named, h *access.Handover) { h.Reason = access.Holding }, ledger.CodeInvalid, "agreement"},
		"as a snapshot": {keeper, func(_ *testing.T, _ *trained, _ replica.Named, h *access.Handover) {
			h.Snapshot, h.Contributions = 1, nil
		}, ledger.CodeInvalid, "snapshot"},
		"under one that nobody accepted": {keeper, func(t *testing.T, s *trained, _ replica.Named, h *access.Handover) { h.Agreement = s.offered(t).ID },
			ledger.CodeState, "agreement"},
		"to another member": {keeper, func(_ *testing.T, _ *trained, _ replica.Named, h *access.Handover) {
			h.To = ledger.NewAccount(rulestest.C, "gateway")
		},
			ledger.CodeForbidden, "agreement"},
		"after the owner has ended it": {keeper, func(t *testing.T, s *trained, n replica.Named, _ *access.Handover) {
			s.Must(t, curator, "replica:End", n)
		},
			ledger.CodeState, "agreement"},
		"after the keeper has ended it": {keeper, func(t *testing.T, s *trained, n replica.Named, _ *access.Handover) {
			s.Must(t, keeperB, "replica:End", n)
		},
			ledger.CodeState, "agreement"},
		"by the keeper to itself": {keeperB, func(*testing.T, *trained, replica.Named, *access.Handover) {}, ledger.CodeForbidden, "contributions.0"},
		"of what is withdrawn": {keeper, func(t *testing.T, s *trained, _ replica.Named, _ *access.Handover) {
			s.Must(t, ann, "contribution:Withdraw", s.names[0])
		}, ledger.CodeState, "contributions.0"},
		"of what is pending": {keeper, func(t *testing.T, s *trained, _ replica.Named, h *access.Handover) {
			pending := contribution.Submit{Datanet: s.pool, ID: s.ID(), Content: s.Poem()}
			s.Must(t, ann, "contribution:Submit", pending)
			h.Contributions = []string{pending.ID}
		}, ledger.CodeState, "contributions.0"},
		"of what is being erased": {keeper, func(t *testing.T, s *trained, _ replica.Named, _ *access.Handover) {
			s.Must(t, ann, "erasure:Request", s.names[0])
		}, ledger.CodeState, "contributions.0"},
	} {
		t.Run(claim, func(t *testing.T) {
			s := train(t)
			n := s.agreed(t)
			handover := s.toReplicate(n, s.names[0])
			test.change(t, s, n, &handover)
			_, fault := s.Try(t, test.by, "access:Release", handover)
			require.NotNil(t, fault)
			require.Equal(t, test.code, fault.Code, "%v", fault)
			require.Equal(t, test.field, fault.Field, "%v", fault)
			s.Must(t, keeper, "access:Release", s.toReplicate(s.agreed(t), s.names[1])) // the honest twin
		})
	}
}

// TestAReleaseThatIsHeldBackLosesAgainstTheEnd endorses both on one state.
func TestAReleaseThatIsHeldBackLosesAgainstTheEnd(t *testing.T) {
	for _, ends := range []ledger.Caller{curator, keeperB} {
		s := train(t)
		n := s.agreed(t)
		held, err := s.Propose(rulestest.Proposal(t, keeper, "access:Release", s.toReplicate(n, s.names[0])))
		require.NoError(t, err)
		s.Must(t, ends, "replica:End", n)
		require.NoError(t, s.Submit(held))
		block, err := s.Cut()
		require.NoError(t, err)
		require.Equal(t, []memledger.Flag{memledger.MVCCReadConflict}, block.Flags)
	}
}

func TestWhatIsLostReturnsToTheContributorsOrganisationOnly(t *testing.T) {
	for claim, test := range map[string]struct {
		to, field string
		change    func(t *testing.T, s *trained, h *access.Handover)
		code      ledger.Code
	}{
		"to the contributor's": {rulestest.A, "", nil, ""},
		"of what is withdrawn": {rulestest.A, "", func(t *testing.T, s *trained, _ *access.Handover) {
			s.Must(t, ann, "contribution:Withdraw", s.names[0])
		}, ""},
		"to another member":     {rulestest.C, "contributions.0", nil, ledger.CodeForbidden},
		"to the keeper itself":  {rulestest.B, "contributions.0", nil, ledger.CodeForbidden},
		"to who is no member":   {"AuditorMSP", "", nil, ledger.CodeForbidden},
		"as a snapshot":         {rulestest.A, "snapshot", func(_ *testing.T, _ *trained, h *access.Handover) { h.Snapshot, h.Contributions = 1, nil }, ledger.CodeInvalid},
		"under an agreement":    {rulestest.A, "agreement", func(_ *testing.T, s *trained, h *access.Handover) { h.Agreement = s.ID() }, ledger.CodeInvalid},
		"of what is not held":   {rulestest.A, "contributions.0", func(_ *testing.T, s *trained, h *access.Handover) { h.Contributions = []string{s.names[1].ID} }, ledger.CodeForbidden},
		"of what is erased now": {rulestest.A, "contributions.0", func(t *testing.T, s *trained, _ *access.Handover) { s.Must(t, ann, "erasure:Request", s.names[0]) }, ledger.CodeState},
	} {
		t.Run(claim, func(t *testing.T) {
			s := train(t)
			s.Must(t, keeper, "access:Release", s.toReplicate(s.agreed(t), s.names[0]))
			h := access.Handover{Named: access.Named{Datanet: s.pool, ID: s.ID()}, Contributions: []string{s.names[0].ID}, To: ledger.NewAccount(test.to, "gateway"), Reason: access.Return}
			if test.change != nil {
				test.change(t, s, &h)
			}
			_, fault := s.Try(t, keeperB, "access:Release", h)
			if test.code == "" {
				require.Nil(t, fault)
				require.Equal(t, []string{rulestest.A, rulestest.B}, s.had(t, s.names[0]).Custody)
				return
			}
			require.NotNil(t, fault)
			require.Equal(t, test.code, fault.Code, "%v", fault)
			require.Equal(t, test.field, fault.Field, "%v", fault)
		})
	}
}
