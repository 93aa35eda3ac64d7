package server

import (
	"context"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/serving"
	"github.com/datanet-consortium/datanet/gateway/settling"
)

// Settlement says when what consumers have signed for goes to the ledger, of models that this gateway serves.
type Settlement struct {
	// Amount in micro-credits: a session that owes so much is settled.
	Amount uint64 `yaml:"amount"`
	// Age of the oldest use of a session at which it is settled.
	Age time.Duration `yaml:"age"`
	// Every is how often is looked for what is due, Refund how often for sessions of own consumers that are over.
	Every  time.Duration `yaml:"every"`
	Refund time.Duration `yaml:"refund"`
	// Courtesy is how long the pay-out of other hosts' claims is left to those hosts.
	Courtesy time.Duration `yaml:"courtesy"`
}

// settle brings what is owed to the ledger, and back what is left, until the context ends.
func (s *Server) settle(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	changed := make(chan struct{}, 1)
	for _, kind := range []string{"claim", "claim-slot"} {
		watching.Go(func() { watch(ctx, s.index, kind, changed) })
	}
	watching.Go(func() {
		for {
			select {
			case <-changed:
				s.settling.Changed()
			case <-ctx.Done():
				return
			}
		}
	})
	s.settling.Run(ctx)
}

func (s *Server) openSettling() error {
	pages := settling.Attestors{Own: s.attesting, Client: s.others.client(), Addresses: s.others.addresses}
	c := s.config.Settlement
	o := settling.Options{Organisation: s.config.Organisation, Functions: functions{s}, Index: s.index, Outbox: s.outbox,
		Pages: pages, Amount: c.Amount, Age: c.Age, Every: c.Every, Refund: c.Refund, Courtesy: c.Courtesy, Log: s.log}
	if s.meter != nil {
		o.Meter, o.Archive = s.meter, keeping{s.serving, s.archive}
	}
	s.settling = settling.New(o)
	return nil
}

// keeping keeps all of a settlement that is needed once the meter has forgotten it: receipts for good, and evidence.
type keeping struct {
	receipts *serving.Host
	evidence *archive.Archive
}

func (k keeping) Archive(ctx context.Context, s meter.Settlement) error {
	if err := k.receipts.Flush(ctx); err != nil {
		return err
	}
	return k.evidence.Archive(ctx, s)
}
