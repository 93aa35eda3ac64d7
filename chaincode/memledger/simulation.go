package memledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// result is what one simulation answered: a fault, or an envelope without endorsers. Canonical is all of it as bytes,
// what the endorser signs.
type result struct {
	fault     *ledger.Fault
	envelope  *Envelope
	canonical []byte
}

// simulate runs a proposal at one organisation's peer.
func (n *Network) simulate(p Proposal, msp string) (result, error) {
	registry, ok := n.chaincode[msp]
	if !ok {
		return result{}, fmt.Errorf("no peer of %q on channel %s: %w", msp, n.config.Channel, ErrRefused)
	}
	r, err := n.run(p, registry)
	if err != nil || !n.config.Strict {
		return r, err
	}
	again, err := n.run(p, registry)
	if err != nil {
		return result{}, err
	}
	if !bytes.Equal(r.canonical, again.canonical) {
		return result{}, fmt.Errorf("%s: %w:\n%s\n%s", p.Function, ErrNotDeterministic, r.canonical, again.canonical)
	}
	return r, nil
}

func (n *Network) run(p Proposal, registry *ledger.Registry) (result, error) {
	s := &simulation{engine: n.engine, channel: n.config.Channel, proposal: p, read: map[ledger.Key]*Version{}}
	out, err := registry.Execute(s, p.Function, p.Document)
	if err == nil && len(out.Writes) > 0 && len(s.ranges) > 0 {
		err = errors.New("the transaction has performed a paginated query; writes are not allowed")
	}
	var r result
	if err != nil {
		r.fault = ledger.AsFault(err)
	} else {
		r.envelope = &Envelope{Proposal: p, Response: out.Response, Event: out.Event, Transaction: s.transaction(out.Writes)}
	}
	r.canonical, err = ledger.Encode(struct {
		Fault    *ledger.Fault
		Envelope *Envelope
	}{r.fault, r.envelope})
	return r, err
}

// simulation is the committed state as one proposal sees it. It implements [ledger.Store] and records what is read.
type simulation struct {
	engine   *Engine
	channel  string
	proposal Proposal
	read     map[ledger.Key]*Version
	ranges   []RangeRead
}

var _ ledger.Store = (*simulation)(nil)

func (s *simulation) TxID() string          { return s.proposal.TxID }
func (s *simulation) Channel() string       { return s.channel }
func (s *simulation) Time() time.Time       { return s.proposal.Time }
func (s *simulation) Caller() ledger.Caller { return s.proposal.Caller }

func (s *simulation) States(keys []ledger.Key) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		if entry := s.get(key); entry != nil {
			values[i] = entry.Value
		}
	}
	return values, nil
}

// KeyPolicy reads the key as a peer does, so that a later change of its value or policy is a conflict.
func (s *simulation) KeyPolicy(key ledger.Key) (ledger.Policy, bool, error) {
	entry := s.get(key)
	if entry == nil || entry.Policy == nil {
		return ledger.Policy{}, false, nil
	}
	return *entry.Policy, true, nil
}

func (s *simulation) get(key ledger.Key) *Entry {
	s.read[key] = s.engine.state.version(key)
	return s.engine.Get(key)
}

func (s *simulation) Range(prefix, from ledger.Key, limit int) ([]ledger.Entry, ledger.Key, error) {
	if limit <= 0 {
		return nil, "", fmt.Errorf("page of %d keys", limit)
	}
	r := RangeRead{Start: max(prefix, from), End: prefix + ledger.Key(utf8.MaxRune)}
	var entries []ledger.Entry
	var next ledger.Key
	r.Exhausted = true
	for _, entry := range s.engine.between(r.Start, r.End) {
		if len(entries) == limit {
			next = entry.Key
			break
		}
		entries = append(entries, ledger.Entry{Key: entry.Key, Value: entry.Value})
		version := entry.Version
		r.Results = append(r.Results, Read{Key: entry.Key, Version: &version})
	}
	if len(entries) == limit { // the peer stops at the last key of a full page, and does not know that it was the end
		r.Exhausted, r.End = false, entries[limit-1].Key
	}
	s.ranges = append(s.ranges, r)
	return entries, next, nil
}

// transaction is the read-write set of the simulation.
func (s *simulation) transaction(writes []ledger.Write) Transaction {
	tx := Transaction{ID: s.proposal.TxID, Ranges: s.ranges}
	for key, version := range s.read {
		tx.Reads = append(tx.Reads, Read{Key: key, Version: version})
	}
	slices.SortFunc(tx.Reads, func(a, b Read) int { return strings.Compare(string(a.Key), string(b.Key)) })
	for _, w := range writes {
		if w.Delete || w.Value != nil {
			tx.Writes = append(tx.Writes, Write{Key: w.Key, Value: w.Value, Delete: w.Delete})
		}
		if w.Policy != nil {
			tx.Policies = append(tx.Policies, PolicyWrite{Key: w.Key, Policy: w.Policy})
		}
	}
	return tx
}

// plan chooses the endorsers as a gateway does: it simulates once, sees which keys are written, and takes the fewest
// members that satisfy the chaincode's policy and the keys' own, the caller's organisation first.
func (n *Network) plan(p Proposal) ([]string, error) {
	var members []string
	for _, msp := range n.config.Members {
		if msp == p.Caller.MSP {
			members = slices.Insert(members, 0, msp)
		} else {
			members = append(members, msp)
		}
	}
	first, err := n.simulate(p, members[0])
	if err != nil {
		return nil, err
	}
	if first.fault != nil {
		return nil, first.fault
	}
	policies := n.policies(first.envelope.Transaction)
	var best []string
	for subset := range 1 << len(members) {
		var chosen []string
		for i, msp := range members {
			if subset&(1<<i) != 0 {
				chosen = append(chosen, msp)
			}
		}
		enough := !slices.ContainsFunc(policies, func(policy ledger.Policy) bool { return !satisfied(policy, chosen) })
		if len(chosen) > 0 && enough && (best == nil || len(chosen) < len(best)) {
			best = chosen
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%s: %w", p.Function, ErrNoPlan)
	}
	return best, nil
}

// policies lists what the endorsers of a transaction must satisfy.
func (n *Network) policies(tx Transaction) []ledger.Policy {
	var list []ledger.Policy
	needed := len(tx.Writes)+len(tx.Policies) == 0
	for _, change := range tx.changes() {
		if entry := n.engine.Get(change.key); entry != nil && entry.Policy != nil {
			list = append(list, *entry.Policy)
		} else {
			needed = true
		}
	}
	if needed {
		list = append(list, n.engine.policy)
	}
	return list
}
