//go:build !linux

package main

import "runtime"

// peak returns how much memory the Go runtime has taken from the system, in GB, where no more can be asked for.
func peak() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys) / 1e9
}
