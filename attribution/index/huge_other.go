//go:build !linux

package index

// huge does nothing where the system cannot be asked.
func huge[T any](list []T) []T { return list }
