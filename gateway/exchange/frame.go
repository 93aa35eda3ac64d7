package exchange

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/gateway/content"
)

// A content on its way is
//
//	"DATANET-CONTENT/1"   u32 length   the head, JSON of content.Head   the files' bytes, from the offset that was asked for
const (
	frameMagic = "DATANET-CONTENT/1"
	maxHead    = 16 << 20
	frameType  = "application/vnd.datanet.content"
)

// encodeHead is all of a frame that comes before the bytes.
func encodeHead(h content.Head) ([]byte, error) {
	document, err := json.Marshal(h, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode the head of a content: %w", err)
	}
	if len(document) > maxHead {
		return nil, fmt.Errorf("the head of a content has %d bytes, more than %d", len(document), maxHead)
	}
	frame := binary.BigEndian.AppendUint32([]byte(frameMagic), uint32(len(document)))
	return append(frame, document...), nil
}

// readHead reads what encodeHead wrote, and leaves in at the first of the bytes.
func readHead(in io.Reader) (h content.Head, err error) {
	var start [len(frameMagic) + 4]byte
	if _, err := io.ReadFull(in, start[:]); err != nil {
		return h, fmt.Errorf("read the head of a content: %w", err)
	}
	size := binary.BigEndian.Uint32(start[len(frameMagic):])
	if string(start[:len(frameMagic)]) != frameMagic || size > maxHead {
		return h, errors.New("read the head of a content: it is none")
	}
	document, err := io.ReadAll(io.LimitReader(in, int64(size)))
	if err != nil {
		return h, fmt.Errorf("read the head of a content: %w", err)
	}
	if len(document) < int(size) {
		return h, fmt.Errorf("read the head of a content: %w", io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(document, &h, json.RejectUnknownMembers(true)); err != nil {
		// What json says may quote the descriptor.
		return content.Head{}, errors.New("read the head of a content: it is damaged")
	}
	return h, nil
}
