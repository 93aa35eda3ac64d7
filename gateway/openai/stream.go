package openai

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
)

// maxEvent is the largest event of a stream that is read, in bytes. The last one holds the receipt.
const maxEvent = MaxAnswer

// StreamType is the media type of a stream.
const StreamType = "text/event-stream"

const done = "[DONE]"

// Writer writes an answer as a stream of chunks. What it writes is flushed after each.
type Writer struct {
	head  Head
	w     io.Writer
	flush func() error
	begun bool
}

// NewWriter writes nothing yet.
func NewWriter(w io.Writer, flush func() error, head Head) *Writer {
	return &Writer{head: head, w: w, flush: flush}
}

// Begun tells whether a part of the answer has been written.
func (s *Writer) Begun() bool { return s.begun }

// Write adds a part of the text.
func (s *Writer) Write(text string) error {
	return s.chunk(s.choice(&text, nil))
}

func (s *Writer) choice(text, finish *string) wireAnswer {
	choice := wireChoice{Finish: finish}
	if s.head.Kind == Text {
		if choice.Text = text; text == nil {
			choice.Text = new(string)
		}
	} else {
		choice.Delta = &wireDelta{Content: text}
		if !s.begun {
			choice.Delta.Role = "assistant"
		}
	}
	return s.head.wire(chunkObject, choice)
}

// End ends the stream: a chunk with the reason, one without choices with usage and what is paid, and the end mark.
func (s *Writer) End(finish string, usage Usage, d *Datanet) error {
	if err := s.chunk(s.choice(nil, &finish)); err != nil {
		return err
	}
	last := s.head.wire(chunkObject)
	last.Usage, last.Datanet = &usage, d
	if err := s.chunk(last); err != nil {
		return err
	}
	return s.event([]byte(done))
}

// EndTogether ends the stream with one chunk that has all of it, for a client that did not ask for the usage and may
// not expect a chunk without choices.
func (s *Writer) EndTogether(finish string, usage Usage, d *Datanet) error {
	last := s.choice(nil, &finish)
	last.Usage, last.Datanet = &usage, d
	if err := s.chunk(last); err != nil {
		return err
	}
	return s.event([]byte(done))
}

// Fail ends the stream with a fault.
func (s *Writer) Fail(e *Error) error { return s.event(e.Encode()) }

func (s *Writer) chunk(w wireAnswer) error {
	b, err := json.Marshal(&w)
	if err != nil {
		return fmt.Errorf("write chunk: %w", err)
	}
	s.begun = true
	return s.event(b)
}

func (s *Writer) event(data []byte) error {
	b := make([]byte, 0, len("data: ")+len(data)+len("\n\n"))
	b = append(b, "data: "...)
	b = append(b, data...)
	b = append(b, "\n\n"...)
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.flush()
}

// Event is a part of a stream that is read.
type Event struct {
	Head    Head
	Text    string
	Finish  string // "" before the end
	Usage   *Usage
	Datanet *Datanet
}

// Take adds to an answer what an event of its stream says, but for the text.
func (a *Answer) Take(e Event) {
	if a.ID == "" {
		a.Head = e.Head
	}
	if e.Finish != "" {
		a.Finish = e.Finish
	}
	if e.Usage != nil {
		a.Usage = *e.Usage
	}
	if e.Datanet != nil {
		a.Datanet = e.Datanet
	}
}

// Reader reads a stream of chunks.
type Reader struct {
	kind Kind
	r    *bufio.Reader
}

// NewReader reads an answer of a kind.
func NewReader(kind Kind, r io.Reader) *Reader {
	return &Reader{kind: kind, r: bufio.NewReader(r)}
}

// Next returns the next part. The end is [io.EOF]; a stream that breaks off before it is [io.ErrUnexpectedEOF]; a fault
// in the stream is an [*Error].
func (s *Reader) Next() (Event, error) {
	data, err := s.event()
	if err != nil {
		return Event{}, err
	}
	if string(data) == done {
		return Event{}, io.EOF
	}
	var w struct {
		wireAnswer `json:",inline"`
		Error      *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return Event{}, fmt.Errorf("read chunk: %w", err)
	}
	if w.Error != nil {
		return Event{}, ReadError(0, data)
	}
	if len(w.Choices) > 1 {
		return Event{}, fmt.Errorf("read chunk: it has %d choices, not one", len(w.Choices))
	}
	e := Event{Head: Head{Kind: s.kind, ID: w.ID, Created: w.Created, Model: w.Model}, Usage: w.Usage, Datanet: w.Datanet}
	for _, c := range w.Choices {
		switch {
		case s.kind == Text && c.Text != nil:
			e.Text = *c.Text
		case s.kind == Chat && c.Delta != nil && c.Delta.Content != nil:
			e.Text = *c.Delta.Content
		}
		if c.Finish != nil {
			e.Finish = *c.Finish
		}
	}
	return e, nil
}

var (
	errEvent  = errors.New("read stream: an event is too large")
	fieldData = []byte("data:")
)

// event returns the data of the next event, of which other fields and comments are left out.
func (s *Reader) event() (data []byte, err error) {
	found := false
	for {
		line, err := s.line()
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if len(line) == 0 {
			if found {
				return data, nil
			}
			continue
		}
		if value, ok := bytes.CutPrefix(line, fieldData); ok {
			if found {
				data = append(data, '\n')
			}
			if found = true; len(data)+len(value) > maxEvent {
				return nil, errEvent
			}
			data = append(data, bytes.TrimPrefix(value, []byte(" "))...)
		}
	}
}

// line returns a line without its end. It is valid until the next one.
func (s *Reader) line() ([]byte, error) {
	line, err := s.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		long := bytes.Clone(line)
		for err == bufio.ErrBufferFull {
			if len(long) > maxEvent {
				return nil, errEvent
			}
			line, err = s.r.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
