package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/infgram"
	"github.com/datanet-consortium/datanet/attribution/ingest"
)

// modelFlags name the corpus of the built-in model and say how it weighs contexts.
type modelFlags struct {
	corpusFlags
	interpolation string
	maxContext    int
	leaveOut      []string
}

func (f *modelFlags) add(command *cobra.Command) {
	f.corpusFlags.add(command)
	f.addBuilt(command)
	command.Flags().StringVar(&f.interpolation, "interpolation", "witten-bell", "witten-bell, which quotes more, or discounted, which predicts new text better")
	command.Flags().IntVar(&f.maxContext, "max-context", 4, "how many tokens before a token decide over it, 0 for any number")
	command.Flags().StringArrayVar(&f.leaveOut, "leave-out", nil, "contributor to train without, as often as needed")
}

// open trains the model on the corpus, without those who are left out.
func (f *modelFlags) open(command *cobra.Command) (m *infgram.Model, closeCorpus func() error, err error) {
	options := infgram.Options{MaxContext: f.maxContext}
	switch f.interpolation {
	case "witten-bell":
		options.Interpolation = infgram.WittenBell
	case "discounted":
		options.Interpolation = infgram.Discounted
	default:
		return nil, nil, usageError{errors.New("--interpolation is witten-bell or discounted")}
	}
	if f.maxContext < 0 {
		return nil, nil, usageError{errors.New("--max-context is at least 0")}
	}
	view, closeCorpus, err := f.view(command)
	if err != nil {
		return nil, nil, err
	}
	if m, err = infgram.New(command.Context(), view, options); err != nil {
		return nil, nil, errors.Join(err, closeCorpus())
	}
	return m, closeCorpus, nil
}

func (f *modelFlags) view(command *cobra.Command) (*index.View, func() error, error) {
	ctx := command.Context()
	if f.built == "" {
		folder, err := f.corpusFlags.open()
		if err != nil {
			return nil, nil, err
		}
		for _, name := range f.leaveOut {
			i := slices.IndexFunc(folder.Contributors, func(c ingest.Contributor) bool { return c.Name == name })
			if i < 0 {
				return nil, nil, notAContributor(name)
			}
			folder.Contributors = slices.Delete(folder.Contributors, i, i+1)
		}
		bar := newReadingBar(command.ErrOrStderr(), folder)
		view, err := index.InMemory(ctx, folder.Source(ctx, bar.read), index.Options{})
		bar.finish()
		if err != nil {
			return nil, nil, err
		}
		return view, view.Close, nil
	}
	x, err := index.Open(filepath.Join(f.built, builtIndex), index.Options{})
	if err != nil {
		return nil, nil, fmt.Errorf("open what was built in %s: %w", f.built, err)
	}
	view, err := x.View()
	if err = errors.Join(err, x.Close()); err != nil {
		return nil, nil, err
	}
	if len(f.leaveOut) == 0 {
		return view, view.Close, nil
	}
	left, closeLeft, err := without(ctx, view, f.leaveOut)
	return left, closeLeft, errors.Join(err, view.Close())
}

func notAContributor(name string) error {
	return usageError{fmt.Errorf("--leave-out: the corpus has no contributor %q", name)}
}

// without makes the index of what a view holds of other accounts, in a temporary folder.
func without(ctx context.Context, view *index.View, accounts []string) (*index.View, func() error, error) {
	var order []string
	found := make(map[string]bool)
	for c := range view.Contributions() {
		id, account := view.Contribution(c)
		if slices.Contains(accounts, account) {
			found[account] = true
		} else {
			order = append(order, id)
		}
	}
	for _, name := range accounts {
		if !found[name] {
			return nil, nil, notAContributor(name)
		}
	}
	dir, err := os.MkdirTemp("", "datanet-model-")
	if err != nil {
		return nil, nil, fmt.Errorf("leave out contributors: %w", err)
	}
	x, err := index.Join(ctx, dir, order, []*index.View{view}, index.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	left, err := x.View()
	if err = errors.Join(err, x.Close()); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return left, func() error { return errors.Join(left.Close(), os.RemoveAll(dir)) }, nil
}
