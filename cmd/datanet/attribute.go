package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
)

func newAttribute() *cobra.Command {
	command := &cobra.Command{
		Use:   "attribute",
		Short: "Find out whose text stands in an answer, without any network",
		Long: `Traces texts to the contributions they stand in, and makes and checks receipts of it,
over a plain folder with one file or sub-folder for each contributor. Contributions
count as registered in the order of their names: of two that have the same passage, the
first by name is its origin.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newAttributeBuild(), newAttributeTrace(), newAttributeVerify(), newAttributeReport(), newAttributeReceipts(), newAttributeGenerate(), newAttributeScore(), newAttributeBench())
	return command
}

// corpusFlags name a corpus and say what its records are.
type corpusFlags struct {
	dir   string
	built string
	rules ingest.Rules
}

func (f *corpusFlags) add(command *cobra.Command) {
	command.Flags().StringVar(&f.dir, "corpus", "", "folder with a file or sub-folder for each contributor")
	f.addRules(command)
}

// addBuilt adds the flag that names what build has made of a corpus.
func (f *corpusFlags) addBuilt(command *cobra.Command) {
	command.Flags().StringVar(&f.built, "built", "", "folder that \"datanet attribute build\" has made of the corpus, to use instead of reading it again")
}

func (f *corpusFlags) addRules(command *cobra.Command) {
	command.Flags().BoolVar(&f.rules.Split, "split", false, "cut text and Markdown files into records at blank lines")
	command.Flags().StringVar(&f.rules.Field, "field", "", "field of JSON Lines that holds the text")
	command.Flags().StringSliceVar(&f.rules.Columns, "columns", nil, "columns of CSV that hold the text")
	command.Flags().BoolVar(&f.rules.SkipShort, "skip-short", false, "leave out records too short to be told from others, instead of failing")
}

func (f *corpusFlags) open() (*corpus.Folder, error) {
	if f.dir == "" {
		return nil, usageError{errors.New("--corpus is needed: a folder with a file or sub-folder for each contributor")}
	}
	folder, err := corpus.Open(os.DirFS(f.dir), f.rules, ingest.DefaultLimits())
	if err != nil {
		return nil, usageError{err}
	}
	return folder, nil
}

// answerFlags name the texts of an answer.
type answerFlags struct {
	text    string
	prompt  []string
	context []string
	tau     uint8
}

func (f *answerFlags) add(command *cobra.Command) {
	command.Flags().StringVar(&f.text, "text", "", "file with the answer, - for standard input")
	command.Flags().StringArrayVar(&f.prompt, "prompt", nil, "file with a message that the consumer sent; what it quotes is credited to nobody")
	command.Flags().StringArrayVar(&f.context, "context", nil, "file with what the host added; receipts commit to it")
	command.Flags().Uint8Var(&f.tau, "tau", attribution.DefaultTau, fmt.Sprintf("strictness in bits, 0 to %d", attribution.MaxTau))
}

func (f *answerFlags) read(stdin io.Reader) (attribution.Answer, error) {
	if f.text == "" {
		return attribution.Answer{}, usageError{errors.New("--text is needed: a file with the answer, or - for standard input")}
	}
	if f.tau > attribution.MaxTau {
		return attribution.Answer{}, usageError{fmt.Errorf("--tau is at most %d", attribution.MaxTau)}
	}
	answer := attribution.Answer{Tau: f.tau}
	var err error
	if answer.Output, err = readText(f.text, stdin); err != nil {
		return attribution.Answer{}, err
	}
	for _, name := range f.prompt {
		message, err := readText(name, stdin)
		if err != nil {
			return attribution.Answer{}, err
		}
		answer.Prompt = append(answer.Prompt, message)
	}
	for _, name := range f.context {
		added, err := readText(name, stdin)
		if err != nil {
			return attribution.Answer{}, err
		}
		answer.Context = append(answer.Context, added)
	}
	return answer, nil
}

// maxText bounds the texts of an answer, in bytes each.
const maxText = 64 << 20

func readText(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, usageError{fmt.Errorf("read text: %w", err)}
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("read text: %w", err)
	}
	if len(text) > maxText {
		return nil, usageError{fmt.Errorf("%s is larger than %d MiB, which is no answer", name, maxText>>20)}
	}
	return text, nil
}

// colours tells whether an output is a terminal that shows colours.
func colours(out io.Writer) bool {
	return isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
