package verify

import (
	"fmt"
	"strings"

	"github.com/datanet-consortium/datanet/audit/report"
)

// Severity is how grave a finding is.
type Severity string

const (
	// Forged: the bundle is not what the network's orderers and peers made, or is damaged.
	Forged Severity = "forged"
	// Broken: the network really did this, and it is not what the rules allow.
	Broken Severity = "broken"
	// Unclear: something that this program cannot judge.
	Unclear Severity = "unclear"
	// Noted: nothing is wrong with it, but an auditor wants to know.
	Noted Severity = "noted"
)

// Rule is what a finding says was broken.
type Rule string

const (
	RuleBundle        Rule = "bundle"                // the files are what the manifest says
	RuleGenesis       Rule = "genesis"               // block 0 has the hash that the auditor knows
	RuleTip           Rule = "tip"                   // the last block is at least what the auditor knows of
	RuleChain         Rule = "chain"                 // numbers without a gap, each header names the one before
	RuleData          Rule = "data-hash"             // the data has the hash in the header
	RuleForm          Rule = "form"                  // transactions are encoded as they must be, the metadata is complete
	RuleOrderers      Rule = "orderer-signatures"    // enough orderers signed
	RuleLastConfig    Rule = "last-configuration"    // the signed metadata names the configuration in force
	RuleConfiguration Rule = "configuration"         // a configuration follows from its signed update
	RuleEnvelope      Rule = "envelope"              // creator, signature, id and proposal of a transaction fit
	RuleVerdict       Rule = "verdict"               // the peers' verdict is what policies, ids and reads give
	RuleLifecycle     Rule = "lifecycle-endorsement" // chaincode definitions are endorsed as the channel demands
	RuleCommitHash    Rule = "commit-hash"           // the peer's state is what the transactions give
	RuleOutcome       Rule = "outcome"               // a transaction wrote what the rules give
	RuleConservation  Rule = "conservation"          // credits are neither created nor lost
	RuleReplay        Rule = "replay"                // the blocks can be followed

	// What the state must be, whatever the rules let through.
	RuleState      Rule = "state"               // entries are what their keys say
	RuleSlots      Rule = "slots"               // a slot is guarded by its organisation and filled by its people
	RuleVotes      Rule = "votes"               // only independent organisations vote, and outcomes are what the votes give
	RuleApproval   Rule = "approval-before-use" // only what was approved is sealed
	RuleSealing    Rule = "sealing"             // nothing that was approved is left out
	RuleLicence    Rule = "licence"             // licences and grants in force cover what is trained and released
	RuleLineage    Rule = "lineage"             // models descend from models that stood before them
	RulePrice      Rule = "price"               // rate cards give others what is due to them, and then cost something
	RuleSettlement Rule = "settlement"          // sessions give what a settlement pays and claims
	RuleErasure    Rule = "erasure"             // what was erased is handed to nobody
	RuleSeparation Rule = "separation"          // nobody approves the own proposal
	RuleUnused     Rule = "unused"              // what was released for training is cited by a model

	// What a bundle holds beside blocks.
	RuleSnapshot Rule = "snapshot" // the leaves of a snapshot give its root
	RuleContent  Rule = "content"  // a content opens the commitment of its contribution, and is counted as the ledger says
	RuleReleased Rule = "released" // a content came to who has the bundle as the ledger says
	RuleLeaves   Rule = "leaves"   // the uses of a settlement give the roots and sums that the ledger has settled
	RuleFee      Rule = "fee"      // a fee is the one of its tokens
	RuleReceipt  Rule = "receipt"  // a receipt is the leaf's, of the model and its corpus, and the same when it is recomputed
	RuleText     Rule = "text"     // a text is the one that the receipt commits to
	RuleTable    Rule = "table"    // what attestors had paid out follows from the receipts
	RuleWithheld Rule = "withheld" // what should be in the bundle is there
)

// Finding is something that is not as it must be.
type Finding struct {
	Severity Severity `json:"severity"`
	Rule     Rule     `json:"rule"`
	Block    uint64   `json:"block"`
	Tx       *int     `json:"tx,omitempty"` // position in the block
	TxID     string   `json:"txId,omitempty"`
	Key      string   `json:"key,omitempty"`
	Message  string   `json:"message"`
	// Also are later ones of the same severity and rule, which may follow from what broke before; see [breaking].
	Also []Finding `json:"also,omitempty"`
}

// breaking are the rules without which what comes later cannot be judged well: the chain of blocks, the configuration in
// force, or the transactions that count. After a finding of theirs one of each severity and rule is told, with all others
// of that kind in it.
var breaking = map[Rule]bool{RuleGenesis: true, RuleChain: true, RuleLastConfig: true, RuleConfiguration: true, RuleVerdict: true}

// mostPlaces is how many other places the text of a finding names.
const mostPlaces = 3

func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s", f.Severity, f.Rule, f.place())
	if f.TxID != "" {
		fmt.Fprintf(&b, " (%s)", f.TxID)
	}
	if f.Key != "" {
		fmt.Fprintf(&b, ", key %s", f.Key)
	}
	b.WriteString(": " + f.Message)
	for i, a := range f.Also[:min(len(f.Also), mostPlaces)] {
		b.WriteString([]string{"; after it, and perhaps because of it, also at ", ", "}[min(i, 1)] + a.version())
	}
	if more := len(f.Also) - mostPlaces; more > 0 {
		fmt.Fprintf(&b, " and in %s", report.Count(more, "other place"))
	}
	return b.String()
}

// version is where a finding is, in the form in which reports print places.
func (f Finding) version() string {
	if f.Tx == nil {
		return fmt.Sprintf("block %d", f.Block)
	}
	return fmt.Sprintf("%d.%d", f.Block, *f.Tx)
}

// place is the same in words.
func (f Finding) place() string {
	if f.Tx == nil {
		return fmt.Sprintf("block %d", f.Block)
	}
	return fmt.Sprintf("block %d, transaction %d", f.Block, *f.Tx)
}

// Report is what a verification found.
type Report struct {
	Channel      string `json:"channel"`
	Genesis      string `json:"genesis"` // hash of the header of block 0
	First        uint64 `json:"first"`
	Height       uint64 `json:"height"`
	Tip          string `json:"tip"` // hash of the last header
	Transactions int    `json:"transactions"`
	// Verdicts counts transactions by the peers' verdict.
	Verdicts map[string]int `json:"verdicts"`
	// Rerun counts transactions whose rule was run again and compared.
	Rerun int `json:"rerun"`
	// Followed counts transactions whose verdict was taken from the peers, by verdict: other chaincodes' and
	// configurations.
	Followed map[string]int `json:"followed"`
	// Held is what was there beside blocks; nil when the bundle has nothing else.
	Held     *Held     `json:"held,omitempty"`
	Findings []Finding `json:"findings"`
	// Suppressed is how many findings were left out beyond the most that are kept.
	Suppressed int `json:"suppressed"`
	// Unproved says what this verification did not show.
	Unproved []string `json:"unproved"`
	Stats    Stats    `json:"stats"`

	measured *signatures
}

// Count is how many findings there are, with those that others hold.
func (r *Report) Count() int {
	count := r.Suppressed
	for _, f := range r.Findings {
		count += 1 + len(f.Also)
	}
	return count
}

// Worst is the gravest severity among the findings, "" when there are none but notes.
func (r *Report) Worst() Severity {
	worst := Severity("")
	for _, f := range r.Findings {
		switch {
		case f.Severity == Forged:
			return Forged
		case f.Severity == Broken, f.Severity == Unclear && worst == "":
			worst = f.Severity
		}
	}
	return worst
}
