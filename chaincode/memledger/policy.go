package memledger

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// satisfied evaluates a policy as Fabric's cauthdsl does: every part of a rule is tried in order, also after enough
// have matched, and each match consumes the first unused endorsement that fits. A part that fails gives back what it
// consumed. So AND(V, 2 of V, W, X) needs three organisations, and AND(2 of V, W, X; V) can never be met by V and W.
func satisfied(p ledger.Policy, endorsers []string) bool {
	return consume(p, endorsers, make([]bool, len(endorsers)))
}

func consume(p ledger.Policy, endorsers []string, used []bool) bool {
	if p.MSP != "" {
		for i, msp := range endorsers {
			if !used[i] && msp == p.MSP {
				used[i] = true
				return true
			}
		}
		return false
	}
	met := 0
	attempt := make([]bool, len(used))
	for _, part := range p.Of {
		copy(attempt, used)
		if consume(part, endorsers, attempt) {
			met++
			copy(used, attempt)
		}
	}
	return met >= p.N
}
