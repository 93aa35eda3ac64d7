package fabric

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// attempts bounds how often [Invoke] sends a request that lost against another transaction.
const attempts = 8

// Invoke submits a call and decodes its answer. A request that fails for its timing (see [Again]) is sent again, a few
// times, after a short random pause: every function is safe to repeat.
func Invoke[Res any](ctx context.Context, c *Client, function string, request any) (response Res, err error) {
	for attempt := 1; ; attempt++ {
		committed, err := c.Submit(ctx, Call{Function: function, Request: request})
		if err == nil {
			return response, decode(function, committed.Response, &response)
		}
		if !Again(err) || attempt == attempts {
			return response, err
		}
		pause := time.NewTimer(rand.N(time.Duration(attempt) * 50 * time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return response, fmt.Errorf("%s: %w", function, ctx.Err())
		}
	}
}

// Query evaluates a call on a peer of the named organisation ("" for any) and decodes its answer.
func Query[Res any](ctx context.Context, c *Client, organisation, function string, request any) (response Res, err error) {
	call := Call{Function: function, Request: request}
	if organisation != "" {
		call.Endorsers = []string{organisation}
	}
	answer, err := c.Evaluate(ctx, call)
	if err != nil {
		return response, err
	}
	return response, decode(function, answer, &response)
}

func decode(function string, answer []byte, response any) error {
	if err := ledger.DecodeAnswer(answer, response); err != nil {
		return fmt.Errorf("answer of %s: %w", function, err)
	}
	return nil
}
