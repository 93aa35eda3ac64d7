package use

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/internal/wire"
	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Mark is how far a session has been settled.
type Mark struct {
	N      uint64
	Amount uint64
	Root   merkle.Hash
}

// Move is what a settlement does to one session.
type Move struct {
	Session       merkle.Hash
	Before, After Mark
}

func (m Move) check() error {
	if m.After.N <= m.Before.N || m.After.Amount < m.Before.Amount || m.After.Amount > MaxAmount {
		return fmt.Errorf("session %s: a settlement goes forward", m.Session)
	}
	return nil
}

// EncodeScope returns the bytes of a settlement's scope: the rate card and the moves, ascending by session, each once.
func EncodeScope(card merkle.Hash, moves []Move) ([]byte, error) {
	b := append([]byte(scopeTag), card[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(moves)))
	for i, m := range moves {
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("encode scope: %w", err)
		}
		if i > 0 && bytes.Compare(moves[i-1].Session[:], m.Session[:]) >= 0 {
			return nil, fmt.Errorf("encode scope: sessions are ascending, each once: %s", m.Session)
		}
		b = append(b, m.Session[:]...)
		for _, mark := range []Mark{m.Before, m.After} {
			b = binary.BigEndian.AppendUint64(b, mark.N)
			b = binary.BigEndian.AppendUint64(b, mark.Amount)
			b = append(b, mark.Root[:]...)
		}
	}
	return b, nil
}

// Scope is the digest of a settlement's scope, which attestors vote on. The moves come in any order.
func Scope(card merkle.Hash, moves []Move) (merkle.Hash, error) {
	sorted := slices.SortedFunc(slices.Values(moves), func(a, b Move) int { return bytes.Compare(a.Session[:], b.Session[:]) })
	b, err := EncodeScope(card, sorted)
	return sha256.Sum256(b), err
}

// moveSize is the length of one encoded move.
const moveSize = 32 + 2*(8+8+32)

// DecodeScope reads a scope from exactly its bytes.
func DecodeScope(encoded []byte) (card merkle.Hash, moves []Move, err error) {
	d := newDecoder(encoded, scopeTag)
	card = d.Hash()
	count := d.Uint32()
	if d.Err == nil && uint64(count) != uint64(len(d.Left)/moveSize) {
		d.Err = wire.ErrShort
	}
	mark := func() Mark { return Mark{N: d.Uint64(), Amount: d.Uint64(), Root: d.Hash()} }
	for range count {
		if d.Err != nil {
			break
		}
		moves = append(moves, Move{Session: d.Hash(), Before: mark(), After: mark()})
	}
	if err := d.End("scope"); err != nil {
		return merkle.Hash{}, nil, err
	}
	if _, err := EncodeScope(card, moves); err != nil {
		return merkle.Hash{}, nil, fmt.Errorf("decode scope: %w", err)
	}
	return card, moves, nil
}
