package serving

import (
	"context"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Forget drops what has ended now.
func (h *Host) Forget(ctx context.Context) error { return h.forget(ctx, map[merkle.Hash]bool{}) }
