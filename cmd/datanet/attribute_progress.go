package main

import (
	"io"

	"github.com/schollz/progressbar/v3"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
)

// readingBar shows on a terminal how many contributions of a corpus have been read.
type readingBar struct{ bar *progressbar.ProgressBar }

func newReadingBar(out io.Writer, folder *corpus.Folder) readingBar {
	if !isTerminal(out) {
		return readingBar{}
	}
	return readingBar{progressbar.NewOptions(len(folder.Contributors), progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription("read contributions"), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())}
}

func (b readingBar) read(*ingest.Manifest) {
	if b.bar != nil {
		// A bar that cannot be drawn is no reason to stop.
		_ = b.bar.Add(1)
	}
}

func (b readingBar) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}
