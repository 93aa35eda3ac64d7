package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
)

func fileOf(t testing.TB, corpus attribution.Corpus) []byte {
	view, err := InMemory(context.Background(), FromCorpus(corpus), Options{})
	require.NoError(t, err)
	g := new(Segment)
	*g = Segment{dictionary: newDictionary(), first: make([]uint32, 2), grams: make(filter, 1)}
	if len(view.segments) > 0 {
		g = view.segments[0]
	}
	path := filepath.Join(t.TempDir(), "segment")
	file, err := os.Create(path)
	require.NoError(t, err)
	size, _, err := g.write(context.Background(), file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, b, int(size))
	return b
}

func sample() attribution.Corpus {
	text := "one two three four five six seven eight nine ten, "
	return attribution.Corpus{
		{ID: "a", Account: "x", Records: [][]byte{[]byte(text + "eleven"), nil, []byte("twelve thirteen")}},
		{ID: "b", Account: "y"},
		{ID: "c", Account: "z", Records: [][]byte{[]byte("before " + text + "after"), []byte(text + text)}},
	}
}

// repair makes the sums of a file right, so that what lies behind them is reached. It reports whether the file has
// a header to do so.
func repair(file []byte) bool {
	if len(file) < headerSize {
		return false
	}
	var from, to, end uint64
	for i := range int(sections) {
		offset := binary.LittleEndian.Uint64(file[headerSections+16*i:])
		size := binary.LittleEndian.Uint64(file[headerSections+16*i+8:])
		if offset > uint64(len(file)) || size > uint64(len(file))-offset {
			return false
		}
		if i == 0 {
			from = offset
		}
		to, end = offset, offset+size
	}
	if from > to {
		return false
	}
	summed, sums := file[from:to], file[to:end]
	for i := 0; i*sumSize < len(summed) && 4*i+4 <= len(sums); i++ {
		sum := crc32.Checksum(summed[i*sumSize:min(len(summed), (i+1)*sumSize)], castagnoli)
		binary.LittleEndian.PutUint32(sums[4*i:], sum)
	}
	copy(file, magic)
	spec := attribution.Spec()
	copy(file[headerSpec:], spec[:])
	binary.LittleEndian.PutUint32(file[headerSums:], crc32.Checksum(sums, castagnoli))
	binary.LittleEndian.PutUint32(file[headerSums+4:], crc32.Checksum(file[:headerSums+4], castagnoli))
	return true
}

// ask puts every kind of question to a segment. Wrong answers are no matter here, reading beyond the file is.
func ask(g *Segment) {
	v := newView([]*Segment{g, g}, 1)
	g = v.segments[1]
	var run []uint32
	for id := range uint32(min(g.Size(), 50)) {
		if id == separator {
			continue
		}
		t := g.Token(id)
		g.ID(t)
		g.Count(id)
		run = append(run, id)
	}
	for position := range uint32(min(len(g.text), 200)) {
		if _, ok := g.At(position); !ok {
			continue
		}
		end := min(position+8, uint32(len(g.text)))
		list := g.text[position:end]
		for i, id := range list {
			if id == separator {
				list = list[:i]
				break
			}
		}
		g.Longest(list)
		places := g.Places(list)
		if places.Count() > 0 {
			for id, where := range g.Following(places, len(list)) {
				g.Narrow(places, len(list), id)
				g.Owner(g.Position(where.Start))
			}
			first := g.First(places)
			place := g.Place(first)
			v.Contribution(place.Contribution)
			for _, c := range v.Origins(nil, g, first, first+uint32(len(list))) {
				v.Contribution(c)
			}
		}
	}
	g.Longest(run)
	g.Places(run)
	for c := range v.Contributions() {
		g.Extent(c)
	}
	_, _ = merged(context.Background(), []*Segment{g, g}, nil)
}

func FuzzDecode(f *testing.F) {
	f.Add(fileOf(f, sample()))
	f.Add(fileOf(f, nil))
	f.Add(fileOf(f, attribution.Corpus{{ID: "a", Account: "x", Records: [][]byte{[]byte(fmt.Sprint(make([]int, 200)))}}}))
	f.Fuzz(func(t *testing.T, file []byte) {
		if g, err := decode(file); err == nil {
			ask(g)
		}
		file = bytes.Clone(file) // the fuzzer's must not be written
		if repair(file) {
			if g, err := decode(file); err == nil {
				ask(g)
			}
		}
	})
}

func FuzzManifest(f *testing.F) {
	m := manifest{Generation: 3, Distinct: 4, Next: 9, Segments: []segmentFile{{Name: "00000007.segment", Size: 10, Header: 11}}}
	text, err := m.encode()
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decodeManifest(text)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			return
		}
		again, err := m.encode()
		require.NoError(t, err)
		read, err := decodeManifest(again)
		require.NoError(t, err)
		require.Equal(t, m, read)
	})
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	file := fileOf(t, sample())
	_, err := decode(file)
	require.NoError(t, err)
	for i := range file {
		file[i] ^= 0x10
		_, err := decode(file)
		require.ErrorIs(t, err, ErrDamaged, "byte %d", i)
		file[i] ^= 0x10
	}
	for n := range len(file) {
		_, err := decode(file[:n])
		require.ErrorIs(t, err, ErrDamaged, "%d bytes", n)
	}
}

func TestNumbersThatPointNowhereAreNoticedAlthoughTheSumsAreRight(t *testing.T) {
	file := fileOf(t, sample())
	parts, err := split(file)
	require.NoError(t, err)
	for i, part := range parts[:sectionSums] {
		switch section(i) {
		case sectionGrams, sectionTokens, sectionContributions, sectionMinima:
			continue // any bits are a filter, any bytes a token; the others are tested elsewhere or empty here
		}
		t.Run(fmt.Sprint("section ", i), func(t *testing.T) {
			for at := range part {
				old := part[at]
				part[at] = 0xff
				require.True(t, repair(file))
				if g, err := decode(file); err == nil {
					ask(g)
				} else {
					require.ErrorIs(t, err, ErrDamaged)
				}
				part[at] = old
			}
			copy(part[max(0, len(part)-4):], "\xff\xff\xff\xff")
			require.True(t, repair(file))
			_, err := decode(file)
			if section(i) != sectionRunes && section(i) != sectionSlots {
				require.ErrorIs(t, err, ErrDamaged)
			}
			file = fileOf(t, sample())
			parts, err = split(file)
			require.NoError(t, err)
		})
	}
}

func TestABigEndianMachineReadsAndWritesTheSameFile(t *testing.T) {
	file := fileOf(t, sample())
	littleEndian = !littleEndian
	defer func() { littleEndian = !littleEndian }()
	if littleEndian {
		t.Skip("this machine is big-endian")
	}
	g, err := decode(file)
	require.NoError(t, err, "by reading number after number")
	require.Equal(t, file, func() []byte {
		path := filepath.Join(t.TempDir(), "segment")
		out, err := os.Create(path)
		require.NoError(t, err)
		_, _, err = g.write(t.Context(), out)
		require.NoError(t, err)
		require.NoError(t, out.Close())
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return b
	}())
}
