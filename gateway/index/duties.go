package index

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// The ways in which an entry can break the separation of duties, as far as its own value tells. The rules write none of
// them: only a majority that colludes can. What takes more than one entry to see, package audit/question looks for.
const (
	OwnValidation  = "own-validation"  // the contributor's organisation may vote on the contribution
	WeakQuorum     = "weak-quorum"     // half of those who may vote, or fewer, decide
	ForeignSlot    = "foreign-slot"    // a slot is filled by an account of another organisation
	OwnAttestation = "own-attestation" // the host's organisation attests its own settlement
	OwnRedemption  = "own-redemption"  // the issuer acknowledges a payment to itself
)

// breach judges an entry.
func breach(kind string, key []string, v fields) string {
	switch kind {
	case "contribution":
		switch own := ledger.Account(v.Contributor).MSP(); {
		case slices.Contains(v.Eligible, own):
			return OwnValidation
		case 2*v.Quorum <= len(v.Eligible):
			return WeakQuorum
		}
	case "vote":
		return foreign(key, v.Validator)
	case "proposal-slot":
		return foreign(key, v.Approver)
	case "erasure-slot":
		return foreign(key, v.By)
	case "rate-card-consent", "replica-consent":
		if v.By != "" && ledger.Account(v.By).MSP() != v.MSP {
			return ForeignSlot
		}
	case "claim-slot":
		if v.By != "" && ledger.Account(key[0]).MSP() == ledger.Account(v.By).MSP() {
			return OwnAttestation
		}
		return foreign(key, v.By)
	case "redemption":
		if v.State == "paid" && v.Account == v.Issuer {
			return OwnRedemption
		}
	}
	return ""
}

// foreign judges a slot, whose key ends with its organisation.
func foreign(key []string, by string) string {
	if by != "" && ledger.Account(by).MSP() != key[len(key)-1] {
		return ForeignSlot
	}
	return ""
}
