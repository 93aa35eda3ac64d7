//go:build !unix

package index

// syncFolder does nothing where folders cannot be synced.
func syncFolder(string) error { return nil }
