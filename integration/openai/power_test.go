package openai_test

import (
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
	journals     []string // that have grown by more than one frame since
}

// beforeThePowerIsCut notes what clients have been given, and waits until more than one frame has been written since: all
// that they have been given lies before the last frame then. A frame is written once the one before is synced, so a power
// cut takes at most the last one.
func beforeThePowerIsCut(t *testing.T, m *market.Market, msp string) powerCut {
	p := powerCut{acknowledged: map[merkle.Hash]uint64{}, folder: filepath.Join(m.Dir, "gateways", msp)}
	given.mutex.Lock()
	for id, last := range given.last {
		p.acknowledged[id] = last + 1
	}
	given.mutex.Unlock()
	names := []string{"meter.journal", "wallet.journal"}
	sizes, grown := map[string]int64{}, map[string]int{}
	size := func(name string) int64 {
		info, err := os.Stat(filepath.Join(p.folder, name))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for _, name := range names {
		sizes[name] = size(name)
	}
	written, err := fsnotify.NewWatcher()
	require.NoError(t, err)
	defer written.Close()
	require.NoError(t, written.Add(p.folder))
	enough := time.NewTimer(200 * time.Millisecond) // a gateway that nobody asks writes nothing
	defer enough.Stop()
	for len(p.journals) < len(names) {
		select {
		case event := <-written.Events:
			name := filepath.Base(event.Name)
			if now := size(name); slices.Contains(names, name) && now > sizes[name] {
				sizes[name] = now
				if grown[name]++; grown[name] == 2 {
					p.journals = append(p.journals, name)
				}
			}
		case err := <-written.Errors:
			require.NoError(t, err)
		case <-enough.C:
			return p
		}
	}
	return p
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
