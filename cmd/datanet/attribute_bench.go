package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/text1"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
)

func newAttributeBench() *cobra.Command {
	var from corpusFlags
	var outputs int
	command := &cobra.Command{
		Use:   "bench --corpus DIR",
		Short: "Measure what attribution over a corpus costs on this machine",
		Long: `Builds the corpus in a temporary folder, makes receipts of outputs that quote it and
checks each of them with the streaming engine. Fails when the two engines differ.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			if outputs < 1 {
				return usageError{errors.New("--outputs is at least 1")}
			}
			folder, err := from.open()
			if err != nil {
				return err
			}
			return runBench(command, folder, outputs)
		},
	}
	from.add(command)
	command.Flags().IntVar(&outputs, "outputs", 50, "how many outputs to make receipts of")
	return command
}

// measured are the figures of a bench, times in milliseconds.
type measured struct {
	built
	BuildMBPerSecond float64 `json:"build_mb_per_s"`
	Outputs          int     `json:"outputs"`
	OutputTokens     int     `json:"output_tokens"`
	ReceiptMedian    float64 `json:"receipt_median_ms"`
	ReceiptP95       float64 `json:"receipt_p95_ms"`
	CheckMedian      float64 `json:"streaming_check_median_ms"`
	CheckP95         float64 `json:"streaming_check_p95_ms"`
	CheckAll         float64 `json:"streaming_check_of_all_at_once_ms"`
}

func runBench(command *cobra.Command, folder *corpus.Folder, outputs int) (err error) {
	ctx := command.Context()
	dir, err := os.MkdirTemp("", "datanet-bench-")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var m measured
	if m.built, err = buildCorpus(ctx, folder, dir, command.ErrOrStderr()); err != nil {
		return err
	}
	m.BuildMBPerSecond = float64(m.Bytes) / 1e6 / m.Seconds
	answers, err := quotations(ctx, folder, outputs)
	if err != nil {
		return err
	}
	m.Outputs = len(answers)
	for _, a := range answers {
		m.OutputTokens += len(text1.Tokens(a.Output))
	}
	if err := m.engines(ctx, dir, answers); err != nil {
		return err
	}
	if wantsJSON(command) {
		return printJSON(command.OutOrStdout(), m)
	}
	w := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "corpus\t%s, %s, %s, %d distinct\n", megabytes(m.Bytes), document.Count(m.Records, "record"), document.Count(m.Tokens, "token"), m.Distinct)
	fmt.Fprintf(w, "build\t%.1f s, %.1f MB/s; index %s, token stream %s\n", m.Seconds, m.BuildMBPerSecond, megabytes(m.IndexBytes), megabytes(m.StreamBytes))
	fmt.Fprintf(w, "receipts\t%s of %s on average\n", document.Count(m.Outputs, "output"), document.Count(m.OutputTokens/m.Outputs, "token"))
	fmt.Fprintf(w, "  indexed\tmedian %.3f ms, p95 %.3f ms\n", m.ReceiptMedian, m.ReceiptP95)
	fmt.Fprintf(w, "  streaming check\tmedian %.1f ms, p95 %.1f ms; all %d at once %.1f ms\n", m.CheckMedian, m.CheckP95, m.Outputs, m.CheckAll)
	fmt.Fprintf(w, "  equal\tall %d\n", m.Outputs)
	return w.Flush()
}

func (m *measured) engines(ctx context.Context, dir string, answers []attribution.Answer) error {
	host, err := openBuilt(dir, engineIndexed)
	if err != nil {
		return err
	}
	defer host.Close()
	checker, err := openBuilt(dir, engineStreaming)
	if err != nil {
		return err
	}
	defer checker.Close()
	var receipts []*receipt.Receipt
	var made, checked []time.Duration
	for _, a := range answers {
		begun := time.Now()
		r, err := host.Receipt(ctx, a)
		if err != nil {
			return err
		}
		made = append(made, time.Since(begun))
		receipts = append(receipts, r)
	}
	for i, a := range answers {
		begun := time.Now()
		r, err := checker.Receipt(ctx, a)
		if err != nil {
			return err
		}
		checked = append(checked, time.Since(begun))
		if err := receipt.Compare(receipts[i], r); err != nil {
			return fmt.Errorf("the engines differ about output %d: %w", i, err)
		}
	}
	begun := time.Now()
	if _, err := checker.(streamed).Receipts(ctx, answers...); err != nil {
		return err
	}
	m.CheckAll = milliseconds(time.Since(begun))
	m.ReceiptMedian, m.ReceiptP95 = milliseconds(quantile(made, 50)), milliseconds(quantile(made, 95))
	m.CheckMedian, m.CheckP95 = milliseconds(quantile(checked, 50)), milliseconds(quantile(checked, 95))
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile returns the time that so many percent of times do not exceed.
func quantile(times []time.Duration, percent int) time.Duration {
	slices.Sort(times)
	return times[min(len(times)-1, len(times)*percent/100)]
}

// quotations returns outputs of three excerpts of 8 to 40 tokens each from records drawn from the whole corpus.
func quotations(ctx context.Context, folder *corpus.Folder, count int) ([]attribution.Answer, error) {
	r := rand.New(rand.NewPCG(1, 1))
	drawn := make([][]byte, 0, 3*count)
	seen := 0
	for _, c := range folder.Contributors {
		_, err := folder.Contribution(ctx, c, func(record []byte) error {
			place := seen
			if seen++; seen > cap(drawn) {
				place = r.IntN(seen)
			}
			switch {
			case place < len(drawn):
				drawn[place] = excerpt(record, r)
			case place < cap(drawn):
				drawn = append(drawn, excerpt(record, r))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	answers := make([]attribution.Answer, count)
	for i := range answers {
		answers[i].Tau = attribution.DefaultTau
		for range 3 {
			answers[i].Output = append(append(answers[i].Output, drawn[r.IntN(len(drawn))]...), " … "...)
		}
	}
	return answers, nil
}

// excerpt returns some of the tokens of a record as they stand there.
func excerpt(record []byte, r *rand.Rand) []byte {
	const window = 64 << 10
	if len(record) > window {
		start := r.IntN(len(record) - window)
		record = record[start : start+window]
	}
	tokens := text1.Tokens(record)
	length := min(len(tokens), 8+r.IntN(33))
	if length == 0 {
		return nil
	}
	first := r.IntN(len(tokens) - length + 1)
	return slices.Clone(record[tokens[first].Start:tokens[first+length-1].End])
}
