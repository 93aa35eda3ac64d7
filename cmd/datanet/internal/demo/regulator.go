package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// regulate lets the regulator read at its own gateway, and try to write: there, where no way to write exists; and straight
// to the peers by a call that the chaincode refuses, and by one that endorsers sign for anyone, a query sent as a
// transaction, which the ordering service refuses.
func (s *Story) regulate(ctx context.Context) error {
	if err := s.inspect(ctx); err != nil {
		return err
	}
	_, _, err := client.Write[account.Account](ctx, s.inspector.client, http.MethodPost, openAccount().path, "", nil)
	if !client.IsCode(err, "no_such_route") && !client.IsCode(err, "method_not_allowed") {
		return fmt.Errorf("account:Open at the regulator's gateway should not have been there, the answer was: %w", orAccepted(err))
	}
	s.note("account:Open at the regulator's gateway", "the gateway: there is no such operation")
	for _, who := range []*person{s.inspector, s.authority} {
		direct, err := s.peers.as(who)
		if err != nil {
			return err
		}
		_, err = direct.Submit(ctx, fabric.Call{Function: "account:Open", Request: ledger.Nothing{}})
		var fault *ledger.Fault
		if !errors.As(err, &fault) || fault.Code != ledger.CodeForbidden {
			return fmt.Errorf("account:Open as %s should have been refused as forbidden, the answer was: %w", who.account, orAccepted(err))
		}
		s.note("account:Open by the regulator's "+who.name, "the chaincode: "+string(fault.Code))
	}
	if _, err := do[account.Account](ctx, s, s.reader, openAccount()); err != nil {
		return err
	}
	s.note("  the same account:Open by a member's consumer", "VALID")

	query := fabric.Call{Function: "member:List", Request: ledger.Nothing{}}
	inspector, err := s.peers.as(s.inspector)
	if err != nil {
		return err
	}
	_, err = inspector.Submit(ctx, query)
	var refused *fabric.RefusedError
	if !errors.As(err, &refused) {
		return fmt.Errorf("a transaction of %s should have been refused by the ordering service, the answer was: %w", s.inspector.account, orAccepted(err))
	}
	s.note("an endorsed transaction by the regulator's inspector", "the ordering service: permission denied")
	reader, err := s.peers.as(s.reader)
	if err != nil {
		return err
	}
	committed, err := reader.Submit(ctx, query)
	if err != nil {
		return fmt.Errorf("%s as %s: %w", query.Function, s.reader.account, err)
	}
	s.reached(committed.Block + 1)
	s.note("  the same transaction by a member's consumer", "VALID")
	s.Out.Held("The regulator's gateway has no operation that writes. The chaincode forbids its inspector and its administrator to write,")
	s.Out.Say("and what the inspector sends to the ordering service is refused there, however well it is endorsed.")
	return s.takeOut(ctx)
}

// inspect reads at the regulator's gateway what this telling left there.
func (s *Story) inspect(ctx context.Context) error {
	members, err := read[member.Members](ctx, s, s.inspector, client.Path("members"))
	if err != nil {
		return err
	}
	if len(members.Members) != len(s.members) {
		return fmt.Errorf("the regulator's gateway knows the members %v", members.Members)
	}
	lineage, err := read[ledger.Page[model.Node]](ctx, s, s.inspector, client.Path("models", s.model.Name, "versions", s.model.Version, "lineage"))
	if err != nil {
		return err
	}
	if len(lineage.Items) == 0 || len(lineage.Items[0].Sources) != 1 || lineage.Items[0].Sources[0].Root != s.snapshot.Root {
		return fmt.Errorf("the regulator's gateway gives %s the lineage %v", s.model.Named, lineage.Items)
	}
	rows := [][]string{{"what the regulator read of it", "entries"}}
	for _, list := range []struct{ name, what string }{
		{"contributions", "contributions"}, {"votes", "votes"}, {"releases", "releases of content"}, {"grants", "grants"},
	} {
		count := 0
		for _, err := range client.All[client.Entry](ctx, s.inspector.client, client.Path("lists", list.name), s.after(url.Values{"datanet": {s.datanet}})) {
			if err != nil {
				return fmt.Errorf("%s at the regulator's gateway: %w", list.name, err)
			}
			count++
		}
		if count == 0 {
			return fmt.Errorf("the regulator's gateway knows no %s of %s", list.what, s.datanet)
		}
		rows = append(rows, []string{list.what, fmt.Sprint(count)})
	}
	s.Out.Table(rows)
	s.Out.Say("And from %s back to the snapshot, its contributions, and each transaction that made them.", s.model.Named)
	return nil
}
