package ledger

import "slices"

// Policy is a key-level endorsement policy: which organisations' peers must have endorsed a write of the key. It is
// either a peer of one organisation (MSP set) or at least N of several policies.
//
// On a guarded key it replaces the chaincode's own policy. It takes effect when committed, on a key that exists then:
// create a slot with a non-empty value and its policy first, write into it later. Deleting the key drops it.
type Policy struct {
	MSP string
	N   int
	Of  []Policy
}

// PeerOf asks for a peer of one organisation.
func PeerOf(msp string) Policy { return Policy{MSP: msp} }

// OutOf asks for n of the policies.
func OutOf(n int, of ...Policy) Policy { return Policy{N: n, Of: of} }

// SlotPolicy is the policy of a slot that only owner can fill: a peer of the owner, together with enough peers of the
// other members to make a majority. The owner must not stand in the second list too: Fabric consumes an identity
// once, in order, so AND(owner, majority of all) would need one organisation more.
func SlotPolicy(owner string, members []string) Policy {
	others := []Policy{}
	for _, msp := range members {
		if msp != owner {
			others = append(others, PeerOf(msp))
		}
	}
	need := Majority(len(members)) - 1
	if need == 0 {
		return OutOf(1, PeerOf(owner))
	}
	return OutOf(2, PeerOf(owner), OutOf(need, others...))
}

// Majority is the smallest number that is more than half of n.
func Majority(n int) int { return n/2 + 1 }

// Equal tells whether two policies are the same, written the same way.
func (p Policy) Equal(q Policy) bool {
	return p.MSP == q.MSP && p.N == q.N && slices.EqualFunc(p.Of, q.Of, Policy.Equal)
}

// MustBeGuarded reports a key that is not under exactly the [SlotPolicy] of its owner. Whoever trusts such a key checks
// it: a majority that colludes can create one under a weaker policy, and an owner with a majority can weaken its own.
// That the members are the right ones, only an audit of the blocks can tell.
func MustBeGuarded(r Reader, key Key, owner string, members []string) error {
	policy, ok, err := r.KeyPolicy(key)
	if err == nil && (!ok || !policy.Equal(SlotPolicy(owner, members))) {
		err = Refuse(CodeState, "%s is not guarded as what belongs to %s must be", key, owner)
	}
	return err
}
