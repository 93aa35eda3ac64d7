//go:build failpoints

package outbox

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// reached counts how often the step was reached at which this process is to die.
var reached atomic.Int64

// failpoint kills the process, as a loss of power would, where DATANET_OUTBOX_FAIL says: "after-sending" the first time
// that it comes there, "after-sending:3" the third time. Only programs built with the tag failpoints do so.
func failpoint(step Step) {
	at, count, found := strings.Cut(os.Getenv("DATANET_OUTBOX_FAIL"), ":")
	if at != string(step) {
		return
	}
	n := 1
	if found {
		n, _ = strconv.Atoi(count)
	}
	if reached.Add(1) != int64(n) {
		return
	}
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Kill()
	}
	select {} // until the signal comes
}
