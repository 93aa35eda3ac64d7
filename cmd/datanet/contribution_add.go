package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// addition is what all contributions of one command have in common.
type addition struct {
	datanet    string
	descriptor client.Descriptor
	provenance contribution.Provenance
	rules      ingest.Rules
}

// describe adds the flags that describe content.
func (a *addition) describe(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&a.descriptor.Author, "author", "", "who made the content; encrypted with it")
	flags.StringVar(&a.descriptor.Source, "source", "", "where the content is from; encrypted with it")
	flags.StringVar(&a.descriptor.Notes, "notes", "", "notes; encrypted with it")
	flags.StringVar((*string)(&a.provenance.Method), "method", "", fmt.Sprintf("how the content came about: %s", joined(contribution.Methods)))
	flags.IntVar(&a.provenance.FromYear, "from-year", 0, "first year of its making")
	flags.IntVar(&a.provenance.ToYear, "to-year", 0, "last year of its making")
	flags.StringSliceVar(&a.provenance.Languages, "languages", nil, "language tags, as fa or az-Arab-IR")
	flags.BoolVar(&a.provenance.PersonalData, "personal-data", false, "the content holds personal data of living people")
	flags.BoolVar(&a.rules.Split, "split", false, "each block between blank lines of a text is a record")
	flags.StringVar(&a.rules.Field, "field", "", "JSON Lines: the field that holds the text")
	flags.StringSliceVar(&a.rules.Columns, "columns", nil, "CSV: the columns that hold the text")
	flags.BoolVar(&a.rules.SkipShort, "skip-short", false, "leave out records that are too short to hold a passage")
	for _, name := range []string{"method", "from-year", "to-year"} {
		_ = command.MarkFlagRequired(name)
	}
	_ = command.RegisterFlagCompletionFunc("method", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names := make([]cobra.Completion, len(contribution.Methods))
		for i, m := range contribution.Methods {
			names[i] = string(m)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}

func newAdd() *cobra.Command {
	var (
		a        addition
		together bool
		parallel int
		state    string
	)
	command := &cobra.Command{
		Use:   "add DIR",
		Short: "Upload a folder and register it as contributions",
		Long: `Uploads the files of a folder and of the folders in it to your gateway, which encrypts them,
and registers each file as a contribution of the datanet; with --together all of them as one.
Hidden files are left out.

A state file in the folder remembers what was done. When the command is interrupted, or some
files failed, the same command goes on where it stopped: nothing is uploaded or registered
twice.`,
		Example: "  datanet contribution add poems --datanet PoetrySocietyMSP/persian-poetry --method digitised --from-year 1200 --to-year 1390 --languages fa",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			slices.Sort(a.provenance.Languages)
			folder, err := filepath.Abs(args[0])
			if err != nil {
				return usageError{err}
			}
			units, err := scan(folder, together)
			if err != nil {
				return usageError{err}
			}
			if state == "" {
				state = filepath.Join(folder, stateName(a.datanet))
			}
			journal, err := openJournal(state, a.datanet)
			if err != nil {
				return usageError{err}
			}
			defer journal.close()
			c, err := connect(command)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := mustBeOpen(command, c); err != nil {
				return err
			}
			adder := &adder{addition: a, client: c, folder: folder, journal: journal, parallel: parallel}
			return adder.run(command, units)
		},
	}
	a.describe(command)
	command.Flags().StringVar(&a.datanet, "datanet", "", "the datanet, as PoetrySocietyMSP/persian-poetry")
	command.Flags().BoolVar(&together, "together", false, "make one contribution of all files, which must be of one kind")
	command.Flags().IntVar(&parallel, "parallel", 4, "how many files to upload at a time")
	command.Flags().StringVar(&state, "state", "", "the state file (default: in the folder)")
	_ = command.MarkFlagRequired("datanet")
	return command
}

// mustBeOpen spares the caller an upload that the ledger would not register.
func mustBeOpen(command *cobra.Command, c *client.Client) error {
	who, err := c.WhoAmI(command.Context())
	if err != nil {
		return err
	}
	_, _, err = client.Get[account.Account](command.Context(), c, client.Path("accounts", string(who.Account)), nil)
	if client.IsCode(err, string(ledger.CodeNotFound)) {
		return fmt.Errorf("your account is not open on the ledger yet: run datanet account open first (%w)", err)
	}
	return err
}

// unit is what becomes one contribution: its name in the state file, and its files.
type unit struct {
	name  string
	files []client.File
}

func (u unit) size() (bytes int64) {
	for _, f := range u.files {
		bytes += f.Bytes
	}
	return bytes
}

// scan finds the files of a folder, in the order of their names.
func scan(folder string, together bool) ([]unit, error) {
	var files []client.File
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != folder && strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		files = append(files, client.File{Name: filepath.ToSlash(name), Bytes: info.Size()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b client.File) int { return strings.Compare(a.Name, b.Name) })
	var faults []error
	for _, f := range files {
		if _, err := ingest.FormatOf(f.Name); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", f.Name, err))
		}
	}
	switch {
	case len(faults) > 0:
		return nil, errors.Join(faults...)
	case len(files) == 0:
		return nil, fmt.Errorf("there are no files in %s", folder)
	case together:
		return []unit{{name: ".", files: files}}, nil
	}
	units := make([]unit, len(files))
	for i, f := range files {
		units[i] = unit{name: f.Name, files: []client.File{{Name: f.Name, Bytes: f.Bytes}}}
	}
	return units, nil
}

// adder brings units into a datanet.
type adder struct {
	addition
	client   *client.Client
	folder   string
	journal  *journal
	parallel int
}

// summary is what a run did, for programs.
type summary struct {
	Registered int               `json:"registered"`
	Earlier    int               `json:"earlier"` // by earlier runs
	Failed     map[string]string `json:"failed"`
	State      string            `json:"state"`
}

func (a *adder) run(command *cobra.Command, units []unit) error {
	ctx := command.Context()
	result := summary{Failed: map[string]string{}, State: a.journal.path}
	var todo []unit
	var size int64
	for _, u := range units {
		done, err := a.journal.settled(a.folder, u)
		switch {
		case err != nil:
			result.Failed[u.name] = err.Error()
		case done:
			result.Earlier++
		default:
			todo = append(todo, u)
			size += u.size()
		}
	}
	bar := newByteBar(command.ErrOrStderr(), "upload", size)
	ready := make(chan item)
	var (
		mutex sync.Mutex
		work  errgroup.Group
	)
	work.SetLimit(max(1, a.parallel))
	go func() {
		for _, u := range todo {
			work.Go(func() error {
				one, err := a.prepare(ctx, u, bar)
				if err != nil {
					mutex.Lock()
					result.Failed[u.name] = err.Error()
					mutex.Unlock()
					return nil
				}
				ready <- one
				return nil
			})
		}
		_ = work.Wait() // failures are in the result
		close(ready)
	}()
	// What is prepared is registered in batches, while other files are still on their way.
	for batch := range batches(ready, registerBatch) {
		failed := a.register(ctx, batch)
		mutex.Lock()
		for _, one := range batch {
			if err := failed[one.name]; err != nil {
				result.Failed[one.name] = err.Error()
			} else {
				result.Registered++
			}
		}
		mutex.Unlock()
	}
	bar.finish()
	if err := printSummary(command, result); err != nil {
		return err
	}
	return a.verdict(ctx, result)
}

// registerBatch is how many contributions are registered in one transaction.
const registerBatch = 50

// batches groups what comes: a full batch, or what is there when nothing more waits.
func batches(in <-chan item, size int) func(yield func([]item) bool) {
	return func(yield func([]item) bool) {
		for first := range in {
			batch := []item{first}
		gather:
			for len(batch) < size {
				select {
				case next, open := <-in:
					if !open {
						break gather
					}
					batch = append(batch, next)
				default:
					break gather
				}
			}
			if !yield(batch) {
				return
			}
		}
	}
}

// item is a contribution that is ready to be registered.
type item struct {
	name   string
	record record
	submit contribution.Submit
}

// prepare uploads a unit and has the gateway read it.
func (a *adder) prepare(ctx context.Context, u unit, bar *byteBar) (item, error) {
	r, err := a.journal.begin(a.folder, u)
	if err != nil {
		return item{}, err
	}
	files := openFiles(a.folder, u.files)
	defer files.Close()
	var told int64
	upload := client.Upload{ID: r.Upload, Files: u.files, Rules: a.rules}
	if err := a.client.Upload(ctx, upload, files, func(received int64) {
		bar.add(received - told)
		told = received
	}); err != nil {
		return item{}, err
	}
	prepared, err := a.client.FinishUpload(ctx, r.Upload, client.Finish{Descriptor: a.descriptor, Datanet: a.datanet, Contribution: r.ID})
	if err != nil {
		return item{}, err
	}
	return item{name: u.name, record: r, submit: contribution.Submit{Datanet: a.datanet, ID: r.ID, Content: prepared.Content(a.provenance)}}, nil
}

// register puts a batch on the ledger: all in one transaction, or when one of them is refused each by itself. The
// result has an error for each that is not registered.
func (a *adder) register(ctx context.Context, batch []item) map[string]error {
	failed := map[string]error{}
	if len(batch) > 1 {
		request := contribution.SubmitBatch{}
		for _, one := range batch {
			request.Items = append(request.Items, one.submit)
		}
		_, written, err := client.Submit[contribution.Batch](ctx, a.client, "contribution:SubmitBatch", "add-"+batch[0].record.ID+"-"+fmt.Sprint(len(batch)), request)
		if err == nil {
			for _, one := range batch {
				if err := a.journal.done(one.name, written.Transaction); err != nil {
					failed[one.name] = err
				}
			}
			return failed
		}
		if fault := new(client.Problem); !errors.As(err, &fault) {
			for _, one := range batch {
				failed[one.name] = err
			}
			return failed
		}
	}
	for _, one := range batch {
		_, written, err := client.Submit[contribution.Contribution](ctx, a.client, "contribution:Submit", "add-"+one.record.ID, one.submit)
		if err == nil {
			err = a.journal.done(one.name, written.Transaction)
		}
		if err != nil {
			failed[one.name] = err
		}
	}
	return failed
}

func printSummary(command *cobra.Command, s summary) error {
	if wantsJSON(command) {
		return printJSON(command.OutOrStdout(), s)
	}
	out := command.OutOrStdout()
	names := make([]string, 0, len(s.Failed))
	for name := range s.Failed {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(out, "%s: %s\n", printable(name), printable(s.Failed[name]))
	}
	_, err := fmt.Fprintf(out, "%d registered, %d registered before, %d failed\n", s.Registered, s.Earlier, len(s.Failed))
	return err
}

func (a *adder) verdict(ctx context.Context, s summary) error {
	switch {
	case len(s.Failed) == 0:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: the same command goes on where it stopped (state in %s)", s.State)
	default:
		return fmt.Errorf("%d of the contributions are not registered; the same command tries them again", len(s.Failed))
	}
}
