package ledger

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

const (
	// DefaultPage and MaxPage bound how many items one page of a list holds.
	DefaultPage = 100
	MaxPage     = 1000
)

// PageRequest asks for a page of a list: at most Limit items (0: [DefaultPage], at most [MaxPage]) after the one at
// which an earlier page's Next pointed ("" begins).
type PageRequest struct {
	Limit  int    `json:"limit,omitzero"`
	Cursor string `json:"cursor,omitzero"`
}

// Size is how many items the page may hold.
func (p PageRequest) Size() (int, error) {
	if p.Limit < 0 || p.Limit > MaxPage {
		return 0, Invalid("limit", "must be from 0 to %d", MaxPage)
	}
	if p.Limit == 0 {
		return DefaultPage, nil
	}
	return p.Limit, nil
}

// Page is one page of a list and the cursor of the next one, "" at the end. A cursor stays good when items come or go.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// List reads a page of the keys under prefix, each turned into an item by item.
func List[T any](l Lister, prefix Key, req PageRequest, item func(Key, []byte) (T, error)) (Page[T], error) {
	page := Page[T]{Items: []T{}}
	limit, err := req.Size()
	if err != nil {
		return page, err
	}
	from, err := cursorKey(prefix, req.Cursor)
	if err != nil {
		return page, err
	}
	entries, next, err := l.Range(prefix, from, limit)
	if err != nil {
		return page, err
	}
	for _, entry := range entries {
		it, err := item(entry.Key, entry.Value)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, it)
	}
	if next != "" {
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(strings.TrimPrefix(string(next), string(prefix))))
	}
	return page, nil
}

func cursorKey(prefix Key, cursor string) (Key, error) {
	if cursor == "" {
		return "", nil
	}
	if len(cursor) > 8*MaxKeyPart {
		return "", Invalid("cursor", "too long")
	}
	rest, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", Invalid("cursor", "not a cursor of this list")
	}
	key := prefix + Key(rest)
	if _, _, ok := key.Split(); !ok {
		return "", Invalid("cursor", "not a cursor of this list")
	}
	return key, nil
}

// Value is the item function of lists whose items are the stored values themselves.
func Value[T any](key Key, value []byte) (T, error) {
	var v T
	if err := json.Unmarshal(value, &v, json.RejectUnknownMembers(true)); err != nil {
		return v, fmt.Errorf("decode state %s: %w", key, err)
	}
	return v, nil
}

// Slice cuts a page out of a list that the rule has made in full. Its cursor is the number of items before the page.
func Slice[T any](items []T, req PageRequest) (Page[T], error) {
	page := Page[T]{Items: []T{}}
	limit, err := req.Size()
	if err != nil {
		return page, err
	}
	start := 0
	if req.Cursor != "" {
		n, err := strconv.Atoi(req.Cursor)
		if err != nil || n < 0 || n > len(items) {
			return page, Invalid("cursor", "not a cursor of this list")
		}
		start = n
	}
	end := min(start+limit, len(items))
	page.Items = append(page.Items, items[start:end]...)
	if end < len(items) {
		page.Next = strconv.Itoa(end)
	}
	return page, nil
}
