//go:build !windows

package paying

import (
	"errors"
	"os"
)

// syncFolder makes a renamed file stay renamed after a loss of power.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
