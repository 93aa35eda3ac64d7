package server

import (
	"context"

	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// ownPeer asks the organisation's own peers, and nobody else's.
type ownPeer struct{ server *Server }

func (p ownPeer) Evaluate(ctx context.Context, function string, document []byte) ([]byte, error) {
	return p.server.self.Evaluate(ctx, fabric.Call{Function: function, Request: document, Endorsers: []string{p.server.config.Organisation}})
}
