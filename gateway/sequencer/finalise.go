package sequencer

import (
	"context"
	"maps"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// askForPending takes up every vote that is open, since some may have been decided while nobody looked.
func (w *worker) askForPending(ctx context.Context) error {
	req := contribution.Listing{Datanet: w.datanet, PageRequest: ledger.PageRequest{Limit: ledger.MaxPage}}
	for {
		page, err := query[ledger.Page[contribution.Contribution]](ctx, w.sequencer, "contribution:List", req)
		if err != nil {
			return err
		}
		w.mutex.Lock()
		for _, c := range page.Items {
			if c.State == contribution.Pending {
				w.voted[c.ID] = true
			}
		}
		w.mutex.Unlock()
		if req.Cursor = page.Next; req.Cursor == "" {
			return nil
		}
	}
}

// finalise records the outcomes that the votes decide. A contribution whose votes do not decide yet is looked at again
// after the next vote on it. What is approved comes back as an event.
func (w *worker) finalise(ctx context.Context) error {
	w.mutex.Lock()
	ids := slices.Sorted(maps.Keys(w.voted))
	clear(w.voted)
	w.mutex.Unlock()
	for len(ids) > 0 {
		batch := ids[:min(len(ids), approval.MaxBatch)]
		request := approval.FinaliseBatch{Items: make([]contribution.Named, len(batch))}
		for i, id := range batch {
			request.Items[i] = contribution.Named{Datanet: w.datanet, ID: id}
		}
		_, err := submit[contribution.Batch](ctx, w.sequencer, "approval:FinaliseBatch", request)
		if i, refused := refusedItem(err, "items."); refused && i < len(batch) {
			ids = slices.Delete(ids, i, i+1)
			continue
		}
		if err != nil {
			w.note(func() {
				for _, id := range ids {
					w.voted[id] = true
				}
			})
			return err
		}
		w.Log.Info("recorded what votes have decided", "datanet", w.datanet, "contributions", len(batch))
		ids = ids[len(batch):]
	}
	return nil
}
