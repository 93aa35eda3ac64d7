package client

import (
	"context"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Lost is what the gateway has lost of the contents of its organisation's contributors.
type Lost struct {
	Looked   time.Time     `json:"looked,omitzero"` // when everything was looked through last
	Returned int           `json:"returned"`        // how many contents came back then
	Count    int           `json:"count"`           // how many are lost
	Items    []LostContent `json:"items"`           // the first of them

	Unreadable int             `json:"unreadable"` // how many contents are there and cannot be read
	Unread     []UnreadContent `json:"unread"`     // the first of them
}

// UnreadContent is a content that the gateway has and cannot read, by its id in the store and its contribution, if it is of one.
type UnreadContent struct {
	Content string `json:"content"`
	Datanet string `json:"datanet,omitzero"`
	ID      string `json:"id,omitzero"`
	Why     string `json:"why"`
}

// LostContent is a contribution whose content the gateway has not, and why nobody gave it back so far.
type LostContent struct {
	Datanet     string             `json:"datanet"`
	ID          string             `json:"id"`
	Contributor ledger.Account     `json:"contributor"`
	State       contribution.State `json:"state"`
	Why         string             `json:"why"`
}

// Lost asks what the gateway has lost.
func (c *Client) Lost(ctx context.Context) (Lost, error) {
	lost, _, err := Get[Lost](ctx, c, Path("lost-contents"), nil)
	return lost, err
}

// Recover has the gateway look for what is lost, reading each content whole if it is to, and get it back. It may be repeated.
func (c *Client) Recover(ctx context.Context, read bool) (Lost, error) {
	return repeatable[Lost](ctx, c, Path("lost-contents", "recover"), struct {
		Read bool `json:"read,omitzero"`
	}{read})
}
