package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Times of the checks. Answers are kept, so that asking for them costs a peer nothing.
const (
	checkEvery   = 2 * time.Second
	checkTimeout = 5 * time.Second
	// probeEvery is how often the content bucket is tried.
	probeEvery = 30 * time.Second
	// stale is when an answer counts no more.
	stale = 15 * time.Second
	// reachTimeout is how long a peer may take to accept a connection, if there are several.
	reachTimeout = 2 * time.Second
)

// health knows whether the gateway can do its work, and measures it.
type health struct {
	server *Server

	mutex      sync.Mutex
	peerHeight uint64
	faults     map[string]error // by check; nil is well
	checked    time.Time
	away       []string // peers that accept no connection

	// Only look uses them.
	probed      time.Time
	bucketFault error

	descriptions map[string]*prometheus.Desc
}

func newHealth(s *Server) *health {
	h := &health{server: s, faults: map[string]error{}, descriptions: map[string]*prometheus.Desc{}}
	for name, help := range map[string]string{
		"index_height":      "Blocks that are indexed.",
		"peer_height":       "Blocks that the organisation's peer has.",
		"index_lag":         "Blocks that the index is behind the peer.",
		"outbox_unfinished": "Writes whose outcome is not known yet.",
		"contents_lost":     "Contents of the organisation's contributors that are lost, as far as is known.",
		"peers_reachable":   "Peers that accept connections, if several are configured.",
	} {
		h.descriptions[name] = prometheus.NewDesc("datanet_gateway_"+name, help, nil, nil)
	}
	return h
}

// watch checks again and again until the context ends.
func (h *health) watch(ctx context.Context) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		h.look(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *health) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	h.reach(ctx)
	height, peerFault := h.server.self.Height(ctx)
	if peerFault != nil {
		peerFault = fmt.Errorf("the peer does not answer: %w", peerFault)
	}
	storeFault := errors.Join(h.server.state.PingContext(ctx), h.server.indexed.PingContext(ctx), h.probe(ctx))
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for name, fault := range map[string]error{"peer": peerFault, "store": storeFault} {
		if before := h.faults[name]; (before == nil) != (fault == nil) {
			h.server.log.Warn("health", "check", name, "well", fault == nil, "error", fault)
		}
		h.faults[name] = fault
	}
	if peerFault == nil {
		h.peerHeight = height
	}
	h.checked = time.Now()
}

// reach tries each peer, if there are several. That one of them is away changes nothing for callers, so only operators are
// told.
func (h *health) reach(ctx context.Context) {
	addresses := h.server.config.Peer.Addresses
	if len(addresses) < 2 {
		return
	}
	answers := make([]error, len(addresses))
	var asking sync.WaitGroup
	for i, address := range addresses {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, reachTimeout)
			defer cancel()
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err == nil {
				err = conn.Close()
			}
			answers[i] = err
		})
	}
	asking.Wait()
	var away []string
	for i, address := range addresses {
		if answers[i] != nil {
			away = append(away, address)
		}
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if !slices.Equal(h.away, away) {
		h.server.log.Warn("health", "check", "peers", "configured", len(addresses), "away", away)
	}
	h.away = away
}

// peers are how many peers are configured, and how many of them accept connections.
func (h *health) peers() (configured, reachable int) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	configured = len(h.server.config.Peer.Addresses)
	return configured, configured - len(h.away)
}

// probe writes, reads and deletes a small object where contents are kept. An answer is kept for a while, since some
// services charge for each, and a failure until it is well again.
func (h *health) probe(ctx context.Context) error {
	c := h.server.content
	if c == nil || h.bucketFault == nil && time.Since(h.probed) < probeEvery {
		return nil
	}
	h.bucketFault = c.store.Probe(ctx)
	h.probed = time.Now()
	return h.bucketFault
}

// check is what /readyz tells: which checks there are, and which are well.
func (h *health) check(ctx context.Context) map[string]bool {
	indexed, err := h.server.index.Height(ctx)
	h.mutex.Lock()
	defer h.mutex.Unlock()
	fresh := time.Since(h.checked) < stale
	return map[string]bool{
		"peer":  fresh && h.faults["peer"] == nil,
		"store": fresh && h.faults["store"] == nil,
		"index": fresh && err == nil && indexed > 0 && lag(h.peerHeight, indexed) <= uint64(h.server.config.Limits.Lag),
	}
}

func lag(peer, indexed uint64) uint64 {
	if indexed >= peer {
		return 0
	}
	return peer - indexed
}

// Describe and Collect make it a collector of metrics.
func (h *health) Describe(out chan<- *prometheus.Desc) {
	for _, d := range h.descriptions {
		out <- d
	}
}

func (h *health) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	indexed, err := h.server.index.Height(ctx)
	if err != nil {
		return
	}
	h.mutex.Lock()
	peer := h.peerHeight
	h.mutex.Unlock()
	values := map[string]float64{"index_height": float64(indexed), "peer_height": float64(peer), "index_lag": float64(lag(peer, indexed))}
	if h.server.outbox != nil {
		if count, err := h.server.outbox.Unfinished(ctx); err == nil {
			values["outbox_unfinished"] = float64(count)
		}
	}
	if configured, reachable := h.peers(); configured > 1 {
		values["peers_reachable"] = float64(reachable)
	}
	if r := h.server.recovery; r != nil {
		values["contents_lost"] = float64(r.Lost().Count)
	}
	for name, value := range values {
		out <- prometheus.MustNewConstMetric(h.descriptions[name], prometheus.GaugeValue, value)
	}
}
