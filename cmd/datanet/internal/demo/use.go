package demo

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/text1"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/settlement"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/narration"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/wordchain"
)

// What an answer costs, in micro-credits per 1,000 canonical tokens, and how long it is.
const (
	priceIn  = 1 * credit
	priceOut = 5 * credit

	asked = 6 // answers
	lines = 8 // of an answer
)

// answer is one answer of the model with its receipt.
type answer struct {
	Prompt  string             `json:"prompt"`
	Output  string             `json:"output"`
	Nonces  attribution.Nonces `json:"nonces"`
	Encoded string             `json:"receipt"` // hex
	Fee     money.Amount       `json:"fee"`
	receipt *receipt.Receipt
	id      merkle.Hash
}

// answer has the model answer, makes a receipt of each answer, and prints one.
func (s *Story) answer(ctx context.Context) error {
	artifact, err := s.archive.read(s.artifact())
	if err != nil {
		return err
	}
	digest := sha256.Sum256(artifact)
	if !slices.Contains(s.model.Artifacts, hex.EncodeToString(digest[:])) {
		return fmt.Errorf("the artifact of %s is not the one that was registered", s.model.Named)
	}
	chain, err := wordchain.Decode(artifact)
	if err != nil {
		return err
	}
	openings := chain.Openings(asked)
	rows := [][]string{{"answer", "tokens", "covered", "contributors", "fee", "receipt"}}
	for i := range asked {
		s.Out.Progress("answer %d of %d", i+1, asked)
		prompt := openings[i%len(openings)]
		a, err := s.receipted(prompt, chain.Write(prompt, lines, s.Seed+uint64(i)), digest)
		if err != nil {
			return err
		}
		if err := a.check(); err != nil {
			return err
		}
		if err := s.archive.keepJSON(filepath.Join("answers", a.id.String()+".json"), a); err != nil {
			return err
		}
		s.answers = append(s.answers, a)
		rows = append(rows, []string{fmt.Sprint(i + 1), fmt.Sprint(a.receipt.OutputTokens), percent(int(a.receipt.CoveragePPM)),
			fmt.Sprint(len(a.receipt.Shares)), amount(a.Fee), a.id.String()[:16] + "…"})
	}
	s.Out.Table(rows)
	s.show(slices.MaxFunc(s.answers, func(a, b answer) int { return len(a.receipt.Shares) - len(b.receipt.Shares) }))
	s.Out.Say("A receipt says where words stand, not what caused them, and it does not see paraphrase.")
	return nil
}

// receipted makes the receipt of an answer.
func (s *Story) receipted(prompt, output string, artifact merkle.Hash) (a answer, err error) {
	a = answer{Prompt: prompt, Output: output}
	for _, nonce := range []*attribution.Nonce{&a.Nonces.Prompt, &a.Nonces.Context, &a.Nonces.Output} {
		rand.Read(nonce[:]) // never fails
	}
	a.receipt, err = s.engine.Receipt(attribution.Answer{Roots: []merkle.Hash{s.snapshot.Root}, Model: s.model.Named.String(), Artifact: artifact,
		Prompt: [][]byte{[]byte(prompt)}, Output: []byte(output), Nonces: a.Nonces, Tau: uint8(s.model.Due.Tau)})
	if err != nil {
		return a, err
	}
	encoded, err := a.receipt.Encode()
	if err != nil {
		return a, err
	}
	a.id, a.Encoded = receipt.ID(encoded), hex.EncodeToString(encoded)
	units := len(text1.Tokens([]byte(prompt)))*priceIn + len(text1.Tokens([]byte(output)))*priceOut
	a.Fee = money.Amount((units + 999) / 1000)
	return a, nil
}

// check is what a consumer checks before it pays, without the corpus: that the receipt is of this prompt and output, of
// the length that is billed. Who checks spans and shares holds the corpus; that is the validators' part later.
func (a answer) check() error {
	prompt, err := attribution.CommitPrompt(a.Nonces.Prompt, [][]byte{[]byte(a.Prompt)})
	if err != nil {
		return err
	}
	output := attribution.CommitOutput(a.Nonces.Output, []byte(a.Output))
	if a.receipt.Prompt != prompt || a.receipt.Output != output || int(a.receipt.OutputTokens) != len(text1.Tokens([]byte(a.Output))) {
		return fmt.Errorf("receipt %s is of another answer", a.id)
	}
	return nil
}

// show prints an answer with its spans, each marked by the account that gets most of it; accounts are numbered by
// their shares, the largest first.
func (s *Story) show(a answer) {
	s.Out.Say("The answer to «%s» in which most contributors stand:", a.Prompt)
	shares := slices.SortedStableFunc(slices.Values(a.receipt.Shares), func(x, y receipt.Share) int { return cmp.Compare(y.PPM, x.PPM) })
	number := map[string]int{}
	for i, share := range shares {
		number[share.Account] = i + 1
	}
	s.Out.Verse(runs(a.Output, a.receipt.Spans, number))
	for i, share := range shares {
		s.Out.Say("%s  %s", s.Out.Mark(i+1, s.named(ledger.Account(share.Account))), percent(int(share.PPM)))
	}
}

// runs cuts an output into pieces by whose number its tokens get. A token belongs to the span over it with the most
// information, of equal ones to the leftmost. What stands between two tokens of one number goes with them.
func runs(output string, spans []receipt.Span, number map[string]int) (list []narration.Run) {
	end := 0
	add := func(to, from int) {
		if to <= end {
			return
		}
		if last := len(list) - 1; last >= 0 && list[last].From == from {
			list[last].Text += output[end:to]
		} else {
			list = append(list, narration.Run{Text: output[end:to], From: from})
		}
		end = to
	}
	before := 0
	for i, t := range text1.Tokens([]byte(output)) {
		from := 0
		if s := owner(spans, i); s != nil {
			most := slices.MaxFunc(s.Payees, func(p, q receipt.Payee) int { return cmp.Compare(p.Credit, q.Credit) })
			from = number[most.Account]
		}
		if from != before {
			add(t.Start, 0)
		}
		add(t.End, from)
		before = from
	}
	add(len(output), 0)
	return list
}

// owner is the span to which a token of the output belongs, nil if it belongs to none.
func owner(spans []receipt.Span, token int) (best *receipt.Span) {
	for i := range spans {
		s := &spans[i]
		if int(s.Start) <= token && token < int(s.End) && (best == nil || s.Information > best.Information) {
			best = s
		}
	}
	return best
}

// settle pays for all answers in one transaction, and checks that everyone received exactly what the receipts say.
func (s *Story) settle(ctx context.Context) error {
	source := token.Source{}
	err := pages(ctx, s.reader, "token:Credits", func(page ledger.PageRequest) any { return token.Listing{Account: s.reader.account, PageRequest: page} },
		func(c token.Credit) error {
			if len(source.Credits) < token.MaxCredits {
				source.Credits = append(source.Credits, c.ID)
			}
			return nil
		})
	if err != nil {
		return err
	}
	pay := settlement.Pay{ID: newID(), Model: s.model.Named, Source: source}
	for _, a := range s.answers {
		pay.Answers = append(pay.Answers, settlement.Answer{Receipt: a.Encoded, Fee: a.Fee})
	}
	expected, err := s.dataParts()
	if err != nil {
		return err
	}
	before, err := s.holdings(ctx)
	if err != nil {
		return err
	}
	paid, err := do[settlement.Settlement](ctx, s, s.reader, "settlement:Pay", pay)
	if err != nil {
		return err
	}
	after, err := s.holdings(ctx)
	if err != nil {
		return err
	}
	sum := money.Amount(0)
	rows := [][]string{{"paid to", "account", "credits", "for"}}
	for _, p := range paid.Payments {
		sum += p.Amount
		if after[p.To]-before[p.To] != p.Amount {
			return fmt.Errorf("%s was to get %s and holds %s more", p.To, credits(p.Amount), credits(after[p.To]-before[p.To]))
		}
		rows = append(rows, []string{s.named(p.To), string(p.To), amount(p.Amount), s.reason(p.To, expected)})
		if s.earnsByDataOnly(p.To) && p.Amount != expected[p.To] {
			return fmt.Errorf("%s was paid %s, by the receipts it is %s", p.To, credits(p.Amount), credits(expected[p.To]))
		}
	}
	if sum != paid.Total || before[s.reader.account]-after[s.reader.account] != paid.Total {
		return fmt.Errorf("%s were due, %s were paid out, and the consumer paid %s", credits(paid.Total), credits(sum), credits(before[s.reader.account]-after[s.reader.account]))
	}
	s.Out.Table(rows)
	s.Out.Held("%s paid %s for %d answers in one transaction. Everyone holds exactly that much more,",
		s.reader.account, credits(paid.Total), len(s.answers))
	s.Out.Say("and the poets' parts are those that the receipts give. (Direct payment, to be replaced by sessions with escrow.)")
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	return s.redeem(ctx, paid)
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

// earnsByDataOnly tells apart the poets from those who have other parts too.
func (s *Story) earnsByDataOnly(a ledger.Account) bool {
	return slices.ContainsFunc(s.poets, func(p *person) bool { return p.account == a })
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
	return plural(spans, "span", "spans") + " in the answers"
}

// holdings is what everyone with a part in a settlement has, as the consumer's peer tells it.
func (s *Story) holdings(ctx context.Context) (map[ledger.Account]money.Amount, error) {
	accounts := []ledger.Account{s.reader.account, s.trainer.account, s.host.account, s.platform.account, ledger.PoolAccount(s.datanet)}
	for _, poet := range s.poets {
		accounts = append(accounts, poet.account)
	}
	held := map[ledger.Account]money.Amount{}
	for _, a := range accounts {
		amount, err := s.holding(ctx, s.reader, a)
		if err != nil {
			return nil, err
		}
		held[a] = amount
	}
	return held, nil
}

// redeem pays out the poet who earned most: the credits go into escrow until the issuer acknowledges payment.
func (s *Story) redeem(ctx context.Context, paid settlement.Settlement) error {
	var poet *person
	var earned money.Amount
	for _, p := range paid.Payments {
		i := slices.IndexFunc(s.poets, func(poet *person) bool { return poet.account == p.To })
		if i >= 0 && p.Amount > earned {
			poet, earned = s.poets[i], p.Amount
		}
	}
	if poet == nil {
		s.Out.Say("No span was long enough to pay a poet: the data part went to the pool.")
		return nil
	}
	escrowed, err := do[token.Redemption](ctx, s, poet, "token:Redeem", token.Redeem{ID: newID(), Amount: earned, Source: token.Source{Credits: []string{paid.Tx}}})
	if err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	done, err := do[token.Redemption](ctx, s, s.issuer, "token:Acknowledge", token.Acknowledgement{
		RedemptionName: token.RedemptionName{Account: poet.account, ID: escrowed.ID}, Reference: "demo-" + escrowed.ID[:8]})
	if err != nil {
		return err
	}
	if done.State != token.Paid {
		return fmt.Errorf("the redemption of %s is %s", poet.account, done.State)
	}
	s.Out.Held("%s redeemed %s: held in escrow until %s acknowledged payment %s.", poet.name, credits(done.Amount), done.Issuer, done.Reference)
	return nil
}
