// Command attribution measures the gates of proof of attribution and prints one table of them: what is claimed of
// recall, false credit, shares, attackers and speed, beside what other methods reach in the same run.
//
// The verse is one file per poet. Ten poets are contributors; the verse of two others stands between the excerpts
// that answers are made of. The large text is any source code and documentation. Rows whose input is not there
// are left out and said to be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/datanet-consortium/datanet/bench/figure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench attribution:", err)
		os.Exit(1)
	}
}

// A bench is one run.
type bench struct {
	verse     string
	text      []string
	megabytes int
	outputs   int
	cases     uint64
	table     table
}

// An experiment fills some rows of the table.
type experiment struct {
	name string
	run  func(context.Context, *bench) error
}

var experiments = []experiment{
	{"equal", equalReceipts},
	{"planted", plantedText},
	{"filler", fillerAlone},
	{"derived", honestText},
	{"copiers", copiers},
	{"phrases", commonPhrases},
	{"speed", speed},
	{"streaming", streamingChecks},
	{"duplicates", nearDuplicates},
	{"prediction", prediction},
	{"subsets", subsetTraining},
}

// errNoInput says that an experiment was left out.
var errNoInput = errors.New("its input is not there")

func run(ctx context.Context, arguments []string) error {
	b := &bench{}
	flags := flag.NewFlagSet("attribution", flag.ContinueOnError)
	flags.StringVar(&b.verse, "verse", "", "folder with the verse of twelve poets, a .txt file each")
	text := flags.String("text", "", "folders with large text, separated by the system's list separator (default: the Go source tree and the module cache)")
	flags.IntVar(&b.megabytes, "megabytes", 200, "how much of the large text to index")
	flags.IntVar(&b.outputs, "outputs", 1000, "answers to draw for each row")
	flags.Uint64Var(&b.cases, "cases", 10_000, "random cases on which the engines must agree")
	json := flags.String("json", "", "also write the rows to this file")
	only := flags.String("only", "", "run only the experiments whose names match")
	child := flags.String("build", "", "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	var err error
	if b.text, err = textFolders(*text); err != nil {
		return err
	}
	if *child != "" {
		return buildChild(ctx, *child, b)
	}
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("read --only: %w", err)
	}
	for _, e := range experiments {
		if !chosen.MatchString(e.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", e.name)
		switch err := e.run(ctx, b); {
		case errors.Is(err, errNoInput):
			b.table.missing(e.name, err)
		case err != nil:
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	b.table.print(os.Stdout)
	if err := figure.Write(*json, b.table.figures()); err != nil {
		return err
	}
	return b.table.verdict()
}

// textFolders returns the folders of a list, or those of the Go installation.
func textFolders(list string) ([]string, error) {
	if list != "" {
		return filepath.SplitList(list), nil
	}
	out, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("ask where the Go source tree is (or give --text): %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 {
		return nil, fmt.Errorf("ask where the Go source tree is: %q is no answer; give --text", out)
	}
	return []string{filepath.Join(lines[0], "src"), lines[1]}, nil
}
