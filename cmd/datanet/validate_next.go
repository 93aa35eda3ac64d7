package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	findings "github.com/datanet-consortium/datanet/attribution/report"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
)

func newNext() *cobra.Command {
	var (
		datanet, votes string
		limit          int
	)
	command := &cobra.Command{
		Use:   "next",
		Short: "Go through the queue: the report beside the text, a decision by one key",
		Long: `Shows one waiting contribution after another with the automatic report of your gateway and the
beginning of its text, and asks for a decision. Decisions are kept in a file at once and go to
the ledger together when you end, in batches, so the queue can be left and continued at any
time.

Keys: a approve, r reject, t the whole text, s skip, q end. After a or r a score from 0 to 100
may follow, and after r the reason, as in: a 85, r 20 duplicate.

Without a terminal, or with --json, prints the first waiting contribution with its report.`,
		Args: arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error {
			if votes == "" {
				dir, err := userFolder()
				if err != nil {
					return err
				}
				who, err := c.WhoAmI(command.Context())
				if err != nil {
					return err
				}
				votes = filepath.Join(dir, "votes-"+who.Organisation+".jsonl")
			}
			queue, err := waiting(command, c, datanet, limit)
			if err != nil {
				return err
			}
			if wantsJSON(command) || !isTerminal(command.OutOrStdout()) {
				return showFirst(command, c, queue)
			}
			return goThrough(command, c, queue, votes)
		}),
	}
	command.Flags().StringVar(&datanet, "datanet", "", "only of this datanet")
	command.Flags().StringVar(&votes, "votes", "", "the file of decisions that are not cast yet (default: in your configuration folder)")
	command.Flags().IntVar(&limit, "limit", 0, "at most this many; 0 is all")
	return command
}

// candidate is a waiting contribution with what a validator sees of it.
type candidate struct {
	Contribution contribution.Contribution `json:"contribution"`
	Review       review                    `json:"review"`
	Text         string                    `json:"text"`
	More         bool                      `json:"more,omitempty"` // the text goes on
}

func look(ctx context.Context, c *client.Client, of contribution.Contribution) (candidate, error) {
	r, err := reviewOf(ctx, c, of.Name())
	if err != nil {
		return candidate{}, fmt.Errorf("the report on %s: %w", of.ID, err)
	}
	text, more, err := preview(ctx, c, of.Name())
	if err != nil {
		return candidate{}, fmt.Errorf("the content of %s: %w", of.ID, err)
	}
	return candidate{Contribution: of, Review: r, Text: text, More: more}, nil
}

func showFirst(command *cobra.Command, c *client.Client, queue []contribution.Contribution) error {
	if len(queue) == 0 {
		if wantsJSON(command) {
			return printJSON(command.OutOrStdout(), nil)
		}
		_, err := fmt.Fprintln(command.OutOrStdout(), "nothing waits for your vote")
		return err
	}
	first, err := look(command.Context(), c, queue[0])
	if err != nil {
		return err
	}
	if wantsJSON(command) {
		return printJSON(command.OutOrStdout(), first)
	}
	return first.print(command.OutOrStdout())
}

// goThrough asks for a decision on each of the queue that has none in the file yet, and casts the votes at the end.
func goThrough(command *cobra.Command, c *client.Client, queue []contribution.Contribution, path string) error {
	decided, err := loadVotes(path)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return usageError{err}
	}
	defer file.Close()
	has := func(of contribution.Contribution) bool {
		return slices.ContainsFunc(decided, func(v approval.Vote) bool { return v.Named == of.Name() && v.Revision == of.Revision })
	}
	out, in := command.OutOrStdout(), bufio.NewReader(command.InOrStdin())
	left := slices.DeleteFunc(slices.Clone(queue), has)
	for number, of := range left {
		shown, err := look(command.Context(), c, of)
		if err != nil {
			// One that cannot be shown, since its holder is away say, does not hold up the others.
			fmt.Fprintf(out, "%s is left out: %s\n", of.ID, printable(err.Error()))
			continue
		}
		fmt.Fprintf(out, "\n%d of %d\n", number+1, len(left))
		if err := shown.print(out); err != nil {
			return err
		}
		vote, end, err := ask(command, c, in, shown)
		if err != nil {
			return err
		}
		if vote != nil {
			line, err := ledger.Encode(vote)
			if err == nil {
				_, err = file.Write(append(line, '\n'))
			}
			if err = errors.Join(err, file.Sync()); err != nil {
				return fmt.Errorf("keep the decision: %w", err)
			}
			decided = append(decided, *vote)
		}
		if end {
			break
		}
	}
	return castDecided(command, c, in, decided, path)
}

// castDecided asks before it sends, and empties the file when everything is cast.
func castDecided(command *cobra.Command, c *client.Client, in *bufio.Reader, decided []approval.Vote, path string) error {
	out := command.OutOrStdout()
	if len(decided) == 0 {
		_, err := fmt.Fprintln(out, "nothing to cast")
		return err
	}
	fmt.Fprintf(out, "\ncast %s now? [Y/n] ", document.Count(len(decided), "vote"))
	answer, err := in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); err != nil || answer != "" && answer != "y" && answer != "yes" {
		_, err := fmt.Fprintf(out, "they are kept in %s; cast them by datanet validate vote --from %s\n", path, path)
		return err
	}
	if err := castAll(command, c, decided, nil); err != nil {
		return fmt.Errorf("%w (the decisions are kept in %s; those that are cast may be cast again without harm)", err, path)
	}
	return os.Truncate(path, 0)
}

func loadVotes(path string) ([]approval.Vote, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, usageError{err}
	}
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, usageError{err}
	}
	defer file.Close()
	votes, err := parseVotes(io.LimitReader(file, maxVotes))
	if err != nil {
		return nil, usageError{fmt.Errorf("the decisions in %s: %w", path, err)}
	}
	return votes, nil
}

// ask reads commands until one decides or moves on.
func ask(command *cobra.Command, c *client.Client, in *bufio.Reader, shown candidate) (vote *approval.Vote, end bool, err error) {
	out := command.OutOrStdout()
	for {
		fmt.Fprint(out, "a approve, r reject, t text, s skip, q end > ")
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, true, nil // the input has ended
		}
		words := strings.Fields(strings.ToLower(line))
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "s":
			return nil, false, nil
		case "q":
			return nil, true, nil
		case "t":
			if err := wholeText(command, c, shown.Contribution.Name()); err != nil {
				fmt.Fprintln(out, printable(err.Error()))
			}
			continue
		}
		verdict, err := decision(words)
		if err != nil {
			fmt.Fprintln(out, err)
			continue
		}
		verdict.Report = shown.Review.Hash
		vote := &approval.Vote{Named: shown.Contribution.Name(), Revision: shown.Contribution.Revision, Verdict: verdict}
		if err := vote.Validate(); err != nil {
			fmt.Fprintln(out, err)
			continue
		}
		return vote, false, nil
	}
}

// decision reads "a 85" or "r 20 duplicate".
func decision(words []string) (approval.Verdict, error) {
	v := approval.Verdict{Choice: approval.Approve, Reason: approval.Sound, Score: 80}
	switch words[0] {
	case "a":
	case "r":
		v = approval.Verdict{Choice: approval.Reject, Score: 20}
	default:
		return v, fmt.Errorf("%q is none of a, r, t, s, q", words[0])
	}
	for _, word := range words[1:] {
		if score, err := strconv.Atoi(word); err == nil {
			v.Score = score
		} else {
			v.Reason = approval.Reason(word)
		}
	}
	if v.Choice == approval.Reject && v.Reason == "" {
		return v, fmt.Errorf("say why, as in: r 20 duplicate; reasons are %s", joined(approval.Reasons[1:]))
	}
	return v, nil
}

func wholeText(command *cobra.Command, c *client.Client, name contribution.Named) error {
	const most = 1 << 20
	data, size, err := c.ReadRange(command.Context(), client.ContentPath(name.Datanet, name.ID), 0, most)
	if err != nil {
		return err
	}
	out := command.OutOrStdout()
	fmt.Fprintln(out, text(string(data)))
	if size > int64(len(data)) {
		fmt.Fprintf(out, "… %d more bytes: datanet contribution get %s %s\n", size-int64(len(data)), name.Datanet, name.ID)
	}
	return nil
}

// text is content as a terminal may show it: line ends and tabs stay, other control characters do not.
func text(s string) string {
	lines := strings.Split(strings.ToValidUTF8(s, "\uFFFD"), "\n")
	for i, line := range lines {
		lines[i] = printable(strings.ReplaceAll(strings.TrimSuffix(line, "\r"), "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// print shows a candidate: what the ledger says, the findings of the report, the beginning of the text.
func (c candidate) print(out io.Writer) error {
	of := c.Contribution
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "contribution\t%s of %s, revision %d\n", of.ID, of.Datanet, of.Revision)
	fmt.Fprintf(table, "contributor\t%s\n", of.Contributor)
	fmt.Fprintf(table, "content\t%s, %s, %s\n", of.MediaType, document.Count(of.Records, "record"), document.Count(of.Tokens, "token"))
	p := of.Provenance
	fmt.Fprintf(table, "provenance\t%s, %d to %d, %s, personal data: %t\n", p.Method, p.FromYear, p.ToYear, strings.Join(p.Languages, " "), p.PersonalData)
	for _, name := range []string{"records", "tokens", "fingerprint"} {
		if well, checked := c.Review.Checks[name]; checked && !well {
			fmt.Fprintf(table, "WRONG\tthe %s on the ledger is not that of the content\n", name)
		}
	}
	if err := c.Review.print(table); err != nil {
		return err
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print a contribution: %w", err)
	}
	more := ""
	if c.More {
		more = "\n… (t shows more)"
	}
	_, err := fmt.Fprintf(out, "\n%s%s\n\n", text(c.Text), more)
	return err
}

func (r review) print(out io.Writer) error {
	var f findings.Report
	if err := json.Unmarshal(r.Report, &f); err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	percent := func(ppm int64) string { return fmt.Sprintf("%.1f %%", float64(ppm)/10_000) }
	fmt.Fprintf(out, "compared with\t%s, %s\n", document.Count(f.Corpus.Contributions, "contribution"), document.Count(f.Corpus.Records, "record"))
	fmt.Fprintf(out, "derived\t%s of the tokens are from other accounts\n", percent(f.Derived.PPM))
	if d := f.Duplicates; d.Equal+d.Near > 0 {
		fmt.Fprintf(out, "duplicates\t%s equal, %d similar to others\n", document.Count(d.Equal, "record"), d.Near)
		for _, pair := range d.EqualTo[:min(3, len(d.EqualTo))] {
			fmt.Fprintf(out, "\trecord %d equals record %d of %s\n", pair.Record, pair.Other, pair.Contribution)
		}
	}
	for _, contained := range f.Contained[:min(3, len(f.Contained))] {
		fmt.Fprintf(out, "contained\t%s in %s of %s\n", percent(contained.PPM), contained.Contribution, contained.Account)
	}
	var personal, characters map[string]any
	for _, part := range []struct {
		of   any
		into *map[string]any
	}{{f.Personal, &personal}, {f.Characters, &characters}} {
		data, err := json.Marshal(part.of)
		if err == nil {
			err = json.Unmarshal(data, part.into)
		}
		if err != nil {
			return fmt.Errorf("read the report: %w", err)
		}
	}
	if found := counts(personal); found != "" {
		fmt.Fprintf(out, "personal data\t%s\n", found)
	}
	if found := counts(characters); found != "" {
		fmt.Fprintf(out, "characters\t%s\n", found)
	}
	fmt.Fprintf(out, "report\t%s\n", r.Hash)
	return nil
}

// counts lists the numbers above zero.
func counts(found map[string]any) string {
	var words []string
	for name, value := range found {
		if n, ok := value.(float64); ok && n > 0 {
			words = append(words, fmt.Sprintf("%s %.0f", strings.ReplaceAll(name, "_", " "), n))
		}
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
