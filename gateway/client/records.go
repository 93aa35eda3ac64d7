package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// maxLine bounds a line of records, in bytes: a record of 64 MiB, escaped.
const maxLine = 256 << 20

// Record is a record of a contribution.
type Record struct {
	Contribution string `json:"contribution"` // its id
	Record       int    `json:"record"`       // the record's number in the contribution, from 0
	Text         string `json:"text"`
}

// Records reads content as records, one at a time: that of [RecordsPath] or of [SnapshotContentPath]. A stream that
// breaks ends with an error; it has no ranges and begins again.
func (c *Client) Records(ctx context.Context, path string, query url.Values) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		response, err := c.send(ctx, &call{method: http.MethodGet, path: path, query: query, header: http.Header{}})
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			var r Record
			if err := ledger.DecodeAnswer(lines.Bytes(), &r); err != nil {
				yield(r, fmt.Errorf("read %s: %w", path, err))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(Record{}, fmt.Errorf("read %s: a record has more than %d bytes", path, maxLine))
		case err != nil && ctx.Err() != nil:
			yield(Record{}, ctx.Err())
		case err != nil:
			yield(Record{}, c.unreachable(err))
		}
	}
}
