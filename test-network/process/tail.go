package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	// tailBytes bounds what Tail reads, whatever the number of lines.
	tailBytes = 1 << 20
	// lineBytes is the length at which Tail cuts a line.
	lineBytes = 2000
)

// Tail returns the last lines of a file, at most n of them, long ones cut. It reads at most the last mebibyte.
func Tail(path string, n int) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("measure %s: %w", path, err)
	}
	start := max(0, size-tailBytes)
	content := make([]byte, size-start)
	read, err := file.ReadAt(content, start)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return lastLines(content[:read], n), nil
}

func lastLines(content []byte, n int) []string {
	content = bytes.TrimRight(content, "\n")
	if len(content) == 0 || n <= 0 {
		return nil
	}
	lines := bytes.Split(content, []byte("\n"))
	lines = lines[max(0, len(lines)-n):]
	tail := make([]string, len(lines))
	for i, line := range lines {
		if len(line) > lineBytes {
			line = append(line[:lineBytes:lineBytes], "…"...)
		}
		tail[i] = strings.ToValidUTF8(string(line), "\uFFFD")
	}
	return tail
}
