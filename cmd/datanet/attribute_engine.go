package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/indexed"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
)

// The engines that compute receipts. All give the same bytes.
const (
	engineIndexed   = "indexed"
	engineStreaming = "streaming"
	enginePlain     = "plain"
)

// engine makes receipts over one corpus.
type engine interface {
	Receipt(ctx context.Context, answer attribution.Answer) (*receipt.Receipt, error)
	Size() (n, v uint64)
	Close() error
}

// engine returns the engine of the corpus that flags name, from what has been built of it or by reading it. folder is
// nil when only what has been built is there.
func (f *corpusFlags) engine(command *cobra.Command, kind string) (e engine, folder *corpus.Folder, err error) {
	if f.dir != "" || f.built == "" {
		if folder, err = f.open(); err != nil {
			return nil, nil, err
		}
	}
	if f.built != "" {
		e, err := openBuilt(f.built, kind)
		return e, folder, err
	}
	ctx := command.Context()
	bar := newReadingBar(command.ErrOrStderr(), folder)
	e, err = newEngine(ctx, kind, folder.Source(ctx, bar.read))
	bar.finish()
	return e, folder, err
}

// What lies in a folder that build has made.
const (
	builtIndex     = "index"
	builtTokens    = "tokens"
	builtManifests = "manifests.json"
)

func openBuilt(dir, kind string) (engine, error) {
	switch kind {
	case engineIndexed:
		x, err := index.Open(filepath.Join(dir, builtIndex), index.Options{})
		if err != nil {
			return nil, fmt.Errorf("open what was built in %s: %w", dir, err)
		}
		view, err := x.View()
		if err != nil {
			return nil, errors.Join(err, x.Close())
		}
		return openIndex{uncancelled{indexed.New(view)}, view, x}, nil
	case engineStreaming:
		file, err := os.Open(filepath.Join(dir, builtTokens))
		if err != nil {
			return nil, usageError{fmt.Errorf("open what was built: %w", err)}
		}
		e, err := openStream(file)
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return streamed{Engine: e, file: file}, nil
	default:
		return nil, usageError{fmt.Errorf("with --built, --engine is %s or %s", engineIndexed, engineStreaming)}
	}
}

// openIndex is an engine on an index in files.
type openIndex struct {
	uncancelled
	view  *index.View
	index *index.Index
}

func (o openIndex) Close() error { return errors.Join(o.view.Close(), o.index.Close()) }

// newEngine makes an engine for the corpus of a source.
func newEngine(ctx context.Context, kind string, source index.Source) (engine, error) {
	switch kind {
	case engineIndexed:
		view, err := index.InMemory(ctx, source, index.Options{})
		if err != nil {
			return nil, err
		}
		return uncancelled{indexed.New(view)}, nil
	case engineStreaming:
		return newStreaming(source)
	case enginePlain:
		whole, err := inMemory(source)
		if err != nil {
			return nil, err
		}
		e, err := plain.New(whole)
		if err != nil {
			return nil, err
		}
		return uncancelled{e}, nil
	default:
		return nil, usageError{fmt.Errorf("--engine is %s, %s or %s", engineIndexed, engineStreaming, enginePlain)}
	}
}

// uncancelled is an engine in memory that cannot be interrupted.
type uncancelled struct {
	answerer interface {
		Receipt(attribution.Answer) (*receipt.Receipt, error)
		Size() (n, v uint64)
	}
}

func (u uncancelled) Receipt(_ context.Context, answer attribution.Answer) (*receipt.Receipt, error) {
	return u.answerer.Receipt(answer)
}
func (u uncancelled) Size() (n, v uint64) { return u.answerer.Size() }
func (u uncancelled) Close() error        { return nil }

// streamed is a streaming engine and the file it reads.
type streamed struct {
	*streaming.Engine
	file *os.File
	once bool // the file was made for this engine only
}

func (s streamed) Close() error {
	err := s.file.Close()
	if s.once {
		err = errors.Join(err, os.Remove(s.file.Name()))
	}
	return err
}

// newStreaming tokenises a corpus into a temporary file.
func newStreaming(source index.Source) (engine, error) {
	file, err := os.CreateTemp("", "datanet-tokens-")
	if err != nil {
		return nil, fmt.Errorf("tokenise corpus: %w", err)
	}
	s := streamed{file: file, once: true}
	if err := tokenise(file, source); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.Engine, err = openStream(file); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func tokenise(file *os.File, source index.Source) error {
	w := streaming.NewWriter(file)
	for c, err := range written(source, w) {
		if err != nil {
			return err
		}
		for _, err := range c.Records {
			if err != nil {
				return err
			}
		}
	}
	return w.Close()
}

// written yields a source and writes what it yields to a token stream.
func written(source index.Source, w *streaming.Writer) index.Source {
	return func(yield func(index.Contribution, error) bool) {
		for c, err := range source {
			if err == nil {
				err = w.Contribution(c.ID, c.Account)
			}
			if err != nil {
				yield(c, err)
				return
			}
			records := c.Records
			c.Records = func(yield func([]byte, error) bool) {
				for record, err := range records {
					if err == nil {
						err = w.Record(record)
					}
					if !yield(record, err) || err != nil {
						return
					}
				}
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

func openStream(file *os.File) (*streaming.Engine, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read token stream: %w", err)
	}
	return streaming.Open(file, info.Size())
}

func inMemory(source index.Source) (attribution.Corpus, error) {
	var whole attribution.Corpus
	for c, err := range source {
		if err != nil {
			return nil, err
		}
		contribution := attribution.Contribution{ID: c.ID, Account: c.Account}
		for record, err := range c.Records {
			if err != nil {
				return nil, err
			}
			contribution.Records = append(contribution.Records, record)
		}
		whole = append(whole, contribution)
	}
	return whole, nil
}
