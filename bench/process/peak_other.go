//go:build !linux

package process

import "runtime"

// ForgetPeak would begin Peak anew, which it cannot here.
func ForgetPeak() error { return nil }

// Peak returns how much memory the Go runtime has taken from the system, in GB, where no more can be asked for.
func Peak() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys) / 1e9
}
