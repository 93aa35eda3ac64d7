package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution/infgram"
	document "github.com/datanet-consortium/datanet/audit/report"
)

func newAttributeScore() *cobra.Command {
	var from modelFlags
	var text, before string
	command := &cobra.Command{
		Use:   "score --corpus DIR --text FILE",
		Short: "Tell how probable the built-in model finds a text, and would without each contributor",
		Long: `Prints the bits that the text takes in an ideal code by the model, and by how many each
contributor's texts make it shorter: exactly what training again without them would give.
That is no provenance: it tells what the model owes to whom, not where a passage stands.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error { return score(command, from, text, before) },
	}
	from.add(command)
	command.Flags().StringVar(&text, "text", "", "file with the text, - for standard input")
	command.Flags().StringVar(&before, "before", "", "file with what stands before it in the same record")
	return command
}

// scored is how probable a model finds a text.
type scored struct {
	infgram.Score
	BitsPerByte float64                  `json:"bits_per_byte"`
	Unknown     int                      `json:"unknown_tokens"`
	Without     []infgram.Counterfactual `json:"without"`
}

func score(command *cobra.Command, from modelFlags, text, before string) (err error) {
	if text == "" {
		return usageError{errors.New("--text is needed: a file with the text, or - for standard input")}
	}
	var p infgram.Passage
	if p.Text, err = readText(text, command.InOrStdin()); err != nil {
		return err
	}
	if before != "" {
		if p.Before, err = readText(before, command.InOrStdin()); err != nil {
			return err
		}
	}
	m, closeCorpus, err := from.open(command)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeCorpus()) }()
	var s scored
	if s.Score, err = m.Score(command.Context(), p, infgram.Subset{}); err != nil {
		return err
	}
	if _, s.Without, err = m.LeaveOneOut(command.Context(), p); err != nil {
		return err
	}
	slices.SortStableFunc(s.Without, func(a, b infgram.Counterfactual) int { return cmp.Compare(b.Gain, a.Gain) })
	s.BitsPerByte = s.Score.BitsPerByte()
	for _, t := range s.Tokens {
		if !t.Known {
			s.Unknown++
		}
	}
	out := command.OutOrStdout()
	if wantsJSON(command) {
		return printJSON(out, s)
	}
	fmt.Fprintf(out, "%s, %d of them unknown, %s: %.1f bits, %.3f per byte.\n\n", document.Count(len(s.Tokens), "token"), s.Unknown, document.Count(s.Bytes, "byte"), s.Bits, s.BitsPerByte)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "without\tbits\tmore than with")
	for _, c := range s.Without {
		fmt.Fprintf(w, "%s\t%.1f\t%+.1f\n", c.Account, c.Bits, c.Gain)
	}
	return w.Flush()
}
