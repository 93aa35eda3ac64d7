package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution/infgram"
)

func newAttributeGenerate() *cobra.Command {
	var from modelFlags
	var prompt string
	var g infgram.Generation
	command := &cobra.Command{
		Use:   "generate --corpus DIR --prompt TEXT",
		Short: "Let the built-in model of a corpus continue a text",
		Long: `Writes canonical tokens, joined by spaces, until the record would end or there are as many
as asked for. The same corpus, settings, prompt and seed give the same text on every
machine. The model is small and no LLM: it knows which words followed which, and quotes.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			if g.Tokens < 1 {
				return usageError{errors.New("--tokens is at least 1")}
			}
			return generate(command, from, prompt, g)
		},
	}
	from.add(command)
	command.Flags().StringVar(&prompt, "prompt", "", "text to continue; a new record when it is left out")
	command.Flags().IntVar(&g.Tokens, "tokens", 60, "how many tokens to write at most")
	command.Flags().Uint64Var(&g.Seed, "seed", 1, "decides over the draws")
	return command
}

// generated is what a model has written.
type generated struct {
	Text   string `json:"text"`
	Tokens int    `json:"tokens"`
	Seed   uint64 `json:"seed"`
}

func generate(command *cobra.Command, from modelFlags, prompt string, g infgram.Generation) (err error) {
	m, closeCorpus, err := from.open(command)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeCorpus()) }()
	out := command.OutOrStdout()
	var written []string
	for token, err := range m.Generate(command.Context(), []byte(prompt), g) {
		if err != nil {
			return err
		}
		if !wantsJSON(command) {
			if len(written) > 0 {
				token = " " + token
			}
			if _, err := io.WriteString(out, token); err != nil {
				return fmt.Errorf("print the text: %w", err)
			}
		}
		written = append(written, strings.TrimPrefix(token, " "))
	}
	if wantsJSON(command) {
		return printJSON(out, generated{Text: strings.Join(written, " "), Tokens: len(written), Seed: g.Seed})
	}
	fmt.Fprintln(out)
	return nil
}
