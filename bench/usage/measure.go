package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"

	"github.com/datanet-consortium/datanet/bench/figure"
	"github.com/datanet-consortium/datanet/bench/process"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/integration/market"
)

// burst is what became of a number of requests.
type burst struct {
	rate      float64
	processor float64         // milliseconds of a request
	latencies []time.Duration // ascending
}

func (b burst) quantile(share float64) float64 {
	at := b.latencies[min(len(b.latencies)-1, int(share*float64(len(b.latencies))))]
	return float64(at) / float64(time.Millisecond)
}

// fire has every client send one request after the other. One that fails ends the burst.
func (b *site) fire(ctx context.Context, to target, count int) (burst, error) {
	var made atomic.Int64
	took := make([][]time.Duration, len(to.callers))
	group, ctx := errgroup.WithContext(ctx)
	begun, worked := time.Now(), process.Time()
	for i := range to.callers {
		group.Go(func() error {
			for {
				number := int(made.Add(1)) - 1
				if number >= count {
					return nil
				}
				asked := time.Now()
				if err := b.ask(ctx, to, i, number); err != nil {
					return err
				}
				took[i] = append(took[i], time.Since(asked))
			}
		})
	}
	err := group.Wait()
	done := burst{rate: float64(count) / time.Since(begun).Seconds(), latencies: slices.Concat(took...),
		processor: (process.Time() - worked).Seconds() * 1e3 / float64(count)}
	slices.Sort(done.latencies)
	return done, err
}

// watched fires, and writes a processor profile if one is wanted of this burst.
func (b *site) watched(ctx context.Context, to target, count int, suffix string, last bool) (done burst, err error) {
	if b.profile == "" || !last {
		return b.fire(ctx, to, count)
	}
	file, err := os.Create(b.profile + suffix)
	if err != nil {
		return done, fmt.Errorf("make the profile: %w", err)
	}
	err = profiled(file, func() (err error) { done, err = b.fire(ctx, to, count); return err })
	return done, errors.Join(err, file.Close())
}

type report struct {
	heading string
	rows    []figure.Row
}

func (r *report) add(name, metric string, value float64, unit string) {
	r.rows = append(r.rows, figure.Row{Case: name, Metric: metric, Value: value, Unit: unit})
}

func (b *site) measure(ctx context.Context) (*report, error) {
	var bare, unpaid, paid []burst
	var before, after [2]map[string]float64
	sites := []string{market.Consumer, market.Owner}
	read := func(into *[2]map[string]float64) (err error) {
		for i, msp := range sites {
			if into[i], err = b.metrics(ctx, msp); err != nil {
				return err
			}
		}
		return nil
	}
	spent := map[string]float64{}
	for turn := range b.repetitions + 1 { // the first one, which opens connections and fills caches, does not count
		count := b.requests
		if turn == 0 {
			count = max(count/5, 1)
		}
		last := turn == b.repetitions
		h, err := b.fire(ctx, b.hopping, count)
		if err != nil {
			return nil, err
		}
		u, err := b.watched(ctx, b.unpaid, count, ".unpaid", last)
		if err != nil {
			return nil, err
		}
		if err := read(&before); err != nil {
			return nil, err
		}
		p, err := b.watched(ctx, b.paid, count, "", last)
		if err != nil {
			return nil, err
		}
		if err := read(&after); err != nil {
			return nil, err
		}
		b.say(fmt.Sprintf("%d/%d bare hops %.0f/s, unpaid %.0f/s, paid %.0f/s", turn, b.repetitions, h.rate, u.rate, p.rate))
		if turn == 0 {
			continue
		}
		bare, unpaid, paid = append(bare, h), append(unpaid, u), append(paid, p)
		for i := range sites {
			for name, value := range after[i] {
				spent[fmt.Sprint(i, name)] += value - before[i][name]
			}
		}
	}
	middle := func(bursts []burst, of func(burst) float64) float64 {
		var all []float64
		for _, one := range bursts {
			all = append(all, of(one))
		}
		return figure.Median(all)
	}
	rate := func(one burst) float64 { return one.rate }
	p50 := func(one burst) float64 { return one.quantile(0.50) }
	p99 := func(one burst) float64 { return one.quantile(0.99) }
	r := &report{heading: fmt.Sprintf("%d clients, %d sessions with a window of %d, bursts of %d requests, medians of %d; %d tokens an answer, stream %v; client, both gateways, "+
		"the server behind the model and a Fabric network share the machine", b.clients, b.sessions, b.window, b.requests, b.repetitions, b.tokens, b.stream)}
	uses := float64(b.requests * b.repetitions)
	r.add("bare hops", "rate", middle(bare, rate), "requests/s")
	r.add("unpaid", "rate", middle(unpaid, rate), "requests/s")
	r.add("paid", "rate", middle(paid, rate), "requests/s")
	var ratios []float64
	for i := range paid {
		ratios = append(ratios, 100*paid[i].rate/unpaid[i].rate)
	}
	r.add("paid", "rate, of unpaid", figure.Median(ratios), "%")
	r.add("unpaid", "latency p50", middle(unpaid, p50), "ms")
	r.add("unpaid", "latency p99", middle(unpaid, p99), "ms")
	r.add("paid", "latency p50", middle(paid, p50), "ms")
	r.add("paid", "latency p99", middle(paid, p99), "ms")
	r.add("paid", "latency p50, more than unpaid", middle(paid, p50)-middle(unpaid, p50), "ms")
	r.add("paid", "latency p99, more than unpaid", middle(paid, p99)-middle(unpaid, p99), "ms")
	processor := func(one burst) float64 { return one.processor }
	r.add("bare hops", "processor time of a request", middle(bare, processor), "ms")
	r.add("unpaid", "processor time of a request", middle(unpaid, processor), "ms")
	r.add("paid", "processor time of a request", middle(paid, processor), "ms")
	r.add("paid", "processor time, unpaid of it", 100*middle(unpaid, processor)/middle(paid, processor), "%")
	r.add("paid", "time of a receipt", 1e3*spent["1datanet_serving_receipt_seconds_sum"]/uses, "ms")
	r.add("paid", "time of a commit", 1e3*spent["1datanet_serving_commit_seconds_sum"]/uses, "ms")
	r.add("paid", "syncs of a use, consumer", spent["0datanet_paying_journal_syncs_total"]/uses, "")
	r.add("paid", "syncs of a use, host", spent["1datanet_serving_journal_syncs_total"]/uses, "")
	return r, b.settle(ctx, r)
}

// settle brings all uses to the ledger and says what that took there.
func (b *site) settle(ctx context.Context, r *report) error {
	// The last answers of each session are vouched for when it rests.
	select {
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	operator, err := b.Person(market.Owner, "operator1")
	if err != nil {
		return err
	}
	defer operator.Close()
	settled, err := client.Do[rest.Items[claim.Claim]](ctx, operator, http.MethodPost, "/v1/serving/settle", nil)
	if err != nil {
		return err
	}
	var uses, bytes float64
	for _, c := range settled.Items {
		size, err := b.size(ctx, operator, c.Tx)
		if err != nil {
			return err
		}
		uses, bytes = uses+float64(c.Uses), bytes+float64(size)
	}
	if len(settled.Items) == 0 {
		return errors.New("nothing was settled")
	}
	transactions := float64(len(settled.Items))
	r.add("settlement", "requests of a transaction", uses/transactions, "")
	r.add("settlement", "transactions for a million requests at this size", 1e6*transactions/uses, "")
	r.add("settlement", "bytes in blocks for a million requests at this size", 1e6*bytes/uses, "bytes")
	return nil
}

// size is how many bytes a transaction has in its block.
func (b *site) size(ctx context.Context, c *client.Client, id string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	shown, _, err := client.Get[rest.Transaction](ctx, c, client.Path("transactions", id), nil)
	for err != nil || shown.Block == nil { // the index is a little behind
		select {
		case <-time.After(50 * time.Millisecond):
			shown, _, err = client.Get[rest.Transaction](ctx, c, client.Path("transactions", id), nil)
		case <-ctx.Done():
			return 0, fmt.Errorf("wait until transaction %s is in a block: %w", id, errors.Join(ctx.Err(), err))
		}
	}
	block, err := b.Block(ctx, *shown.Block)
	if err != nil {
		return 0, err
	}
	for _, data := range block.GetData().GetData() {
		envelope, payload, header := &common.Envelope{}, &common.Payload{}, &common.ChannelHeader{}
		if proto.Unmarshal(data, envelope) == nil && proto.Unmarshal(envelope.GetPayload(), payload) == nil &&
			proto.Unmarshal(payload.GetHeader().GetChannelHeader(), header) == nil && header.GetTxId() == id {
			return len(data), nil
		}
	}
	return 0, fmt.Errorf("block %d does not hold transaction %s", *shown.Block, id)
}

func (r *report) print(out io.Writer) error {
	fmt.Fprintf(out, "%s\n\n", r.heading)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, one := range r.rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", one.Case, one.Metric, shown(one.Value), one.Unit)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

// shown has four digits, and no exponent.
func shown(value float64) string {
	if value >= 1000 {
		return fmt.Sprintf("%.0f", value)
	}
	return fmt.Sprintf("%.4g", value)
}
