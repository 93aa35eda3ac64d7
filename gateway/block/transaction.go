package block

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// transaction reads an envelope as far as it can; with an error the transaction holds what was read before.
func (d *Decoder) transaction(data []byte) (Transaction, error) {
	var tx Transaction
	envelope, payload, channel, signature := &common.Envelope{}, &common.Payload{}, &common.ChannelHeader{}, &common.SignatureHeader{}
	if err := unmarshal("envelope", data, envelope); err != nil {
		return tx, err
	}
	if err := unmarshal("payload", envelope.GetPayload(), payload); err != nil {
		return tx, err
	}
	if err := unmarshal("channel header", payload.GetHeader().GetChannelHeader(), channel); err != nil {
		return tx, err
	}
	tx.ID = text(channel.GetTxId())
	if stamp := channel.GetTimestamp(); stamp.IsValid() {
		tx.Time = stamp.AsTime()
	}
	if err := unmarshal("signature header", payload.GetHeader().GetSignatureHeader(), signature); err != nil {
		return tx, err
	}
	tx.Creator = d.creator(signature.GetCreator())
	switch common.HeaderType(channel.GetType()) {
	case common.HeaderType_CONFIG:
		tx.Configuration = true
		return tx, nil
	case common.HeaderType_ENDORSER_TRANSACTION:
		return tx, d.endorsed(&tx, payload.GetData())
	}
	return tx, fmt.Errorf("type %d is neither a configuration nor an endorsed transaction", channel.GetType())
}

func (d *Decoder) endorsed(tx *Transaction, data []byte) error {
	transaction, payload := &peer.Transaction{}, &peer.ChaincodeActionPayload{}
	if err := unmarshal("transaction", data, transaction); err != nil {
		return err
	}
	if len(transaction.GetActions()) != 1 {
		return fmt.Errorf("%d actions instead of one", len(transaction.GetActions()))
	}
	if err := unmarshal("action", transaction.GetActions()[0].GetPayload(), payload); err != nil {
		return err
	}
	response, action := &peer.ProposalResponsePayload{}, &peer.ChaincodeAction{}
	if err := unmarshal("proposal response", payload.GetAction().GetProposalResponsePayload(), response); err != nil {
		return err
	}
	if err := unmarshal("chaincode action", response.GetExtension(), action); err != nil {
		return err
	}
	if action.GetChaincodeId().GetName() == d.chaincode {
		tx.Response = action.GetResponse().GetPayload()
		tx.Function, tx.Document = call(payload.GetChaincodeProposalPayload())
		tx.Event = event(action.GetEvents())
	}
	if d.whole {
		for _, e := range payload.GetAction().GetEndorsements() {
			tx.Endorsers = append(tx.Endorsers, d.creator(e.GetEndorser()))
		}
	}
	return d.writes(tx, action.GetResults())
}

// call reads the function and its document. Peers do not need them to commit, so what does not parse is left out.
func call(data []byte) (function string, document []byte) {
	proposal, spec := &peer.ChaincodeProposalPayload{}, &peer.ChaincodeInvocationSpec{}
	if proto.Unmarshal(data, proposal) != nil || proto.Unmarshal(proposal.GetInput(), spec) != nil {
		return "", nil
	}
	args := spec.GetChaincodeSpec().GetInput().GetArgs()
	if len(args) > 0 {
		function = text(string(args[0]))
	}
	if len(args) > 1 {
		document = args[1]
	}
	return function, document
}

// event reads the event, nil when there is none or it does not parse.
func event(data []byte) *ledger.Event {
	e := &peer.ChaincodeEvent{}
	if proto.Unmarshal(data, e) != nil || e.GetEventName() == "" {
		return nil
	}
	return &ledger.Event{Name: text(e.GetEventName()), Payload: e.GetPayload()}
}

// writes takes the writes and key policies in our chaincode's state; of several for one key the last one counts, as peers
// have it.
func (d *Decoder) writes(tx *Transaction, results []byte) error {
	sets := &rwset.TxReadWriteSet{}
	if err := unmarshal("read-write set", results, sets); err != nil {
		return err
	}
	for _, set := range sets.GetNsRwset() {
		if set.GetNamespace() != d.chaincode {
			continue
		}
		kv := &kvrwset.KVRWSet{}
		if err := unmarshal("read-write set of "+d.chaincode, set.GetRwset(), kv); err != nil {
			return err
		}
		if d.whole {
			tx.Reads = append(tx.Reads, reads(kv)...)
		}
		for _, w := range kv.GetWrites() {
			// Fabric takes an empty value for a deletion.
			deletes := w.GetIsDelete() || len(w.GetValue()) == 0
			write := Write{Key: ledger.Key(w.GetKey()), Value: w.GetValue(), Delete: deletes}
			if deletes {
				write.Value = nil
			}
			tx.Writes = append(tx.Writes, write)
		}
		for _, w := range kv.GetMetadataWrites() {
			tx.Guards = append(tx.Guards, Guard{Key: ledger.Key(w.GetKey()), Policy: policy(w)})
		}
	}
	tx.Writes = latest(tx.Writes, func(w Write) ledger.Key { return w.Key })
	tx.Guards = latest(tx.Guards, func(g Guard) ledger.Key { return g.Key })
	return nil
}

// reads are the keys that were read, those of ranges too.
func reads(kv *kvrwset.KVRWSet) (list []Read) {
	add := func(r *kvrwset.KVRead) {
		one := Read{Key: ledger.Key(r.GetKey()), There: r.GetVersion() != nil}
		if one.There {
			one.Block, one.Position = r.GetVersion().GetBlockNum(), int(r.GetVersion().GetTxNum())
		}
		list = append(list, one)
	}
	for _, r := range kv.GetReads() {
		add(r)
	}
	for _, q := range kv.GetRangeQueriesInfo() {
		for _, r := range q.GetRawReads().GetKvReads() {
			add(r)
		}
	}
	return list
}

// policy is the endorsement policy in a key's metadata, nil when there is none: metadata replaces all that the key had.
func policy(w *kvrwset.KVMetadataWrite) []byte {
	for _, entry := range w.GetEntries() {
		if entry.GetName() == peer.MetaDataKeys_VALIDATION_PARAMETER.String() && len(entry.GetValue()) > 0 {
			return entry.GetValue()
		}
	}
	return nil
}

// latest sorts by key and keeps the last of each.
func latest[T any](all []T, key func(T) ledger.Key) []T {
	slices.SortStableFunc(all, func(a, b T) int { return strings.Compare(string(key(a)), string(key(b))) })
	kept := all[:0]
	for _, one := range all {
		if n := len(kept); n > 0 && key(kept[n-1]) == key(one) {
			kept[n-1] = one
			continue
		}
		kept = append(kept, one)
	}
	return kept
}

// text is a client's words fit for a database: UTF-8 without U+0000.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func unmarshal(what string, data []byte, into proto.Message) error {
	if err := proto.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
