package index

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Unknown is what stands in a run for a token that a segment does not hold. No id equals it, so a run that
// contains it occurs nowhere.
const Unknown = ^uint32(0)

// separator is the id that ends every record in a segment's text. No token has it, so nothing matches across
// the border of two records.
const separator = 0

// A Token is a canonical token as dictionaries are asked for it: its identity in UTF-8 and the hash of that.
type Token struct {
	Text []byte
	Hash uint64
}

// AppendToken appends the identity of a token in UTF-8.
func AppendToken(b []byte, runes []rune) []byte {
	for _, r := range runes {
		if r < utf8.RuneSelf {
			b = append(b, byte(r))
			continue
		}
		b = utf8.AppendRune(b, r)
	}
	return b
}

// Hash returns the hash of a token's identity that dictionaries use. It is part of the file format.
func Hash(token []byte) uint64 {
	const k0, k1 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
	h := uint64(len(token)) * k0
	for len(token) >= 8 {
		h = mix(h^binary.LittleEndian.Uint64(token), k1)
		token = token[8:]
	}
	if len(token) > 0 {
		var tail uint64
		for i, b := range token {
			tail |= uint64(b) << (8 * i)
		}
		h = mix(h^tail, k0)
	}
	return h ^ h>>29
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo ^ a
}

// A dictionary numbers the distinct tokens of a segment from 1.
type dictionary struct {
	// slots is an open-addressed table, a power of two long: the upper half of a token's hash and, in the lower
	// 32 bits, its id; 0 is empty.
	slots []uint64
	// The text of id is text[offsets[id]:offsets[id+1]].
	offsets []uint32
	text    []byte
	// runes is the length of each token in runes.
	runes []uint8
}

func newDictionary() *dictionary {
	return &dictionary{slots: make([]uint64, 1<<10), offsets: []uint32{0, 0}, runes: []uint8{0}}
}

// size is the number of ids, the separator included.
func (d *dictionary) size() int { return len(d.runes) }

func (d *dictionary) token(id uint32) []byte {
	return d.text[d.offsets[id]:d.offsets[id+1]]
}

// id returns a token's id, 0 when the dictionary does not hold it.
func (d *dictionary) id(token []byte, hash uint64) uint32 {
	mask := uint64(len(d.slots) - 1)
	// A damaged table may be full; no walk is longer than the table.
	for i, step := hash&mask, 0; step < len(d.slots); i, step = (i+1)&mask, step+1 {
		slot := d.slots[i]
		if slot == 0 {
			return 0
		}
		if slot>>32 == hash>>32 && string(d.token(uint32(slot))) == string(token) {
			return uint32(slot)
		}
	}
	return 0
}

// add returns a token's id and gives it the next one when it is new.
func (d *dictionary) add(token []byte, hash uint64, runes int) uint32 {
	if id := d.id(token, hash); id != 0 {
		return id
	}
	id := uint32(d.size())
	d.text = append(d.text, token...)
	d.offsets = append(d.offsets, uint32(len(d.text)))
	d.runes = append(d.runes, uint8(runes))
	if 2*d.size() > len(d.slots) {
		d.grow()
	} else {
		d.put(hash, id)
	}
	return id
}

func (d *dictionary) put(hash uint64, id uint32) {
	mask := uint64(len(d.slots) - 1)
	i := hash & mask
	for d.slots[i] != 0 {
		i = (i + 1) & mask
	}
	d.slots[i] = hash>>32<<32 | uint64(id)
}

func (d *dictionary) grow() {
	d.slots = make([]uint64, 2*len(d.slots))
	for id := 1; id < d.size(); id++ {
		d.put(Hash(d.token(uint32(id))), uint32(id))
	}
}
