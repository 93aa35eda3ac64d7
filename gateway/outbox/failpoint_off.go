//go:build !failpoints

package outbox

func failpoint(Step) {}
