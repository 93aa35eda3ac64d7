package openai_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
	"github.com/datanet-consortium/datanet/gateway/wallet"
	"github.com/datanet-consortium/datanet/integration/market"
)

const (
	// cuts is how many ends are tried of each journal, besides the first byte of its last frame and the last.
	cuts = 16
	// The lengths of a journal's header and of a frame's (package journal).
	journalHeader, frameHeader = 16, 20
)

// powerCut is what clients had been given a moment before a gateway was killed.
type powerCut struct {
	acknowledged map[merkle.Hash]uint64 // the number of answers up to the last one, by session
	folder       string
	journals     []string // of the gateway; each has grown by more than one frame since
}

// journals are those that are written while clients pay, by organisation: of hosts and of consumers.
var journals = map[string][]string{market.Owner: {"meter.journal"}, market.Consumer: {"meter.journal", "wallet.journal"}, market.Third: {"wallet.journal"}}

// beforeThePowerIsCut notes what clients have been given, and waits until more than one frame has been written since: all
// that they have been given lies before the last frame then. A frame is written once the one before is synced, so a power
// cut takes at most the last one. The context ends when clients no longer pay.
func beforeThePowerIsCut(ctx context.Context, t *testing.T, m *market.Market, msp string) (p powerCut, paying bool) {
	p = powerCut{acknowledged: map[merkle.Hash]uint64{}, folder: filepath.Join(m.Dir, "gateways", msp), journals: journals[msp]}
	given.mutex.Lock()
	for id, last := range given.last {
		p.acknowledged[id] = last + 1
	}
	given.mutex.Unlock()
	size := func(name string) int64 {
		info, err := os.Stat(filepath.Join(p.folder, name))
		require.NoError(t, err)
		return info.Size()
	}
	written, err := fsnotify.NewWatcher()
	require.NoError(t, err)
	defer written.Close()
	require.NoError(t, written.Add(p.folder))
	sizes, grown := map[string]int64{}, map[string]int{}
	for _, name := range p.journals {
		sizes[name] = size(name)
	}
	enough := time.NewTimer(stubborn)
	defer enough.Stop()
	for slices.ContainsFunc(p.journals, func(name string) bool { return grown[name] < 2 }) {
		select {
		case event := <-written.Events:
			name := filepath.Base(event.Name)
			if before, ok := sizes[name]; ok {
				if sizes[name] = size(name); sizes[name] > before {
					grown[name]++
				}
			}
		case err := <-written.Errors:
			require.NoError(t, err)
		case <-ctx.Done():
			return p, false
		case <-enough.C:
			require.Fail(t, "clients pay and the journals do not grow", "%s: %v", msp, grown)
		}
	}
	return p, true
}

// check cuts copies of the journals somewhere in their last frame and replays them: nothing that was acknowledged is lost.
// It returns how many replays held it.
func (p powerCut) check(t *testing.T) (replays int) {
	for _, name := range p.journals {
		data, err := os.ReadFile(filepath.Join(p.folder, name))
		require.NoError(t, err)
		last := lastFrame(data)
		for i := range cuts + 2 {
			at := last + rand.IntN(len(data)-last+1)
			switch i {
			case cuts:
				at = last
			case cuts + 1:
				at = len(data)
			}
			if name == "meter.journal" {
				p.replayMeter(t, data[:at])
			} else {
				p.replayWallet(t, data[:at])
			}
			replays++
		}
	}
	return replays
}

// lastFrame is where a journal's last frame begins.
func lastFrame(data []byte) (last int) {
	last = min(journalHeader, len(data))
	for at := last; at < len(data); {
		last = at
		if at+frameHeader > len(data) {
			break
		}
		at += frameHeader + int(binary.BigEndian.Uint32(data[at+12:]))
	}
	return last
}

func (p powerCut) replayMeter(t *testing.T, data []byte) {
	host, err := meter.Open(journaltest.Holding(data), meter.Limits{Exposure: 1 << 60, Unsettled: 1 << 30})
	require.NoError(t, err)
	for id, n := range p.acknowledged {
		answers, err := host.Answers(id, n-1, 1)
		if errors.Is(err, meter.ErrUnknown) || errors.Is(err, meter.ErrSettled) {
			continue // another host's, or on the ledger already
		}
		require.NoError(t, err)
		require.Len(t, answers, 1, "the host's journal has the answer at %d of session %s", n-1, id)
	}
	require.NoError(t, host.Close())
}

func (p powerCut) replayWallet(t *testing.T, data []byte) {
	purse, err := wallet.Open(journaltest.Holding(data))
	require.NoError(t, err)
	for id, n := range p.acknowledged {
		standing, err := purse.Session(id)
		if errors.Is(err, wallet.ErrUnknown) {
			continue // another consumer's
		}
		require.NoError(t, err)
		require.GreaterOrEqual(t, standing.N, n, "the consumer's journal has the answers of session %s", id)
	}
	require.NoError(t, purse.Close())
}
