package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// chunk is how many bytes one request of an upload carries. What a broken connection loses is at most one.
const chunk = 8 << 20

// File is a file of an upload.
type File struct {
	Name  string `json:"name"` // its ending says what its records are
	Bytes int64  `json:"bytes"`
}

// Upload is content on its way into the store of the caller's gateway, under a name that the caller draws.
type Upload struct {
	ID    string       `json:"id"` // 32 hexadecimal digits
	Files []File       `json:"files"`
	Rules ingest.Rules `json:"rules"`
}

// Uploaded says how far an upload has come.
type Uploaded struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Size     int64  `json:"size"`
	Received int64  `json:"received"`
}

// Descriptor describes the content; it is encrypted with it and the ledger holds only a commitment to it.
type Descriptor struct {
	Author string `json:"author,omitzero"`
	Source string `json:"source,omitzero"`
	Notes  string `json:"notes,omitzero"`
}

// About is what is told of a content.
type About struct {
	Commitment string     `json:"commitment"`
	Files      []File     `json:"files"`
	Descriptor Descriptor `json:"descriptor"`
	Records    int        `json:"records"`
	Tokens     int64      `json:"tokens"`
}

// Prepared is what the gateway found in the files, for the ledger.
type Prepared struct {
	MediaType   string                   `json:"mediaType"`
	Commitment  string                   `json:"commitment"`
	Descriptor  string                   `json:"descriptor"`
	Records     int64                    `json:"records"`
	Tokens      int64                    `json:"tokens"`
	Fingerprint contribution.Fingerprint `json:"fingerprint"`
}

// Content is what the ledger registers of it.
func (p Prepared) Content(provenance contribution.Provenance) contribution.Content {
	return contribution.Content{MediaType: p.MediaType, Commitment: p.Commitment, Descriptor: p.Descriptor,
		Records: p.Records, Tokens: p.Tokens, Provenance: provenance, Fingerprint: p.Fingerprint}
}

// Upload brings content into the gateway's store. content holds the files' bytes, one after another, as many as the
// files say together. Called again with the same upload, after a crash too, it goes on where the gateway is. done is
// told how many bytes are there; it may be nil.
func (c *Client) Upload(ctx context.Context, u Upload, content io.ReaderAt, done func(received int64)) error {
	if done == nil {
		done = func(int64) {}
	}
	body := struct {
		Files []File       `json:"files"`
		Rules ingest.Rules `json:"rules"`
	}{u.Files, u.Rules}
	state, err := Do[Uploaded](ctx, c, http.MethodPut, uploadPath(u.ID), body)
	if err != nil {
		return fmt.Errorf("begin upload %s: %w", u.ID, err)
	}
	var size int64
	for _, f := range u.Files {
		size += f.Bytes
	}
	buffer := make([]byte, min(chunk, size))
	for failures := 0; ; {
		done(state.Received)
		if state.Received >= size {
			return nil
		}
		next, err := c.append(ctx, u.ID, state.Received, size, content, buffer)
		if err == nil {
			if next.Received <= state.Received {
				return fmt.Errorf("upload %s: the gateway takes no more after %d of %d bytes", u.ID, next.Received, size)
			}
			state, failures = next, 0
			continue
		}
		// The gateway says how much it has, whatever became of the request.
		if failures++; failures == attempts || ctx.Err() != nil {
			return fmt.Errorf("upload %s: %w", u.ID, err)
		}
		wait, again := pause(err, failures)
		if !again && !IsCode(err, "offset") {
			return fmt.Errorf("upload %s: %w", u.ID, err)
		}
		c.notice(fmt.Sprintf("go on with upload %s: %v", u.ID, err))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		if state, err = c.UploadStatus(ctx, u.ID); err != nil {
			return fmt.Errorf("upload %s: %w", u.ID, err)
		}
	}
}

func (c *Client) append(ctx context.Context, id string, offset, size int64, content io.ReaderAt, buffer []byte) (Uploaded, error) {
	var state Uploaded
	part := buffer[:min(int64(len(buffer)), size-offset)]
	if n, err := content.ReadAt(part, offset); n < len(part) {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("the files have become shorter")
		}
		return state, fmt.Errorf("read the content at byte %d: %w", offset, err)
	}
	k := &call{method: http.MethodPatch, path: uploadPath(id), query: url.Values{"offset": {strconv.FormatInt(offset, 10)}},
		header: http.Header{"Content-Type": {"application/octet-stream"}}, body: part}
	data, _, err := c.whole(ctx, k)
	if err != nil {
		return state, err
	}
	return state, ledger.DecodeAnswer(data, &state)
}

// UploadStatus says how far an upload has come.
func (c *Client) UploadStatus(ctx context.Context, id string) (Uploaded, error) {
	state, _, err := Get[Uploaded](ctx, c, uploadPath(id), nil)
	return state, err
}

// Finish describes an upload that is all there, and says as which contribution it will be registered.
type Finish struct {
	Descriptor   Descriptor `json:"descriptor"`
	Datanet      string     `json:"datanet"`
	Contribution string     `json:"contribution"`
}

// FinishUpload has the gateway read the records of an upload that is all there. The same call again is answered as done.
func (c *Client) FinishUpload(ctx context.Context, id string, finish Finish) (Prepared, error) {
	p, err := repeatable[Prepared](ctx, c, uploadPath(id, "finish"), finish)
	if err != nil {
		return p, fmt.Errorf("finish upload %s: %w", id, err)
	}
	return p, nil
}

// DiscardUpload forgets an upload that no contribution on the ledger has.
func (c *Client) DiscardUpload(ctx context.Context, id string) error {
	_, err := Do[ledger.Nothing](ctx, c, http.MethodDelete, uploadPath(id), nil)
	return err
}

// Opened is a file that can be read anywhere.
type Opened interface {
	io.ReaderAt
	io.Closer
}

// Join makes one content of files, given by their sizes and what opens them. A file is opened when it is read and only
// one is open at a time, so that a folder of ten thousand needs no more.
func Join(files []File, open func(i int) (Opened, error)) *Joined {
	j := &Joined{open: open, current: -1}
	for _, f := range files {
		j.ends = append(j.ends, j.size+f.Bytes)
		j.size += f.Bytes
	}
	return j
}

// Joined is an [io.ReaderAt] over several files. It is not safe for concurrent use.
type Joined struct {
	open    func(i int) (Opened, error)
	ends    []int64
	size    int64
	current int // the file that is open, -1 for none
	file    Opened
}

// ReadAt reads from the files one after another.
func (j *Joined) ReadAt(p []byte, offset int64) (n int, err error) {
	for n < len(p) {
		i, start := j.find(offset + int64(n))
		if i == len(j.ends) {
			return n, io.EOF
		}
		if err := j.use(i); err != nil {
			return n, err
		}
		at := offset + int64(n) - start
		want := p[n:min(len(p), n+int(j.ends[i]-start-at))]
		got, err := j.file.ReadAt(want, at)
		n += got
		if got < len(want) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
	}
	return n, nil
}

func (j *Joined) find(offset int64) (i int, start int64) {
	for i, end := range j.ends {
		if offset < end {
			return i, start
		}
		start = end
	}
	return len(j.ends), start
}

func (j *Joined) use(i int) error {
	if j.current == i {
		return nil
	}
	if err := j.Close(); err != nil {
		return err
	}
	file, err := j.open(i)
	if err != nil {
		return err
	}
	j.file, j.current = file, i
	return nil
}

// Close closes the file that is open.
func (j *Joined) Close() error {
	if j.current < 0 {
		return nil
	}
	j.current = -1
	return j.file.Close()
}
