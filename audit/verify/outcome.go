package verify

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
)

// rerunner runs the rules again. A valid transaction read nothing that an earlier one of its block wrote, so the state
// before the block is what its endorsers saw, and whatever it wrote must come out again. This finds all that a majority
// of endorsers writes against the rules: a vote in another's name, an outcome without votes, invented credits.
type rerunner struct {
	registry *ledger.Registry
	queries  map[string]bool // by function: false for a command
	state    *replay.Replayer
	callers  cache[*callerOf] // by serialized identity
	policies cache[policyOf]  // by encoding
}

type policyOf struct {
	policy *ledger.Policy
	err    error
}

type callerOf struct {
	caller ledger.Caller
	err    error
}

func newRerunner(registry *ledger.Registry, state *replay.Replayer) *rerunner {
	r := &rerunner{registry: registry, queries: map[string]bool{}, state: state}
	registry.Remember(&ledger.Memory{})
	for _, f := range registry.Functions() {
		r.queries[f.Name] = f.Query
	}
	return r
}

// difference is how a transaction departs from the rules.
type difference struct {
	key     ledger.Key
	message string
}

// compare runs a valid transaction's function again, nil when it did what the rules give.
func (r *rerunner) compare(t *transaction, chaincode string) *difference {
	wrote, guarded, err := r.written(t, chaincode)
	if err != nil {
		return &difference{message: err.Error()}
	}
	if len(t.args) != 2 {
		return &difference{message: fmt.Sprintf("the chaincode takes a function and a document, this proposal has %d arguments", len(t.args))}
	}
	function := string(t.args[0])
	query, known := r.queries[function]
	switch {
	case !known:
		return &difference{message: fmt.Sprintf("the rules have no function %.80q", function), key: first(wrote, guarded)}
	case query && (len(wrote)+len(guarded) > 0 || t.event != nil):
		return &difference{message: function + " is a query, and wrote or emitted an event", key: first(wrote, guarded)}
	case query:
		return nil
	}
	t.by = r.caller(t.creator)
	if t.by.err != nil {
		return &difference{message: t.by.err.Error()}
	}
	s := &store{transaction: t, caller: t.by.caller, state: r.state}
	out, err := r.registry.Execute(s, function, t.args[1])
	if err != nil {
		return &difference{message: fmt.Sprintf("the rules refuse %s: %v", function, err), key: first(wrote, guarded)}
	}
	if key, found := hidden(t, chaincode, s.read); found {
		return &difference{key: key, message: function + " reads it by the rules, and does not say so: no conflict would show"}
	}
	return differ(t, function, out, wrote, guarded)
}

func differ(t *transaction, function string, out *ledger.Outcome, wrote map[ledger.Key][]byte, guarded map[ledger.Key]*ledger.Policy) *difference {
	for _, w := range out.Writes {
		if w.Delete || w.Value != nil {
			value, ok := wrote[w.Key]
			if !ok || !bytes.Equal(value, w.Value) {
				return &difference{key: w.Key, message: function + " gives another value by the rules"}
			}
			delete(wrote, w.Key)
		}
		if w.Policy != nil {
			policy, ok := guarded[w.Key]
			if !ok || policy == nil || !policy.Equal(*w.Policy) {
				return &difference{key: w.Key, message: function + " gives another guard by the rules"}
			}
			delete(guarded, w.Key)
		}
	}
	if len(wrote)+len(guarded) > 0 {
		return &difference{key: first(wrote, guarded), message: function + " writes more than the rules give"}
	}
	if !bytes.Equal(t.response, out.Response) {
		return &difference{message: function + " answers otherwise by the rules"}
	}
	switch {
	case (t.event == nil) != (out.Event == nil),
		out.Event != nil && (t.event.GetEventName() != out.Event.Name || !bytes.Equal(t.event.GetPayload(), out.Event.Payload)):
		return &difference{message: function + " emits another event by the rules"}
	}
	return nil
}

// first is the least key, to say where something was written.
func first(wrote map[ledger.Key][]byte, guarded map[ledger.Key]*ledger.Policy) (least ledger.Key) {
	for key := range wrote {
		if least == "" || key < least {
			least = key
		}
	}
	for key := range guarded {
		if least == "" || key < least {
			least = key
		}
	}
	return least
}

// written collects what a transaction wrote in the chaincode's state; nil is a deleted value or a removed policy.
func (r *rerunner) written(t *transaction, chaincode string) (map[ledger.Key][]byte, map[ledger.Key]*ledger.Policy, error) {
	values, policies := map[ledger.Key][]byte{}, map[ledger.Key]*ledger.Policy{}
	if t.sets == nil {
		return nil, nil, errors.New("the read-write set does not parse")
	}
	for _, ns := range t.sets.NsRwSets {
		if ns.NameSpace != chaincode {
			continue
		}
		if len(ns.CollHashedRwSets) > 0 {
			return nil, nil, errors.New("it reads or writes private data, of which the rules know none")
		}
		for _, w := range ns.KvRwSet.GetWrites() {
			if _, twice := values[ledger.Key(w.GetKey())]; twice {
				return nil, nil, fmt.Errorf("it writes %q twice", readable(w.GetKey()))
			}
			var value []byte
			if !w.GetIsDelete() && len(w.GetValue()) > 0 {
				value = w.GetValue()
			}
			values[ledger.Key(w.GetKey())] = value
		}
		for _, w := range ns.KvRwSet.GetMetadataWrites() {
			if _, twice := policies[ledger.Key(w.GetKey())]; twice {
				return nil, nil, fmt.Errorf("it guards %q twice", readable(w.GetKey()))
			}
			policy, err := r.guard(w)
			if err != nil {
				return nil, nil, fmt.Errorf("guard of %q: %w", w.GetKey(), err)
			}
			policies[ledger.Key(w.GetKey())] = policy
		}
	}
	return values, policies, nil
}

func (r *rerunner) guard(w *kvrwset.KVMetadataWrite) (*ledger.Policy, error) {
	for _, entry := range w.GetEntries() {
		if entry.GetName() == peer.MetaDataKeys_VALIDATION_PARAMETER.String() && len(entry.GetValue()) > 0 {
			known := r.policies.get(entry.GetValue(), func() policyOf {
				policy, err := contract.DecodePolicy(entry.GetValue())
				return policyOf{&policy, err}
			})
			return known.policy, known.err
		}
	}
	return nil, nil
}

func (r *rerunner) caller(creator []byte) *callerOf {
	return r.callers.get(creator, func() *callerOf {
		caller, err := contract.Caller(creator)
		return &callerOf{caller, err}
	})
}

// store is the ledger as a transaction's endorsers saw it. It implements [ledger.Store].
type store struct {
	transaction *transaction
	caller      ledger.Caller
	state       *replay.Replayer
	read        []ledger.Key
}

var _ ledger.Store = (*store)(nil)

func (s *store) TxID() string          { return s.transaction.id }
func (s *store) Channel() string       { return s.transaction.channel }
func (s *store) Time() time.Time       { return s.transaction.time }
func (s *store) Caller() ledger.Caller { return s.caller }

func (s *store) States(keys []ledger.Key) ([][]byte, error) {
	s.read = append(s.read, keys...)
	values := make([][]byte, len(keys))
	for i, key := range keys {
		if entry := s.state.Get(key); entry != nil {
			values[i] = entry.Value
		}
	}
	return values, nil
}

func (s *store) KeyPolicy(key ledger.Key) (ledger.Policy, bool, error) {
	s.read = append(s.read, key)
	entry := s.state.Get(key)
	if entry == nil || entry.Policy == nil {
		return ledger.Policy{}, false, nil
	}
	return *entry.Policy, true, nil
}

func (s *store) Range(ledger.Key, ledger.Key, int) ([]ledger.Entry, ledger.Key, error) {
	return nil, "", errors.New("a command lists no keys")
}
