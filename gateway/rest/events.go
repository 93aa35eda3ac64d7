package rest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
)

const (
	eventStream = "text/event-stream"
	lastHeader  = "Last-Event-ID"
	// heartbeat is how often a silent stream says that it lives, and how long an event may take to be sent.
	heartbeat = 15 * time.Second
	// eventBatch is how many changes are read at a time.
	eventBatch = 100
	// maxStreams bounds the streams of one caller.
	maxStreams = 16
)

// Change is what one valid transaction did, the data of an event.
type Change struct {
	Transaction  string         `json:"transaction"`
	Block        uint64         `json:"block"`
	Position     int            `json:"position"`
	Time         *time.Time     `json:"time,omitempty"`
	Organisation string         `json:"organisation,omitzero"`
	Account      ledger.Account `json:"account,omitzero"`
	Function     string         `json:"function,omitzero"`
	Event        string         `json:"event,omitzero"`
	Payload      jsontext.Value `json:"payload,omitzero"`
	Changed      []Changed      `json:"changed"`
}

// Changed is an entry that a transaction wrote.
type Changed struct {
	Key          []string `json:"key"`
	Datanet      string   `json:"datanet,omitzero"`
	Organisation string   `json:"organisation,omitzero"`
	Account      string   `json:"account,omitzero"`
	State        string   `json:"state,omitzero"`
	Deleted      bool     `json:"deleted,omitzero"`
}

func changeOf(c index.Change) Change {
	shown := Change{Transaction: c.Tx.Tx, Block: c.Tx.Block, Position: c.Tx.Position, Time: timeOrNone(c.Tx.Time), Organisation: c.Tx.MSP,
		Account: c.Tx.By, Function: c.Tx.Function, Event: c.Tx.Event, Payload: object(c.Tx.Payload), Changed: []Changed{}}
	for _, e := range c.Changed {
		shown.Changed = append(shown.Changed, Changed{Key: keyParts(e.Key), Datanet: e.Datanet, Organisation: e.Organisation, Account: e.Account,
			State: e.State, Deleted: e.Deleted})
	}
	return shown
}

// addEvents adds the stream of changes.
func (a *API) addEvents() {
	a.add(&operation{id: "follow-events", method: get, path: "/v1/events", tag: "events", summary: "Streams what changes on the ledger",
		doc: "Server-sent events of the type change, whose data is a Change. An event's id is its place in the chain; with Last-Event-ID the stream goes on " +
			"after that place, across restarts and without loss or repetition; 0.0 begins with the first block. Without it the stream begins with what comes next.",
		scope: identity.Read, limit: -1,
		params: []*huma.Param{headerParam(lastHeader, false, "The id of the last event that was received."),
			queryParam("kind", text(), "Only entries of this kind, as contribution."), queryParam("datanet", text(), filterDocs["datanet"]),
			queryParam("organisation", text(), filterDocs["organisation"]), queryParam("account", text(), "Who signed, or whose entry was written.")},
		answers: []answer{{status: http.StatusOK, doc: "The stream.", media: eventStream, schema: text()}},
		handle:  followEvents})
}

func followEvents(c *call) error {
	f := index.ChangeFilter{Kind: c.query.Get("kind"), Datanet: c.query.Get("datanet"), Organisation: c.query.Get("organisation"), Account: c.query.Get("account")}
	source := c.api.options.Index
	at, err := source.Last(c.ctx())
	if err != nil {
		return err
	}
	if last := c.r.Header.Get(lastHeader); last != "" {
		after, err := index.ParseCursor(last)
		if err != nil {
			return invalid(lastHeader, "%q is not the id of an event", ledger.Clip(last))
		}
		at = after
	}
	end, err := c.api.streams.open(callerName(c.principal))
	if err != nil {
		return err
	}
	defer end()
	c.api.metrics.streams.Inc()
	defer c.api.metrics.streams.Dec()
	s := &stream{c: c, control: http.NewResponseController(c.w)}
	if err := s.begin(at); err != nil {
		return err
	}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		more := source.Notify()
		changes, next, err := source.Changes(c.ctx(), at, f, eventBatch)
		if err != nil {
			return s.end(err)
		}
		for _, change := range changes {
			if err := s.send(change); err != nil {
				return nil // the client is gone
			}
		}
		if next != at {
			at = next
			continue
		}
		select {
		case <-more:
		case <-ticker.C:
			// The id moves on with what the filter left out, so a client that comes back does not begin far behind.
			if err := s.write("id: %s\n: %s\n\n", at, "still here"); err != nil {
				return nil
			}
		case <-c.api.stopping:
			return s.end(nil)
		case <-c.ctx().Done():
			return nil
		}
	}
}

// stream writes server-sent events.
type stream struct {
	c       *call
	control *http.ResponseController
}

func (s *stream) begin(at index.Cursor) error {
	header := s.c.w.Header()
	header.Set("Content-Type", eventStream)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	s.c.w.WriteHeader(http.StatusOK)
	return s.write("retry: 1000\nid: %s\n\n", at)
}

func (s *stream) send(change index.Change) error {
	data, err := ledger.Encode(changeOf(change))
	if err != nil {
		return err
	}
	return s.write("id: %s\nevent: change\ndata: %s\n\n", change.Cursor, data)
}

func (s *stream) write(format string, args ...any) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(heartbeat)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.c.w, format, args...); err != nil {
		return err
	}
	return s.control.Flush()
}

// end ends a stream that was begun: its client comes again.
func (s *stream) end(err error) error {
	if err != nil && s.c.ctx().Err() == nil {
		noteOf(s.c.ctx()).fail(problemOf(err))
	}
	return nil
}
