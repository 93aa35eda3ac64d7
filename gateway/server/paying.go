package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/paying"
	"github.com/datanet-consortium/datanet/gateway/wallet"
)

// connections is how many idle ones to another gateway are kept for uses. Each use has one for itself while it runs:
// HTTP/1.1 takes less time than streams that share a connection.
const connections = 1024

// openPaying makes the consumer's role. Its wallet and spending keys lie in the gateway's folder.
func (s *Server) openPaying() error {
	file, err := journal.OpenFile(filepath.Join(s.config.Folder, "wallet.journal"))
	if err != nil {
		return err
	}
	purse, err := wallet.Open(file)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	s.closeLater(purse.Close)
	keys, err := paying.OpenKeys(filepath.Join(s.config.Folder, "spending"))
	if err != nil {
		return err
	}
	hosts, err := s.servingHosts()
	if err != nil {
		return err
	}
	repeats, err := journal.OpenFile(filepath.Join(s.config.Folder, "repeats.journal"))
	if err != nil {
		return err
	}
	s.paying, err = paying.New(paying.Options{Organisation: s.config.Organisation, Channel: s.config.Channel, Index: s.index, Wallet: purse, Keys: keys, Repeats: repeats,
		Host: hosts, DefaultTokens: s.config.Paying.Tokens, Patience: s.config.Paying.Patience, Log: s.log, Metrics: s.registry})
	if err != nil {
		return errors.Join(err, repeats.Close())
	}
	s.closeLater(func() error { hosts.CloseIdleConnections(); return s.paying.Close() })
	return nil
}

// pay answers a person's request for a model.
func (s *Server) pay(w http.ResponseWriter, r *http.Request, p identity.Principal) *openai.Error {
	caller := paying.Caller{Account: p.Account, Key: p.KeyID}
	if p.Budget != nil {
		budget := uint64(*p.Budget)
		caller.Budget = &budget
	}
	return s.paying.Complete(w, r, caller)
}

// servingHosts are the gateways of the organisations by MSP ID, the own one too.
type servingHosts struct {
	own     string
	inside  func() http.Handler
	outside map[string]*outsideHost
}

type outsideHost struct {
	address string
	*http.Transport
}

func (s *Server) servingHosts() (*servingHosts, error) {
	h := &servingHosts{own: s.config.Organisation, inside: func() http.Handler { return s.api }, outside: map[string]*outsideHost{}}
	for _, o := range s.config.Organisations {
		if o.Gateway == "" || o.MSPID == s.config.Organisation {
			continue
		}
		shown, err := s.toGateway(o)
		if err != nil {
			return nil, err
		}
		shown.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		h.outside[o.MSPID] = &outsideHost{o.Gateway, &http.Transport{TLSClientConfig: shown, TLSHandshakeTimeout: dialTimeout,
			MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute, DisableCompression: true}}
	}
	return h, nil
}

func (h *servingHosts) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == h.own {
		return within(h.inside(), r)
	}
	host, known := h.outside[r.URL.Host]
	if !known {
		return nil, fmt.Errorf("no gateway of %s is configured", r.URL.Host)
	}
	r.URL.Host = host.address
	return host.RoundTrip(r)
}

func (h *servingHosts) CloseIdleConnections() {
	for _, host := range h.outside {
		host.CloseIdleConnections()
	}
}

// insideKey marks a request that the gateway sends to itself. Nothing that comes over the network has it.
type insideKey struct{}

// authenticate says who a request comes from: the gateway itself, or whoever its certificate or token names.
func (s *Server) authenticate(r *http.Request) (identity.Principal, error) {
	if inside(r.Context()) {
		return identity.Principal{Gateway: s.config.Organisation}, nil
	}
	return s.identities.Authenticate(r)
}

func inside(ctx context.Context) bool { return ctx.Value(insideKey{}) != nil }

// within has a handler of this process answer a request.
func within(handler http.Handler, r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), insideKey{}, true))
	out, in := io.Pipe()
	w := &insideWriter{header: http.Header{}, body: in, ready: make(chan struct{})}
	w.buffer = bufio.NewWriter(in)
	asked := r.Clone(ctx)
	asked.RequestURI, asked.RemoteAddr = r.URL.RequestURI(), "inside"
	go func() {
		defer cancel()
		defer func() {
			if p := recover(); p != nil { // as net/http's server does: what was sent is not complete
				in.CloseWithError(io.ErrUnexpectedEOF)
			}
			w.WriteHeader(http.StatusOK)
			in.CloseWithError(w.buffer.Flush())
		}()
		handler.ServeHTTP(w, asked)
	}()
	select {
	case <-w.ready:
	case <-r.Context().Done():
		cancel()
		out.CloseWithError(r.Context().Err())
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: insideBody{out, cancel}, ContentLength: -1, Request: r}, nil
}

// insideBody ends the request when the answer is read no further.
type insideBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b insideBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// insideWriter is the answer of a handler of this process.
type insideWriter struct {
	header http.Header
	sent   http.Header // as it was when the answer began
	body   *io.PipeWriter
	buffer *bufio.Writer
	once   sync.Once
	status int
	ready  chan struct{}
}

func (w *insideWriter) Header() http.Header { return w.header }

func (w *insideWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.ready)
	})
}

func (w *insideWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.buffer.Write(p)
}

func (w *insideWriter) Flush() { _ = w.FlushError() } // the next write fails

func (w *insideWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	return w.buffer.Flush()
}

// Deadlines are the sender's, whose context ends the request.
func (w *insideWriter) SetReadDeadline(time.Time) error  { return nil }
func (w *insideWriter) SetWriteDeadline(time.Time) error { return nil }
