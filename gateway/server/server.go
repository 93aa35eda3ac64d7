// Package server puts a gateway together: it reads the configuration, opens databases, keys and content, connects to the
// peer, and serves the HTTP interface until it is told to stop.
//
// A gateway that only reads is built without outbox, keystore, content and sequencer, so it has nothing to write with.
package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/attesting"
	"github.com/datanet-consortium/datanet/gateway/corpus"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/keystore"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/outbox"
	"github.com/datanet-consortium/datanet/gateway/paying"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/gateway/sequencer"
	"github.com/datanet-consortium/datanet/gateway/serving"
	"github.com/datanet-consortium/datanet/gateway/settling"
	"github.com/datanet-consortium/datanet/network/pki"
)

// Bounds of the listener, whatever the configuration says.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = time.Minute
	writeTimeout  = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	// purgeEvery is how often what is forgotten by then is removed.
	purgeEvery = time.Hour
)

// ErrRunning says that another process works in the gateway's folder.
var ErrRunning = errors.New("a gateway runs in it, or a command that needs it for itself: stop it first")

// Server is a gateway. It serves from [Server.Run] on.
type Server struct {
	config *Config
	log    *slog.Logger

	conn       *grpc.ClientConn
	self       *fabric.Client
	own        *x509.Certificate // by which the gateway itself signs
	others     others
	state      *database.DB
	indexed    *database.DB
	index      *index.Index
	identities *identity.Identities
	keys       *keystore.Store // nil when the gateway only reads
	outbox     *outbox.Outbox  // nil when the gateway only reads
	clients    *clients
	registry   *prometheus.Registry
	api        *rest.API
	health     *health
	content    *library          // nil when the gateway only reads
	replicas   *replicas         // nil when the gateway only reads
	recovery   *recovery         // nil when the gateway only reads
	archive    *archive.Archive  // nil when the gateway hosts nothing
	attesting  *attesting.Worker // nil when the gateway only reads
	corpora    *corpus.Library   // nil when the gateway only reads
	settling   *settling.Worker  // nil when the gateway only reads
	paying     *paying.Consumer  // nil when the gateway only reads
	meter      *meter.Meter      // nil when the gateway serves no models
	serving    *serving.Host     // nil when the gateway serves no models
	artifacts  *artifacts        // nil when the gateway only reads
	listener   net.Listener
	closers    []func() error
}

// New makes a gateway that listens already. After a failure nothing stays open.
func New(ctx context.Context, config *Config, version string, log *slog.Logger) (_ *Server, err error) {
	s := &Server{config: config, log: log, registry: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.takeFolder(); err != nil {
		return nil, err
	}
	if err := s.openDatabases(ctx); err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	if err := s.openOthers(); err != nil {
		return nil, err
	}
	if s.index, err = index.Open(ctx, s.indexed, config.Chaincode, index.WithLog(log)); err != nil {
		return nil, err
	}
	if err := s.openIdentities(ctx); err != nil {
		return nil, err
	}
	if !config.ReadOnly {
		if err := s.openOutbox(ctx); err != nil {
			return nil, err
		}
		if err := s.openContent(ctx); err != nil {
			return nil, err
		}
		if err := s.openPaying(); err != nil {
			return nil, err
		}
		if err := s.openCorpora(); err != nil {
			return nil, err
		}
		if err := s.openArtifacts(); err != nil {
			return nil, err
		}
		if err := s.openServing(ctx); err != nil {
			return nil, err
		}
		if err := s.openAttesting(ctx); err != nil {
			return nil, err
		}
		if err := s.openSettling(); err != nil {
			return nil, err
		}
	}
	s.health = newHealth(s)
	if err := s.registry.Register(collectors.NewGoCollector()); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if err := s.registry.Register(s.health); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if err := s.openAPI(version); err != nil {
		return nil, err
	}
	return s, s.listen()
}

func (s *Server) closeLater(f func() error) { s.closers = append(s.closers, f) }

// close closes what was opened, the last first.
func (s *Server) close() error {
	var faults []error
	for len(s.closers) > 0 {
		last := s.closers[len(s.closers)-1]
		s.closers = s.closers[:len(s.closers)-1]
		faults = append(faults, last())
	}
	return errors.Join(faults...)
}

// takeFolder makes the gateway's folder and keeps other gateways, and commands that need it for themselves, out of it.
func (s *Server) takeFolder() error {
	if err := os.MkdirAll(s.config.Folder, 0o700); err != nil {
		return fmt.Errorf("make the gateway's folder: %w", err)
	}
	lock := flock.New(filepath.Join(s.config.Folder, "lock"), flock.SetPermissions(0o600))
	taken, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock the gateway's folder: %w", err)
	}
	if !taken {
		return fmt.Errorf("lock the gateway's folder %s: %w", s.config.Folder, ErrRunning)
	}
	s.closeLater(lock.Close)
	return nil
}

func (s *Server) openDatabases(ctx context.Context) (err error) {
	state, indexed := s.config.Database.State, s.config.Database.Index
	if state == "" {
		state = database.SQLiteURL(filepath.Join(s.config.Folder, "state.db"))
	}
	if indexed == "" {
		indexed = database.SQLiteURL(filepath.Join(s.config.Folder, "index.db")) + "?synchronous=normal"
	}
	if s.state, err = database.Open(ctx, state); err != nil {
		return err
	}
	s.closeLater(s.state.Close)
	if s.indexed, err = database.Open(ctx, indexed); err != nil {
		return err
	}
	s.closeLater(s.indexed.Close)
	return nil
}

// connect opens the connection to the peers, and the gateway's own client over it.
func (s *Server) connect() error {
	authority, err := os.ReadFile(s.config.Peer.Authority)
	if err != nil {
		return fmt.Errorf("read the TLS authority of the peers: %w", err)
	}
	if s.conn, err = fabric.Dial(s.config.Peer.Addresses[0], authority, s.config.Peer.Addresses[1:]...); err != nil {
		return err
	}
	s.closeLater(s.conn.Close)
	own, err := pki.LoadIdentity(s.config.Identity.Folder, s.config.Organisation)
	if err != nil {
		return fmt.Errorf("load the gateway's own identity: %w", err)
	}
	s.own = own.Certificate()
	if s.self, err = fabric.Connect(s.conn, own, s.config.Channel, s.config.Chaincode); err != nil {
		return err
	}
	s.closeLater(s.self.Close)
	return nil
}

func (s *Server) openIdentities(ctx context.Context) (err error) {
	config := identity.Config{MSPID: s.config.Organisation, Own: s.own, Validity: s.config.Identity.Validity}
	if config.Authorities, err = s.config.authorities(); err != nil {
		return err
	}
	if config.Issuers, err = s.config.issuers(); err != nil {
		return err
	}
	if s.config.Identity.Authority != "" {
		if config.Authority, err = pki.OpenAuthority(s.config.Identity.Authority); err != nil {
			return fmt.Errorf("load the authority that enrols people: %w", err)
		}
	}
	if !s.config.ReadOnly {
		if s.keys, err = keystore.Open(filepath.Join(s.config.Folder, "keystore"), s.config.Organisation); err != nil {
			return err
		}
		if err := s.keep(); err != nil {
			return err
		}
		config.Custody = custody{s.keys}
	}
	s.identities, err = identity.Open(ctx, s.state, config)
	return err
}

func (s *Server) openOutbox(ctx context.Context) (err error) {
	s.clients = &clients{server: s, byAccount: map[ledger.Account]*client{}}
	s.closeLater(s.clients.close)
	s.outbox, err = outbox.Open(ctx, s.state, outbox.Options{Service: s.self, Signer: s.clients.signer, Log: s.log})
	if err != nil {
		return err
	}
	s.closeLater(func() error { s.outbox.Close(); return nil })
	return nil
}

func (s *Server) openAPI(version string) (err error) {
	options := rest.Options{
		Organisation: s.config.Organisation, Channel: s.config.Channel, Version: version,
		Authenticate: s.authenticate, Index: s.index, Peer: ownPeer{s}, People: s.identities,
		Rate: s.config.Limits.Rate, Burst: s.config.Limits.Burst, BodyTimeout: s.config.Limits.Body, WriteWait: s.config.Limits.Wait,
		Log: s.log, Metrics: s.registry, Gather: s.registry, Ready: s.health.check, Peers: s.health.peers,
	}
	options.EvaluateAt = func(ctx context.Context, organisation, function string, document []byte) ([]byte, error) {
		return s.self.Evaluate(ctx, fabric.Call{Function: function, Request: document, Endorsers: []string{organisation}})
	}
	options.Block, options.Chaincode = s.block, s.config.Chaincode
	options.Settled = s.settled()
	if s.content == nil {
		options.Opening = exchange.NewClient(s.others, s.others.addresses).Opening
	}
	options.HostReceipt = s.receipts()
	for _, o := range s.config.Organisations {
		options.Organisations = append(options.Organisations, o.MSPID)
	}
	if s.outbox != nil {
		options.Outbox = s.outbox
	}
	if s.serving != nil {
		options.Serving, options.Settle = s.serving, s.settling.SettleNow
	}
	options.Attesting = s.attesting
	if s.attesting != nil {
		options.Pages = settling.PagesHandler(s.attesting, s.otherGateway)
	}
	if s.content != nil {
		options.Behind = s.behind()
	}
	if s.meter != nil {
		options.Settle = s.settling.SettleNow
	}
	if s.archive != nil {
		options.Evidence = s.archive.Handler(s.otherGateway)
	}
	if c := s.content; c != nil {
		options.Content, options.Reviews, options.Exchange, options.Release, options.Handover = c.store, c.reviews, c.client, c.service.Release, c.handover
		options.Losses = s.recovery
	}
	if s.artifacts != nil {
		options.Artifacts, options.ArtifactHandover = s.artifacts.Store, s.artifacts.handler()
	}
	if s.paying != nil {
		options.Wallet, options.Paying, options.Models = s.paying, s.pay, s.paying.Models
	}
	s.api, err = rest.New(options)
	return err
}

func (s *Server) listen() error {
	credentials, err := newCredentials(s.config, s.identities, s.log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.config.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.config.Listen, err)
	}
	s.listener = tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: credentials.configuration})
	s.closeLater(func() error {
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// Address is host:port of the listener.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Run serves until the context ends, and then gives what is under way some time to end. It returns nil after an orderly
// end. A server runs once.
func (s *Server) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.close()) }()
	background, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel(nil)
	work.Go(func() {
		if err := s.index.Follow(background, s.self); err != nil {
			s.log.Error("the index cannot go on", "error", err)
		}
	})
	work.Go(func() { s.health.watch(background) })
	if s.outbox != nil {
		work.Go(func() { s.recover(background) })
		work.Go(func() { s.purge(background) })
		work.Go(func() { s.renewKept(background) })
	}
	if s.archive != nil {
		work.Go(func() { s.sweepArchive(background) })
	}
	if s.content != nil {
		work.Go(func() { s.content.keepUp(background, s.index) })
		work.Go(func() { s.checkCorpora(background) })
		work.Go(func() { s.attest(background) })
		complete := &completion{organisation: s.config.Organisation, index: s.index, functions: functions{s}, log: s.log}
		work.Go(func() { complete.run(background) })
		work.Go(func() { s.replicas.run(background) })
		work.Go(func() { s.recovery.run(background) })
		work.Go(func() { s.api.PrepareReviews(background) })
	}
	if s.serving != nil {
		work.Go(func() { s.serving.Run(background) })
	}
	if s.artifacts != nil {
		work.Go(func() { s.artifacts.keepUp(background) })
	}
	if s.paying != nil {
		work.Go(func() { s.paying.Run(background) })
	}
	if s.settling != nil {
		work.Go(func() { s.settle(background) })
	}
	if !s.config.ReadOnly && !s.config.Sequencer.Off {
		work.Go(func() {
			sequencer.Run(background, s.self, sequencer.Options{Organisation: s.config.Organisation,
				Quiet: s.config.Sequencer.Quiet, Longest: s.config.Sequencer.Longest, Log: s.log})
		})
	}
	server := &http.Server{Handler: s.api, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	server.RegisterOnShutdown(s.api.EndStreams)
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	s.log.Info("the gateway serves", "organisation", s.config.Organisation, "address", s.Address(), "readOnly", s.config.ReadOnly)
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.log.Info("the gateway stops")
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), s.config.Limits.Shutdown)
	defer done()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("some requests did not end within %s: %w", s.config.Limits.Shutdown, err), server.Close())
	}
	return nil
}

// recover goes on with the writes that were under way when the gateway ended.
func (s *Server) recover(ctx context.Context) {
	if err := s.outbox.Recover(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("writes that were under way could not be taken up again", "error", err)
	}
}

func (s *Server) purge(ctx context.Context) {
	ticker := time.NewTicker(purgeEvery)
	defer ticker.Stop()
	for {
		if _, err := s.outbox.Purge(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("purge the outbox", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
