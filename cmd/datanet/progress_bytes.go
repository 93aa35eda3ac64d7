package main

import (
	"io"
	"sync"

	"github.com/schollz/progressbar/v3"
)

// byteBar shows on a terminal how many bytes have come; elsewhere it shows nothing. It is safe for concurrent use.
type byteBar struct {
	mutex sync.Mutex
	bar   *progressbar.ProgressBar
}

// newByteBar makes a bar; a size below zero is not known.
func newByteBar(out io.Writer, what string, size int64) *byteBar {
	if !isTerminal(out) || size == 0 {
		return &byteBar{}
	}
	return &byteBar{bar: progressbar.NewOptions64(size, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())}
}

func (b *byteBar) add(bytes int64) {
	if b.bar == nil {
		return
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	// A bar that cannot be drawn is no reason to stop.
	_ = b.bar.Add64(bytes)
}

func (b *byteBar) set(bytes int64) {
	if b.bar == nil {
		return
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	_ = b.bar.Set64(bytes)
}

func (b *byteBar) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}
