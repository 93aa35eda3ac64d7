package bft

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/hyperledger-labs/SmartBFT/pkg/api"
	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	protos "github.com/hyperledger-labs/SmartBFT/smartbftprotos"
)

// Of each collaborator only what these tests call is there.
type (
	application struct{ delivered chan struct{} }
	batcher     struct{ Batcher }
	verifier    struct{ api.Verifier }
	requests    struct{ RequestsTimer }
	pruner      struct{}
	syncer      struct{}
	ended       struct{ Proposer }
)

func (batcher) Close()                        {}
func (verifier) VerificationSequence() uint64 { return 0 }
func (pruner) MaybePruneRevokedRequests()     {}
func (syncer) Sync()                          {}
func (ended) Abort()                          {}

func (a application) Deliver(types.Proposal, []types.Signature) types.Reconfig {
	close(a.delivered)
	return types.Reconfig{}
}

func (ended) AbortChan() <-chan struct{} {
	closed := make(chan struct{})
	close(closed)
	return closed
}

func TestControllerGoesOnAfterADecisionOfAViewThatHasEnded(t *testing.T) {
	app := application{delivered: make(chan struct{})}
	c := &Controller{
		ID: 1, N: 4, NodesList: []uint64{1, 2, 3, 4}, Logger: zap.NewNop().Sugar(), Deliver: app,
		Batcher: batcher{}, Verifier: verifier{}, Checkpoint: &types.Checkpoint{}, currView: ended{}, currViewNumber: 1,
		decisionChan: make(chan decision, 1), abortViewChan: make(chan uint64, 1), stopChan: make(chan struct{}), leaderToken: make(chan struct{}, 1),
	}
	go c.run()
	t.Cleanup(c.close)
	c.Decide(types.Proposal{}, nil, nil)
	<-app.delivered
	within(t, func() {
		for range cap(c.abortViewChan) + 2 { // more than are taken unread
			c.AbortView(1)
		}
	})
}

func TestViewOfAnAttemptThatHasEndedIsNotKept(t *testing.T) {
	v := &ViewChanger{
		Logger: zap.NewNop().Sugar(), Application: application{delivered: make(chan struct{})}, RequestsTimer: requests{}, Pruner: pruner{}, Synchronizer: syncer{},
		inFlightView: &View{}, stopChan: make(chan struct{}),
	}
	within(t, func() {
		v.Decide(types.Proposal{}, nil, nil)
		v.Sync()
	})
}

func TestOldNewViewDoesNotEndAnOrdererThatIsAhead(t *testing.T) {
	v := &ViewChanger{Logger: zap.NewNop().Sugar(), Checkpoint: &types.Checkpoint{}}
	v.Checkpoint.Set(types.Proposal{Metadata: MarshalOrPanic(&protos.ViewMetadata{LatestSequence: 3})}, nil)
	if v.commitInFlightProposal(&protos.Proposal{Metadata: MarshalOrPanic(&protos.ViewMetadata{LatestSequence: 1})}) {
		t.Fatal("it was committed")
	}
}

// within fails unless work ends soon.
func within(t *testing.T, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for ever")
	}
}
