package paying

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the role's own measurements.
type metrics struct {
	accepted, fees, wrong prometheus.Counter
	refused               *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
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
	return m, errors.Join(r.Register(m.accepted), r.Register(m.fees), r.Register(m.wrong), r.Register(m.refused))
}
