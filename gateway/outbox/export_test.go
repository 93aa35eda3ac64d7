package outbox

import "time"

// FailAt has f called at every step.
func (o *Outbox) FailAt(f func(Step)) { o.fail = f }

// Hurry shortens the waits for outcomes that do not come.
func (o *Outbox) Hurry() {
	o.patience = patience{glance: 20 * time.Millisecond, doubt: 100 * time.Millisecond}
}
