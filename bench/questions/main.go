// Command questions measures the regulator's questions over an index of a year: the story that audits are tested on, and
// after it so many transactions of the usual kinds, all through the index's own way of taking in blocks.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/audit/question/questiontest"
	"github.com/datanet-consortium/datanet/bench/figure"
	"github.com/datanet-consortium/datanet/bench/process"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/index"
)

type settings struct {
	transactions, repetitions int
	database, json            string
}

func main() {
	process.Main(command())
}

func command() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "questions", Short: "Measure the regulator's questions over a large index", Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), s, c.OutOrStdout(), c.ErrOrStderr()) },
	}
	f := c.Flags()
	f.IntVar(&s.transactions, "transactions", 1_000_000, "transactions on the ledger")
	f.IntVar(&s.repetitions, "repetitions", 200, "how often each question is asked")
	f.StringVar(&s.database, "database", "", "URL of an empty database (default: SQLite in a temporary folder)")
	f.StringVar(&s.json, "json", "", "also write the figures to this file, as JSON rows")
	return c
}

// failure is how the story says that it cannot go on.
type failure struct{}

func (failure) Helper()                           {}
func (failure) Fatalf(format string, args ...any) { panic(fmt.Errorf(format, args...)) }

func run(ctx context.Context, s settings, out, progress io.Writer) (err error) {
	debug.SetMemoryLimit(4 << 30)
	if s.database == "" {
		folder, err := os.MkdirTemp("", "questions")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		s.database = database.SQLiteURL(filepath.Join(folder, "index.db")) + "?synchronous=normal"
	}
	db, err := database.Open(ctx, s.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	x, err := index.Open(ctx, db, "datanet")
	if err != nil {
		return err
	}
	story := questiontest.Tell(failure{})
	year := newYear(story, s.transactions)
	began := time.Now()
	if err := year.fill(ctx, x, progress); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d transactions in %d blocks, %d entries written, indexed in %.0f s (%.0f per second)\n",
		year.done, year.blocks, year.written, time.Since(began).Seconds(), float64(year.done)/time.Since(began).Seconds())
	rows, err := measure(ctx, x, year, s.repetitions, out)
	if err != nil {
		return err
	}
	return figure.Write(s.json, rows)
}

func measure(ctx context.Context, x *index.Index, y *year, repetitions int, out io.Writer) ([]figure.Row, error) {
	fmt.Fprintf(out, "\n| question | p50 | p99 | processor | answer |\n|---|---|---|---|---|\n")
	var rows []figure.Row
	for _, q := range y.questions() {
		took := make([]time.Duration, repetitions)
		size := 0
		before := process.Time()
		for i := range took {
			view, err := x.View(ctx)
			if err != nil {
				return nil, err
			}
			began := time.Now()
			answer, err := q.ask(ctx, question.New(view, "datanet"), i)
			took[i] = time.Since(began)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", q.name, err)
			}
			if i == 0 {
				data, err := json.Marshal(answer)
				if err != nil {
					return nil, err
				}
				size = len(data)
			}
		}
		used := process.Time() - before
		slices.Sort(took)
		for _, one := range []struct {
			metric string
			took   time.Duration
		}{{"p50", took[len(took)/2]}, {"p99", took[(len(took)*99+99)/100-1]}, {"processor", used / time.Duration(repetitions)}} {
			rows = append(rows, figure.Row{Case: q.name, Metric: one.metric, Value: milliseconds(one.took), Unit: "ms"})
		}
		shown := rows[len(rows)-3:]
		fmt.Fprintf(out, "| %s | %.1f ms | %.1f ms | %.1f ms | %d kB |\n", q.name, shown[0].Value, shown[1].Value, shown[2].Value, (size+999)/1000)
	}
	return rows, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
