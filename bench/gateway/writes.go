package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/datanet-consortium/datanet/bench/yardstick"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// writers are how many clients write at once.
var writers = []int{1, 16, 64}

// writes measures contributions that the gateway signs and submits, beside the same ones and no-ops straight to the
// organisation's peer.
func (b *site) writes(ctx context.Context, r *report) error {
	var people []*client.Client
	var parties []*fabric.Client
	for _, name := range contributors {
		person, err := b.person(name)
		if err != nil {
			return err
		}
		defer person.Close()
		party, err := b.party(b.msp, name)
		if err != nil {
			return err
		}
		people, parties = append(people, person), append(parties, party)
	}
	direct := func(function string, request func() any) func(context.Context, int, int) error {
		return func(ctx context.Context, client, _ int) error {
			_, err := parties[client%len(parties)].Submit(ctx, fabric.Call{Function: function, Request: request()})
			return err
		}
	}
	submit := func(ctx context.Context, n, _ int) error {
		s := b.poem()
		_, _, err := client.Write[contribution.Contribution](ctx, people[n%len(people)], http.MethodPut, "/v1/datanets/"+s.Datanet+"/contributions/"+s.ID, "", s.Content)
		return err
	}
	for _, clients := range writers {
		var nothing, straight, through []burst
		count := max(20, b.settings.writes*clients/64)
		for turn := range b.repetitions + 1 {
			bursts := [3]burst{}
			for i, do := range []func(context.Context, int, int) error{
				direct(yardstick.Nothing, func() any { return ledger.Nothing{} }),
				direct("contribution:Submit", func() any { return b.poem() }),
				submit,
			} {
				var err error
				if bursts[i], err = fire(ctx, clients, count, do); err != nil {
					return fmt.Errorf("write with %d clients: %w", clients, err)
				}
			}
			if turn > 0 {
				nothing, straight, through = append(nothing, bursts[0]), append(straight, bursts[1]), append(through, bursts[2])
				b.say(fmt.Sprintf("%d/%d %2d clients: no-op %.1f/s, contribution to the peer %.1f/s, to the gateway %.1f/s", turn, b.repetitions, clients,
					bursts[0].rate(), bursts[1].rate(), bursts[2].rate()))
			}
		}
		r.add(fmt.Sprintf("no-op to the peer, %d clients", clients), nothing, "", nil)
		r.add(fmt.Sprintf("contribution to the peer, %d clients", clients), straight, "no-op", nothing)
		r.add(fmt.Sprintf("contribution to the gateway, %d clients", clients), through, "no-op", nothing)
		r.add(fmt.Sprintf("the same beside the peer, %d clients", clients), through, "contribution to the peer", straight)
	}
	return nil
}
