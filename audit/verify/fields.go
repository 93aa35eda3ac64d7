package verify

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// An envelope is a dozen messages inside each other. Decoding each copies what is inside, which costs as much as a
// signature. So the outer ones, which hold only byte strings, are split where they lie. Splitting takes only what every
// decoder reads in the same way: known fields, each once. Whatever else there is goes to the protobuf package.

// split finds the fields of a message that has only byte strings and messages, each at most once: field i+1 goes to
// fields[i]. It is false for any other message.
func split(data []byte, fields ...*[]byte) bool {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 || kind != protowire.BytesType || int(number) > len(fields) || fields[number-1] == nil || *fields[number-1] != nil {
			return false
		}
		data = data[n:]
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return false
		}
		*fields[number-1] = value[:len(value):len(value)]
		data = data[n:]
	}
	return true
}

// splitEach is split for a message whose last field may be repeated: each goes to the function.
func splitEach(data []byte, first *[]byte, each func([]byte) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 || kind != protowire.BytesType || number > 2 || number == 1 && (first == nil || *first != nil) {
			return errUnusual
		}
		data = data[n:]
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return errUnusual
		}
		data = data[n:]
		if number == 1 {
			*first = value[:len(value):len(value)]
		} else if err := each(value[:len(value):len(value)]); err != nil {
			return err
		}
	}
	return nil
}

// errUnusual is a message that is not split.
var errUnusual = errors.New("unusual encoding")

// message decodes what is not split.
func message[M proto.Message](data []byte, into M) (M, error) {
	if err := proto.Unmarshal(data, into); err != nil {
		return into, fmt.Errorf("decode %s: %w", into.ProtoReflect().Descriptor().Name(), err)
	}
	return into, nil
}

func envelopeOf(data []byte) (payload, signature []byte, err error) {
	if split(data, &payload, &signature) {
		return payload, signature, nil
	}
	e, err := message(data, &common.Envelope{})
	return e.GetPayload(), e.GetSignature(), err
}

// payloadOf is the header, and the data below it; there may be no header.
func payloadOf(data []byte) (header *common.Header, inner []byte, err error) {
	var raw []byte
	if split(data, &raw, &inner) {
		if raw == nil {
			return nil, inner, nil
		}
		header = &common.Header{}
		if split(raw, &header.ChannelHeader, &header.SignatureHeader) {
			return header, inner, nil
		}
	}
	p, err := message(data, &common.Payload{})
	return p.GetHeader(), p.GetData(), err
}

func channelHeaderOf(data []byte) (*common.ChannelHeader, error) {
	var f [8]field
	var at [2]field
	plain := splitOnce(data, f[:], aVarint, aVarint, aString, aString, aString, aVarint, aString, aString) && splitOnce(f[2].bytes, at[:], aVarint, aVarint) &&
		utf8.Valid(f[3].bytes) && utf8.Valid(f[4].bytes)
	if !plain {
		return message(data, &common.ChannelHeader{})
	}
	h := &common.ChannelHeader{Type: int32(f[0].varint), Version: int32(f[1].varint), ChannelId: string(f[3].bytes), TxId: string(f[4].bytes),
		Epoch: f[5].varint, Extension: f[6].bytes, TlsCertHash: f[7].bytes}
	if f[2].number != 0 {
		h.Timestamp = &timestamppb.Timestamp{Seconds: int64(at[0].varint), Nanos: int32(at[1].varint)}
	}
	return h, nil
}

// chaincodeID is a ChaincodeID: its zero value is none.
type chaincodeID struct {
	there         bool
	name, version string
}

// idOf reads a ChaincodeID, nil bytes for none.
func idOf(data []byte) (id chaincodeID, ok bool) {
	if data == nil {
		return id, true
	}
	if names, ok := namesOf(data); ok {
		return chaincodeID{true, string(names[1].bytes), string(names[2].bytes)}, true
	}
	all, err := message(data, &peer.ChaincodeID{})
	return chaincodeID{true, all.GetName(), all.GetVersion()}, err == nil
}

// calledOf is the chaincode in a ChaincodeHeaderExtension; false when it does not parse.
func calledOf(data []byte) (chaincodeID, bool) {
	var id []byte
	if split(data, nil, &id) {
		return idOf(id)
	}
	extension, err := message(data, &peer.ChaincodeHeaderExtension{})
	if err != nil || extension.ChaincodeId == nil {
		return chaincodeID{}, err == nil
	}
	return chaincodeID{true, extension.ChaincodeId.GetName(), extension.ChaincodeId.GetVersion()}, true
}

// eventOf is a transaction's event; nil when it does not parse.
func eventOf(data []byte) *peer.ChaincodeEvent {
	var chaincode, id, name []byte
	event := &peer.ChaincodeEvent{}
	if split(data, &chaincode, &id, &name, &event.Payload) && utf8.Valid(chaincode) && utf8.Valid(id) && utf8.Valid(name) {
		event.ChaincodeId, event.TxId, event.EventName = string(chaincode), string(id), string(name)
		return event
	}
	event, err := message(data, &peer.ChaincodeEvent{})
	if err != nil {
		return nil
	}
	return event
}

func signatureHeaderOf(data []byte) (*common.SignatureHeader, error) {
	h := &common.SignatureHeader{}
	if split(data, &h.Creator, &h.Nonce) {
		return h, nil
	}
	return message(data, &common.SignatureHeader{})
}

// wellFormed is [protoutil.VerifyTransactionsAreWellFormed]: each transaction is the canonical encoding of an envelope
// with payload and signature, so that the hash over all of them joined says where one ends.
func wellFormed(data *common.BlockData) error {
	for _, transaction := range data.GetData() {
		var payload, signature []byte
		canonical := split(transaction, &payload, &signature) && len(payload) > 0 && len(signature) > 0 && transaction[0] == payloadTag &&
			len(transaction) == 2+protowire.SizeBytes(len(payload))+protowire.SizeBytes(len(signature))
		if !canonical {
			return protoutil.VerifyTransactionsAreWellFormed(data)
		}
	}
	if len(data.GetData()) == 0 {
		return protoutil.VerifyTransactionsAreWellFormed(data)
	}
	return nil
}

// dataHash is what a header says of the transactions: a hash over all of them joined.
func dataHash(data *common.BlockData) []byte {
	sum := sha256.New()
	for _, transaction := range data.GetData() {
		sum.Write(transaction)
	}
	return sum.Sum(nil)
}

// payloadTag begins an envelope whose payload comes first.
const payloadTag = 1<<3 | byte(protowire.BytesType)

// setsOf are the read-write sets of a transaction, nil when they cannot be read.
func setsOf(data []byte) *rwsetutil.TxRwSet {
	sets := &rwsetutil.TxRwSet{}
	err := splitEach(data, nil, func(namespace []byte) error {
		var name, set []byte
		if !split(namespace, &name, &set) || !utf8.Valid(name) {
			return errUnusual
		}
		ns := &rwsetutil.NsRwSet{NameSpace: string(name), KvRwSet: &kvrwset.KVRWSet{}}
		sets.NsRwSets = append(sets.NsRwSets, ns)
		if splitSet(set, ns.KvRwSet) {
			return nil
		}
		ns.KvRwSet = &kvrwset.KVRWSet{}
		return proto.Unmarshal(set, ns.KvRwSet)
	})
	if err == nil {
		return sets
	}
	sets = &rwsetutil.TxRwSet{}
	if sets.FromProtoBytes(data) != nil {
		return nil
	}
	return sets
}

// field is one of a message: its value is the number of a varint, or bytes.
type field struct {
	number protowire.Number
	kind   protowire.Type
	varint uint64
	bytes  []byte
}

// next takes the first field of a message; ok is false when it has none that is a varint or bytes.
func next(data []byte) (f field, rest []byte, ok bool) {
	number, kind, n := protowire.ConsumeTag(data)
	if n < 0 {
		return field{}, nil, false
	}
	f, data = field{number: number, kind: kind}, data[n:]
	switch kind {
	case protowire.VarintType:
		f.varint, n = protowire.ConsumeVarint(data)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(data)
	default:
		return f, nil, false
	}
	if n < 0 {
		return f, nil, false
	}
	return f, data[n:], true
}

// splitOnce gives the fields of a message, by kind of the one with each number; it is false when there is another field, or
// the same one twice.
func splitOnce(data []byte, into []field, kinds ...protowire.Type) bool {
	clear(into)
	for len(data) > 0 {
		f, rest, ok := next(data)
		if !ok || int(f.number) > len(kinds) || f.kind != kinds[f.number-1] || into[f.number-1].number != 0 {
			return false
		}
		into[f.number-1], data = f, rest
	}
	return true
}

const (
	aVarint = protowire.VarintType
	aString = protowire.BytesType
)

// splitSet reads a read-write set without ranges. It is false for any other, and for one that is unusual.
func splitSet(data []byte, set *kvrwset.KVRWSet) bool {
	var count [5]int
	for rest := data; len(rest) > 0; {
		f, left, ok := next(rest)
		if !ok || f.kind != aString || f.number > 4 || f.number == 2 {
			return false
		}
		count[f.number]++
		rest = left
	}
	reads, versions := make([]kvrwset.KVRead, count[1]), []kvrwset.Version(nil)
	writes, guards := make([]kvrwset.KVWrite, count[3]), make([]kvrwset.KVMetadataWrite, count[4])
	set.Reads, set.Writes, set.MetadataWrites = make([]*kvrwset.KVRead, 0, count[1]), make([]*kvrwset.KVWrite, 0, count[3]), make([]*kvrwset.KVMetadataWrite, 0, count[4])
	var room [3]field
	for len(data) > 0 {
		f, rest, _ := next(data)
		data = rest
		ok := true
		switch f.number {
		case 1:
			r := &reads[len(set.Reads)]
			if ok = splitOnce(f.bytes, room[:2], aString, aString) && utf8.Valid(room[0].bytes); !ok {
				break
			}
			r.Key = string(room[0].bytes)
			if at := room[1]; at.number != 0 {
				if len(versions) == 0 {
					versions = make([]kvrwset.Version, min(count[1]-len(set.Reads), 32))
				}
				r.Version, versions = &versions[0], versions[1:]
				ok = splitOnce(at.bytes, room[:2], aVarint, aVarint)
				r.Version.BlockNum, r.Version.TxNum = room[0].varint, room[1].varint
			}
			set.Reads = append(set.Reads, r)
		case 3:
			w := &writes[len(set.Writes)]
			ok = splitOnce(f.bytes, room[:3], aString, aVarint, aString) && utf8.Valid(room[0].bytes)
			w.Key, w.IsDelete, w.Value = string(room[0].bytes), room[1].varint != 0, bytes.Clone(room[2].bytes) // the state keeps it longer than the block
			set.Writes = append(set.Writes, w)
		case 4:
			g := &guards[len(set.MetadataWrites)]
			ok = splitGuard(f.bytes, g)
			set.MetadataWrites = append(set.MetadataWrites, g)
		}
		if !ok {
			return false
		}
	}
	return true
}

func splitGuard(data []byte, guard *kvrwset.KVMetadataWrite) bool {
	var room [2]field
	named := false
	for len(data) > 0 {
		f, rest, ok := next(data)
		if !ok || f.kind != aString || f.number > 2 || f.number == 1 && named {
			return false
		}
		data = rest
		if f.number == 1 {
			guard.Key, named = string(f.bytes), true
			continue
		}
		if !splitOnce(f.bytes, room[:], aString, aString) || !utf8.Valid(room[0].bytes) {
			return false
		}
		guard.Entries = append(guard.Entries, &kvrwset.KVMetadataEntry{Name: string(room[0].bytes), Value: bytes.Clone(room[1].bytes)})
	}
	return utf8.ValidString(guard.Key)
}

// namesOf are path, name and version of a ChaincodeID that is not unusual.
func namesOf(id []byte) (names [3]field, ok bool) {
	ok = splitOnce(id, names[:], aString, aString, aString)
	for _, name := range names {
		ok = ok && utf8.Valid(name.bytes)
	}
	return names, ok
}

// answerOf is the payload of a response.
func answerOf(data []byte) ([]byte, bool) {
	var room [3]field
	if splitOnce(data, room[:], aVarint, aString, aString) && utf8.Valid(room[1].bytes) {
		return room[2].bytes, true
	}
	answer, err := message(data, &peer.Response{})
	return answer.GetPayload(), err == nil
}

// argsOf are the arguments in a ChaincodeInvocationSpec; nil when it does not parse.
func argsOf(data []byte) [][]byte {
	if args, ok := splitArgs(data); ok {
		return args
	}
	spec := &peer.ChaincodeInvocationSpec{}
	if proto.Unmarshal(data, spec) != nil {
		return nil
	}
	return spec.GetChaincodeSpec().GetInput().GetArgs()
}

func splitArgs(data []byte) (args [][]byte, ok bool) {
	var spec []byte
	var room [4]field
	if !split(data, &spec) || !splitOnce(spec, room[:], aVarint, aString, aString, aVarint) {
		return nil, false
	}
	if _, ok := namesOf(room[1].bytes); !ok {
		return nil, false
	}
	for input := room[2].bytes; len(input) > 0; {
		var f field
		if f, input, ok = next(input); !ok || f.number != 1 || f.kind != aString {
			return nil, false
		}
		args = append(args, f.bytes)
	}
	return args, true
}
