package demo

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/text1"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/narration"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/wordchain"
	"github.com/datanet-consortium/datanet/gateway/client"
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

// settle has the consumer pay for all answers from a prepaid session, by one voucher over all of them: the host settles
// it, those who validate the data confirm the table of who gets the data part, and everyone is checked to hold exactly what
// the receipts and the rate card say.
func (s *Story) settle(ctx context.Context) error {
	before, err := s.holdings(ctx)
	if err != nil {
		return err
	}
	spending, opened, err := s.open(ctx)
	if err != nil {
		return err
	}
	s.Out.Say("%s prepaid a session with %s. The answers touched no ledger: one voucher covers all %d of them.",
		short(s.reader.account), credits(opened.Escrow), len(s.answers))
	presented, total, err := s.vouch(spending, opened)
	if err != nil {
		return err
	}
	presented.Close = true
	claimed, err := do[claim.Claim](ctx, s, s.host, settleClaim(claim.Settle{ID: client.NewID(), Model: opened.Model, Card: opened.Card, Sessions: []session.Presented{presented}}))
	if err != nil {
		return err
	}
	if claimed.Fees != total || claimed.Rest != opened.Escrow-total {
		return fmt.Errorf("the voucher is for %s of %s, %s were settled and %s returned", credits(total), credits(opened.Escrow), credits(claimed.Fees), credits(claimed.Rest))
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	released, data, err := s.confirm(ctx, claimed)
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
	if sum != total || before[s.reader.account]-after[s.reader.account] != total {
		return fmt.Errorf("%s were due, %s were paid out, and the consumer paid %s", credits(total), credits(sum), credits(before[s.reader.account]-after[s.reader.account]))
	}
	s.Out.Table(rows)
	s.Out.Held("%s paid %s for %d answers, and %s that it had not used were back at once. Everyone holds exactly that much more,",
		short(s.reader.account), credits(total), len(s.answers), credits(claimed.Rest))
	s.Out.Say("and the poets' parts, which %s confirmed before they were paid, are those that the receipts give.", sentence(claimed.Attestors))
	return s.payOut(ctx, released, data)
}

// open opens a session of the consumer under the model's rate card, with twice what the answers cost.
func (s *Story) open(ctx context.Context) (ed25519.PrivateKey, session.Session, error) {
	source := token.Source{}
	for c, err := range client.All[token.Credit](ctx, s.reader.client, accountPath(s.reader.account, "credits"), s.after(nil)) {
		if err != nil {
			return nil, session.Session{}, err
		}
		if source.Credits = append(source.Credits, c.ID); len(source.Credits) == token.MaxCredits {
			break
		}
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, session.Session{}, fmt.Errorf("make a spending key: %w", err)
	}
	key, err := use.NewKey(public)
	if err != nil {
		return nil, session.Session{}, err
	}
	escrow := money.Amount(0)
	for _, a := range s.answers {
		escrow += 2 * a.Fee
	}
	opened, err := do[session.Session](ctx, s, s.reader, openSession(session.Open{Name: client.NewID(), Source: source, Terms: session.Terms{
		Model: model.CardName{Named: s.model.Named, Card: s.card.Card}, Card: s.card.Digest, Host: s.host.account, Key: key, Window: len(s.answers),
		Expires: time.Now().UTC().Truncate(time.Second).Add(48 * time.Hour), Grace: use.MinGrace, Disclosure: use.DiscloseSample, Escrow: escrow}}))
	if err != nil {
		return nil, opened, err
	}
	return private, opened, s.everywhere(ctx)
}

// vouch signs for all answers, each of which is a leaf of the session's tree.
func (s *Story) vouch(spending ed25519.PrivateKey, in session.Session) (session.Presented, money.Amount, error) {
	var tree merkle.Frontier
	total := money.Amount(0)
	for i, a := range s.answers {
		leaf := use.Leaf{Session: in.ID, Number: uint64(i), Card: in.Card, In: uint64(len(text1.Tokens([]byte(a.Prompt)))),
			Out: uint64(a.receipt.OutputTokens), Fee: uint64(a.Fee), Receipt: a.id}
		hash, err := leaf.Hash()
		if err != nil {
			return session.Presented{}, 0, err
		}
		tree.Append(hash)
		total += a.Fee
	}
	v := use.Voucher{Session: in.ID, Card: in.Card, N: tree.Size(), Amount: uint64(total), Root: tree.Root()}
	signature, err := use.Sign(spending, v)
	return session.Presented{Named: in.Named, N: int64(v.N), Amount: total, Root: v.Root, Signature: hex.EncodeToString(signature)}, total, err
}

// confirm has every attesting organisation vote for the table that follows from the receipts, and the table paid. It
// returns the transaction that paid and what each payee got by it.
func (s *Story) confirm(ctx context.Context, c claim.Claim) (tx string, data map[ledger.Account]money.Amount, err error) {
	if data, err = s.dataParts(); err != nil {
		return "", nil, err
	}
	page := disbursement.Page{Number: 1, Due: c.Left}
	for _, to := range slices.Sorted(maps.Keys(data)) {
		page.Payments = append(page.Payments, token.Payment{To: to, Amount: data[to]})
	}
	table, err := page.Digest()
	if err != nil {
		return "", nil, err
	}
	vote := claim.Vote{Scope: c.Scope, Revisions: []int{s.snapshot.Revision}, Table: table, Rate: use.All}
	err = atOnce(ctx, len(c.Attestors), func(ctx context.Context, i int) error {
		_, err := do[claim.Slot](ctx, s, s.validators[c.Attestors[i]], attest(claim.Attest{Named: c.Named, Vote: vote}))
		return err
	})
	if err != nil {
		return "", nil, err
	}
	if err := s.everywhere(ctx); err != nil {
		return "", nil, err
	}
	done, err := do[claim.Claim](ctx, s, s.host, release(claim.Release{Named: c.Named, Page: page}))
	if err != nil {
		return "", nil, err
	}
	if done.State != claim.Released || done.Left != 0 {
		return "", nil, fmt.Errorf("the claim is %s and has %s left", done.State, credits(done.Left))
	}
	return done.EndTx, data, s.everywhere(ctx)
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

// holdings is what everyone with a part in a settlement has, as the consumer's gateway tells it.
func (s *Story) holdings(ctx context.Context) (map[ledger.Account]money.Amount, error) {
	accounts := []ledger.Account{s.reader.account, s.trainer.account, s.host.account, s.platform.account, ledger.PoolAccount(s.datanet)}
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
