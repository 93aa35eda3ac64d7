package main

import (
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/datanet-consortium/datanet/test-network/binaries"
	"github.com/datanet-consortium/datanet/test-network/supervisor"
)

// progress shows what happens while a command takes its time: lines, and on a terminal a bar for what is counted.
type progress struct {
	out   io.Writer
	stage string
	bar   *progressbar.ProgressBar
}

func (p *progress) show(event supervisor.Event) {
	if event.Building != nil {
		p.building(*event.Building)
		return
	}
	p.finish()
	fmt.Fprintln(p.out, event.Progress)
}

func (p *progress) building(b binaries.Progress) {
	if b.Stage != p.stage {
		p.finish()
		p.stage = b.Stage
		if b.Total == 0 || !isTerminal(p.out) {
			fmt.Fprintln(p.out, b.Stage)
			return
		}
		p.bar = progressbar.NewOptions(b.Total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(b.Stage),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	if p.bar != nil {
		// A bar that cannot be drawn is no reason to stop.
		_ = p.bar.Set(b.Done)
	}
}

// finish ends the bar that is shown.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
	p.bar, p.stage = nil, ""
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
