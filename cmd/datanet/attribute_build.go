package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
)

func newAttributeBuild() *cobra.Command {
	var from corpusFlags
	var out string
	command := &cobra.Command{
		Use:   "build --corpus DIR --out DIR",
		Short: "Make the index and the token stream of a corpus, for trace and verify",
		Long: `Reads the corpus once and writes into a folder its index, which trace uses, its token
stream, which verify uses, and the manifests, which say what a record is. The folder holds
all texts of the corpus. What stood in it is replaced.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			if out == "" {
				return usageError{errors.New("--out is needed: a folder to build in")}
			}
			folder, err := from.open()
			if err != nil {
				return err
			}
			result, err := buildCorpus(command.Context(), folder, out, command.ErrOrStderr())
			if err != nil {
				return err
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), result)
			}
			fmt.Fprintf(command.OutOrStdout(), "Built %s of %s by %s in %.1f s into %s: index %s, token stream %s.\n",
				document.Count(result.Tokens, "token"), document.Count(result.Records, "record"), document.Count(result.Contributions, "contributor"), result.Seconds, out, megabytes(result.IndexBytes), megabytes(result.StreamBytes))
			return nil
		},
	}
	from.add(command)
	command.Flags().StringVar(&out, "out", "", "folder to build in")
	return command
}

// built is what a build has made.
type built struct {
	Contributions int     `json:"contributions"`
	Records       int     `json:"records"`
	Bytes         int64   `json:"bytes"`
	Tokens        uint64  `json:"tokens"`
	Distinct      uint64  `json:"distinct_tokens"`
	IndexBytes    int64   `json:"index_bytes"`
	StreamBytes   int64   `json:"stream_bytes"`
	Seconds       float64 `json:"seconds"`
}

// manifestOf is a contribution and what its records are.
type manifestOf struct {
	Contribution string           `json:"contribution"`
	Manifest     *ingest.Manifest `json:"manifest"`
}

func buildCorpus(ctx context.Context, folder *corpus.Folder, out string, progress io.Writer) (built, error) {
	begun := time.Now()
	if err := os.MkdirAll(out, 0o700); err != nil {
		return built{}, fmt.Errorf("build: %w", err)
	}
	tokens, err := os.CreateTemp(out, builtTokens+"-")
	if err != nil {
		return built{}, fmt.Errorf("build: %w", err)
	}
	defer os.Remove(tokens.Name()) // not there any more when the build succeeds
	defer tokens.Close()

	result := built{Contributions: len(folder.Contributors)}
	var manifests []manifestOf
	source := folder.Source(ctx, func(m *ingest.Manifest) {
		result.Records += m.Records
		result.Bytes += m.Bytes
		manifests = append(manifests, manifestOf{folder.Contributors[len(manifests)].Name, m})
	})
	w := streaming.NewWriter(tokens)
	bar := newBuildBar(progress)
	x, err := index.Build(ctx, filepath.Join(out, builtIndex), written(source, w), index.Options{Progress: bar.show})
	bar.finish()
	if err != nil {
		return built{}, err
	}
	result.IndexBytes = x.Bytes()
	if err := x.Close(); err != nil {
		return built{}, err
	}
	if err := w.Close(); err != nil {
		return built{}, err
	}
	e, err := openStream(tokens)
	if err != nil {
		return built{}, err
	}
	result.Tokens, result.Distinct = e.Size()
	result.Distinct--
	if result.StreamBytes, err = tokens.Seek(0, io.SeekEnd); err != nil {
		return built{}, fmt.Errorf("build: %w", err)
	}
	if err := keep(tokens, filepath.Join(out, builtTokens)); err != nil {
		return built{}, err
	}
	if err := writeManifests(filepath.Join(out, builtManifests), manifests); err != nil {
		return built{}, err
	}
	result.Seconds = time.Since(begun).Seconds()
	return result, nil
}

// keep makes a temporary file durable under its name.
func keep(file *os.File, name string) error {
	if err := file.Sync(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := os.Rename(file.Name(), name); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	return nil
}

func writeManifests(name string, manifests []manifestOf) error {
	encoded, err := json.MarshalIndent(manifests, "", "  ")
	if err != nil {
		return fmt.Errorf("write manifests: %w", err)
	}
	if err := os.WriteFile(name, append(encoded, '\n'), 0o600); err != nil {
		return fmt.Errorf("write manifests: %w", err)
	}
	return nil
}

// buildBar shows on a terminal how much of a corpus has been read, and what is done then.
type buildBar struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

func newBuildBar(out io.Writer) *buildBar {
	b := &buildBar{out: out}
	if isTerminal(out) {
		b.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(out), progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
	}
	return b
}

func (b *buildBar) show(p index.Progress) {
	if b.bar != nil {
		b.bar.Describe(string(p.Phase))
		// A bar that cannot be drawn is no reason to stop.
		_ = b.bar.Set64(p.Bytes)
	}
}

func (b *buildBar) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
