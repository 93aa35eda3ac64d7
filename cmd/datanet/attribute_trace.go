package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution/explain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
)

func newAttributeTrace() *cobra.Command {
	var (
		from       corpusFlags
		answer     answerFlags
		kind       string
		page, save string
	)
	command := &cobra.Command{
		Use:   "trace --corpus DIR --text FILE",
		Short: "Show which passages of a text stand in a corpus, and the share of each contributor",
		Long: `Prints the text with the passages that stand in the corpus in the colour of their
contributor, where each of them stands with the text around it, and the table of shares.
With --built but not --corpus the text around is left out.
The receipt that --receipt writes has no nonces, so its commitments hide nothing.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			r, e, err := trace(command, from, answer, kind)
			if err != nil {
				return err
			}
			if save != "" {
				encoded, err := r.Encode()
				if err != nil {
					return err
				}
				if err := os.WriteFile(save, encoded, 0o600); err != nil {
					return fmt.Errorf("write receipt: %w", err)
				}
			}
			if page != "" {
				if err := writePage(page, e); err != nil {
					return err
				}
			}
			out := command.OutOrStdout()
			if wantsJSON(command) {
				return printJSON(out, r)
			}
			return e.Terminal(out, colours(out))
		},
	}
	from.add(command)
	from.addBuilt(command)
	answer.add(command)
	command.Flags().StringVar(&kind, "engine", engineStreaming, "indexed, streaming or plain; all find the same")
	command.Flags().StringVar(&page, "html", "", "file to write the same to as one self-contained page")
	command.Flags().StringVar(&save, "receipt", "", "file to write the receipt to")
	return command
}

func trace(command *cobra.Command, from corpusFlags, flags answerFlags, kind string) (*receipt.Receipt, *explain.Explanation, error) {
	ctx := command.Context()
	answer, err := flags.read(command.InOrStdin())
	if err != nil {
		return nil, nil, err
	}
	engine, folder, err := from.engine(command, kind)
	if err != nil {
		return nil, nil, err
	}
	defer engine.Close()
	r, err := engine.Receipt(ctx, answer)
	if err != nil {
		return nil, nil, err
	}
	e, err := explain.New(r, answer.Output)
	if err != nil {
		return nil, nil, err
	}
	if folder == nil {
		return r, e, nil
	}
	return r, e, surround(ctx, folder, e)
}

// around is how many tokens are shown before and after a passage in its record.
const around = 12

// surround shows every passage in the record that it stands in first.
func surround(ctx context.Context, folder *corpus.Folder, e *explain.Explanation) error {
	wanted := make(map[string][]uint32)
	for _, p := range e.Passages {
		home := p.Span.Home
		wanted[home.Contribution] = append(wanted[home.Contribution], home.Record)
	}
	for contributor, numbers := range wanted {
		slices.Sort(numbers)
		records, err := folder.Records(ctx, contributor, slices.Compact(numbers))
		if err != nil {
			return err
		}
		for i := range e.Passages {
			home := e.Passages[i].Span.Home
			record, there := records[home.Record]
			if home.Contribution != contributor || !there {
				continue
			}
			if err := e.Passages[i].Surround(record, around); err != nil {
				return err
			}
		}
	}
	return nil
}

func writePage(name string, e *explain.Explanation) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	if err := e.HTML(file); err != nil {
		file.Close()
		return fmt.Errorf("write page: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}
