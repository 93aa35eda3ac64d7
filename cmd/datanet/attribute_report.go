package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/explain"
	"github.com/datanet-consortium/datanet/attribution/ingest"
	findings "github.com/datanet-consortium/datanet/attribution/report"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
)

func newAttributeReport() *cobra.Command {
	var from corpusFlags
	var contribution, account, save string
	command := &cobra.Command{
		Use:   "report --corpus DIR --new FILE",
		Short: "Tell a validator what of a contribution is in the corpus already, and what is odd in it",
		Long: `Compares a new contribution, a file or a folder, with the corpus: equal and similar records,
text of others, lists of phrases, language, forms of personal data, odd characters. The
report has a hash that a vote can cite: the same for everybody who has the same corpus.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			if contribution == "" {
				return usageError{errors.New("--new is needed: a file or folder with the new contribution")}
			}
			r, err := reportOn(command, from, contribution, account)
			if err != nil {
				return err
			}
			if save != "" {
				canonical, err := r.Bytes()
				if err != nil {
					return err
				}
				if err := os.WriteFile(save, canonical, 0o600); err != nil {
					return fmt.Errorf("write report: %w", err)
				}
			}
			hash, err := r.Hash()
			if err != nil {
				return err
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), struct {
					Hash   string           `json:"hash"`
					Report *findings.Report `json:"report"`
				}{hash.String(), r})
			}
			fmt.Fprintf(command.OutOrStdout(), "Report %s\n\n", hash)
			return printReport(command.OutOrStdout(), r)
		},
	}
	from.add(command)
	command.Flags().StringVar(&contribution, "new", "", "file or folder with the new contribution")
	command.Flags().StringVar(&account, "account", "", "who contributes it; what is theirs in the corpus does not count as others' (default: the file's name)")
	command.Flags().StringVar(&save, "out", "", "file to write the bytes to that the hash is of")
	return command
}

func reportOn(command *cobra.Command, from corpusFlags, name, account string) (*findings.Report, error) {
	ctx := command.Context()
	added, err := corpus.OpenFile(name, from.rules, ingest.DefaultLimits())
	if err != nil {
		return nil, usageError{err}
	}
	contributor := added.Contributors[0]
	if account == "" {
		account = strings.TrimSuffix(contributor.Name, path.Ext(contributor.Name))
	}
	texts := attribution.Contribution{ID: contributor.Name + " (new)", Account: account}
	if _, err := added.Contribution(ctx, contributor, func(record []byte) error {
		texts.Records = append(texts.Records, append([]byte(nil), record...))
		return nil
	}); err != nil {
		return nil, err
	}
	folder, err := from.open()
	if err != nil {
		return nil, err
	}
	bar := newReadingBar(command.ErrOrStderr(), folder)
	defer bar.finish()
	draft := findings.New(texts)
	for _, c := range folder.Contributors {
		draft.Earlier(c.Name, c.Name)
		manifest, err := folder.Contribution(ctx, c, func(record []byte) error {
			draft.Record(record)
			return nil
		})
		if err != nil {
			return nil, err
		}
		bar.read(manifest)
	}
	return draft.Report(), nil
}

// shown is how many findings of a kind are printed; --json prints all that the report has.
const shown = 10

func printReport(out io.Writer, r *findings.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "contribution\t%s, %s, %s\n", document.Count(r.Contribution.Records, "record"), document.Count(r.Contribution.Bytes, "byte"), document.Count(r.Contribution.Tokens, "token"))
	fmt.Fprintf(w, "compared with\t%s, %s, %s\n", document.Count(r.Corpus.Contributions, "contribution"), document.Count(r.Corpus.Records, "record"), document.Count(r.Corpus.Tokens, "token"))
	fmt.Fprintf(w, "from others\t%s of its tokens\n", percent(r.Derived.PPM))
	fmt.Fprintf(w, "equal records\t%d\n", r.Duplicates.Equal)
	printPairs(w, r.Duplicates.EqualTo)
	fmt.Fprintf(w, "similar records\t%d\n", r.Duplicates.Near)
	printPairs(w, r.Duplicates.SimilarTo)
	for i, c := range r.Contained {
		if i == shown {
			fmt.Fprintf(w, "\t… %d more\n", len(r.Contained)-shown)
			break
		}
		fmt.Fprintf(w, "contained in\t%s: %s of its runs of three words\n", explain.Printable(c.Contribution), percent(c.PPM))
	}
	fmt.Fprintf(w, "lists\t%s like lists of phrases, %d short, %s of its runs of three words are frequent\n",
		document.Count(r.Lists.Records, "record"), r.Lists.ShortRecords, percent(r.Lists.Frequent))
	for _, l := range r.Languages {
		fmt.Fprintf(w, "language\t%s: %s, %s of the tokens\n", l.Language, document.Count(l.Records, "record"), percent(l.PPM))
	}
	for _, c := range r.Personal.Count {
		if c.Times > 0 {
			fmt.Fprintf(w, "personal data\t%s: %d\n", c.Kind, c.Times)
		}
	}
	for _, f := range r.Personal.Found[:min(shown, len(r.Personal.Found))] {
		fmt.Fprintf(w, "\t%s in record %d, bytes %d to %d\n", f.Kind, f.Record, f.Start, f.End)
	}
	fmt.Fprintf(w, "record sizes\t%d to %d tokens, %d in the middle; %d too short to hold a passage\n",
		r.Sizes.Tokens.Least, r.Sizes.Tokens.Largest, r.Sizes.Tokens.Median, r.Sizes.NoPassage)
	c := r.Characters
	fmt.Fprintf(w, "odd characters\tcontrol %d, lost %d, private use %d, zero width %d, directional %d, tags %d, mixed script %d, long words %d, decorated %d\n",
		c.Control, c.Replacement, c.PrivateUse, c.Zero, c.Directional, c.Tags, c.Mixed, c.Long, c.Decorated)
	return w.Flush()
}

func printPairs(out io.Writer, pairs []findings.Pair) {
	for _, p := range pairs[:min(shown, len(pairs))] {
		fmt.Fprintf(out, "\trecord %d like %s, record %d: %s alike, %s of it there\n",
			p.Record, explain.Printable(p.Contribution), p.Other, percent(p.Similarity), percent(p.Contained))
	}
	if len(pairs) > shown {
		fmt.Fprintf(out, "\t… %d more\n", len(pairs)-shown)
	}
}

func percent(ppm int64) string { return explain.Percent(uint32(ppm)) }
