package paying

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// metrics are the role's own measurements.
type metrics struct {
	accepted, fees, wrong prometheus.Counter
	refused               *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, w *wallet.Wallet) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "datanet", Subsystem: "paying", Name: name, Help: help})
	}
	m := &metrics{
		accepted: counter("answers_total", "Answers that were checked and accepted."),
		fees:     counter("fees_total", "What accepted answers cost, in micro-credits."),
		wrong:    counter("wrong_answers_total", "Wrong answers, each of which has stopped a session."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "datanet", Subsystem: "paying", Name: "refused_total",
			Help: "Requests that were not answered, by the code of the fault."}, []string{"code"}),
	}
	syncs := prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "datanet", Subsystem: "paying", Name: "journal_syncs_total", Help: "How often the wallet's journal was synced."},
		func() float64 { return float64(w.Syncs()) })
	return m, errors.Join(r.Register(syncs), r.Register(m.accepted), r.Register(m.fees), r.Register(m.wrong), r.Register(m.refused))
}
