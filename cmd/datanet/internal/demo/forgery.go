package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// forgery is a wrong way to endorse a call.
type forgery struct {
	what      string
	endorsers []string
}

// guarded has a person write, but first in the wrong ways, straight to the peers, with endorsements of exactly the named
// organisations. The network must order each of them and find it invalid by its endorsement policies; then the same call
// through the gateway must be valid.
func guarded[Res any](ctx context.Context, s *Story, p *person, c call, forgeries ...forgery) (res Res, err error) {
	for _, f := range forgeries {
		if err := s.forge(ctx, p, c, f); err != nil {
			return res, err
		}
	}
	if res, err = do[Res](ctx, s, p, c); err != nil {
		return res, err
	}
	if len(forgeries) > 0 {
		s.note("  the same "+c.function+" through the gateway", "VALID")
	}
	return res, nil
}

// forge sends a call with the endorsements of a forgery.
func (s *Story) forge(ctx context.Context, p *person, c call, f forgery) error {
	direct, err := s.peers.as(p)
	if err != nil {
		return err
	}
	_, err = direct.Submit(ctx, fabric.Call{Function: c.function, Request: c.request, Endorsers: f.endorsers})
	var invalid *fabric.InvalidError
	switch {
	case err == nil:
		return fmt.Errorf("%s: the network accepted the forgery %q", c.function, f.what)
	case !errors.As(err, &invalid) || invalid.Code != peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE:
		return fmt.Errorf("%s: the forgery %q should have been invalid by ENDORSEMENT_POLICY_FAILURE: %w", c.function, f.what, err)
	}
	s.note(f.what, invalid.Code.String())
	return nil
}

// others are the members but one; with three members or more they are a majority.
func (c *cast) others(msp string) []string {
	return slices.DeleteFunc(slices.Clone(c.members), func(other string) bool { return other == msp })
}

func (s *Story) note(what, outcome string) {
	s.guard.Lock()
	defer s.guard.Unlock()
	s.forgeries = append(s.forgeries, []string{what, outcome})
}

// refused prints what was tried.
func (s *Story) refused(context.Context) error {
	s.Out.Say("No gateway sends these. Each was signed by a real user and endorsed by real peers; below each, the right form of the same call.")
	s.Out.Table(append([][]string{{"what was tried", "what the network said"}}, s.forgeries...))
	return nil
}
