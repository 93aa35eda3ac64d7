package verify

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/question/questiontest"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

// TestWhatIsLookedAtWithoutTheRulesHoldsOfAnHonestLedger has every check of the state meet an entry that the rules made.
func TestWhatIsLookedAtWithoutTheRulesHoldsOfAnHonestLedger(t *testing.T) {
	s, err := tell(t.TempDir(), string(orderings["raft"]), func(s *questiontest.Story) {
		offer := replica.Offer{Named: replica.Named{Datanet: s.Pool, ID: s.ID()}, Keeper: rulestest.B}
		s.Must(failing{}, rulestest.User(rulestest.A, "curator1", ledger.Curator), "replica:Offer", offer)
		keeper := rulestest.User(rulestest.B, "operator1", ledger.Operator)
		s.Must(failing{}, keeper, "replica:Accept", offer.Named)
		s.Must(failing{}, keeper, "replica:End", offer.Named)
	})
	require.NoError(t, err)
	f := newForger(t, s.recording)
	report := f.verify()
	require.Empty(t, report.Worst(), "%v", report.Findings)

	met := map[string]bool{}
	for _, entry := range f.state().State() {
		kind, _, _ := strings.Cut(strings.Trim(string(entry.Key), "\x00"), "\x00")
		met[kind] = true
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		require.True(t, met[kind], "the ledger has an entry of the kind %s", kind)
	}
}

func TestAHostThatJoinedAfterTheModelHoldsItsConsent(t *testing.T) {
	members := []string{rulestest.A, rulestest.B, rulestest.C}
	guard := ledger.SlotPolicy("DMSP", members)
	consent := change{Change: replay.Change{After: &memledger.Entry{Value: []byte(`{"msp":"DMSP","by":""}`), Policy: &guard}}}
	i := newInvariants("datanet", nil)
	_, err := i.held(consent, "DMSP", members)
	require.NoError(t, err)
	_, err = i.held(consent, rulestest.B, members)
	require.Error(t, err, "the slot of another")
	_, err = i.slot(consent, "DMSP", members)
	require.ErrorContains(t, err, "none of those that may have one", "any other slot is a member's")
}
