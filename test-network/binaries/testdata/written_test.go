package multichannel

import (
	"fmt"
	"sync"
	"testing"

	cb "github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/protoutil"
)

// slow is a ledger whose next block is on its way to the disk.
type slow struct {
	blockWriterSupport
	mutex  sync.Mutex
	height uint64
	disk   chan struct{}
}

func (s *slow) ChannelID() string { return "datanet" }
func (s *slow) Sequence() uint64  { return 0 }

func (s *slow) Height() uint64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.height
}

func (s *slow) Append(b *cb.Block) error {
	<-s.disk
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if b.Header.Number != s.height {
		return fmt.Errorf("block number should have been %d but was %d", s.height, b.Header.Number)
	}
	s.height++
	return nil
}

func block(number uint64) *cb.Block {
	b := protoutil.NewBlock(number, nil)
	b.Metadata.Metadata[cb.BlockMetadataIndex_SIGNATURES] = []byte("signed")
	return b
}

// TestABlockThatIsBeingWrittenIsNotWrittenTwice has a synchroniser fetch the block that was decided here a moment ago.
func TestABlockThatIsBeingWrittenIsNotWrittenTwice(t *testing.T) {
	ledger := &slow{height: 1, disk: make(chan struct{})}
	w := newBlockWriter(block(0), ledger)
	w.WriteBlock(block(1), nil)
	if ledger.Height() != 1 {
		t.Fatal("it is written already")
	}
	fetched := make(chan any)
	go func() {
		defer func() { fetched <- recover() }()
		w.WriteBlockSync(block(1), nil)
		w.WriteBlockSync(block(2), nil)
	}()
	close(ledger.disk)
	if failure := <-fetched; failure != nil {
		t.Fatal(failure)
	}
	if ledger.Height() != 3 {
		t.Fatalf("height %d", ledger.Height())
	}
}
