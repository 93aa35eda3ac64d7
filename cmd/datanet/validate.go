package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// waiting are the contributions that wait for the vote of the caller's organisation, the oldest first.
func waiting(command *cobra.Command, c *client.Client, datanet string, limit int) ([]contribution.Contribution, error) {
	who, err := c.WhoAmI(command.Context())
	if err != nil {
		return nil, err
	}
	filter := url.Values{"awaits": {who.Organisation}}
	if datanet != "" {
		filter.Set("datanet", datanet)
	}
	list := []contribution.Contribution{}
	for one, err := range client.Listed[contribution.Contribution](command.Context(), c, "contributions", filter) {
		if err != nil {
			return nil, err
		}
		if list = append(list, one); len(list) == limit {
			break
		}
	}
	return list, nil
}

func newQueue() *cobra.Command {
	var datanet string
	var limit int
	command := &cobra.Command{
		Use:   "queue",
		Short: "List the contributions that wait for your organisation's vote, the oldest first",
		Args:  arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error {
			list, err := waiting(command, c, datanet, limit)
			if err != nil {
				return err
			}
			data, err := ledger.Encode(ledger.Page[contribution.Contribution]{Items: list})
			if err != nil {
				return err
			}
			return resource{columns: []string{"datanet", "id", "revision", "mediaType", "records", "tokens", "contributor"}}.print(command, data, client.Meta{})
		}),
	}
	command.Flags().StringVar(&datanet, "datanet", "", "only of this datanet")
	command.Flags().IntVar(&limit, "limit", 0, "at most this many; 0 is all")
	return command
}

// review is what a validator looks at before voting: the automatic report of the gateway and its hash.
type review struct {
	Hash   string          `json:"hash"` // SHA-256 of the report's canonical bytes, which the vote cites
	Checks map[string]bool `json:"checks"`
	Report json.RawMessage `json:"report"`
}

func reviewOf(ctx context.Context, c *client.Client, name contribution.Named) (review, error) {
	r, _, err := client.Get[review](ctx, c, client.Path("datanets", name.Datanet, "contributions", name.ID, "report"), nil)
	return r, err
}

func newVote() *cobra.Command {
	var (
		verdict      approval.Verdict
		from         string
		datanet      string
		trustReports bool
		all          bool
	)
	command := &cobra.Command{
		Use:   "vote [DATANET ID…]",
		Short: "Vote on contributions for your organisation",
		Long: `Votes on one or many contributions of a datanet alike, or as a file says: with --from each line
is a JSON document {"datanet","id","revision","choice","score","reason","report"}, as
datanet validate next writes them. Votes go out in batches of one transaction; one that is
refused does not hold up the others.

With --all the vote is on everything that waits for your organisation's vote, or all of it of
one --datanet.

A vote cites the hash of the automatic report that you have seen. Give it by --report; with
--current-report the report that the gateway computes now is cited. What it cannot compute a
report of is left out and named.`,
		Example: "  datanet validate vote PoetrySocietyMSP/persian-poetry 0f3c… --choice approve --score 85 --report 9a1b…",
		RunE: calling(func(command *cobra.Command, args []string, c *client.Client) error {
			var (
				votes []approval.Vote
				err   error
			)
			left := map[string]string{}
			switch {
			case from != "":
				votes, err = readVotes(command, from)
			case all && len(args) == 0:
				var queue []contribution.Contribution
				if queue, err = waiting(command, c, datanet, 0); err == nil {
					votes, left, err = alike(command, c, queue, verdict, trustReports)
				}
			case !all && len(args) >= 2:
				var named []contribution.Contribution
				if named, err = contributions(command, c, args[0], args[1:]); err == nil {
					votes, left, err = alike(command, c, named, verdict, trustReports)
				}
			default:
				err = usageError{errors.New("name a datanet and contributions, or give --all or --from")}
			}
			if err != nil {
				return err
			}
			return castAll(command, c, votes, left)
		}),
	}
	flags := command.Flags()
	flags.StringVar((*string)(&verdict.Choice), "choice", "", "approve or reject")
	flags.IntVar(&verdict.Score, "score", 0, "quality, 0 to 100")
	flags.StringVar((*string)(&verdict.Reason), "reason", "", "why, when you reject: "+joined(approval.Reasons))
	flags.StringVar(&verdict.Report, "report", "", "hash of the report that you have seen")
	flags.BoolVar(&trustReports, "current-report", false, "cite the report that the gateway computes now")
	flags.StringVar(&from, "from", "", "a file of votes, one JSON document a line, or - for standard input")
	flags.BoolVar(&all, "all", false, "vote on everything that waits for your organisation's vote")
	flags.StringVar(&datanet, "datanet", "", "with --all: only of this datanet")
	command.MarkFlagsMutuallyExclusive("report", "current-report")
	command.MarkFlagsMutuallyExclusive("from", "all")
	command.MarkFlagsMutuallyExclusive("from", "choice")
	return command
}

func contributions(command *cobra.Command, c *client.Client, datanet string, ids []string) (list []contribution.Contribution, err error) {
	for _, id := range ids {
		found, _, err := client.Get[contribution.Contribution](command.Context(), c, client.Path("datanets", datanet, "contributions", id), nil)
		if err != nil {
			return nil, err
		}
		list = append(list, found)
	}
	return list, nil
}

// reportsAtOnce is how many reports a gateway is asked for at a time.
const reportsAtOnce = 4

// alike makes the same vote on several contributions. Those whose report cannot be had are left out, with the reason.
func alike(command *cobra.Command, c *client.Client, list []contribution.Contribution, verdict approval.Verdict, current bool) ([]approval.Vote, map[string]string, error) {
	if verdict.Reason == "" && verdict.Choice == approval.Approve {
		verdict.Reason = approval.Sound
	}
	if len(list) > 1 && verdict.Report != "" {
		return nil, nil, usageError{errors.New("each contribution has a report of its own: use --current-report or --from")}
	}
	drafts := make([]approval.Vote, len(list))
	faults := make([]error, len(list))
	var work errgroup.Group
	work.SetLimit(reportsAtOnce)
	for i, of := range list {
		work.Go(func() error {
			drafts[i] = approval.Vote{Named: of.Name(), Revision: of.Revision, Verdict: verdict}
			if current {
				var r review
				r, faults[i] = reviewOf(command.Context(), c, of.Name())
				drafts[i].Report = r.Hash
			}
			return nil
		})
	}
	_ = work.Wait() // failures are kept for each
	var votes []approval.Vote
	left := map[string]string{}
	for i, vote := range drafts {
		if faults[i] != nil {
			left[vote.ID] = faults[i].Error()
			continue
		}
		if err := vote.Validate(); err != nil {
			return nil, nil, badVote(err)
		}
		votes = append(votes, vote)
	}
	return votes, left, nil
}

// badVote is a mistake in the command line, which names the flag.
func badVote(err error) error {
	var fault *ledger.Fault
	if errors.As(err, &fault) && slices.Contains([]string{"choice", "score", "reason", "report"}, fault.Field) {
		return usageError{fmt.Errorf("--%s: %s", fault.Field, fault.Message)}
	}
	return usageError{err}
}

// maxVotes bounds a file of votes, in bytes.
const maxVotes = 64 << 20

func readVotes(command *cobra.Command, from string) ([]approval.Vote, error) {
	in := command.InOrStdin()
	if from != "-" {
		file, err := os.Open(from)
		if err != nil {
			return nil, usageError{err}
		}
		defer file.Close()
		in = file
	}
	votes, err := parseVotes(io.LimitReader(in, maxVotes))
	if err != nil {
		return nil, usageError{fmt.Errorf("votes in %s: %w", from, err)}
	}
	return votes, nil
}

// parseVotes reads one vote a line. A later vote on the same revision takes the place of an earlier one.
func parseVotes(in io.Reader) ([]approval.Vote, error) {
	var votes []approval.Vote
	place := map[string]int{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, ledger.MaxDocument)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		var vote approval.Vote
		if err := ledger.Decode([]byte(line), &vote); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if err := vote.Validate(); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		key := vote.Datanet + "@" + vote.ID + "@" + strconv.Itoa(vote.Revision)
		if at, twice := place[key]; twice {
			votes[at] = vote
			continue
		}
		place[key] = len(votes)
		votes = append(votes, vote)
	}
	return votes, lines.Err()
}

// voteBatch is how many votes go into one transaction.
const voteBatch = 50

// cast is what became of votes.
type cast struct {
	Cast   int               `json:"cast"`
	Failed map[string]string `json:"failed"`
}

// castAll sends votes in batches. When a batch is refused, each of its votes goes by itself. left are contributions that
// have no vote, with the reason.
func castAll(command *cobra.Command, c *client.Client, votes []approval.Vote, left map[string]string) error {
	ctx := command.Context()
	result := cast{Failed: map[string]string{}}
	maps.Copy(result.Failed, left)
	for batch := range slices.Chunk(votes, voteBatch) {
		_, _, err := client.Submit[approval.Votes](ctx, c, "approval:VoteBatch", "", approval.VoteBatch{Items: batch})
		var refusal *client.Problem
		switch {
		case err == nil:
			result.Cast += len(batch)
			continue
		case !errors.As(err, &refusal):
			return fmt.Errorf("%s cast, then: %w", document.Count(result.Cast, "vote"), err)
		}
		for _, vote := range batch {
			if _, _, err := client.Submit[approval.Slot](ctx, c, "approval:Vote", "", vote); err != nil {
				result.Failed[vote.ID] = err.Error()
			} else {
				result.Cast++
			}
		}
	}
	if wantsJSON(command) {
		if err := printJSON(command.OutOrStdout(), result); err != nil {
			return err
		}
	} else {
		for _, id := range slices.Sorted(maps.Keys(result.Failed)) {
			fmt.Fprintf(command.OutOrStdout(), "%s: %s\n", id, printable(result.Failed[id]))
		}
		fmt.Fprintf(command.OutOrStdout(), "%s cast, %d refused\n", document.Count(result.Cast, "vote"), len(result.Failed))
	}
	if len(result.Failed) > 0 {
		return fmt.Errorf("%s refused", document.Count(len(result.Failed), "vote"))
	}
	return nil
}

// previewBytes is how much of a content is shown beside its report.
const previewBytes = 4 << 10

// preview reads the beginning of a content.
func preview(ctx context.Context, c *client.Client, name contribution.Named) (text string, more bool, err error) {
	data, size, err := c.ReadRange(ctx, client.ContentPath(name.Datanet, name.ID), 0, previewBytes)
	if err != nil {
		return "", false, err
	}
	return strings.ToValidUTF8(string(data), "\uFFFD"), size < 0 || size > int64(len(data)), nil
}
