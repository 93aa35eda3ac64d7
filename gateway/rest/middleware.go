package rest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// note is what the log will say of a request. It holds no content, no query and no header.
type note struct {
	request     string
	operation   string
	caller      string
	transaction string
	problem     *Problem
	w           middleware.WrapResponseWriter
}

type noteKey struct{}

func noteOf(ctx context.Context) *note {
	n, ok := ctx.Value(noteKey{}).(*note)
	if !ok {
		return &note{} // an operation called without the middleware, as no request is
	}
	return n
}

func (n *note) fail(p *Problem) { n.problem = p }

// written tells whether an answer was begun.
func (n *note) written() bool { return n.w != nil && n.w.Status() != 0 }

const requestHeader = "Datanet-Request"

// observe gives each request an id, counts and logs it, and turns a panic into a problem.
func (a *API) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(plain http.ResponseWriter, r *http.Request) {
		start := time.Now()
		w := middleware.NewWrapResponseWriter(plain, r.ProtoMajor)
		n := &note{request: rand.Text(), w: w}
		w.Header().Set(requestHeader, n.request)
		r = r.WithContext(context.WithValue(r.Context(), noteKey{}, n))
		defer func() {
			p, begun := recover(), n.written()
			if p != nil && p != http.ErrAbortHandler {
				n.fail(&Problem{Code: string(ledger.CodeInternal), cause: fmt.Errorf("panic: %v\n%s", p, debug.Stack())})
				if !begun {
					newProblem(string(ledger.CodeInternal), "the gateway's log says more under the request's id").write(w, n.request)
				}
			}
			a.record(r, n, time.Since(start))
			if p == http.ErrAbortHandler || p != nil && begun {
				panic(http.ErrAbortHandler) // what was sent so far must not look complete
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// record writes the line of the log and counts.
func (a *API) record(r *http.Request, n *note, took time.Duration) {
	status := n.w.Status()
	if status == 0 {
		status = http.StatusOK
	}
	pattern := chi.RouteContext(r.Context()).RoutePattern()
	if n.operation == "" {
		pattern = "none"
	}
	a.metrics.observe(r.Method, pattern, status, took)
	level := slog.LevelInfo
	fields := []slog.Attr{slog.String("request", n.request), slog.String("method", r.Method), slog.String("route", pattern),
		slog.Int("status", status), slog.Int("bytes", n.w.BytesWritten()), slog.Duration("took", took)}
	if n.caller != "" {
		fields = append(fields, slog.String("caller", n.caller))
	}
	if n.transaction != "" {
		fields = append(fields, slog.String("transaction", n.transaction))
	}
	if p := n.problem; p != nil {
		fields = append(fields, slog.String("code", p.Code))
		if p.Status >= http.StatusInternalServerError || p.Code == string(ledger.CodeInternal) {
			level = slog.LevelError
			if p.cause != nil && !errors.Is(p.cause, context.Canceled) {
				fields = append(fields, slog.String("error", p.cause.Error()))
			}
		}
	}
	a.options.Log.LogAttrs(r.Context(), level, "request", fields...)
}

// protect sets the headers that every answer has, and bounds what an unknown caller may send.
func (a *API) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Strict-Transport-Security", "max-age=31536000")
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		// Callers behind one address share this bound, so it is far wider than that of one caller.
		if err := a.hosts.take(host); err != nil {
			n, p := noteOf(r.Context()), problemOf(err)
			n.fail(p)
			p.write(w, n.request)
			return
		}
		next.ServeHTTP(w, r)
	})
}
