package process

import (
	"fmt"
	"strings"
	"time"
)

// tailLines is how much of a log an ExitError quotes.
const tailLines = 20

// ExitError tells how a process ended.
type ExitError struct {
	Name string
	PID  int
	// Status is the exit status or signal in words.
	Status string
	At     time.Time
	// Asked is true if the parent stopped or killed the process itself.
	Asked bool
	// Log is the log's path, Tail its last lines.
	Log  string
	Tail []string
}

// Error is a sentence, followed by the end of the log if the process ended by itself.
func (e *ExitError) Error() string {
	if e.Asked {
		return fmt.Sprintf("%s was stopped (%s)", e.Name, e.Status)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s ended by itself (%s); the end of its log %s:", e.Name, e.Status, e.Log)
	for _, line := range e.Tail {
		text.WriteString("\n    ")
		text.WriteString(line)
	}
	return text.String()
}
