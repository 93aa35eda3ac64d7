package sequencer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
)

// worker seals one datanet.
type worker struct {
	*sequencer
	datanet string
	news    chan struct{} // one waits when anything below has changed

	mutex   sync.Mutex
	order   []string        // contributions that wait to be sealed, in the order in which they were approved
	waiting map[string]bool // the same
	voted   map[string]bool // contributions whose votes may decide now
	all     bool            // everything that is missing has to be asked for
	leaving bool            // some have left and wait to be retired
}

// lookAgain makes the worker ask for everything.
func (w *worker) lookAgain() { w.note(func() { w.all, w.leaving = true, true }) }

// left tells that a contribution has left.
func (w *worker) left() { w.note(func() { w.leaving = true }) }

// approved tells that a contribution waits.
func (w *worker) approved(id string) { w.note(func() { w.add(id) }) }

// votedOn tells that somebody has voted on a contribution.
func (w *worker) votedOn(id string) { w.note(func() { w.voted[id] = true }) }

func (w *worker) note(change func()) {
	w.mutex.Lock()
	change()
	w.mutex.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (w *worker) add(id string) {
	if !w.waiting[id] {
		w.waiting[id] = true
		w.order = append(w.order, id)
	}
}

// drop takes contributions off that are sealed, or cannot be.
func (w *worker) drop(ids ...string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, id := range ids {
		delete(w.waiting, id)
	}
	w.order = slices.DeleteFunc(w.order, func(id string) bool { return !w.waiting[id] })
}

// enough tells whether there is no reason to wait for more.
func (w *worker) enough() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.all || len(w.order) >= seal.PageSize
}

func (w *worker) run(ctx context.Context) {
	for {
		select {
		case <-w.news:
		case <-ctx.Done():
			return
		}
		if w.gather(ctx) != nil {
			return
		}
		for failures := 0; ; failures++ {
			err := w.seal(ctx)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return
			}
			w.Log.Warn("sealing failed and is done again", "datanet", w.datanet, "error", err)
			if pause(ctx, failures) != nil {
				return
			}
		}
	}
}

// gather waits until it has been quiet, something has waited for long, or there is enough.
func (w *worker) gather(ctx context.Context) error {
	last, first := time.NewTimer(w.Quiet), time.NewTimer(w.Longest)
	defer last.Stop()
	defer first.Stop()
	for !w.enough() {
		select {
		case <-w.news:
			last.Reset(w.Quiet)
		case <-last.C:
			return nil
		case <-first.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// seal records what votes have decided, retires what has left and seals what waits. After a failure it may be called
// again.
func (w *worker) seal(ctx context.Context) error {
	w.mutex.Lock()
	all, leaving := w.all, w.leaving
	w.all, w.leaving = false, false
	w.mutex.Unlock()
	err := func() error {
		if all {
			if err := w.askForMissing(ctx); err != nil {
				return err
			}
			if err := w.askForPending(ctx); err != nil {
				return err
			}
		}
		if err := w.finalise(ctx); err != nil {
			return err
		}
		if leaving {
			if err := w.retire(ctx); err != nil {
				return err
			}
		}
		return w.appendWaiting(ctx)
	}()
	if err != nil {
		w.mutex.Lock()
		w.all, w.leaving = w.all || all, w.leaving || leaving
		w.mutex.Unlock()
	}
	return err
}

func (w *worker) askForMissing(ctx context.Context) error {
	req := contribution.Listing{Datanet: w.datanet, PageRequest: ledger.PageRequest{Limit: ledger.MaxPage}}
	for {
		page, err := query[ledger.Page[contribution.Contribution]](ctx, w.sequencer, "seal:Missing", req)
		if err != nil {
			return err
		}
		w.mutex.Lock()
		for _, c := range page.Items {
			w.add(c.ID)
		}
		w.mutex.Unlock()
		if req.Cursor = page.Next; req.Cursor == "" {
			return nil
		}
	}
}

// appendWaiting seals batch after batch. A contribution that the ledger refuses, since it is sealed already or has left
// meanwhile, is dropped.
func (w *worker) appendWaiting(ctx context.Context) error {
	batch := w.batch()
	if len(batch) == 0 {
		return nil
	}
	count, err := w.count(ctx)
	if err != nil {
		return err
	}
	for ; len(batch) > 0; batch = w.batch() {
		head, err := submit[seal.Head](ctx, w.sequencer, "seal:Append", seal.Append{Datanet: w.datanet, From: count, Contributions: batch})
		if i, refused := refusedItem(err, "contributions."); refused && i < len(batch) {
			w.Log.Info("a contribution is not sealed", "datanet", w.datanet, "contribution", batch[i], "reason", err)
			w.drop(batch[i])
			continue
		}
		if err != nil { // also when somebody else sealed: the next attempt asks for the count anew
			return err
		}
		w.drop(batch...)
		w.Log.Info("sealed", "datanet", w.datanet, "contributions", len(batch), "leaves", head.Count)
		count = head.Count
	}
	return nil
}

func (w *worker) batch() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return slices.Clone(w.order[:min(len(w.order), seal.MaxBatch)])
}

// count is how many leaves are sealed.
func (w *worker) count(ctx context.Context) (int64, error) {
	head, err := query[seal.Head](ctx, w.sequencer, "seal:Get", seal.Named{Datanet: w.datanet})
	if f := new(ledger.Fault); errors.As(err, &f) && f.Code == ledger.CodeNotFound {
		return 0, nil
	}
	return head.Count, err
}

// retire makes tombstones of what has left. Leaves that stand on too many pages are retired in smaller batches.
func (w *worker) retire(ctx context.Context) error {
	for {
		page, err := query[ledger.Page[string]](ctx, w.sequencer, "seal:Left",
			contribution.Listing{Datanet: w.datanet, PageRequest: ledger.PageRequest{Limit: ledger.MaxPage}})
		if err != nil || len(page.Items) == 0 {
			return err
		}
		for ids := page.Items; ; ids = ids[:len(ids)/2] {
			_, err := submit[seal.Head](ctx, w.sequencer, "seal:Retire", seal.Retire{Datanet: w.datanet, Contributions: ids})
			if f := new(ledger.Fault); errors.As(err, &f) && f.Code == ledger.CodeInvalid && len(ids) > seal.MaxRetiredPages {
				continue
			}
			if err != nil {
				return fmt.Errorf("retire %d contributions: %w", len(ids), err)
			}
			w.drop(ids...)
			w.Log.Info("retired", "datanet", w.datanet, "contributions", len(ids))
			break
		}
	}
}

// refusedItem reads which item of a list in a request the ledger refuses for its state.
func refusedItem(err error, list string) (index int, refused bool) {
	f := new(ledger.Fault)
	if !errors.As(err, &f) || f.Code != ledger.CodeState && f.Code != ledger.CodeNotFound {
		return 0, false
	}
	number, of := strings.CutPrefix(f.Field, list)
	index, err = strconv.Atoi(number)
	return index, of && err == nil && index >= 0
}
