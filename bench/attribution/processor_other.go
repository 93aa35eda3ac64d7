//go:build !unix

package main

import "time"

var started = time.Now()

// processorTime is the time that has passed, where no other can be asked for.
func processorTime() time.Duration { return time.Since(started) }
