package memledger_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	. "github.com/datanet-consortium/datanet/chaincode/memledger"
)

var (
	members  = []string{"V", "W", "X"}
	majority = ledger.OutOf(2, ledger.PeerOf("V"), ledger.PeerOf("W"), ledger.PeerOf("X"))
	slotV    = ledger.SlotPolicy("V", members)
)

// step is one transaction of an engine test; its endorsers are V and W unless said otherwise.
type step struct {
	id        string
	endorsers []string
	reads     []Read
	ranges    []RangeRead
	writes    []Write
	policies  []PolicyWrite
}

func (s step) transaction() Transaction {
	if s.endorsers == nil {
		s.endorsers = []string{"V", "W"}
	}
	return Transaction{ID: s.id, Endorsers: s.endorsers, Reads: s.reads, Ranges: s.ranges, Writes: s.writes, Policies: s.policies}
}

func put(key, value string) []Write { return []Write{{Key: ledger.Key(key), Value: []byte(value)}} }
func remove(key string) []Write     { return []Write{{Key: ledger.Key(key), Delete: true}} }
func guard(key string, p ledger.Policy) []PolicyWrite {
	return []PolicyWrite{{Key: ledger.Key(key), Policy: &p}}
}
func at(block, tx uint64) *Version       { return &Version{Block: block, Tx: tx} }
func read(key string, v *Version) []Read { return []Read{{Key: ledger.Key(key), Version: v}} }

func TestEngine(t *testing.T) {
	slot := step{writes: put("slot", "open"), policies: guard("slot", slotV)}
	for _, test := range []struct {
		claim  string
		blocks [][]step
		want   []Flag // of the last block
		state  string // after it, "" when not of interest
	}{
		{claim: "a majority of the members satisfies the chaincode's policy",
			blocks: [][]step{{{writes: put("k", "1")}}}, want: []Flag{Valid}, state: "k=1@0.0"},
		{claim: "one organisation does not",
			blocks: [][]step{{{writes: put("k", "1"), endorsers: []string{"V"}}}}, want: []Flag{EndorsementPolicyFailure}},
		{claim: "an endorsement of the regulator counts nowhere",
			blocks: [][]step{{{writes: put("k", "1"), endorsers: []string{"V", "R"}}}}, want: []Flag{EndorsementPolicyFailure}},
		{claim: "two endorsements of one organisation count once in a policy that names it once",
			blocks: [][]step{{{writes: put("k", "1"), endorsers: []string{"V", "V"}}}}, want: []Flag{EndorsementPolicyFailure}},
		{claim: "a transaction without writes still needs the chaincode's policy",
			blocks: [][]step{{{endorsers: []string{"V"}}, {}}}, want: []Flag{EndorsementPolicyFailure, Valid}},
		{claim: "a transaction that only reads a guarded key needs the chaincode's policy",
			blocks: [][]step{{slot}, {{reads: read("slot", at(0, 0)), endorsers: []string{"W", "X"}}}}, want: []Flag{Valid}},

		{claim: "a slot is not written by its owner alone",
			blocks: [][]step{{slot}, {{writes: put("slot", "yes"), endorsers: []string{"V"}}}}, want: []Flag{EndorsementPolicyFailure}},
		{claim: "a slot is not written by all others without its owner",
			blocks: [][]step{{slot}, {{writes: put("slot", "yes"), endorsers: []string{"W", "X"}}}}, want: []Flag{EndorsementPolicyFailure}},
		{claim: "a slot is not written by its owner and the regulator",
			blocks: [][]step{{slot}, {{writes: put("slot", "yes"), endorsers: []string{"V", "R"}}}}, want: []Flag{EndorsementPolicyFailure}},
		{claim: "a slot is written by its owner with one other",
			blocks: [][]step{{slot}, {{writes: put("slot", "yes"), endorsers: []string{"X", "V"}}}}, want: []Flag{Valid}, state: "slot=yes@1.0 guarded"},
		{claim: "a key policy replaces the chaincode's policy",
			blocks: [][]step{{{writes: put("k", "1"), policies: guard("k", ledger.PeerOf("X"))}},
				{{writes: put("k", "2"), endorsers: []string{"X"}}}}, want: []Flag{Valid}},
		{claim: "beside a guarded key an unguarded one still needs the chaincode's policy",
			blocks: [][]step{{{writes: put("k", "1"), policies: guard("k", ledger.PeerOf("X"))}},
				{{writes: append(put("k", "2"), put("l", "2")...), endorsers: []string{"X"}}}}, want: []Flag{EndorsementPolicyFailure}},
		{claim: "the first write of a key is governed by the chaincode's policy alone, whatever policy comes with it",
			blocks: [][]step{{{writes: put("slot", "open"), policies: guard("slot", slotV), endorsers: []string{"W", "X"}}}},
			want:   []Flag{Valid}, state: "slot=open@0.0 guarded"},
		{claim: "a policy for an absent key does nothing",
			blocks: [][]step{{{policies: guard("slot", slotV)}}, {{writes: put("slot", "blind"), endorsers: []string{"W", "X"}}}},
			want:   []Flag{Valid}, state: "slot=blind@1.0"},
		{claim: "deleting a key drops its policy",
			blocks: [][]step{{slot}, {{writes: remove("slot")}}, {{writes: put("slot", "again"), endorsers: []string{"W", "X"}}}},
			want:   []Flag{Valid}, state: "slot=again@2.0"},
		{claim: "an empty value is a deletion",
			blocks: [][]step{{slot}, {{writes: put("slot", "")}}}, want: []Flag{Valid}, state: " "},
		{claim: "deleting a guarded key needs its policy",
			blocks: [][]step{{slot}, {{writes: remove("slot"), endorsers: []string{"W", "X"}}}}, want: []Flag{EndorsementPolicyFailure}},
		{claim: "changing a key's policy needs the policy it has",
			blocks: [][]step{{slot}, {{policies: guard("slot", ledger.PeerOf("X")), endorsers: []string{"W", "X"}}}}, want: []Flag{EndorsementPolicyFailure}},
		{claim: "a policy alone gives the key a new version and keeps its value",
			blocks: [][]step{{{writes: put("k", "1")}}, {{policies: guard("k", slotV)}}}, want: []Flag{Valid}, state: "k=1@1.0 guarded"},
		{claim: "a value alone keeps the policy",
			blocks: [][]step{{slot}, {{writes: put("slot", "2")}}}, want: []Flag{Valid}, state: "slot=2@1.0 guarded"},
		{claim: "a policy can be removed",
			blocks: [][]step{{slot}, {{policies: []PolicyWrite{{Key: "slot"}}}}}, want: []Flag{Valid}, state: "slot=open@1.0"},

		{claim: "a slot and a blind vote in one block: the vote fails, whoever endorsed",
			blocks: [][]step{{slot, {writes: put("slot", "yes"), endorsers: members}}},
			want:   []Flag{Valid, EndorsementPolicyFailure}, state: "slot=open@0.0 guarded"},
		{claim: "a majority's blind vote before the slot: both pass",
			blocks: [][]step{{{writes: put("slot", "yes"), endorsers: []string{"W", "X"}}, slot}},
			want:   []Flag{Valid, Valid}, state: "slot=open@0.1 guarded"},
		{claim: "a policy set by a transaction with bad endorsements fails no later writer",
			blocks: [][]step{{{writes: put("slot", "open"), policies: guard("slot", slotV), endorsers: []string{"V"}}, {writes: put("slot", "yes")}}},
			want:   []Flag{EndorsementPolicyFailure, Valid}},
		{claim: "a policy set by a transaction that conflicts still fails later writers of the block",
			blocks: [][]step{{{reads: read("r", at(9, 9)), writes: put("slot", "open"), policies: guard("slot", slotV)}, {writes: put("slot", "yes")}}},
			want:   []Flag{MVCCReadConflict, EndorsementPolicyFailure}, state: " "},
		{claim: "endorsements are checked before conflicts",
			blocks: [][]step{{{reads: read("k", at(9, 9)), writes: put("k", "1"), endorsers: []string{"V"}}}},
			want:   []Flag{EndorsementPolicyFailure}},
		{claim: "policies come from committed state: a policy removed in this block still guards in it",
			blocks: [][]step{{slot}, {{writes: remove("slot")}, {writes: put("slot", "back"), endorsers: []string{"W", "X"}}}},
			want:   []Flag{Valid, EndorsementPolicyFailure}},
		{claim: "a value written after a deletion in the same block has no policy",
			blocks: [][]step{{slot}, {{writes: remove("slot")}, {writes: put("slot", "back")}}},
			want:   []Flag{Valid, Valid}, state: "slot=back@1.1"},
		{claim: "a policy on a key that an earlier transaction of the block created takes hold",
			blocks: [][]step{{{writes: put("k", "1")}, {policies: guard("k", slotV)}}},
			want:   []Flag{Valid, Valid}, state: "k=1@0.1 guarded"},

		{claim: "a read of what has changed since is a conflict",
			blocks: [][]step{{{writes: put("k", "1")}}, {{writes: put("k", "2")}}, {{reads: read("k", at(0, 0)), writes: put("l", "1")}}},
			want:   []Flag{MVCCReadConflict}},
		{claim: "a read of what an earlier valid transaction of the block wrote is a conflict",
			blocks: [][]step{{{writes: put("k", "1")}}, {{writes: put("k", "2")}, {reads: read("k", at(0, 0)), writes: put("l", "1")}}},
			want:   []Flag{Valid, MVCCReadConflict}},
		{claim: "an earlier invalid transaction of the block makes no conflict",
			blocks: [][]step{{{writes: put("k", "1")}}, {{writes: put("k", "2"), endorsers: []string{"V"}}, {reads: read("k", at(0, 0)), writes: put("l", "1")}}},
			want:   []Flag{EndorsementPolicyFailure, Valid}},
		{claim: "a read of an absent key conflicts with its creation",
			blocks: [][]step{{{writes: put("k", "1")}}, {{reads: read("k", nil), writes: put("l", "1")}}}, want: []Flag{MVCCReadConflict}},
		{claim: "a read of a key conflicts with its deletion",
			blocks: [][]step{{{writes: put("k", "1")}}, {{writes: remove("k")}}, {{reads: read("k", at(0, 0)), writes: put("l", "1")}}},
			want:   []Flag{MVCCReadConflict}},
		{claim: "a read conflicts with a change of policy alone",
			blocks: [][]step{{{writes: put("k", "1")}}, {{policies: guard("k", slotV)}}, {{reads: read("k", at(0, 0)), writes: put("l", "1")}}},
			want:   []Flag{MVCCReadConflict}},
		{claim: "blind writes never conflict",
			blocks: [][]step{{{writes: put("k", "1")}, {writes: put("k", "2")}, {writes: put("k", "3")}}},
			want:   []Flag{Valid, Valid, Valid}, state: "k=3@0.2"},

		{claim: "an id used in an earlier block is a duplicate, also when it was invalid there",
			blocks: [][]step{{{id: "a", endorsers: []string{"V"}}, {id: "b"}}, {{id: "a"}, {id: "b"}}}, want: []Flag{DuplicateTxID, DuplicateTxID}},
		{claim: "in its own block an id counts only when its endorsements were good",
			blocks: [][]step{{{id: "a", endorsers: []string{"V"}}, {id: "a"}, {id: "a"}}}, want: []Flag{EndorsementPolicyFailure, Valid, DuplicateTxID}},
		{claim: "in its own block an id counts also when its transaction conflicts",
			blocks: [][]step{{{id: "a", reads: read("k", at(9, 9))}, {id: "a"}}}, want: []Flag{MVCCReadConflict, DuplicateTxID}},

		{claim: "a key that came into a range is a phantom",
			blocks: [][]step{{{writes: put("p1", "1")}}, {{ranges: []RangeRead{{Start: "p", End: "q", Exhausted: true}}, writes: put("l", "1")}}},
			want:   []Flag{PhantomReadConflict}},
		{claim: "a key that an earlier transaction of the block brings into a range is a phantom",
			blocks: [][]step{{{writes: put("p1", "1")}, {ranges: []RangeRead{{Start: "p", End: "q", Exhausted: true}}, writes: put("l", "1")}}},
			want:   []Flag{Valid, PhantomReadConflict}},
		{claim: "a key that left a range is a phantom",
			blocks: [][]step{{{writes: put("p1", "1")}}, {{writes: remove("p1")},
				{ranges: []RangeRead{{Start: "p", End: "q", Exhausted: true, Results: read("p1", at(0, 0))}}, writes: put("l", "1")}}},
			want: []Flag{Valid, PhantomReadConflict}},
		{claim: "a range that is as it was holds",
			blocks: [][]step{{{writes: put("p1", "1")}, {writes: put("q", "1")}}, {{writes: put("o", "1")},
				{ranges: []RangeRead{{Start: "p", End: "q", Exhausted: true, Results: read("p1", at(0, 0))}}, writes: put("l", "1")}}},
			want: []Flag{Valid, Valid}},
		{claim: "a range left early includes its last key and nothing after",
			blocks: [][]step{{{writes: put("p1", "1")}}, {{writes: put("p2", "1")},
				{ranges: []RangeRead{{Start: "p", End: "p1", Results: read("p1", at(0, 0))}}, writes: put("l", "1")}}},
			want: []Flag{Valid, Valid}},
		{claim: "a range without end reaches the last key",
			blocks: [][]step{{{writes: put("z", "1")}}, {{ranges: []RangeRead{{Start: "p", Exhausted: true}}, writes: put("l", "1")}}},
			want:   []Flag{PhantomReadConflict}},
		{claim: "a changed read is reported before a phantom",
			blocks: [][]step{{{writes: put("p1", "1")}}, {{reads: read("p1", nil), ranges: []RangeRead{{Start: "p", End: "q", Exhausted: true}}}}},
			want:   []Flag{MVCCReadConflict}},
	} {
		t.Run(test.claim, func(t *testing.T) {
			engine := NewEngine(majority)
			var flags []Flag
			for _, steps := range test.blocks {
				var block []Transaction
				for _, s := range steps {
					block = append(block, s.transaction())
				}
				var err error
				flags, err = engine.Commit(block)
				require.NoError(t, err)
			}
			require.Equal(t, test.want, flags)
			if test.state != "" {
				require.Equal(t, test.state, describe(engine.State()))
			}
		})
	}
}

func describe(entries []*Entry) string {
	text := ""
	for i, e := range entries {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%s=%s@%d.%d", e.Key, e.Value, e.Version.Block, e.Version.Tx)
		if e.Policy != nil {
			text += " guarded"
		}
	}
	if text == "" {
		return " "
	}
	return text
}

func TestPolicies(t *testing.T) {
	quorum := ledger.OutOf(2, ledger.PeerOf("V"), ledger.PeerOf("W"), ledger.PeerOf("X"))
	for _, test := range []struct {
		claim     string
		policy    ledger.Policy
		endorsers []string
		want      bool
	}{
		{"an owner who stands in the second list too needs one organisation more", ledger.OutOf(2, ledger.PeerOf("V"), quorum), []string{"V", "W"}, false},
		{"and is satisfied by all three", ledger.OutOf(2, ledger.PeerOf("V"), quorum), []string{"V", "W", "X"}, true},
		{"a quorum before the owner consumes the owner's endorsement", ledger.OutOf(2, quorum, ledger.PeerOf("V")), []string{"V", "W", "X"}, false},
		{"a part that fails gives back what it consumed", ledger.OutOf(1, ledger.OutOf(2, ledger.PeerOf("V"), ledger.PeerOf("X")), ledger.PeerOf("V")), []string{"V"}, true},
		{"nothing out of nothing is always satisfied", ledger.Policy{}, nil, true},
		{"two peers of one organisation serve two parts", ledger.OutOf(2, ledger.PeerOf("V"), ledger.PeerOf("V")), []string{"V", "V"}, true},
	} {
		t.Run(test.claim, func(t *testing.T) {
			flags, err := NewEngine(test.policy).Commit([]Transaction{{Endorsers: test.endorsers}})
			require.NoError(t, err)
			require.Equal(t, test.want, flags[0] == Valid)
		})
	}
}

func TestDroppedTransactionsSetNoPolicyForOthers(t *testing.T) {
	slot := step{id: "slot", writes: put("slot", "open"), policies: guard("slot", slotV)}
	engine, twin := NewEngine(majority), NewEngine(majority)
	for _, e := range []*Engine{engine, twin} {
		_, err := e.Commit([]Transaction{slot.transaction()})
		require.NoError(t, err)
	}
	alone, err := twin.Commit([]Transaction{step{writes: put("slot", "yes")}.transaction()})
	require.NoError(t, err)
	flags, err := engine.Commit([]Transaction{slot.transaction(), step{writes: put("slot", "yes")}.transaction()})
	require.NoError(t, err)
	require.Equal(t, []Flag{DuplicateTxID, alone[0]}, flags, "after a duplicate")

	malformed := slot.transaction()
	malformed.Settled = "BAD_PROPOSAL_TXID"
	flags, err = NewEngine(majority).Commit([]Transaction{malformed, step{writes: put("slot", "yes")}.transaction()})
	require.NoError(t, err)
	require.Equal(t, []Flag{"BAD_PROPOSAL_TXID", Valid}, flags, "after a malformed one")
}

func TestBlocksOnWhichPeersHalt(t *testing.T) {
	t.Run("a policy set blindly on a key that the block deleted", func(t *testing.T) {
		engine := NewEngine(majority)
		_, err := engine.Commit([]Transaction{step{writes: put("k", "1")}.transaction()})
		require.NoError(t, err)
		_, err = engine.Commit([]Transaction{step{writes: remove("k")}.transaction(), step{policies: guard("k", slotV)}.transaction()})
		require.ErrorIs(t, err, ErrPeersHalt)
	})
}

func TestSettledTransactions(t *testing.T) {
	engine := NewEngine(majority)
	flags, err := engine.Commit([]Transaction{
		{ID: "a", Writes: put("k", "1"), Settled: Valid},
		{ID: "b", Writes: put("k", "2"), Settled: "BAD_CREATOR_SIGNATURE"},
		{ID: "b", Endorsers: members},
	})
	require.NoError(t, err)
	require.Equal(t, []Flag{Valid, "BAD_CREATOR_SIGNATURE", Valid}, flags)
	require.Equal(t, "k=1@0.0", describe(engine.State()))
}
