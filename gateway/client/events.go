package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// maxEvent bounds an event of a stream, in bytes.
const maxEvent = 4 << 20

// Event is a server-sent event.
type Event struct {
	ID   string // where a stream goes on after it
	Type string
	Data []byte
}

// Events follows the changes of the ledger, those that the query filters, from the event after last; "" begins with what
// comes next. A broken connection is made again where it broke, without loss or repetition, so the sequence ends with
// the context's error or with a refusal.
func (c *Client) Events(ctx context.Context, query url.Values, last string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for failures := 1; ; failures++ {
			progress, err := c.stream(ctx, query, &last, yield)
			if err == nil {
				return
			}
			if progress {
				failures = 1
			}
			wait, again := pause(err, min(failures, 7))
			if !again || ctx.Err() != nil {
				yield(Event{}, err)
				return
			}
			c.notice(fmt.Sprintf("connect again: %v", err))
			if err := sleep(ctx, wait); err != nil {
				yield(Event{}, err)
				return
			}
		}
	}
}

// stream reads one connection. It returns nil when the caller wants no more.
func (c *Client) stream(ctx context.Context, query url.Values, last *string, yield func(Event, error) bool) (progress bool, err error) {
	k := &call{method: http.MethodGet, path: Path("events"), query: query, header: http.Header{"Accept": {"text/event-stream"}}}
	if *last != "" {
		k.header.Set("Last-Event-ID", *last)
	}
	response, err := c.once(ctx, k)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	reader := newEventReader(response.Body)
	for {
		event, err := reader.next()
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			} else if !errors.Is(err, errEvent) {
				err = c.unreachable(err)
			}
			return progress, err
		}
		progress = true
		if event.ID != "" {
			*last = event.ID
		}
		if len(event.Data) > 0 && !yield(event, nil) {
			return true, nil
		}
	}
}

var errEvent = errors.New("the gateway's events cannot be read")

// eventReader reads the format text/event-stream of the HTML standard, with lines that end in \n or \r\n.
type eventReader struct {
	lines *bufio.Reader
	id    string
}

func newEventReader(r io.Reader) *eventReader { return &eventReader{lines: bufio.NewReader(r)} }

// next reads up to the blank line that ends an event. Comments alone are no event.
func (r *eventReader) next() (Event, error) {
	var (
		event Event
		data  []string
		size  int
		any   bool
	)
	for {
		line, err := r.line()
		if err != nil {
			return Event{}, err
		}
		if size += len(line); size > maxEvent {
			return Event{}, fmt.Errorf("%w: one has more than %d bytes", errEvent, maxEvent)
		}
		if line == "" {
			if !any {
				continue
			}
			event.ID = r.id
			event.Data = []byte(strings.Join(data, "\n"))
			return event, nil
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			if !strings.ContainsRune(value, 0) {
				r.id, any = value, true
			}
		case "event":
			event.Type, any = value, true
		case "data":
			data, any = append(data, value), true
		}
	}
}

func (r *eventReader) line() (string, error) {
	var line []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		if len(line)+len(part) > maxEvent {
			return "", fmt.Errorf("%w: a line has more than %d bytes", errEvent, maxEvent)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return "", io.ErrUnexpectedEOF
		default:
			return "", err
		}
	}
}
