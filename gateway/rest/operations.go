package rest

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// addOperations adds what operators watch. Health tells no more than whether each check is well, and asks for no caller;
// the measurements are for operators.
func (a *API) addOperations() {
	a.router.Get("/healthz", func(w http.ResponseWriter, r *http.Request) {
		noteOf(r.Context()).operation = "health"
		respond(w, http.StatusOK, map[string]any{"ok": true})
	})
	a.router.Get("/readyz", func(w http.ResponseWriter, r *http.Request) {
		noteOf(r.Context()).operation = "ready"
		checks := a.options.Ready(r.Context())
		status, ok := http.StatusOK, true
		for _, well := range checks {
			ok = ok && well
		}
		if !ok {
			status = http.StatusServiceUnavailable
		}
		answer := map[string]any{"ok": ok, "checks": checks}
		if a.options.Peers != nil {
			configured, reachable := a.options.Peers()
			answer["peers"] = map[string]int{"configured": configured, "reachable": reachable}
		}
		respond(w, status, answer)
	})
	measurements := promhttp.HandlerFor(a.options.Gather, promhttp.HandlerOpts{})
	a.router.Get("/metrics", func(w http.ResponseWriter, r *http.Request) {
		n := noteOf(r.Context())
		n.operation = "metrics"
		principal, err := a.options.Authenticate(r)
		if err == nil && !principal.Has(ledger.Operator, ledger.Regulator) {
			err = newProblem(string(ledger.CodeForbidden), "the measurements are for operators")
		}
		if err != nil {
			p := problemOf(err)
			n.fail(p)
			p.write(w, n.request)
			return
		}
		measurements.ServeHTTP(w, r)
	})
}

func respond(w http.ResponseWriter, status int, v any) {
	data, err := ledger.Encode(v)
	if err != nil {
		status, data = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(data) // a client that is gone does not read it
}
