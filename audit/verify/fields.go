package verify

import (
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
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

// payloadTag begins an envelope whose payload comes first.
const payloadTag = 1<<3 | byte(protowire.BytesType)

// setsOf are the read-write sets of a transaction, nil when they cannot be read.
func setsOf(data []byte) *rwsetutil.TxRwSet {
	sets := &rwsetutil.TxRwSet{}
	err := splitEach(data, nil, func(namespace []byte) error {
		var name, set []byte
		if !split(namespace, &name, &set) {
			return errUnusual
		}
		ns := &rwsetutil.NsRwSet{NameSpace: string(name), KvRwSet: &kvrwset.KVRWSet{}}
		sets.NsRwSets = append(sets.NsRwSets, ns)
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
