package content

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sort"
	"time"
)

// Reader reads the files' bytes one after another, from any place, as [net/http.ServeContent] wants it. Close it.
func (c *Content) Reader(ctx context.Context) io.ReadSeekCloser {
	return &reader{ctx: ctx, content: c, end: c.Received}
}

// ErrNoFile says that a content has no file of a name.
var ErrNoFile = errors.New("the content has no such file")

// FileReader reads one file.
func (c *Content) FileReader(ctx context.Context, name string) (io.ReadSeekCloser, error) {
	at := int64(0)
	for _, f := range c.dossier.Files {
		if f.Name == name {
			return &reader{ctx: ctx, content: c, base: at, at: at, end: at + f.Bytes}, nil
		}
		at += f.Bytes
	}
	return nil, ErrNoFile
}

// A reader reads from base to end, and holds open at most one part.
type reader struct {
	ctx     context.Context
	content *Content
	base    int64
	at      int64
	end     int64
	open    io.ReadCloser
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.read(p)
	if errors.Is(err, ErrDamaged) && !r.content.examined {
		r.content.store.suspect(r.content.ID)
	}
	return n, err
}

func (r *reader) read(p []byte) (int, error) {
	for {
		if r.at >= r.end {
			return 0, io.EOF
		}
		if r.open == nil {
			if err := r.openPart(); err != nil {
				return 0, err
			}
		}
		n, err := r.open.Read(p[:min(int64(len(p)), r.end-r.at)])
		r.at += int64(n)
		if err == io.EOF {
			err = r.closePart()
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

func (r *reader) openPart() error {
	parts, start := r.content.parts, int64(0)
	if size := r.content.partSize(); size > 0 {
		i := sort.Search(len(parts), func(i int) bool { return int64(i+1)*size > r.at })
		parts, start = parts[min(i, len(parts)):], int64(i)*size
	}
	if len(parts) == 0 || r.at-start >= parts[0].Size {
		return ErrDamaged
	}
	var err error
	r.open, err = r.content.store.readPart(r.ctx, r.content.key, parts[0], r.at-start)
	return err
}

// partSize is the size of all parts but the last.
func (c *Content) partSize() int64 {
	if len(c.parts) < 2 {
		return 0
	}
	return c.parts[0].Size
}

func (r *reader) closePart() error {
	if r.open == nil {
		return nil
	}
	err := r.open.Close()
	r.open = nil
	return err
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		offset += r.base
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.end
	default:
		return 0, errors.New("seek: unknown origin")
	}
	if offset < r.base {
		return 0, errors.New("seek: before the beginning")
	}
	if offset == r.at {
		return offset - r.base, nil
	}
	err := r.closePart()
	r.at = offset
	return offset - r.base, err
}

func (r *reader) Close() error { return r.closePart() }

// A folder shows the files of a content to package ingest.
type folder struct {
	content     *Content
	ctx         context.Context
	start, size map[string]int64
}

func (f *folder) Open(name string) (fs.File, error) {
	start, ok := f.start[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	size := f.size[name]
	return &file{reader: reader{ctx: f.ctx, content: f.content, base: start, at: start, end: start + size}, info: fileInfo{name, size}}, nil
}

type file struct {
	reader
	info fileInfo
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }

type fileInfo struct {
	name string
	size int64
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return 0o400 }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return nil }
