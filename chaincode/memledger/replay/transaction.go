package replay

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

// inNamespace is a key of the engine, which knows no namespaces, for a key of a chaincode.
func inNamespace(namespace, key string) ledger.Key { return ledger.Key(namespace + "\x00" + key) }

// read is what was read of an envelope: a transaction, or a configuration.
type read struct {
	memledger.Transaction
	channel string
	config  []byte // a ConfigEnvelope
	hashes  []privateWrite
	private []privateRead
}

// Parsed is what the replay needs of an envelope. One that does not parse has no kind.
type Parsed struct {
	ID      string
	Channel string
	Kind    common.HeaderType
	Config  []byte // of a configuration: a ConfigEnvelope
	// Chaincode is who answered, Sets what it read and wrote: nil for a transaction that does not parse.
	Chaincode string
	Sets      *rwsetutil.TxRwSet
	// Endorsers finds the organisations whose peers' signatures are good, one for each identity. It is asked only when
	// the verdict depends on it.
	Endorsers func() ([]string, error)
}

// parse reads an envelope.
func (r *Replayer) parse(data []byte) Parsed {
	envelope, err := protoutil.GetEnvelopeFromBlock(data)
	if err != nil {
		return Parsed{Kind: unread}
	}
	payload, err := protoutil.UnmarshalPayload(envelope.GetPayload())
	if err != nil {
		return Parsed{Kind: unread}
	}
	header, err := protoutil.UnmarshalChannelHeader(payload.GetHeader().GetChannelHeader())
	if err != nil {
		return Parsed{Kind: unread}
	}
	p := Parsed{ID: header.GetTxId(), Channel: header.GetChannelId(), Kind: common.HeaderType(header.GetType())}
	switch p.Kind {
	case common.HeaderType_CONFIG:
		p.Config = payload.GetData()
	case common.HeaderType_ENDORSER_TRANSACTION:
		if action, err := parseAction(payload.GetData()); err == nil {
			p.Chaincode, p.Sets = action.chaincode, action.rwset
			p.Endorsers = func() ([]string, error) { return r.channel.endorsers(action.signatures) }
		}
	}
	return p
}

// longestID is the length of a transaction id: whoever claims a longer one repeats nobody's, and it is not remembered.
const longestID = 2 * sha256.Size

// unread is the kind of an envelope that does not parse.
const unread = common.HeaderType(-1)

// transaction turns an envelope of a block into what the engine works from. One that does not parse has only its
// flag.
func (r *Replayer) transaction(p Parsed, flag memledger.Flag) (read, error) {
	if len(p.ID) > longestID {
		p.ID = ""
	}
	settled := read{Transaction: memledger.Transaction{ID: p.ID, Settled: flag}}
	if p.Kind == common.HeaderType_CONFIG {
		settled.channel, settled.config = p.Channel, p.Config
	}
	if p.Kind != common.HeaderType_ENDORSER_TRANSACTION || p.Sets == nil {
		return settled, nil
	}
	tx := read{Transaction: r.writeSet(p.Sets)}
	tx.ID, tx.hashes = p.ID, privateWrites(p.Sets)
	definition := p.Chaincode == lifecycleNamespace && flag != memledger.EndorsementPolicyFailure
	if p.Chaincode != r.chaincode && !definition || !judged[flag] || writesElsewhere(p.Sets, p.Chaincode) {
		tx.Settled = flag
		return tx, nil
	}
	addReads(&tx.Transaction, p.Sets)
	tx.private = privateReads(p.Sets)
	if definition {
		tx.Endorsed = true
		return tx, nil
	}
	var err error
	tx.Endorsers, err = p.Endorsers()
	for _, w := range tx.hashes { // the chaincode has no collections but the implicit ones
		if msp, implicit := ImplicitOwner(w.key.collection); !implicit || !slices.Contains(tx.Endorsers, msp) {
			tx.Endorsers, tx.Covered = nil, false
			break
		}
		tx.Covered = true
	}
	return tx, err
}

// action is the part of an endorsed transaction that its endorsers signed, and their signatures.
type action struct {
	chaincode  string
	rwset      *rwsetutil.TxRwSet
	signatures []*protoutil.SignedData
}

func parseAction(data []byte) (*action, error) {
	tx, err := protoutil.UnmarshalTransaction(data)
	if err != nil {
		return nil, err
	}
	if len(tx.GetActions()) != 1 {
		return nil, fmt.Errorf("transaction with %d actions", len(tx.GetActions()))
	}
	payload, response, err := protoutil.GetPayloads(tx.GetActions()[0])
	if err != nil {
		return nil, err
	}
	a := &action{chaincode: response.GetChaincodeId().GetName(), rwset: &rwsetutil.TxRwSet{}}
	if err := a.rwset.FromProtoBytes(response.GetResults()); err != nil {
		return nil, err
	}
	signed := payload.GetAction().GetProposalResponsePayload()
	for _, e := range payload.GetAction().GetEndorsements() {
		data := append(append(make([]byte, 0, len(signed)+len(e.GetEndorser())), signed...), e.GetEndorser()...)
		a.signatures = append(a.signatures, &protoutil.SignedData{Data: data, Identity: e.GetEndorser(), Signature: e.GetSignature()})
	}
	return a, nil
}

// writeSet takes the writes of all namespaces. Of another chaincode's key policies only the new version matters. What is
// written in a collection without a name is public for peers, hash or not.
func (r *Replayer) writeSet(set *rwsetutil.TxRwSet) (tx memledger.Transaction) {
	for _, ns := range set.NsRwSets {
		guard := func(key string, entries []*kvrwset.KVMetadataEntry) {
			p := memledger.PolicyWrite{Key: inNamespace(ns.NameSpace, key)}
			if ns.NameSpace == r.chaincode {
				p.Policy = r.keyPolicy(entries)
			}
			tx.Policies = append(tx.Policies, p)
		}
		tx.Writes = slices.Grow(tx.Writes, len(ns.KvRwSet.GetWrites()))
		for _, w := range ns.KvRwSet.GetWrites() {
			tx.Writes = append(tx.Writes, memledger.Write{Key: inNamespace(ns.NameSpace, w.GetKey()), Value: w.GetValue(), Delete: w.GetIsDelete()})
		}
		for _, w := range ns.KvRwSet.GetMetadataWrites() {
			guard(w.GetKey(), w.GetEntries())
		}
		for _, collection := range ns.CollHashedRwSets {
			if collection.CollectionName != "" {
				continue
			}
			for _, w := range collection.HashedRwSet.GetHashedWrites() {
				tx.Writes = append(tx.Writes, memledger.Write{Key: inNamespace(ns.NameSpace, string(w.GetKeyHash())), Value: w.GetValueHash(), Delete: rwsetutil.IsKVWriteHashDelete(w)})
			}
			for _, w := range collection.HashedRwSet.GetMetadataWrites() {
				guard(string(w.GetKeyHash()), w.GetEntries())
			}
		}
	}
	return tx
}

func writesElsewhere(set *rwsetutil.TxRwSet, chaincode string) bool {
	return slices.ContainsFunc(set.NsRwSets, func(ns *rwsetutil.NsRwSet) bool { return ns.NameSpace != chaincode && Writes(ns) })
}

// Writes tells whether a set changes anything, as peers ask.
func Writes(ns *rwsetutil.NsRwSet) bool {
	return len(ns.KvRwSet.GetWrites())+len(ns.KvRwSet.GetMetadataWrites()) > 0 || slices.ContainsFunc(ns.CollHashedRwSets, func(c *rwsetutil.CollHashedRwSet) bool {
		return len(c.HashedRwSet.GetHashedWrites())+len(c.HashedRwSet.GetMetadataWrites()) > 0
	})
}

// addReads flattens the reads of all namespaces. Peers check the reads of one namespace, then its ranges, then the next
// namespace: what conflicts twice may be told to conflict the other way.
func addReads(tx *memledger.Transaction, set *rwsetutil.TxRwSet) {
	for _, ns := range set.NsRwSets {
		addKeyReads(tx, ns.NameSpace, ns.KvRwSet.GetReads())
		for _, info := range ns.KvRwSet.GetRangeQueriesInfo() {
			tx.Ranges = append(tx.Ranges, rangeRead(ns.NameSpace, info))
		}
	}
}

// addKeyReads puts keys and versions each into one piece of memory, which lives as long as the transaction.
func addKeyReads(tx *memledger.Transaction, namespace string, reads []*kvrwset.KVRead) {
	size := 0
	for _, read := range reads {
		size += len(namespace) + 1 + len(read.GetKey())
	}
	var keys strings.Builder
	keys.Grow(size)
	versions := make([]memledger.Version, len(reads))
	tx.Reads = slices.Grow(tx.Reads, len(reads))
	for i, read := range reads {
		start := keys.Len()
		keys.WriteString(namespace)
		keys.WriteByte(0)
		keys.WriteString(read.GetKey())
		r := memledger.Read{Key: ledger.Key(keys.String()[start:])}
		if v := read.GetVersion(); v != nil {
			versions[i] = memledger.Version{Block: v.GetBlockNum(), Tx: v.GetTxNum()}
			r.Version = &versions[i]
		}
		tx.Reads = append(tx.Reads, r)
	}
}

func keyRead(namespace string, read *kvrwset.KVRead) memledger.Read {
	r := memledger.Read{Key: inNamespace(namespace, read.GetKey())}
	if v := read.GetVersion(); v != nil {
		r.Version = &memledger.Version{Block: v.GetBlockNum(), Tx: v.GetTxNum()}
	}
	return r
}

func rangeRead(namespace string, info *kvrwset.RangeQueryInfo) memledger.RangeRead {
	r := memledger.RangeRead{
		Start: inNamespace(namespace, info.GetStartKey()), End: inNamespace(namespace, info.GetEndKey()),
		Exhausted: info.GetItrExhausted(),
	}
	if info.GetEndKey() == "" { // to the end of the namespace
		r.End = ledger.Key(namespace + "\x01")
	}
	for _, read := range info.GetRawReads().GetKvReads() {
		r.Results = append(r.Results, keyRead(namespace, read))
	}
	if summary := info.GetReadsMerkleHashes(); summary != nil {
		r.Same = func(now []memledger.Read) bool { return sameSummary(summary, namespace, now) }
	}
	return r
}

// sameSummary tells whether results give the digest that stands in the read-write set for a long range.
func sameSummary(want *kvrwset.QueryReadsMerkleSummary, namespace string, now []memledger.Read) bool {
	hash := func(data []byte) ([]byte, error) { sum := sha256.Sum256(data); return sum[:], nil }
	helper, err := rwsetutil.NewRangeQueryResultsHelper(true, want.GetMaxDegree(), hash)
	if err != nil {
		return false
	}
	for _, read := range now {
		result := &kvrwset.KVRead{
			Key:     string(read.Key[len(inNamespace(namespace, "")):]),
			Version: &kvrwset.Version{BlockNum: read.Version.Block, TxNum: read.Version.Tx},
		}
		if err := helper.AddResult(result); err != nil {
			return false
		}
	}
	_, got, err := helper.Done()
	return err == nil && got != nil && proto.Equal(got, want)
}

// keyPolicy reads the endorsement policy in a key's metadata, nil when there is none: metadata replaces all that
// the key had. A chaincode sets few different ones, which are read once. One that is not over peers, which no rule sets, is
// taken for one that nobody satisfies.
func (r *Replayer) keyPolicy(entries []*kvrwset.KVMetadataEntry) *ledger.Policy {
	for _, entry := range entries {
		if entry.GetName() == validationParameter && len(entry.GetValue()) > 0 {
			policy, err := r.policies.read(entry.GetValue())
			if err != nil {
				return &ledger.Policy{N: 1}
			}
			return policy
		}
	}
	return nil
}

var validationParameter = peer.MetaDataKeys_VALIDATION_PARAMETER.String()

// keyPolicies are those that were read, by their encoding.
type keyPolicies struct {
	guard sync.RWMutex
	known map[string]*ledger.Policy
}

const (
	// mostPolicies and longestPolicy bound what is remembered: anybody can send a long one.
	mostPolicies  = 1000
	longestPolicy = 16 << 10
)

func (p *keyPolicies) read(data []byte) (*ledger.Policy, error) {
	p.guard.RLock()
	known := p.known[string(data)]
	p.guard.RUnlock()
	if known != nil {
		return known, nil
	}
	envelope := &common.SignaturePolicyEnvelope{}
	if err := proto.Unmarshal(data, envelope); err != nil {
		return nil, fmt.Errorf("not a signature policy: %w", err)
	}
	policy, err := signaturePolicy(envelope)
	if err != nil {
		return nil, err
	}
	if len(data) > longestPolicy {
		return policy, nil
	}
	p.guard.Lock()
	defer p.guard.Unlock()
	if p.known == nil || len(p.known) >= mostPolicies {
		p.known = map[string]*ledger.Policy{}
	}
	p.known[string(data)] = policy
	return policy, nil
}
