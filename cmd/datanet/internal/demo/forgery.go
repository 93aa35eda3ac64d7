package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// forgery is a wrong way to endorse a call.
type forgery struct {
	what      string
	endorsers []string
}

// guarded submits a call, but first in the wrong ways, with endorsements of exactly the named organisations. The network
// must order each of them and find it invalid by its endorsement policies; then the same call, endorsed as the policies
// ask, must be valid.
func guarded[Res any](ctx context.Context, s *Story, p *person, function string, request any, forgeries ...forgery) (res Res, err error) {
	for _, f := range forgeries {
		_, err := p.client.Submit(ctx, fabric.Call{Function: function, Request: request, Endorsers: f.endorsers})
		var invalid *fabric.InvalidError
		switch {
		case err == nil:
			return res, fmt.Errorf("%s: the network accepted the forgery %q", function, f.what)
		case !errors.As(err, &invalid) || invalid.Code != peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE:
			return res, fmt.Errorf("%s: the forgery %q should have been invalid by ENDORSEMENT_POLICY_FAILURE: %w", function, f.what, err)
		}
		s.note(f.what, invalid.Code.String())
	}
	if res, err = do[Res](ctx, s, p, function, request); err != nil {
		return res, err
	}
	if len(forgeries) > 0 {
		s.note("  the same "+function+", endorsed as the policies ask", "VALID")
	}
	return res, nil
}

// others are the members but one; with three members or more they are a majority.
func (c *cast) others(msp string) []string {
	return slices.DeleteFunc(slices.Clone(c.members), func(other string) bool { return other == msp })
}

func (s *Story) note(what, outcome string) {
	s.forgeries = append(s.forgeries, []string{what, outcome})
}

// refused prints what was tried.
func (s *Story) refused(context.Context) error {
	s.Out.Say("Each was signed by a real user and endorsed by real peers; below each, the right form of the same call.")
	s.Out.Table(append([][]string{{"what was tried", "what the network said"}}, s.forgeries...))
	return nil
}

// regulate lets the regulator read, and try to write: by a call that the chaincode refuses, and by one that endorsers
// sign for anyone, a query sent as a transaction, which the ordering service refuses.
func (s *Story) regulate(ctx context.Context) error {
	members, err := fabric.Query[member.Members](ctx, s.inspector.client, s.regulator, "member:List", ledger.Nothing{})
	if err != nil {
		return fmt.Errorf("the regulator's query: %w", err)
	}
	if len(members.Members) == 0 {
		return errors.New("the regulator's peer knows no members")
	}
	for _, who := range []*person{s.inspector, s.authority} {
		_, err := who.client.Submit(ctx, fabric.Call{Function: "account:Open", Request: ledger.Nothing{}})
		var fault *ledger.Fault
		if !errors.As(err, &fault) || fault.Code != ledger.CodeForbidden {
			return fmt.Errorf("account:Open as %s should have been refused as forbidden, the answer was: %w", who.account, orAccepted(err))
		}
		s.note("account:Open by the regulator's "+who.name, "the chaincode: "+string(fault.Code))
	}
	if _, err := do[account.Account](ctx, s, s.reader, "account:Open", ledger.Nothing{}); err != nil {
		return err
	}
	s.note("  the same account:Open by a member's consumer", "VALID")

	query := fabric.Call{Function: "member:List", Request: ledger.Nothing{}}
	_, err = s.inspector.client.Submit(ctx, query)
	var refused *fabric.RefusedError
	if !errors.As(err, &refused) {
		return fmt.Errorf("a transaction of %s should have been refused by the ordering service, the answer was: %w", s.inspector.account, orAccepted(err))
	}
	s.note("an endorsed transaction by the regulator's inspector", "the ordering service: permission denied")
	if _, err := do[member.Members](ctx, s, s.reader, query.Function, query.Request); err != nil {
		return err
	}
	s.note("  the same transaction by a member's consumer", "VALID")
	s.Out.Held("The regulator's query was answered by its own peer. The chaincode forbids its inspector and its administrator to write,")
	s.Out.Say("and what the inspector sends to the ordering service is refused there, however well it is endorsed.")
	return nil
}

func orAccepted(err error) error {
	if err == nil {
		return errors.New("it was accepted")
	}
	return err
}
