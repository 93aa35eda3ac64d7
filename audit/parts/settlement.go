package parts

import (
	"io"
	"math/bits"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
)

const (
	settlementTag = "SETTLED/1\x00\x00"
	leafSize      = 135 // of USE/1

	// maxScope bounds SCOPE/1: a settlement has at most 1,000 sessions.
	maxScope = 1 << 20
	// MaxReceipt bounds a receipt, MaxEvidence a text with what opens its commitments, in bytes.
	MaxReceipt  = 8 << 20
	MaxEvidence = 32 << 20
)

// Session names a session on the ledger.
type Session struct{ Account, Name string }

// Scope says what a settlement moved.
type Scope struct {
	Encoded  []byte    // SCOPE/1, whose digest the claim names
	Sessions []Session // in the order of the scope
}

// Moves are those of the scope.
func (s Scope) Moves() (card merkle.Hash, moves []use.Move, err error) {
	card, moves, err = use.DecodeScope(s.Encoded)
	if err != nil {
		return card, nil, malformed("%v", err)
	}
	if len(moves) != len(s.Sessions) {
		return card, nil, malformed("%d sessions for %d moves", len(s.Sessions), len(moves))
	}
	return card, moves, nil
}

// Use is a paid answer.
type Use struct {
	Leaf    []byte // USE/1
	Receipt []byte // ATTR/1; nil when it was not to be had
	// Evidence is EVIDENCE/1 of who had the texts and handed them over, nil when nobody did. A consumer's has no context,
	// and zeros for the context's nonce.
	Evidence []byte
}

// Settlement writes a settlement's uses: tag; the scope with a u32 length; account and name of each session, with u16
// lengths; then session after session, in the order of the scope: the peaks of the tree over the uses that were settled
// before, the largest first, as many as the number before has bits that are set, and each use that was added: leaf, and
// receipt and evidence with u32 lengths, 0 for none.
type Settlement struct{ out io.Writer }

// NewSettlement begins a settlement. The caller writes for each session its peaks, then its uses.
func NewSettlement(out io.Writer, s Scope) (*Settlement, error) {
	if _, _, err := s.Moves(); err != nil {
		return nil, err
	}
	b := appendBytes([]byte(settlementTag), s.Encoded)
	for _, session := range s.Sessions {
		b = appendName(appendName(b, session.Account), session.Name)
	}
	_, err := out.Write(b)
	return &Settlement{out}, err
}

// Peaks writes those of the tree before the uses of the next session.
func (s *Settlement) Peaks(peaks []merkle.Hash) error {
	var b []byte
	for _, p := range peaks {
		b = append(b, p[:]...)
	}
	_, err := s.out.Write(b)
	return err
}

// Use writes the next use.
func (s *Settlement) Use(u Use) error {
	if len(u.Leaf) != leafSize || len(u.Receipt) > MaxReceipt || len(u.Evidence) > MaxEvidence {
		return malformed("a use of %d, %d and %d bytes", len(u.Leaf), len(u.Receipt), len(u.Evidence))
	}
	_, err := s.out.Write(appendBytes(appendBytes(u.Leaf[:leafSize:leafSize], u.Receipt), u.Evidence))
	return err
}

// SettlementReader is told what a settlement holds, in its order.
type SettlementReader struct {
	Scope func(s Scope) error
	Peaks func(session int, move use.Move, peaks []merkle.Hash) error
	Use   func(session int, place uint64, u Use) error
}

// Read reads a settlement to its end.
func (s SettlementReader) Read(in io.Reader) error {
	r := read(in, settlementTag)
	scope := Scope{Encoded: r.bytes(maxScope)}
	if r.err != nil {
		return r.err
	}
	_, moves, err := use.DecodeScope(scope.Encoded)
	if err != nil {
		return malformed("%v", err)
	}
	for range moves {
		scope.Sessions = append(scope.Sessions, Session{Account: r.name(), Name: r.name()})
	}
	if r.err == nil {
		r.err = s.Scope(scope)
	}
	for i, m := range moves {
		var peaks []merkle.Hash
		for range bits.OnesCount64(m.Before.N) {
			peaks = append(peaks, r.hash())
		}
		if r.err == nil {
			r.err = s.Peaks(i, m, peaks)
		}
		for place := m.Before.N; place < m.After.N && r.err == nil; place++ {
			u := Use{Leaf: r.fixed(leafSize), Receipt: r.bytes(MaxReceipt), Evidence: r.bytes(MaxEvidence)}
			if r.err == nil {
				r.err = s.Use(i, place, u)
			}
		}
	}
	if r.err == nil && r.more() {
		return malformed("something follows its end")
	}
	return r.err
}
