package serving

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics measure what is served, by model: their number is bounded by those that are published with a host of this
// gateway.
type metrics struct {
	answers *prometheus.CounterVec
	tokens  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	receipt prometheus.Histogram
	commit  prometheus.Histogram
}

func newMetrics(registry prometheus.Registerer, h *Host) (*metrics, error) {
	quick := []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1}
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "datanet_serving_answers_total",
			Help: "Requests for models, by what became of them: answered, stored, aborted, or the code of a refusal."}, []string{"model", "outcome"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "datanet_serving_tokens_total",
			Help: "Canonical tokens of answers."}, []string{"model", "direction"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "datanet_serving_seconds",
			Help: "Time from a request's admission to the last event of its answer.", Buckets: []float64{.003, .01, .03, .1, .3, 1, 3, 10, 30, 100}}, []string{"model"}),
		receipt: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "datanet_serving_receipt_seconds", Help: "Time to make a receipt.", Buckets: quick}),
		commit:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "datanet_serving_commit_seconds", Help: "Time until an answer is on disk.", Buckets: quick}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "datanet_serving_" + name, Help: help}, value)
	}
	for _, c := range []prometheus.Collector{m.answers, m.tokens, m.seconds, m.receipt, m.commit,
		gauge("sessions", "Sessions that can be used.", func() float64 {
			h.mutex.RLock()
			defer h.mutex.RUnlock()
			return float64(len(h.sessions))
		}),
		gauge("under_way", "Requests that are being answered.", func() float64 {
			h.mutex.RLock()
			defer h.mutex.RUnlock()
			n := 0
			for _, s := range h.models {
				n += len(s.slots)
			}
			return float64(n)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "datanet_serving_journal_syncs_total", Help: "How often the meter's journal was synced."},
			func() float64 { return float64(h.Meter.Syncs()) }),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
