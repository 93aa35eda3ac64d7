package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// EncodePolicy writes a key policy as Fabric stores it, a SignaturePolicyEnvelope over the organisations' peer role.
// Equal policies give equal bytes.
func EncodePolicy(p ledger.Policy) ([]byte, error) {
	var orgs []string
	collect(p, &orgs)
	slices.Sort(orgs)
	orgs = slices.Compact(orgs)
	env := &common.SignaturePolicyEnvelope{Rule: encodeRule(p, orgs)}
	for _, org := range orgs {
		role, err := proto.Marshal(&msp.MSPRole{MspIdentifier: org, Role: msp.MSPRole_PEER})
		if err != nil {
			return nil, err
		}
		env.Identities = append(env.Identities, &msp.MSPPrincipal{PrincipalClassification: msp.MSPPrincipal_ROLE, Principal: role})
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(env)
}

func collect(p ledger.Policy, orgs *[]string) {
	if p.MSP != "" {
		*orgs = append(*orgs, p.MSP)
	}
	for _, of := range p.Of {
		collect(of, orgs)
	}
}

func encodeRule(p ledger.Policy, orgs []string) *common.SignaturePolicy {
	if p.MSP != "" {
		i, _ := slices.BinarySearch(orgs, p.MSP)
		return &common.SignaturePolicy{Type: &common.SignaturePolicy_SignedBy{SignedBy: int32(i)}}
	}
	rules := make([]*common.SignaturePolicy, len(p.Of))
	for i, of := range p.Of {
		rules[i] = encodeRule(of, orgs)
	}
	return &common.SignaturePolicy{Type: &common.SignaturePolicy_NOutOf_{
		NOutOf: &common.SignaturePolicy_NOutOf{N: int32(p.N), Rules: rules}}}
}

// DecodePolicy reads a key policy. Anything but rules over peer roles is an error: nobody but this chaincode sets
// them.
func DecodePolicy(data []byte) (ledger.Policy, error) {
	env := &common.SignaturePolicyEnvelope{}
	if err := proto.Unmarshal(data, env); err != nil {
		return ledger.Policy{}, fmt.Errorf("not a signature policy: %w", err)
	}
	return PeerPolicy(env)
}

// PeerPolicy reads a signature policy over the peers of organisations, such as key policies and the channel's
// endorsement policy. Any other principal is an error.
func PeerPolicy(env *common.SignaturePolicyEnvelope) (ledger.Policy, error) {
	orgs, err := principals(env, msp.MSPRole_PEER)
	if err != nil {
		return ledger.Policy{}, err
	}
	return decodeRule(env.GetRule(), orgs, 0)
}

const maxPolicyDepth = 16

func decodeRule(rule *common.SignaturePolicy, orgs []string, depth int) (ledger.Policy, error) {
	if depth > maxPolicyDepth {
		return ledger.Policy{}, errors.New("policy nested too deeply")
	}
	switch t := rule.GetType().(type) {
	case *common.SignaturePolicy_SignedBy:
		if t.SignedBy < 0 || int(t.SignedBy) >= len(orgs) {
			return ledger.Policy{}, fmt.Errorf("policy names principal %d of %d", t.SignedBy, len(orgs))
		}
		return ledger.PeerOf(orgs[t.SignedBy]), nil
	case *common.SignaturePolicy_NOutOf_:
		p := ledger.Policy{N: int(t.NOutOf.GetN()), Of: []ledger.Policy{}}
		for _, r := range t.NOutOf.GetRules() {
			of, err := decodeRule(r, orgs, depth+1)
			if err != nil {
				return ledger.Policy{}, err
			}
			p.Of = append(p.Of, of)
		}
		return p, nil
	}
	return ledger.Policy{}, errors.New("policy without a rule")
}

// principals lists the MSP IDs of a policy whose principals all have the given role.
func principals(env *common.SignaturePolicyEnvelope, want msp.MSPRole_MSPRoleType) ([]string, error) {
	var orgs []string
	for i, principal := range env.GetIdentities() {
		role := &msp.MSPRole{}
		if principal.GetPrincipalClassification() != msp.MSPPrincipal_ROLE {
			return nil, fmt.Errorf("principal %d of the policy is not a role", i)
		}
		if err := proto.Unmarshal(principal.GetPrincipal(), role); err != nil {
			return nil, fmt.Errorf("principal %d of the policy: %w", i, err)
		}
		if role.GetRole() != want || role.GetMspIdentifier() == "" {
			return nil, fmt.Errorf("principal %d of the policy is not the %s role of an organisation", i, strings.ToLower(want.String()))
		}
		orgs = append(orgs, role.GetMspIdentifier())
	}
	return orgs, nil
}
