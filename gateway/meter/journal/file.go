package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// File is a medium in one file, readable by its owner alone.
type File struct {
	path string
	lock *flock.Flock

	mu   sync.RWMutex // guards which file it is
	file *os.File
}

// OpenFile opens or creates the file at a path. While it is open, no other process can open it; path.lock beside it
// says so, and path.new is a Replace that did not finish.
func OpenFile(path string) (_ *File, err error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	taken, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !taken {
		return nil, fmt.Errorf("%s is in use by another process: end it first", path)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Unlock())
		}
	}()
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &File{path: path, lock: lock, file: file}, nil
}

func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.file.ReadAt(p, offset)
}

func (f *File) Size() (int64, error) {
	info, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *File) Append(p []byte) error {
	_, err := f.file.Write(p)
	return err
}

func (f *File) Sync() error { return f.file.Sync() }

func (f *File) Truncate(size int64) error {
	if err := f.file.Truncate(size); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *File) Replace(write func(io.Writer) error) (err error) {
	next, err := os.OpenFile(f.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, next.Close())
		}
	}()
	buffered := bufio.NewWriterSize(next, 1<<20)
	if err := write(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := next.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(f.path)); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.file
	f.file = next
	return old.Close()
}

func (f *File) Close() error { return errors.Join(f.file.Close(), f.lock.Unlock()) }
