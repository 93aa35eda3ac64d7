package rulestest

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
)

// Hash is a digest of nothing in particular.
const Hash = "abababababababababababababababababababababababababababababababab"

// Verse is the content of a datanet that the named organisations validate, for every purpose.
func Verse(validators ...string) datanet.Content {
	return datanet.Content{Title: "Verse", Tags: []string{"verse"}, Modality: datanet.Text,
		Licence: licence.Licence{Purposes: slices.Sorted(slices.Values(licence.Purposes))},
		Policy: datanet.Policy{Validators: validators, Quorum: ledger.Majority(len(validators)), MaxDerivedPpm: 100_000, DataPpm: 600_000,
			ValidatorsPpm: 100_000, Tau: 12, AttestationQuorum: 1, Rest: datanet.ByTokens}}
}

// Open asks for no part of a fee.
func Open(c *datanet.Content) { c.DataPpm, c.ValidatorsPpm = 0, 0 }

// Pool makes a datanet of A that all members validate, begins a fingerprint epoch, and returns the datanet's name.
func (c *Consortium) Pool(t T, change ...func(*datanet.Content)) string {
	t.Helper()
	c.Decide(t, "fingerprint.rotate", contribution.Rotation{Check: c.ID() + c.ID()})
	name := A + "/verse-" + c.ID()[:8]
	content := Verse(c.Members()...)
	for _, do := range change {
		do(&content)
	}
	c.Must(t, User(A, "curator1", ledger.Curator), "datanet:Create", datanet.Create{Name: name, Content: content})
	return name
}

// Poem is a contribution of one record in the first fingerprint epoch, that equals no other.
func (c *Consortium) Poem() contribution.Content {
	return contribution.Content{MediaType: "text/plain", Commitment: Hash, Descriptor: Hash, Records: 1, Tokens: 4,
		Provenance:  contribution.Provenance{Method: "digitised", FromYear: 1320, ToYear: 1389, Languages: []string{"fa"}},
		Fingerprint: contribution.Fingerprint{Epoch: 1, HMAC: c.ID() + c.ID()}}
}

// Verdict is a vote for or against.
func Verdict(choice approval.Choice) approval.Verdict {
	v := approval.Verdict{Choice: choice, Score: 50, Reason: approval.Sound, Report: Hash}
	if choice == approval.Reject {
		v.Reason = "off-topic"
	}
	return v
}

// Approved registers contributions of a contributor, whose account is open, and has all who may approve them.
func (c *Consortium) Approved(t T, contributor ledger.Caller, datanet string, n int) []contribution.Named {
	t.Helper()
	names := make([]contribution.Named, n)
	for i := range names {
		names[i] = contribution.Named{Datanet: datanet, ID: c.ID()}
		c.Must(t, contributor, "contribution:Submit", contribution.Submit{Datanet: datanet, ID: names[i].ID, Content: c.Poem()})
		for _, msp := range c.Members() {
			if msp != contributor.MSP {
				c.Must(t, User(msp, "validator1", ledger.Validator), "approval:Vote",
					approval.Vote{Named: names[i], Revision: 1, Verdict: Verdict(approval.Approve)})
			}
		}
		c.Must(t, contributor, "approval:Finalise", names[i])
	}
	return names
}
