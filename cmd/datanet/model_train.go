package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/infgram"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// What lies in a folder that train has made: the artifact, its manifest, and what it was made from.
const (
	trainedTicket = "ticket"
	trainedCorpus = "corpus"
)

// training is what train is asked for.
type training struct {
	ticket        string
	snapshots     []string
	grants        []string
	purpose       string
	country       string
	out           string
	interpolation string
	maxContext    int
}

func newModelTrain() *cobra.Command {
	var t training
	command := &cobra.Command{
		Use:   "train --out FOLDER --ticket ID | --snapshot DATANET@NUMBER --purpose PURPOSE",
		Short: "Train the built-in model on what a ticket releases",
		Long: `Opens a training ticket on the snapshots, unless one is named, downloads the released records through
your gateway, which verifies them against the ledger, and trains the built-in ∞-gram model.

The folder then has the artifact model.json, the training manifest manifest.json, and in corpus/ the
records and their index, which is for you alone. When the command is interrupted, the same command
goes on. Next, register the model; your gateway hands it to the host.`,
		Example: `  datanet model train --snapshot PoetrySocietyMSP/persian-poetry@1 --purpose commercial-service --out verse
  datanet attribute generate --built verse/corpus --prompt "the rose"
  datanet model register AILabMSP/verse 1.0 --artifact verse`,
		Args: arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error { return t.run(command, c) }),
	}
	flags := command.Flags()
	flags.StringVar(&t.ticket, "ticket", "", "an open ticket of your organisation")
	flags.StringSliceVar(&t.snapshots, "snapshot", nil, "a snapshot to open a ticket on, DATANET@NUMBER")
	flags.StringSliceVar(&t.grants, "grant", nil, "a licence grant for another organisation's datanet, DATANET@ID")
	flags.StringVar(&t.purpose, "purpose", "", "what the model is for: "+purposes())
	flags.StringVar(&t.country, "country", "", "where it is used, where a licence names countries")
	flags.StringVarP(&t.out, "out", "o", "", "the folder to write")
	flags.StringVar(&t.interpolation, "interpolation", "witten-bell", "witten-bell, which quotes more, or discounted, which predicts new text better")
	flags.IntVar(&t.maxContext, "max-context", 4, "how many tokens before a token decide over it, 0 for any number")
	return command
}

func purposes() string {
	names := make([]string, len(licence.Purposes))
	for i, p := range licence.Purposes {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}

func (t *training) run(command *cobra.Command, c *client.Client) error {
	if t.out == "" {
		return usageError{errors.New("--out is needed: a folder to write")}
	}
	options, err := interpolated(t.interpolation, t.maxContext)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(t.out, 0o700); err != nil {
		return usageError{err}
	}
	opened, err := t.open(command, c)
	if err != nil {
		return err
	}
	folder := filepath.Join(t.out, trainedCorpus)
	if err := downloadTicket(command, c, opened, folder, func(string) {}); err != nil {
		return err
	}
	trained, err := train(command, c, opened, folder, options)
	if err != nil {
		return err
	}
	manifest, err := writeTrained(t.out, opened, trained, options)
	if err != nil {
		return err
	}
	if wantsJSON(command) {
		return printJSON(command.OutOrStdout(), manifest)
	}
	fmt.Fprintf(command.OutOrStdout(), "Trained on %s, %d distinct, of %s under ticket %s.\nTry it:      datanet attribute generate --built %s\nRegister it: datanet model register NAME VERSION --artifact %s\n",
		document.Count(trained.corpus.Tokens, "token"), trained.corpus.Distinct, document.Count(trained.contributions, "contribution"), opened.ID, folder, t.out)
	return nil
}

// interpolated are the options of the built-in model.
func interpolated(interpolation string, maxContext int) (options infgram.Options, err error) {
	options.MaxContext = maxContext
	switch interpolation {
	case "witten-bell":
		options.Interpolation = infgram.WittenBell
	case "discounted":
		options.Interpolation = infgram.Discounted
	default:
		return options, usageError{errors.New("--interpolation is witten-bell or discounted")}
	}
	if maxContext < 0 {
		return options, usageError{errors.New("--max-context is at least 0")}
	}
	return options, nil
}

// open finds the ticket: the one that is named, the one that an interrupted command opened, or a new one.
func (t *training) open(command *cobra.Command, c *client.Client) (opened ticket.Ticket, err error) {
	ctx := command.Context()
	remembered := filepath.Join(t.out, trainedTicket)
	id := t.ticket
	if id == "" {
		text, err := os.ReadFile(remembered)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return opened, err
		}
		id = strings.TrimSpace(string(text))
	}
	if id != "" && len(t.snapshots) == 0 {
		opened, _, err = client.Get[ticket.Ticket](ctx, c, client.Path("tickets", id), nil)
		return opened, err
	}
	if t.ticket != "" || len(t.snapshots) == 0 || t.purpose == "" {
		return opened, usageError{errors.New("name a --ticket, or one --snapshot or more and a --purpose to open one")}
	}
	request := ticket.Open{ID: id, Purpose: licence.Purpose(t.purpose), Country: t.country}
	if id == "" {
		request.ID = client.NewID()
	}
	for _, text := range t.snapshots {
		datanet, number, found := strings.Cut(text, "@")
		n, err := strconv.Atoi(number)
		if !found || err != nil {
			return opened, usageError{fmt.Errorf("--snapshot %q is not DATANET@NUMBER", text)}
		}
		request.Snapshots = append(request.Snapshots, snapshot.Named{Datanet: datanet, Number: n})
	}
	slices.SortFunc(request.Snapshots, func(a, b snapshot.Named) int { return strings.Compare(a.Datanet, b.Datanet) })
	for _, text := range t.grants {
		datanet, id, found := strings.Cut(text, "@")
		if !found {
			return opened, usageError{fmt.Errorf("--grant %q is not DATANET@ID", text)}
		}
		request.Grants = append(request.Grants, ticket.GrantName{Datanet: datanet, ID: id})
	}
	slices.SortFunc(request.Grants, func(a, b ticket.GrantName) int { return strings.Compare(a.Datanet, b.Datanet) })
	if err := request.Validate(); err != nil {
		return opened, usageError{err}
	}
	// Remembered first: the same command after a crash asks for the same ticket, and the ledger answers it as done.
	if err := os.WriteFile(remembered, []byte(request.ID+"\n"), 0o600); err != nil {
		return opened, usageError{err}
	}
	opened, written, err := client.Submit[ticket.Ticket](ctx, c, "ticket:Open", "", request)
	if err != nil {
		return opened, err
	}
	query := url.Values{"min_height": {strconv.FormatUint(written.Height(), 10)}}
	opened, _, err = client.Get[ticket.Ticket](ctx, c, client.Path("tickets", opened.ID), query)
	return opened, err
}

// trained is what training has made of released records.
type trained struct {
	corpus        model.Corpus
	contributions int
}

// train sums up the records and builds their index, which is the model.
func train(command *cobra.Command, c *client.Client, t ticket.Ticket, folder string, options infgram.Options) (trained, error) {
	ctx := command.Context()
	files := recordsFiles(folder, t)
	facts, err := digestRecords(ctx, files)
	if err != nil {
		return trained{}, err
	}
	accounts, err := accountsOf(ctx, c, t)
	if err != nil {
		return trained{}, err
	}
	contributions := 0
	source := func(yield func(index.Contribution, error) bool) {
		for one, err := range released(ctx, files, t, accounts) {
			contributions++
			if !yield(one, err) {
				return
			}
		}
	}
	if err := os.RemoveAll(filepath.Join(folder, builtIndex)); err != nil { // of an earlier training
		return trained{}, err
	}
	bar := newBuildBar(command.ErrOrStderr())
	x, err := index.Build(ctx, filepath.Join(folder, builtIndex), source, index.Options{Progress: bar.show})
	bar.finish()
	if err != nil {
		return trained{}, err
	}
	view, err := x.View()
	if err = errors.Join(err, x.Close()); err != nil {
		return trained{}, err
	}
	_, err = infgram.New(ctx, view, options)
	return trained{facts, contributions}, errors.Join(err, view.Close())
}

// recordsFiles are the files of a ticket's records, in the order in which the ticket names the snapshots.
func recordsFiles(folder string, tickets ...ticket.Ticket) (files []string) {
	for _, t := range tickets {
		for _, source := range t.Sources {
			files = append(files, recordsFile(folder, source))
		}
	}
	return files
}

// digestRecords sums up downloaded records, those of all files one after another.
func digestRecords(ctx context.Context, files []string) (model.Corpus, error) {
	digester := artifact.NewDigester()
	for _, name := range files {
		for r, err := range client.ReadRecords(name) {
			if err = cmp.Or(ctx.Err(), err); err == nil {
				err = digester.Add(r.Contribution, r.Record, r.Text)
			}
			if err != nil {
				return model.Corpus{}, fmt.Errorf("read %s: %w", name, err)
			}
		}
	}
	return digester.Corpus(), nil
}

// accountsOf are the contributors of what stands in a ticket's datanets, by id and datanet.
func accountsOf(ctx context.Context, c *client.Client, t ticket.Ticket) (map[string]map[string]ledger.Account, error) {
	accounts := map[string]map[string]ledger.Account{}
	for _, source := range t.Sources {
		for one, err := range client.Listed[contribution.Contribution](ctx, c, "contributions", url.Values{"datanet": {source.Datanet}}) {
			if err != nil {
				return nil, fmt.Errorf("look up the contributors of %s: %w", source.Datanet, err)
			}
			if accounts[one.ID] == nil {
				accounts[one.ID] = map[string]ledger.Account{}
			}
			accounts[one.ID][one.Datanet] = one.Contributor
		}
	}
	return accounts, nil
}

// released yields what was downloaded, contribution by contribution. Of one that has the same id in several datanets, the id
// is that which it has in the corpus (docs/attribution.md, section 2).
func released(ctx context.Context, files []string, t ticket.Ticket, accounts map[string]map[string]ledger.Account) index.Source {
	return func(yield func(index.Contribution, error) bool) {
		for i, name := range files {
			datanet := t.Sources[i].Datanet
			next, stop := iter.Pull2(client.ReadRecords(name))
			r, err, more := next()
			for more {
				if err = cmp.Or(ctx.Err(), err); err != nil {
					yield(index.Contribution{}, fmt.Errorf("read %s: %w", name, err))
					break
				}
				id := r.Contribution
				records := func(yield func([]byte, error) bool) {
					for more && r.Contribution == id {
						if !yield([]byte(r.Text), err) || err != nil {
							return
						}
						r, err, more = next()
					}
					if more && err != nil {
						yield(nil, err)
					}
				}
				one := index.Contribution{ID: id, Account: string(accounts[id][datanet]), Records: records}
				if len(accounts[id]) > 1 {
					one.ID = datanet + "/" + id
				}
				if !yield(one, nil) {
					stop()
					return
				}
			}
			stop()
			if err != nil {
				return
			}
		}
	}
}

// writeTrained writes the artifact and its manifest.
func writeTrained(out string, t ticket.Ticket, made trained, options infgram.Options) (*artifact.Manifest, error) {
	weights := artifact.Model{Interpolation: options.Interpolation, MaxContext: options.MaxContext, Corpus: artifact.Trained{Corpus: made.corpus, Roots: []string{}}}
	for _, s := range t.Sources {
		weights.Corpus.Roots = append(weights.Corpus.Roots, s.Root.String())
	}
	encoded, err := weights.Encode()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(out, artifact.ModelName), encoded, 0o600); err != nil {
		return nil, fmt.Errorf("write the artifact: %w", err)
	}
	m := &artifact.Manifest{Method: artifact.InfGram, Files: []artifact.File{artifact.FileOf(artifact.ModelName, encoded)}, Options: map[string]string{
		"interpolation": fmt.Sprintf("discount %d, escape %d", options.Interpolation.Discount, options.Interpolation.Escape),
		"maxContext":    strconv.Itoa(options.MaxContext)}}
	describeTraining(m, made.corpus, t)
	return m, writeManifest(out, m)
}

// describeTraining fills in what tickets and their records say.
func describeTraining(m *artifact.Manifest, corpus model.Corpus, tickets ...ticket.Ticket) {
	m.Corpus, m.Program = corpus, "datanet "+version()
	for _, t := range tickets {
		m.Purpose = t.Purpose
		m.Tickets = append(m.Tickets, t.ID)
		for _, s := range t.Sources {
			m.Snapshots = append(m.Snapshots, artifact.Snapshot{Named: s.Named, Revision: s.Revision, Root: s.Root.String()})
		}
	}
}

func writeManifest(folder string, m *artifact.Manifest) error {
	encoded, _, err := m.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, artifact.ManifestName), encoded, 0o600); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	return nil
}
