package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// newRoot is the command tree. Each branch has a file of its own.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "datanet",
		Short: "Pool data, train on it, and pay those it came from, with every step provable",
		Long: `datanet works with a Datanet network: a consortium that pools data, trains models on
it, and pays the contributors of the data whenever a model is used.

Exit codes: 0 success, 1 failure, 2 wrong usage or topology, 3 no network or gateway there or
not running, 4 it runs but needs attention, 5 the outcome of a write is not known (repeat the
command with the --key that it names), 6 refused: the same command will be refused again.
What audit export and audit verify have beside these, from 10 on, stands in their help.`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().Bool("json", false, "print results as JSON, for programs, and errors too")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newNetwork(), newDemo(), newAttribute(), newGateway(), newAudit())
	for _, command := range append(newResources(), newIdentity(), newChat(), newTransaction(), newEvents(), newDoctor()) {
		gatewayFlags(command)
		root.AddCommand(command)
	}
	pairsAsOne(root)
	return root
}

// pairs are arguments that commands take one after the other, and that reports print as one. No first one has the separator
// so often as the whole.
var pairs = []struct {
	first, second string
	separator     string
	times         int // that it stands in the whole
}{
	{"NAME", "VERSION", "@", 1}, {"MODEL", "VERSION", "@", 1}, {"DATANET", "NUMBER", "@", 1}, {"DATANET", "ID", "/", 2}, {"HOST", "ID", "/", 1},
}

// pairsAsOne lets every command that takes such a pair take it as one argument as well.
func pairsAsOne(command *cobra.Command) {
	for _, each := range command.Commands() {
		pairsAsOne(each)
	}
	words := strings.Fields(command.Use)[1:]
	for _, pair := range pairs {
		at := slices.Index(words, pair.first)
		if at < 0 || at+1 >= len(words) || words[at+1] != pair.second {
			continue
		}
		check, run := command.Args, command.RunE
		split := func(command *cobra.Command, args []string) []string {
			if len(args) <= at || strings.Count(args[at], pair.separator) != pair.times {
				return args
			}
			end := strings.LastIndex(args[at], pair.separator)
			if two := slices.Concat(args[:at], []string{args[at][:end], args[at][end+1:]}, args[at+1:]); check(command, two) == nil {
				return two
			}
			return args
		}
		command.Args = func(command *cobra.Command, args []string) error { return check(command, split(command, args)) }
		command.RunE = func(command *cobra.Command, args []string) error { return run(command, split(command, args)) }
		command.Long += fmt.Sprintf("\n\n%s and %s may also be given as one argument, %s%s%s, as reports print them.", pair.first, pair.second, pair.first, pair.separator, pair.second)
	}
}

// version is that of the module, or of the commit that the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return "development, commit " + setting.Value
		}
	}
	return "development"
}

// arguments turns the errors of an argument check into usage errors.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if err := check(command, args); err != nil {
			return usageError{fmt.Errorf("%w; usage: %s", err, command.UseLine())}
		}
		return nil
	}
}

// wantsJSON tells whether results are for programs.
func wantsJSON(command *cobra.Command) bool {
	wanted, err := command.Flags().GetBool("json")
	return err == nil && wanted
}

// printJSON prints a result for programs.
func printJSON(out io.Writer, result any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(result); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}
