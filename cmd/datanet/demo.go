package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/demo"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/narration"
	"github.com/datanet-consortium/datanet/examples"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// sampleSubject is what the shipped corpus is about.
const sampleSubject = "persian-poetry"

func newDemo() *cobra.Command {
	var p plan
	var folder string
	var seed uint64
	command := &cobra.Command{
		Use:   "demo",
		Short: "Tell the whole story once on a real network: contribute, validate, train, answer, pay",
		Long: `Starts the network unless it runs, and does the main job on it from end to end:
people enrol at their organisations' gateways, contributors upload poems, other
organisations validate them, a developer trains a small model, a consumer pays for its
answers, and exactly the poets whose lines stand in the answers are paid. What must not
be possible is tried too. Each telling makes a datanet of its own; accounts stay. The
network and its gateways stay up.

Exit code 0 means that every check held.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			return runDemo(command, p, folder, seed)
		},
	}
	command.Flags().String("dir", ".datanet", "state folder of the network")
	command.Flags().StringVar(&folder, "corpus", "", "folder with a file or sub-folder for each contributor (default: poems of twelve Persian poets)")
	command.Flags().Uint64Var(&seed, "seed", 1, "what the model answers depends on it")
	p.flags(command)
	return command
}

func runDemo(command *cobra.Command, p plan, folder string, seed uint64) error {
	begun := time.Now()
	if wantsJSON(command) {
		return usageError{errors.New("demo prints for people and has no --json")}
	}
	var texts fs.FS = examples.PersianPoetry()
	subject := sampleSubject
	if folder != "" {
		texts, subject = os.DirFS(folder), subjectOf(folder)
	}
	contributors, err := corpus.Read(texts)
	if err != nil {
		return usageError{err}
	}
	if _, err := up(command, p); err != nil {
		return err
	}
	dir, err := stateDir(command)
	if err != nil {
		return err
	}
	state, err := testnetwork.Open(dir)
	if err != nil {
		return err
	}
	out := command.OutOrStdout()
	terminal := isTerminal(out)
	narrator := narration.New(out, terminal, terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
	err = demo.Tell(command.Context(), demo.Options{Network: state, Folder: filepath.Join(dir, "demo"), Subject: subject,
		Corpus: contributors, Seed: seed, Out: narrator,
		Profile: func(folder, gateway string, account ledger.Account) error {
			return profile{Gateway: gateway, Account: string(account)}.save(folder)
		}})
	if err != nil {
		return fmt.Errorf("%w\nThe network is still up: \"datanet network status --dir %s\" shows it", err, dir)
	}
	fmt.Fprintf(out, "\nEvery check held, after %.1f s.\n", time.Since(begun).Seconds())
	return goOn(out, state, dir)
}

// goOn tells where to look further.
func goOn(out io.Writer, state *testnetwork.State, dir string) error {
	fmt.Fprintln(out, "\nThe network is still up. The gateways describe what they can do on pages of their own:")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	topology := state.Topology()
	for _, msp := range append(topology.MemberMSPIDs(), topology.Regulator.MSPID) {
		url, err := state.GatewayURL(msp)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "  %s\t%s/docs/\n", msp, url)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	regulator, err := state.GatewayURL(topology.Regulator.MSPID)
	if err != nil {
		return err
	}
	org, material, err := state.Organization(topology.Regulator.MSPID)
	if err != nil {
		return err
	}
	inspector := material.UserMSPDir(org.Users[0].Name)
	dir = nearby(dir)
	people := filepath.Join(dir, "demo", "people")
	fmt.Fprintf(out, `
Go on as one of the story's people: with the command line, which signs with their keys,
  datanet datanet list --identity %[1]s
  datanet account balance --identity %[1]s
or by curl, with the API key of one for whom the gateway signs:
  . %[2]s
  curl --cacert "$CA" -H "Authorization: Bearer $API_KEY" "$GATEWAY/v1/datanets"
or as the regulator's inspector, who asks what docs/audit.md lists:
  datanet audit period --identity %[4]s --gateway %[5]s

  datanet network status --dir %[3]s    shows the network, whose state lies in this folder
  datanet network down --dir %[3]s      ends it; with --clean it removes the folder
`, filepath.Join(people, "consumer"), filepath.Join(people, "curator", "env"), dir, nearby(inspector), regulator)
	return nil
}

// nearby is a folder as seen from the working folder, where that is in it.
func nearby(folder string) string {
	here, err := os.Getwd()
	if err != nil {
		return folder
	}
	if below, err := filepath.Rel(here, folder); err == nil && filepath.IsLocal(below) {
		return below
	}
	return folder
}

var notInSubjects = regexp.MustCompile(`[^a-z0-9]+`)

// subjectOf names a datanet after a folder.
func subjectOf(folder string) string {
	name := strings.Trim(notInSubjects.ReplaceAllString(strings.ToLower(filepath.Base(filepath.Clean(folder))), "-"), "-")
	if name == "" {
		return "texts"
	}
	return strings.Trim(name[:min(len(name), 40)], "-")
}
