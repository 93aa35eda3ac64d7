package verify

import (
	"strings"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestAFindingQuotesWhatATerminalBears(t *testing.T) {
	require.Equal(t, "می\u200cخواهم \ufffd[2J\ufffdab", shown("می\u200cخواهم \x1b[2J\u202eab"))
	require.Len(t, shown(strings.Repeat("a", 2*mostShown)), mostShown+len("…"))
}

// FuzzWhatIsSplit: a message that is split reads as the protobuf package reads it.
func FuzzWhatIsSplit(f *testing.F) {
	for _, m := range []proto.Message{
		&kvrwset.KVRWSet{
			Reads:          []*kvrwset.KVRead{{Key: "a"}, {Key: "b", Version: &kvrwset.Version{BlockNum: 7, TxNum: 1 << 40}}, {Version: &kvrwset.Version{}}},
			Writes:         []*kvrwset.KVWrite{{Key: "b", Value: []byte("x")}, {Key: "c", IsDelete: true}},
			MetadataWrites: []*kvrwset.KVMetadataWrite{{Key: "b", Entries: []*kvrwset.KVMetadataEntry{{Name: "n", Value: []byte("p")}, {}}}, {Key: "d"}},
		},
		&kvrwset.KVRWSet{RangeQueriesInfo: []*kvrwset.RangeQueryInfo{{StartKey: "a"}}},
		&peer.Response{Status: 200, Message: "m", Payload: []byte("p")},
		&peer.ChaincodeID{Path: "p", Name: "n", Version: "v"},
		&peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{Type: peer.ChaincodeSpec_GOLANG, ChaincodeId: &peer.ChaincodeID{Name: "n"},
			Input: &peer.ChaincodeInput{Args: [][]byte{[]byte("f"), {}, []byte("d")}}, Timeout: -1}},
		&peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{Input: &peer.ChaincodeInput{Args: [][]byte{[]byte("f")}, IsInit: true}}},
		&common.ChannelHeader{Type: -1, Version: 1, Timestamp: &timestamppb.Timestamp{Seconds: -5, Nanos: 7}, ChannelId: "c", TxId: "t", Epoch: 1 << 60, Extension: []byte("e"), TlsCertHash: []byte("h")},
		&peer.ChaincodeHeaderExtension{ChaincodeId: &peer.ChaincodeID{Name: "n"}},
		&peer.ChaincodeEvent{ChaincodeId: "c", TxId: "t", EventName: "n", Payload: []byte("p")},
	} {
		data, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(data)
		f.Add(append(data, data...))
		f.Add(append(data, 0x28, 0x01))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, split := &kvrwset.KVRWSet{}, &kvrwset.KVRWSet{}
		if splitSet(data, split) {
			require.NoError(t, proto.Unmarshal(data, set))
			require.True(t, proto.Equal(set, split), "%v, split %v", set, split)
		}
		response := &peer.Response{}
		err := proto.Unmarshal(data, response)
		answer, ok := answerOf(data)
		require.Equal(t, err == nil, ok)
		if ok {
			require.Equal(t, string(response.GetPayload()), string(answer))
		}
		id := &peer.ChaincodeID{}
		err = proto.Unmarshal(data, id)
		got, ok := idOf(data)
		require.Equal(t, err == nil, ok)
		if ok {
			require.Equal(t, id.GetName()+" "+id.GetVersion(), got.name+" "+got.version)
		}
		channel := &common.ChannelHeader{}
		err = proto.Unmarshal(data, channel)
		header, failed := channelHeaderOf(data)
		require.Equal(t, err == nil, failed == nil)
		require.True(t, err != nil || proto.Equal(channel, header), "%v, split %v", channel, header)
		extension := &peer.ChaincodeHeaderExtension{}
		err = proto.Unmarshal(data, extension)
		called, ok := calledOf(data)
		require.Equal(t, err == nil, ok)
		if ok {
			require.Equal(t, chaincodeID{extension.ChaincodeId != nil, extension.GetChaincodeId().GetName(), extension.GetChaincodeId().GetVersion()}, called)
		}
		sets, err := setsOf(data), (&rwsetutil.TxRwSet{}).FromProtoBytes(data)
		require.Equal(t, err == nil, sets != nil)
		event := &peer.ChaincodeEvent{}
		err = proto.Unmarshal(data, event)
		read := eventOf(data)
		require.Equal(t, err == nil, read != nil)
		require.True(t, err != nil || proto.Equal(event, read), "%v, split %v", event, read)
		spec := &peer.ChaincodeInvocationSpec{}
		if args, ok := splitArgs(data); ok {
			require.NoError(t, proto.Unmarshal(data, spec))
			want := spec.GetChaincodeSpec().GetInput().GetArgs()
			require.Len(t, args, len(want))
			for i := range want {
				require.Equal(t, string(want[i]), string(args[i]))
			}
		}
	})
}
