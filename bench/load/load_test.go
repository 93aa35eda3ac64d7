package load

import (
	"errors"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/fabric"
)

func TestAFateIsKnownWhenAllPeersHaveToldIt(t *testing.T) {
	g := &Generator{peers: 3, waiting: map[string]*wait{}}
	fate := g.expect("ours")
	block := []fabric.Outcome{{TxID: "another", Code: peer.TxValidationCode_VALID}, {TxID: "ours", Code: peer.TxValidationCode_MVCC_READ_CONFLICT}}
	for range 2 {
		g.tell(block)
		select {
		case <-fate:
			require.Fail(t, "a peer has not told it yet")
		default:
		}
	}
	g.tell(block)
	require.Equal(t, peer.TxValidationCode_MVCC_READ_CONFLICT, <-fate)
	require.Empty(t, g.waiting, "nothing is kept of it")
}

func TestAttemptsAreCountedByWhatBecameOfThem(t *testing.T) {
	var r Result
	gone := errors.New("the peer is gone")
	for _, err := range []error{
		nil,
		&fabric.InvalidError{Code: peer.TxValidationCode_MVCC_READ_CONFLICT},
		&fabric.InvalidError{Code: peer.TxValidationCode_PHANTOM_READ_CONFLICT},
		errors.New("endorse: failed to assemble transaction: ProposalResponsePayloads do not match"),
		gone,
		&fabric.InvalidError{Code: peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE},
	} {
		r.count(err, time.Second)
	}
	require.Equal(t, Result{Valid: 1, Conflicts: 3, Failed: 2, Failure: gone, Latencies: []time.Duration{time.Second}}, r)
}
