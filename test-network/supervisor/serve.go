package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/network"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/binaries"
	"github.com/datanet-consortium/datanet/test-network/process"
)

// Serve starts a network and runs it until a client or the context stops it. It reports the start as lines of Events to
// started, and everything else to log. The hooks of the options that report progress are its own.
func Serve(ctx context.Context, options testnetwork.Options, started io.Writer, log *slog.Logger) error {
	s := &server{log: log, reports: map[*report]bool{}}
	starting := s.open(started)
	err := s.serve(ctx, options, starting)
	if err != nil {
		log.Error("the supervisor ends", "reason", err)
	}
	s.close(starting, err)
	return err
}

// server is a supervisor.
type server struct {
	log     *slog.Logger
	network *testnetwork.Network
	stop    context.CancelFunc

	lock    sync.Mutex
	reports map[*report]bool
}

// report is somebody who wants to know how an operation goes on.
type report struct{ lines *json.Encoder }

func (s *server) serve(ctx context.Context, options testnetwork.Options, starting *report) (err error) {
	ctx, s.stop = context.WithCancel(ctx)
	defer s.stop()

	path, err := socketPath(options.Dir)
	if err != nil {
		return err
	}
	options.Progress = func(text string) {
		s.log.Info(text)
		s.tell(Event{Progress: text})
	}
	options.Building = func(p binaries.Progress) { s.tell(Event{Building: &p}) }
	options.OnExit = func(exit *process.ExitError) { s.log.Error(exit.Error()) }
	if s.network, err = testnetwork.Start(ctx, options); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.network.Stop()) }()

	// The network's lock is ours, so a socket that exists was left behind.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the socket of an earlier supervisor: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("open the control socket: %w", err)
	}
	control := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	serving := make(chan error, 1)
	go func() { serving <- control.Serve(listener) }()

	s.close(starting, nil)
	s.log.Info("the network is up", "supervisor", os.Getpid())
	select {
	case err := <-serving:
		return fmt.Errorf("serve the control socket: %w", err)
	case <-ctx.Done():
	}
	s.log.Info("the network is being stopped")
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := control.Shutdown(end); err != nil {
		return errors.Join(fmt.Errorf("close the control socket: %w", err), control.Close())
	}
	return nil
}

// routes are the commands of the control socket.
func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.status)
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		s.stop()
	})
	mux.HandleFunc("POST /heal", s.heal)
	mux.HandleFunc("POST /upgrade", operation(s, func(ctx context.Context, u Upgrade) error {
		return s.network.Upgrade(ctx, u.Version, u.Sequence, u.Program)
	}))
	mux.HandleFunc("POST /organizations", operation(s, func(ctx context.Context, org network.Organization) error {
		return s.network.AddOrganization(ctx, org)
	}))
	return http.MaxBytesHandler(mux, longestRequest)
}

func (s *server) status(w http.ResponseWriter, r *http.Request) {
	status, err := s.network.Status(r.Context())
	s.answer(w, status, err)
}

func (s *server) heal(w http.ResponseWriter, r *http.Request) {
	names, err := s.network.Heal(r.Context())
	s.answer(w, Healed{Processes: names}, err)
}

func (s *server) answer(w http.ResponseWriter, body any, err error) {
	if err != nil {
		s.log.Error("a command failed", "reason", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Warn("an answer was not sent", "reason", err)
	}
}

// operation handles a request that takes its time and answers with lines of Events. A client that hangs up does not stop
// it, since half a change is worse than one that nobody watches.
func operation[T any](s *server, perform func(context.Context, T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request T
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&request); err != nil {
			http.Error(w, "decode the request: "+err.Error(), http.StatusBadRequest)
			return
		}
		watching := s.open(flusher{w})
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), operationLimit)
		defer cancel()
		err := perform(ctx, request)
		if err != nil {
			s.log.Error("a command failed", "reason", err)
		}
		s.close(watching, err)
	}
}

// operationLimit bounds one change of the network, such as a new member, which takes seconds.
const operationLimit = 2 * time.Minute

// flusher sends each line at once.
type flusher struct{ http.ResponseWriter }

func (f flusher) Write(line []byte) (int, error) {
	n, err := f.ResponseWriter.Write(line)
	if err != nil {
		return n, err
	}
	return n, http.NewResponseController(f.ResponseWriter).Flush()
}

// open adds somebody who is told events. Whoever does not listen any more is ignored.
func (s *server) open(lines io.Writer) *report {
	r := &report{lines: json.NewEncoder(lines)}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.reports[r] = true
	return r
}

// tell tells an event to all.
func (s *server) tell(event Event) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for r := range s.reports {
		_ = r.lines.Encode(event)
	}
}

// close ends a report; a second time does nothing.
func (s *server) close(r *report, err error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if !s.reports[r] {
		return
	}
	delete(s.reports, r)
	if err != nil {
		_ = r.lines.Encode(Event{Error: err.Error()})
		return
	}
	_ = r.lines.Encode(Event{Done: true})
}
