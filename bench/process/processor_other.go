//go:build !unix

package process

import "time"

var started = time.Now()

// Time is the time that has passed, where no other can be asked for.
func Time() time.Duration { return time.Since(started) }
