package serving

import (
	"context"

	"github.com/datanet-consortium/datanet/gateway/openai"
)

// job is what a runner is asked for.
type job struct {
	*openai.Request
	tokens uint64 // canonical ones, at most
	seed   uint64
	corpus *corpus // of the model's lineage
}

// runner writes answers of one model.
type runner interface {
	// run writes an answer in parts and says why it ended. When write fails it returns at once with that error; a
	// [*openai.Error] of its own is told to the client.
	run(ctx context.Context, j job, write func(part string) error) (finish string, err error)
	// context is what the host adds to every prompt, in order.
	context() [][]byte
}
