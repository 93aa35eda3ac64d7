package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// attestPatience is how long attestors' gateways and the host's may take to find and pay a table.
const attestPatience = 2 * time.Minute

// settle has the host's gateway settle what the consumers' have signed for, waits until the gateways of those who
// validate the data have recomputed every receipt and the data part is paid, and checks that everyone holds exactly what
// the receipts and the rate card say.
func (s *Story) settle(ctx context.Context) error {
	before, err := s.holdings(ctx)
	if err != nil {
		return err
	}
	if err := s.vouched(ctx); err != nil {
		return err
	}
	claimed, err := s.settled(ctx)
	if err != nil {
		return err
	}
	total := money.Amount(0)
	for _, a := range s.answers {
		total += a.Fee
	}
	if claimed.Fees != total || claimed.Uses != int64(len(s.answers)) {
		return fmt.Errorf("%d answers for %s were accepted, %d for %s settled", len(s.answers), credits(total), claimed.Uses, credits(claimed.Fees))
	}
	s.Out.Say("%s's gateway settled all %d answers of %s by one transaction: two vouchers, %s of fees.",
		s.host.account.MSP(), claimed.Uses, document.Count(claimed.Sessions, "session"), credits(total))
	released, data, err := s.attested(ctx, claimed)
	if err != nil {
		return err
	}
	due := maps.Clone(data)
	for _, p := range claimed.Payments {
		due[p.To] += p.Amount
	}
	after, err := s.holdings(ctx)
	if err != nil {
		return err
	}
	sum := money.Amount(0)
	rows := [][]string{{"paid to", "account", "credits", "for"}}
	for _, to := range slices.Sorted(maps.Keys(due)) {
		sum += due[to]
		if after[to]-before[to] != due[to] {
			return fmt.Errorf("%s was to get %s and holds %s more", to, credits(due[to]), credits(after[to]-before[to]))
		}
		rows = append(rows, []string{s.named(to), short(to), amount(due[to]), s.reason(to, data)})
	}
	left, err := s.unspent(ctx)
	if err != nil {
		return err
	}
	if sum != total || left != prepaid*money.Amount(len(s.sessions))-total {
		return fmt.Errorf("%s were due, %s were paid out, and the sessions have %s left", credits(total), credits(sum), credits(left))
	}
	s.Out.Table(rows)
	s.Out.Held("Everyone holds exactly that much more. The poets' parts are those of the table that %s found,", sentence(claimed.Attestors))
	s.Out.Say("each by itself, recomputing every receipt from the texts. %s are left in the sessions for further answers.", credits(left))
	return s.payOut(ctx, released, data)
}

// vouched waits until the consumers' gateways have handed in vouchers for all answers: with the next request, or alone
// when none comes for a while.
func (s *Story) vouched(ctx context.Context) error {
	s.Out.Progress("waiting for the last vouchers")
	for begun := time.Now(); ; {
		waiting := uint64(0)
		for _, consumer := range s.consumers() {
			held, _, err := client.Get[wallet](ctx, consumer.client, client.Path("wallet"), nil)
			if err != nil {
				return fmt.Errorf("the wallet of %s: %w", consumer.account, err)
			}
			for _, opened := range held.Sessions {
				waiting += opened.Uses - opened.Vouched
			}
		}
		if waiting == 0 {
			return nil
		}
		if time.Since(begun) > attestPatience {
			return fmt.Errorf("%d answers are not vouched for: see the logs of the consumers' gateways", waiting)
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wallet is what a gateway tells of the sessions that it pays from, as far as it is read here.
type wallet struct {
	Sessions []struct {
		Uses    uint64 `json:"uses"`
		Vouched uint64 `json:"vouched"`
	} `json:"sessions"`
}

// settled has the host's gateway settle at once, and returns the settlement of this telling's sessions.
func (s *Story) settled(ctx context.Context) (claim.Claim, error) {
	list, err := client.Do[struct {
		Items []claim.Claim `json:"items"`
	}](ctx, s.host.client, http.MethodPost, client.Path("serving", "settle"), nil)
	if err != nil {
		return claim.Claim{}, fmt.Errorf("settle as %s: %w", s.host.account, err)
	}
	for _, c := range list.Items {
		if c.Card == s.card.Digest {
			return c, nil
		}
	}
	return claim.Claim{}, fmt.Errorf("the gateway of %s settled nothing under the rate card of %s", s.host.account.MSP(), s.model.Named)
}

// attested waits until the data part of a settlement is paid. It returns the transaction that paid and what each payee got
// by it: what the consumers' receipts give, which is the table that every attestor has voted for.
func (s *Story) attested(ctx context.Context, claimed claim.Claim) (tx string, data map[ledger.Account]money.Amount, err error) {
	if data, err = s.dataParts(); err != nil {
		return "", nil, err
	}
	page := disbursement.Page{Number: 1, Due: claimed.Data}
	for _, to := range slices.Sorted(maps.Keys(data)) {
		page.Payments = append(page.Payments, token.Payment{To: to, Amount: data[to]})
	}
	table, err := page.Digest()
	if err != nil {
		return "", nil, err
	}
	s.Out.Progress("waiting for %s", sentence(claimed.Attestors))
	done, err := s.released(ctx, claimed.Named)
	if err != nil {
		return "", nil, err
	}
	for _, vote := range done.Votes {
		if vote.By != "" && vote.Table != table {
			return "", nil, fmt.Errorf("%s has voted for the table %s, the consumers' receipts give %s", vote.MSP, vote.Table, table)
		}
	}
	if done.Left != 0 {
		return "", nil, fmt.Errorf("the claim is %s and has %s left", done.State, credits(done.Left))
	}
	return done.EndTx, data, s.everywhere(ctx)
}

// released follows the claim's events until it is released.
func (s *Story) released(ctx context.Context, n claim.Named) (claim.Detail, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, attestPatience, errors.New("the claim is not released: see the logs of the gateways with \"datanet network logs\""))
	defer cancel()
	path := client.Path("hosts", string(n.Host), "claims", n.ID)
	for event, err := range s.reader.client.Events(ctx, url.Values{"kind": {"claim"}}, "0.0") {
		if err != nil {
			return claim.Detail{}, errors.Join(err, context.Cause(ctx))
		}
		var change struct {
			Block uint64 `json:"block"`
		}
		if err := ledger.DecodeAnswer(event.Data, &change); err != nil {
			return claim.Detail{}, err
		}
		s.reached(change.Block + 1)
		detail, err := read[claim.Detail](ctx, s, s.reader, path)
		if client.IsCode(err, string(ledger.CodeNotFound)) {
			continue // the event is of an earlier telling
		}
		if err != nil {
			return claim.Detail{}, err
		}
		switch detail.State {
		case claim.Released:
			return detail, nil
		case claim.Frozen:
			return claim.Detail{}, fmt.Errorf("%s objects to the settlement: %+v", detail.Objection.By, *detail.Objection)
		}
	}
	return claim.Detail{}, errors.New("the events of the consumer's gateway ended")
}

// dataParts is how the data part of the fees is split by the receipts, computed beside the ledger.
func (s *Story) dataParts() (map[ledger.Account]money.Amount, error) {
	var uses []payout.Use
	for _, a := range s.answers {
		uses = append(uses, payout.Use{Fee: int64(a.Fee), DataPPM: dataPpm, CoveragePPM: a.receipt.CoveragePPM, Shares: a.receipt.Shares,
			Corpus: []payout.Datanet{{Name: s.datanet, Tokens: uint64(s.snapshot.Tokens)}}, Owner: string(s.trainer.account)})
	}
	parts, err := payout.Split(uses)
	if err != nil {
		return nil, err
	}
	due := map[ledger.Account]money.Amount{}
	for _, p := range parts {
		due[ledger.Account(p.Payee)] = money.Amount(p.Amount)
	}
	return due, nil
}

// unspent is what this telling's sessions have left on the ledger.
func (s *Story) unspent(ctx context.Context) (left money.Amount, err error) {
	for _, n := range s.sessions {
		detail, err := read[session.Detail](ctx, s, s.reader, client.Path("accounts", string(n.Account), "sessions", n.Name))
		if err != nil {
			return 0, err
		}
		left += detail.Tab.Funded - detail.Tab.Amount
	}
	return left, nil
}

func (s *Story) reason(a ledger.Account, data map[ledger.Account]money.Amount) string {
	switch {
	case a == s.trainer.account:
		return percent(s.card.Parts.Owner) + " of the fees, as developer"
	case a == s.host.account:
		return percent(s.card.Parts.Host) + " of the fees, as host"
	case a == s.platform.account:
		return percent(s.card.Parts.Platform) + " of the fees, as platform"
	case a.IsPool():
		return fmt.Sprintf("%s of the fees, for validation, and %s of the data part for words of nobody", percent(s.card.Parts.Validators), amount(data[a]))
	}
	spans := 0
	for _, answer := range s.answers {
		for _, span := range answer.receipt.Spans {
			if slices.ContainsFunc(span.Payees, func(p receipt.Payee) bool { return p.Account == string(a) }) {
				spans++
			}
		}
	}
	return document.Count(spans, "span") + " in the answers"
}

// holdings is what everyone with a part in a settlement has, as the consumer's gateway tells it.
func (s *Story) holdings(ctx context.Context) (map[ledger.Account]money.Amount, error) {
	accounts := []ledger.Account{s.trainer.account, s.host.account, s.platform.account, ledger.PoolAccount(s.datanet)}
	for _, poet := range s.poets {
		accounts = append(accounts, poet.account)
	}
	amounts := make([]money.Amount, len(accounts))
	err := atOnce(ctx, len(accounts), func(ctx context.Context, i int) (err error) {
		amounts[i], err = s.holding(ctx, s.reader, accounts[i])
		return err
	})
	held := map[ledger.Account]money.Amount{}
	for i, a := range accounts {
		held[a] = amounts[i]
	}
	return held, err
}

// payOut pays out the poet who earned most: the credits go into escrow until the issuer acknowledges payment.
func (s *Story) payOut(ctx context.Context, released string, data map[ledger.Account]money.Amount) error {
	var poet *person
	var earned money.Amount
	for _, p := range s.poets {
		if data[p.account] > earned {
			poet, earned = p, data[p.account]
		}
	}
	if poet == nil {
		s.Out.Say("No span was long enough to pay a poet: the data part went to the pool.")
		return nil
	}
	escrowed, err := do[token.Redemption](ctx, s, poet, redeem(token.Redeem{ID: client.NewID(), Amount: earned, Source: token.Source{Credits: []string{released}}}))
	if err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	done, err := do[token.Redemption](ctx, s, s.issuer, acknowledge(token.Acknowledgement{
		RedemptionName: token.RedemptionName{Account: poet.account, ID: escrowed.ID}, Reference: "demo-" + escrowed.ID[:8]}))
	if err != nil {
		return err
	}
	if done.State != token.Paid {
		return fmt.Errorf("the redemption of %s is %s", poet.account, done.State)
	}
	s.Out.Held("%s redeemed %s: held in escrow until %s acknowledged payment %s.", poet.name, credits(done.Amount), done.Issuer, done.Reference)
	return nil
}
