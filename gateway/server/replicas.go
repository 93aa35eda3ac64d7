package server

import (
	"context"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/query"
)

const (
	// replicaSoon is the wait before what could not be had is asked for again. Each further wait is twice as long, up to
	// replicaLate: the origin's gateway may be away for days.
	replicaSoon = 5 * time.Second
	replicaLate = 10 * time.Minute
	// manyReplicas is how many contributions wait at most by their names; for more the whole ledger is looked through.
	manyReplicas = 10_000
)

// replicas has the contents fetched that the organisation keeps by agreements, as the index tells of them.
type replicas struct {
	organisation string
	index        *index.Index
	keeper       *exchange.Keeper

	all     bool                        // everything has to be looked through
	lost    chan struct{}               // something was lost: the same
	fresh   map[contribution.Named]bool // approved since the last look
	missing []contribution.Named        // could not be had
	later
}

// later says when what could not be had is asked for again: each time after twice as long.
type later struct {
	wait time.Duration
	next time.Time
}

func (l *later) postpone(now time.Time) {
	l.wait = min(max(2*l.wait, replicaSoon), replicaLate)
	l.next = now.Add(l.wait)
}

func (l *later) done() { *l = later{} }

func (s *Server) newReplicas() *replicas {
	return &replicas{organisation: s.config.Organisation, index: s.index, all: true, lost: make(chan struct{}, 1), fresh: map[contribution.Named]bool{}, keeper: s.keeper()}
}

func (s *Server) keeper() *exchange.Keeper {
	return &exchange.Keeper{MSP: s.config.Organisation, Account: ledger.NewAccount(s.config.Organisation, identity.GatewayEnrolment),
		Ledger: query.New(s.index, s.config.Channel, s.config.Organisation), Store: s.content.store, Client: s.content.client, Log: s.log}
}

// run works until the context ends.
func (r *replicas) run(ctx context.Context) {
	at, err := r.index.Last(ctx)
	for ctx.Err() == nil {
		more := r.index.Notify()
		if err == nil {
			at, err = r.note(ctx, at)
		}
		if err == nil {
			err = r.look(ctx, time.Now())
		}
		if err != nil && ctx.Err() == nil {
			r.keeper.Log.Error("keep replicas", "error", err)
			r.all, err = true, nil
			r.postpone(time.Now())
		}
		timer := time.NewTimer(replicaLate)
		if r.all || len(r.missing) > 0 {
			timer.Reset(max(time.Until(r.next), 0))
		}
		select {
		case <-more:
		case <-r.lost:
			r.all, r.next = true, time.Time{}
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// note takes up what the index has learnt since a place.
func (r *replicas) note(ctx context.Context, at index.Cursor) (index.Cursor, error) {
	for {
		changes, next, err := r.index.Changes(ctx, at, index.ChangeFilter{}, ledger.MaxPage)
		if err != nil || next == at {
			return at, err
		}
		at = next
		for _, change := range changes {
			for _, c := range change.Changed {
				switch _, parts, _ := c.Key.Split(); {
				case c.Kind == "replica-consent" && c.Organisation == r.organisation:
					r.all, r.next = true, time.Time{}
				case c.Kind == "contribution" && c.State == string(contribution.Approved) && len(parts) == 2:
					r.fresh[contribution.Named{Datanet: parts[0], ID: parts[1]}] = true
				}
			}
		}
		if len(r.fresh) > manyReplicas {
			clear(r.fresh)
			r.all = true
		}
	}
}

// look has what is fresh fetched, and what is missing when its time has come.
func (r *replicas) look(ctx context.Context, now time.Time) (err error) {
	due := !now.Before(r.next)
	if r.all && due {
		clear(r.fresh)
		if r.missing, err = r.keeper.Look(ctx); err != nil {
			return err
		}
		r.all = false
		r.decide(now)
		return nil
	}
	var names []contribution.Named
	for n := range r.fresh {
		names = append(names, n)
	}
	clear(r.fresh)
	var waiting []contribution.Named
	if due {
		names = append(names, r.missing...)
	} else {
		waiting = r.missing
	}
	if len(names) == 0 {
		return nil
	}
	missing, err := r.keeper.Keep(ctx, names)
	if err != nil {
		return err
	}
	r.missing = append(waiting, missing...)
	if due || len(waiting) == 0 {
		r.decide(now)
	}
	return nil
}

// decide sets when what is missing is asked for again.
func (r *replicas) decide(now time.Time) {
	if len(r.missing) == 0 {
		r.done()
		return
	}
	r.postpone(now)
}
