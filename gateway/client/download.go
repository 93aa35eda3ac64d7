package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Download fetches a resource into a file. What is there already in path + ".part" is not fetched again, and a broken
// connection is made again where it broke. The file appears under its own name only when it is complete, readable for
// its owner alone. done is told how many of how many bytes are there, -1 when the whole is not known; it may be nil.
func (c *Client) Download(ctx context.Context, resource string, query url.Values, path string, done func(received, size int64)) error {
	if done == nil {
		done = func(int64, int64) {}
	}
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("download %s: %w", path, err)
	}
	err = c.fill(ctx, resource, query, file, done)
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		if now, e := file.Stat(); e == nil && now.Size() == 0 {
			err = errors.Join(err, file.Close(), os.Remove(part), forget(part))
		} else {
			err = errors.Join(err, file.Close())
		}
		return fmt.Errorf("download %s: %w", path, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("download %s: %w", path, err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("download %s: %w", path, err)
	}
	return forget(part)
}

// tagFile keeps the ETag of what a part is of: only a part of the same content can be completed.
func tagFile(part string) string { return part + ".etag" }

func forget(part string) error {
	if err := os.Remove(tagFile(part)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (c *Client) fill(ctx context.Context, resource string, query url.Values, file *os.File, done func(received, size int64)) error {
	tag, err := os.ReadFile(tagFile(file.Name()))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for failures := 1; ; failures++ {
		have, err := file.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if len(tag) == 0 && have > 0 {
			if err := file.Truncate(0); err != nil {
				return err
			}
			have = 0
		}
		complete, etag, err := c.fetch(ctx, resource, query, file, have, string(tag), done)
		if complete {
			return nil
		}
		if etag != "" && etag != string(tag) {
			tag = []byte(etag)
			if e := os.WriteFile(tagFile(file.Name()), tag, 0o600); e != nil {
				return errors.Join(err, e)
			}
		}
		now, e := file.Seek(0, io.SeekEnd)
		if e != nil {
			return errors.Join(err, e)
		}
		if now > have {
			failures = 1
		}
		wait, again := pause(err, min(failures, 10))
		if errors.Is(err, errBegin) {
			again = true
		}
		if !again || failures == attempts || ctx.Err() != nil {
			return err
		}
		c.notice(fmt.Sprintf("go on with the download: %v", err))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// fetch appends to the file what comes after the bytes that it has. A server that has other content now, or knows no
// ranges, sends the whole, which takes their place.
func (c *Client) fetch(ctx context.Context, resource string, query url.Values, file *os.File, have int64, tag string, done func(received, size int64)) (complete bool, etag string, err error) {
	k := &call{method: http.MethodGet, path: resource, query: query, header: http.Header{}}
	if have > 0 {
		k.header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		k.header.Set("If-Range", tag)
	}
	response, err := c.once(ctx, k)
	if err != nil {
		var problem *Problem
		if have > 0 && errors.As(err, &problem) && problem.Status == http.StatusRequestedRangeNotSatisfiable {
			return false, "", errors.Join(errBegin, restart(file))
		}
		return false, "", err
	}
	defer response.Body.Close()
	etag = response.Header.Get("ETag")
	if strings.HasPrefix(etag, "W/") {
		etag = "" // ranges of what only means the same cannot be joined
	}
	size := int64(-1)
	if response.StatusCode == http.StatusPartialContent {
		from, whole, ok := contentRange(response.Header.Get("Content-Range"))
		if !ok || from != have {
			return false, etag, errors.Join(errBegin, restart(file))
		}
		size = whole
	} else {
		if err := restart(file); err != nil {
			return false, etag, err
		}
		have, size = 0, response.ContentLength
	}
	if etag != "" && etag != tag {
		if err := os.WriteFile(tagFile(file.Name()), []byte(etag), 0o600); err != nil {
			return false, etag, err
		}
	}
	done(have, size)
	received, err := io.Copy(&counting{file: file, count: have, size: size, done: done}, response.Body)
	switch {
	case err != nil && ctx.Err() != nil:
		return false, etag, ctx.Err()
	case err != nil:
		return false, etag, c.unreachable(err)
	case size >= 0 && have+received != size:
		return false, etag, c.unreachable(io.ErrUnexpectedEOF)
	}
	return true, etag, nil
}

// errBegin: what is there of the file cannot be completed, so it begins again.
var errBegin = errors.New("the gateway's content is not the one of which a part is here")

func restart(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// ReadRange reads a few bytes of a resource from an offset on, fewer at its end. size is that of the whole, -1 when it is
// not known.
func (c *Client) ReadRange(ctx context.Context, resource string, from, count int64) (data []byte, size int64, err error) {
	k := &call{method: http.MethodGet, path: resource, header: http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", from, from+count-1)}}}
	response, err := c.send(ctx, k)
	if err != nil {
		return nil, -1, err
	}
	defer response.Body.Close()
	size = response.ContentLength
	if response.StatusCode == http.StatusPartialContent {
		_, whole, found := strings.Cut(response.Header.Get("Content-Range"), "/")
		if size, err = strconv.ParseInt(whole, 10, 64); err != nil || !found {
			size = -1
		}
	} else if _, err := io.CopyN(io.Discard, response.Body, from); err != nil {
		return nil, size, c.unreachable(err)
	}
	if data, err = io.ReadAll(io.LimitReader(response.Body, count)); err != nil {
		return nil, size, c.unreachable(err)
	}
	return data, size, nil
}

// contentRange reads "bytes 5-9/10".
func contentRange(text string) (from, size int64, ok bool) {
	rest, ok := strings.CutPrefix(text, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, whole, ok := strings.Cut(rest, "/")
	first, last, dash := strings.Cut(span, "-")
	if !ok || !dash {
		return 0, 0, false
	}
	from, err := strconv.ParseInt(first, 10, 64)
	end, e := strconv.ParseInt(last, 10, 64)
	size, f := strconv.ParseInt(whole, 10, 64)
	if errors.Join(err, e, f) != nil || from < 0 || end < from || size != end+1 {
		return 0, 0, false
	}
	return from, size, true
}

// counting tells of progress, ten times a second.
type counting struct {
	file        *os.File
	count, size int64
	done        func(received, size int64)
	told        time.Time
}

func (w *counting) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.count += int64(n)
	if now := time.Now(); now.Sub(w.told) > 100*time.Millisecond || w.count == w.size {
		w.told = now
		w.done(w.count, w.size)
	}
	return n, err
}
