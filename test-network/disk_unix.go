//go:build linux || darwin

package testnetwork

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// checkDisk fails if the disk of a folder has less than least bytes left for this user.
func checkDisk(dir string, least uint64) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return fmt.Errorf("ask how full the disk of %s is: %w", dir, err)
	}
	free := stat.Bavail * uint64(stat.Bsize)
	if free < least {
		return fmt.Errorf("the disk of %s has %d MiB left, a network needs %d: make room, or choose a state folder on another disk", dir, free>>20, least>>20)
	}
	return nil
}
