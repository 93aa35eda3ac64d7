package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/text1"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/narration"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// What an answer costs, in micro-credits per 1,000 canonical tokens, and how long it is.
const (
	priceIn  = 1 * credit
	priceOut = 5 * credit

	asked  = 12 // answers for each consumer
	length = 64 // tokens of an answer at most
	words  = 3  // of a poem that a prompt gives

	prepaid = 20 * credit
)

// answer is one answer of the model, as the consumer has it.
type answer struct {
	Account ledger.Account `json:"account"`
	Prompt  string         `json:"prompt"`
	Output  string         `json:"output"`
	Receipt []byte         `json:"receipt"`
	// Nonces open the receipt's commitments to prompt and output; that of the context is the host's.
	Nonces  attribution.Nonces `json:"nonces"`
	Fee     money.Amount       `json:"fee"`
	receipt *receipt.Receipt
	id      merkle.Hash
}

// ask has every consumer open a prepaid session and ask the model through the own organisation's gateway, as any OpenAI
// client does, and prints one answer.
func (s *Story) ask(ctx context.Context) error {
	for _, consumer := range s.consumers() {
		opened, err := s.open(ctx, consumer)
		if err != nil {
			return err
		}
		s.sessions = append(s.sessions, opened.Named)
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	s.Out.Say("%s and %s prepaid a session of %s each.", short(s.reader.account), short(s.program.account), credits(prepaid))
	s.answers = make([]answer, asked*len(s.consumers()))
	begun := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for i, consumer := range s.consumers() {
		group.Go(func() error {
			return atOnce(ctx, asked, func(ctx context.Context, j int) (err error) {
				n := i*asked + j
				s.answers[n], err = s.complete(ctx, consumer, s.opening(n), s.Seed+uint64(n))
				return err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	took := time.Since(begun)
	rows := [][]string{{"answer", "tokens", "covered", "contributors", "fee", "receipt"}}
	for i, a := range s.answers {
		if err := s.archive.keepJSON(filepath.Join("answers", a.id.String()+".json"), a); err != nil {
			return err
		}
		if i%asked < 3 {
			rows = append(rows, []string{fmt.Sprint(i + 1), fmt.Sprint(a.receipt.OutputTokens), percent(int(a.receipt.CoveragePPM)),
				fmt.Sprint(len(a.receipt.Shares)), amount(a.Fee), a.id.String()[:16] + "…"})
		}
	}
	s.Out.Table(rows)
	s.Out.Held("%d answers within %.1f s touched no ledger. Before it signed for one, the consumer's gateway had recounted its units,", len(s.answers), took.Seconds())
	s.Out.Say("and opened the commitments of its receipt. The answer in which most contributors stand:")
	s.show(slices.MaxFunc(s.answers, func(a, b answer) int { return len(a.receipt.Shares) - len(b.receipt.Shares) }))
	s.Out.Say("A receipt says where words stand, not what caused them, and it does not see paraphrase.")
	return nil
}

// consumers are who pays: a reader, who holds the key of the account, and somebody's program with an API key.
func (s *Story) consumers() []*person { return []*person{s.reader, s.program} }

// opening is how the prompt of an answer begins: with the first words of a line that was approved.
func (s *Story) opening(n int) string {
	var approved []*registered
	for _, c := range s.contributions {
		if c.State == contribution.Approved {
			approved = append(approved, c)
		}
	}
	records := approved[n%len(approved)].records
	line, _, _ := strings.Cut(string(records[n/len(approved)%len(records)]), "\n")
	fields := strings.Fields(line)
	return strings.Join(fields[:min(words, len(fields))], " ")
}

// open opens a session of a consumer under the model's rate card, with a spending key that the gateway keeps.
func (s *Story) open(ctx context.Context, consumer *person) (session.Session, error) {
	source := token.Source{}
	for c, err := range client.All[token.Credit](ctx, consumer.client, accountPath(consumer.account, "credits"), s.after(nil)) {
		if err != nil {
			return session.Session{}, err
		}
		if source.Credits = append(source.Credits, c.ID); len(source.Credits) == token.MaxCredits {
			break
		}
	}
	spending, err := client.Do[struct {
		Key use.Key `json:"key"`
	}](ctx, consumer.client, http.MethodPost, client.Path("spending-keys"), nil)
	if err != nil {
		return session.Session{}, fmt.Errorf("make a spending key for %s: %w", consumer.account, err)
	}
	return do[session.Session](ctx, s, consumer, openSession(session.Open{Name: client.NewID(), Source: source, Terms: session.Terms{
		Model: model.CardName{Named: s.model.Named, Card: s.card.Card}, Card: s.card.Digest, Host: s.host.account, Key: spending.Key, Window: 4,
		Expires: time.Now().UTC().Truncate(time.Second).Add(48 * time.Hour), Grace: use.MinGrace, Disclosure: use.DiscloseSample, Escrow: prepaid}}))
}

// complete asks for one answer and reads its receipt.
func (s *Story) complete(ctx context.Context, consumer *person, prompt string, seed uint64) (answer, error) {
	data, err := s.chat(ctx, consumer, map[string]any{"model": s.model.Named.String(), "seed": seed,
		"max_completion_tokens": length, "messages": []map[string]string{{"role": "user", "content": prompt}}})
	if err != nil {
		return answer{}, fmt.Errorf("ask %s as %s: %w", s.model.Named, consumer.account, err)
	}
	got, err := openai.ReadAnswer(openai.Chat, data)
	if err != nil {
		return answer{}, err
	}
	if got.Datanet == nil {
		return answer{}, fmt.Errorf("the answer to %s has no receipt", consumer.account)
	}
	a := answer{Account: consumer.account, Prompt: prompt, Output: got.Text, Receipt: got.Datanet.Receipt, Nonces: got.Datanet.Nonces(), id: got.Datanet.ReceiptID}
	if err := a.Fee.UnmarshalText([]byte(got.Datanet.Fee)); err != nil {
		return answer{}, fmt.Errorf("fee of receipt %s: %w", a.id, err)
	}
	a.receipt, err = receipt.Decode(a.Receipt)
	return a, err
}

const (
	// preparation is how long the host's gateway may take to build the model's corpus, poll how often it is asked.
	preparation = time.Minute
	poll        = 100 * time.Millisecond
)

// chat asks until the host has prepared the model.
func (s *Story) chat(ctx context.Context, consumer *person, body map[string]any) (answer []byte, err error) {
	for begun := time.Now(); ; {
		answer, _, err = consumer.client.Raw(ctx, http.MethodPost, openai.ChatPath, nil, body)
		var problem *client.Problem
		if !errors.As(err, &problem) || problem.Status != http.StatusServiceUnavailable || time.Since(begun) > preparation {
			return answer, err
		}
		s.Out.Progress("waiting for the host to prepare the model")
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// show prints an answer with its spans, each marked by the account that gets most of it; accounts are numbered by
// their shares, the largest first.
func (s *Story) show(a answer) {
	s.Out.Say("«%s»", a.Prompt)
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
