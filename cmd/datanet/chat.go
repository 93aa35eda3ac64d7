package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution/explain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/bundles"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/paying"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

const (
	// chatEscrow is what a new session gets when the person agrees to one and does not say, in micro-credits.
	chatEscrow = 1_000_000
	// chatTerm is how long a session lives that chat opens.
	chatTerm = 7 * 24 * time.Hour
	// chatWindow is how many answers of it may be unvouched: one question follows the other.
	chatWindow = 4
	// sessionWait bounds how long the gateway may take to see a session that was opened.
	sessionWait = time.Minute
	// maxLine bounds a line of a conversation, in bytes.
	maxLine = 256 << 10
)

// chat is a conversation with a model.
type chat struct {
	command *cobra.Command
	client  *client.Client
	in      *bufio.Scanner
	out     io.Writer
	model   model.Named
	session string
	escrow  string
	keep    string
	tokens  uint64
	seed    *int64
	said    []openai.Message
}

// turn is a question and its answer, for programs.
type turn struct {
	Question string           `json:"question"`
	Answer   string           `json:"answer"`
	Finish   string           `json:"finish"`
	Usage    openai.Usage     `json:"usage"`
	Fee      string           `json:"fee"`
	Session  string           `json:"session"`
	Place    uint64           `json:"place"`
	ID       string           `json:"receiptId"`
	Receipt  *receipt.Receipt `json:"receipt"`
}

func newChat() *cobra.Command {
	var (
		c            chat
		name, system string
		seed         int64
	)
	command := &cobra.Command{
		Use:   "chat --model NAME@VERSION [TEXT]",
		Short: "Talk to a model, and see whom the answer is owed to and what it cost",
		Long: `Sends what you write to the model over your organisation's gateway, which pays from a session of
yours, and prints the answer as it comes; then the passages of it that stand in the model's corpus, in
the colour of their contributor, everybody's share, and what it cost. With TEXT it is one question;
without, each line of the input is one, with the conversation so far, until the input ends.

If you have no session for the model, chat offers to open one; with --escrow it opens one without asking.
What is left of it comes back to you when it has expired.`,
		Example: `  datanet chat --model AILabMSP/verse@1.0 --escrow 1000000 "Where is the friend?"
  datanet chat --model AILabMSP/verse@1.0 --json < questions.txt`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(command *cobra.Command, args []string) (err error) {
			if c.model, err = modelNamed(name); err != nil {
				return usageError{err}
			}
			if command.Flags().Changed("seed") {
				c.seed = &seed
			}
			if system != "" {
				c.said = append(c.said, openai.Message{Role: "system", Content: system})
			}
			c.command, c.out, c.in = command, command.OutOrStdout(), bufio.NewScanner(command.InOrStdin())
			c.in.Buffer(nil, maxLine)
			if c.client, err = connect(command); err != nil {
				return err
			}
			defer c.client.Close()
			if len(args) == 1 {
				return c.ask(args[0])
			}
			return c.talk()
		},
	}
	flags := command.Flags()
	flags.StringVar(&name, "model", "", "the model, as NAME@VERSION")
	flags.StringVar(&c.session, "session", "", "name of the session to pay from (default: any of yours for the model)")
	flags.StringVar(&c.escrow, "escrow", "", "micro-credits for a session that is opened, without asking, when you have none with enough left")
	flags.StringVar(&system, "system", "", "a text that goes before the conversation, and is billed with it")
	flags.StringVar(&c.keep, "keep", "", "keep each answer in this folder, with what proves it to an auditor (datanet audit export --texts)")
	flags.Uint64Var(&c.tokens, "max-tokens", 0, "the most tokens of an answer (default: what the gateway says)")
	flags.Int64Var(&seed, "seed", 0, "the same seed gives the same answer, where the model can")
	_ = command.MarkFlagRequired("model") // it is there
	return command
}

// modelNamed reads name@version.
func modelNamed(text string) (model.Named, error) {
	name, version, ok := strings.Cut(text, "@")
	n := model.Named{Name: name, Version: version}
	if !ok || n.Validate() != nil {
		return n, fmt.Errorf("%q is no model: expected NAME@VERSION, like AILabMSP/verse@1.0", text)
	}
	return n, nil
}

// talk asks line by line.
func (c *chat) talk() error {
	prompt := func() {
		if isTerminal(c.out) {
			fmt.Fprint(c.out, "› ")
		}
	}
	for prompt(); c.in.Scan(); prompt() {
		if strings.TrimSpace(c.in.Text()) == "" {
			continue
		}
		if err := c.ask(c.in.Text()); err != nil {
			return err
		}
	}
	return c.in.Err()
}

// ask asks a question, opens a session for it if there is none, and shows the answer.
func (c *chat) ask(question string) error {
	c.said = append(c.said, openai.Message{Role: "user", Content: question})
	body, answer, err := c.complete()
	var refusal *openai.Error
	if errors.As(err, &refusal) && refusal.Code == openai.CodeQuota && c.session == "" {
		opened, failure := c.open(refusal)
		if failure != nil {
			return failure
		}
		if opened {
			body, answer, err = c.complete()
		}
	}
	if err != nil {
		return refused(err)
	}
	if c.keep != "" && answer.Datanet != nil {
		text := &evidence.Evidence{Receipt: answer.Datanet.Receipt, Path: openai.ChatPath, Body: body, Output: []byte(answer.Text), Nonces: answer.Datanet.Nonces()}
		if err := bundles.KeepText(c.keep, text); err != nil {
			return err
		}
	}
	c.said = append(c.said, openai.Message{Role: "assistant", Content: answer.Text})
	return c.show(question, answer)
}

// refused is a fault of OpenAI's shape as other commands tell theirs.
func refused(err error) error {
	var fault *openai.Error
	if !errors.As(err, &fault) {
		return err
	}
	return &client.Problem{Title: fault.Message, Status: fault.Status, Code: string(fault.Code), Field: fault.Param, Retryable: fault.Again()}
}

// complete sends the conversation, and returns what was sent. The answer is printed as it comes.
func (c *chat) complete() (body []byte, answer *openai.Answer, err error) {
	body, err = json.Marshal(struct {
		Model    string           `json:"model"`
		Messages []openai.Message `json:"messages"`
		Stream   bool             `json:"stream"`
		Options  map[string]bool  `json:"stream_options"`
		Tokens   uint64           `json:"max_completion_tokens,omitzero"`
		Seed     *int64           `json:"seed,omitzero"`
	}{c.model.String(), c.said, true, map[string]bool{"include_usage": true}, c.tokens, c.seed})
	if err != nil {
		return nil, nil, fmt.Errorf("ask the model: %w", err)
	}
	header := http.Header{paying.RepeatHeader: {client.NewKey()}}
	if c.session != "" {
		header.Set(paying.SessionHeader, c.session)
	}
	begun := false
	answer, err = c.client.Complete(c.command.Context(), openai.Chat, body, header, func(part string) error {
		if wantsJSON(c.command) {
			return nil
		}
		begun = true
		_, err := io.WriteString(c.out, explain.Printable(part))
		return err
	})
	if begun {
		fmt.Fprintln(c.out)
	}
	return body, answer, err
}

// show prints what an answer owes to whom, and what it cost.
func (c *chat) show(question string, a *openai.Answer) error {
	if a.Datanet == nil {
		return errors.New("the answer has no receipt")
	}
	r, err := receipt.Decode(a.Datanet.Receipt)
	if err != nil {
		return err
	}
	if wantsJSON(c.command) {
		return printJSON(c.out, turn{Question: question, Answer: a.Text, Finish: a.Finish, Usage: a.Usage, Fee: a.Datanet.Fee,
			Session: a.Datanet.Session.String(), Place: a.Datanet.Place, ID: a.Datanet.ReceiptID.String(), Receipt: r})
	}
	e, err := explain.New(r, []byte(a.Text))
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	if err := e.Terminal(c.out, colours(c.out)); err != nil {
		return err
	}
	cost := "It cost nothing."
	if a.Datanet.Fee != "" {
		cost = fmt.Sprintf("%s in and %d out cost %s micro-credits.", document.Count(a.Usage.PromptTokens, "token"), a.Usage.CompletionTokens, a.Datanet.Fee)
	}
	_, err = fmt.Fprintf(c.out, "\n%s Receipt %s\n\n", cost, a.Datanet.ReceiptID)
	return err
}

// open opens a session for the model, if the person agrees.
func (c *chat) open(why *openai.Error) (opened bool, err error) {
	card, _, err := client.Get[model.Card](c.command.Context(), c.client, client.Path("models", c.model.Name, "versions", c.model.Version, "cards", "0"), nil)
	if err != nil {
		return false, fmt.Errorf("read the rate card: %w", err)
	}
	escrow := money.Amount(chatEscrow)
	if c.escrow != "" {
		if err := escrow.UnmarshalText([]byte(c.escrow)); err != nil {
			return false, usageError{fmt.Errorf("--escrow: %w", err)}
		}
	} else if agreed := c.agrees(why, card, escrow); !agreed {
		return false, refused(why)
	}
	key, err := spendingKey(c.command.Context(), c.client)
	if err != nil {
		return false, err
	}
	terms := session.Terms{Model: model.CardName{Named: c.model, Card: card.Card}, Card: card.Digest, Host: card.Host, Window: chatWindow, Grace: use.MinGrace,
		Expires: time.Now().Add(chatTerm).UTC().Truncate(time.Second), Disclosure: use.DiscloseSample, Escrow: escrow}
	if err := terms.Key.UnmarshalText([]byte(key)); err != nil {
		return false, err
	}
	s, _, err := client.Submit[session.Session](c.command.Context(), c.client, "session:Open", "", session.Open{Name: client.NewID(), Terms: terms})
	if err != nil {
		return false, fmt.Errorf("open a session: %w", err)
	}
	if err := c.known(s.Name); err != nil {
		return false, err
	}
	c.session = s.Name
	if !wantsJSON(c.command) {
		fmt.Fprintf(c.command.ErrOrStderr(), "session %s is open until %s\n", s.Name, s.Expires.Format(time.DateOnly))
	}
	return true, nil
}

// agrees asks for consent to a session.
func (c *chat) agrees(why *openai.Error, card model.Card, escrow money.Amount) bool {
	in, terminal := c.command.InOrStdin().(*os.File)
	if !terminal || !isTerminal(in) || wantsJSON(c.command) {
		return false
	}
	fmt.Fprintf(c.out, "%s\n%s costs %s micro-credits for 1,000 tokens in and %s out.\nOpen a session of %s micro-credits for %d days? [y/N] ",
		printable(why.Message), c.model, card.PriceIn, card.PriceOut, escrow, int(chatTerm.Hours()/24))
	return c.in.Scan() && strings.EqualFold(strings.TrimSpace(c.in.Text()), "y")
}

// known waits until the gateway pays from a session.
func (c *chat) known(name string) error {
	ctx, cancel := context.WithTimeout(c.command.Context(), sessionWait)
	defer cancel()
	for {
		shown, _, err := client.Get[rest.Wallet](ctx, c.client, client.Path("wallet"), nil)
		if err != nil {
			return fmt.Errorf("wait for the session: %w", err)
		}
		for _, s := range shown.Sessions {
			if s.Name == name {
				return nil
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the session %s was opened, and the gateway does not see it yet: %w", name, ctx.Err())
		}
	}
}

// spendingKey has the gateway make a spending key for the caller's account.
func spendingKey(ctx context.Context, c *client.Client) (string, error) {
	made, err := client.Do[rest.SpendingKey](ctx, c, http.MethodPost, client.Path("spending-keys"), nil)
	if err != nil {
		return "", fmt.Errorf("have the gateway make a spending key: %w", err)
	}
	return made.Key, nil
}
