// Package suffix sorts the suffixes of a text over a large alphabet of integers in linear time.
//
// It is SA-IS (Nong, Zhang and Chan, "Linear suffix array construction by almost pure induced-sorting", 2009).
// Suffixes are of two types: S when smaller than the next one, L when larger. A suffix of type S after one of
// type L is an LMS suffix; at most every second is one. The LMS substrings (each reaches to the start of the
// next) are sorted by induction and named; the text of names, at most half as long, is sorted recursively; the
// order of all other suffixes is induced from that of the LMS suffixes. All of it happens inside the result's
// array and two arrays as large as the alphabet.
//
// During induction an entry of the array is the position of a sorted suffix. Its complement marks it as one
// from which the running pass must not induce, because its predecessor is of the other type; that type is read
// when the entry is made, so that the pass over the array touches the text once for each entry.
package suffix

// Sort puts the positions of all suffixes of text in ascending order into sa, which has the text's length. Symbols lie in
// [0, symbols); the end of the text is smaller than any of them. The text has fewer than 2³¹ symbols. proceed is asked
// between passes; its error ends the work and is returned.
func Sort(sa, text []int32, symbols int, proceed func() error) error {
	switch n := len(text); n {
	case 0:
		return nil
	case 1:
		sa[0] = 0
		return nil
	}
	s := sorter{text: text, sa: sa[:len(text)], first: make([]int32, symbols+1), next: make([]int32, symbols), proceed: proceed}
	s.count()
	return s.sort()
}

type sorter struct {
	text, sa []int32
	first    []int32 // where the suffixes that begin with a symbol begin in sa; one entry more for the end
	next     []int32 // where a pass puts the next suffix of a symbol
	proceed  func() error
}

func (s *sorter) count() {
	first := s.first
	for _, c := range s.text {
		first[c+1]++
	}
	for c := 1; c < len(first); c++ {
		first[c] += first[c-1]
	}
}

// starts and ends aim next at the front or the back of the symbols' buckets.
func (s *sorter) starts() { copy(s.next, s.first) }
func (s *sorter) ends()   { copy(s.next, s.first[1:]) }

// eachLMS calls visit with the positions of the LMS suffixes from right to left.
func eachLMS(text []int32, visit func(i int32)) {
	i := len(text) - 1
	above := text[i]
	descending := false // whether the suffix at i+1 is of type S
	for i--; i >= 0; i-- {
		c := text[i]
		switch {
		case c < above:
			descending = true
		case c > above:
			if descending {
				visit(int32(i + 1))
			}
			descending = false
		}
		above = c
	}
}

func (s *sorter) sort() error {
	m, err := s.sortSubstrings()
	if err != nil {
		return err
	}
	names := s.name(m)
	if err := s.proceed(); err != nil {
		return err
	}
	if err := s.order(m, names); err != nil {
		return err
	}
	if err := s.spread(m); err != nil {
		return err
	}
	s.induceL()
	if err := s.proceed(); err != nil {
		return err
	}
	s.induceS()
	return s.proceed()
}

// sortSubstrings leaves the m LMS suffixes, sorted by their LMS substrings, in sa[:m] and returns m.
func (s *sorter) sortSubstrings() (m int, err error) {
	sa, text, next := s.sa, s.text, s.next
	clear(sa)
	s.ends()
	eachLMS(text, func(i int32) {
		c := text[i]
		next[c]--
		sa[next[c]] = i
		m++
	})
	if m < 2 {
		// One or none is sorted already: it has to stand in front for what follows.
		lms := int32(0)
		eachLMS(text, func(i int32) { lms = i })
		clear(sa)
		if m == 1 {
			sa[0] = lms
		}
		return m, nil
	}
	if err := s.proceed(); err != nil {
		return 0, err
	}
	s.substringsL()
	if err := s.proceed(); err != nil {
		return 0, err
	}
	s.substringsS()
	// What is left of sa are the LMS suffixes in order, as complements, between zeros.
	k := 0
	for i, p := range sa {
		if p < 0 {
			sa[i] = 0
			sa[k] = ^p
			k++
		}
	}
	clear(sa[m:])
	return m, s.proceed()
}

// substringsL induces the suffixes of type L from the LMS suffixes and clears these; the leftmost of each run
// of L, from which the next pass induces, stay as positive entries. Position 0 induces nothing.
func (s *sorter) substringsL() {
	sa, text, next := s.sa, s.text, s.next
	s.starts()
	// The last suffix is the first of type L: the end of the text stands before it.
	last := int32(len(text) - 1)
	c := text[last]
	if text[last-1] < c {
		sa[next[c]] = ^last
	} else {
		sa[next[c]] = last
	}
	next[c]++
	for i := range sa {
		p := sa[i]
		if p <= 0 {
			// Complements are leftmost in their run; the pass after this one needs them.
			if p < 0 {
				sa[i] = ^p
			}
			continue
		}
		sa[i] = 0
		p--
		c := text[p]
		q := p
		if p > 0 && text[p-1] < c {
			q = ^p
		}
		if p > 0 {
			sa[next[c]] = q
		}
		next[c]++
	}
}

// substringsS induces the suffixes of type S from those of type L, from right to left. What it leaves are the
// LMS suffixes as complements.
func (s *sorter) substringsS() {
	sa, text, next := s.sa, s.text, s.next
	s.ends()
	for i := len(sa) - 1; i >= 0; i-- {
		p := sa[i]
		if p <= 0 {
			continue
		}
		sa[i] = 0
		p--
		c := text[p]
		next[c]--
		q := p
		if p > 0 && text[p-1] > c {
			q = ^p
		}
		if p > 0 {
			sa[next[c]] = q
		}
	}
}

// name replaces the substrings by their ranks, stored at sa[m+i/2] for the substring at i, and returns how many
// different ones there are.
func (s *sorter) name(m int) int32 {
	sa, text := s.sa, s.text
	lengths := sa[m:]
	end := int32(len(text) - 1)
	eachLMS(text, func(i int32) {
		lengths[i/2] = end - i + 1 // both ends belong to a substring
		end = i
	})
	name := int32(0)
	before, beforeLength := int32(-1), int32(-1)
	for _, p := range sa[:m] {
		length := lengths[p/2]
		if length != beforeLength || !equal(text, before, p, length) {
			name++
			before, beforeLength = p, length
		}
		lengths[p/2] = name
	}
	return name
}

// equal compares substrings. The end of the text belongs to no substring but the last, which equals no other.
func equal(text []int32, a, b, length int32) bool {
	n := int32(len(text))
	if a+length >= n || b+length >= n {
		return false
	}
	x, y := text[a:a+length], text[b:b+length]
	for i, c := range x {
		if c != y[i] {
			return false
		}
	}
	return true
}

// order sorts the LMS suffixes in sa[:m], given the names of their substrings.
func (s *sorter) order(m int, names int32) error {
	if int(names) == m {
		return nil // the substrings alone decide
	}
	sa := s.sa
	n := len(sa)
	// The names in the order of the text go to the end of sa, as symbols from 0.
	reduced := sa[n-m:]
	k := m - 1
	for i := m + n/2 - 1; i >= m; i-- {
		if sa[i] != 0 {
			reduced[k] = sa[i] - 1
			k--
		}
	}
	if err := Sort(sa[:m], reduced, int(names), s.proceed); err != nil {
		return err
	}
	k = m
	eachLMS(s.text, func(i int32) {
		k--
		reduced[k] = i
	})
	for i, rank := range sa[:m] {
		sa[i] = reduced[rank]
	}
	return nil
}

// spread puts the sorted LMS suffixes from sa[:m] to the back of their buckets, all else 0.
func (s *sorter) spread(m int) error {
	sa, text, next := s.sa, s.text, s.next
	clear(sa[m:])
	s.ends()
	for i := m - 1; i >= 0; i-- {
		p := sa[i]
		sa[i] = 0
		c := text[p]
		next[c]--
		sa[next[c]] = p
	}
	return s.proceed()
}

// induceL sorts the suffixes of type L. Afterwards entries from which the next pass must induce are positive,
// all others complements, unset ones included (the complement of 0).
func (s *sorter) induceL() {
	sa, text, next := s.sa, s.text, s.next
	s.starts()
	last := int32(len(text) - 1)
	c := text[last]
	if text[last-1] < c {
		sa[next[c]] = ^last
	} else {
		sa[next[c]] = last
	}
	next[c]++
	for i := range sa {
		p := sa[i]
		sa[i] = ^p
		if p <= 0 {
			continue
		}
		p--
		c := text[p]
		q := p
		if p > 0 && text[p-1] < c {
			q = ^p
		}
		sa[next[c]] = q
		next[c]++
	}
}

// induceS sorts the suffixes of type S and turns all entries into positions.
func (s *sorter) induceS() {
	sa, text, next := s.sa, s.text, s.next
	s.ends()
	for i := len(sa) - 1; i >= 0; i-- {
		p := sa[i]
		if p <= 0 {
			sa[i] = ^p
			continue
		}
		p--
		c := text[p]
		q := p
		if p == 0 || text[p-1] > c {
			q = ^p
		}
		next[c]--
		sa[next[c]] = q
	}
}
