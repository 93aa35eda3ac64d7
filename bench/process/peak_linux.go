package process

import (
	"fmt"
	"os"
	"strings"
)

// ForgetPeak begins Peak anew with what the process has now.
func ForgetPeak() error {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return fmt.Errorf("begin to measure memory anew: %w", err)
	}
	return nil
}

// Peak returns the most memory that this process had, in GB. (What getrusage says includes the process that
// started it.)
func Peak() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes float64
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kilobytes); err == nil {
			return kilobytes * 1024 / 1e9
		}
	}
	return 0
}
