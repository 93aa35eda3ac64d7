package streaming

import "github.com/datanet-consortium/datanet/attribution"

// passageEnd returns where the passage that starts at a token ends, 0 when the tokens end before. No passage
// is the beginning of another.
func passageEnd(start, count int, runes func(int) int) int {
	sum := 0
	for i := start; i < count; i++ {
		if sum += runes(i); i-start+1 >= attribution.PassageTokens && sum >= attribution.PassageRunes {
			return i + 1
		}
	}
	return 0
}

// A trie holds passages, each a path from node 0 to a node of its own.
type trie struct {
	children map[branch]int32
	leaf     []bool // by node
}

type branch struct {
	node   int32
	symbol uint32
}

func newTrie() *trie { return &trie{children: make(map[branch]int32), leaf: make([]bool, 1)} }

// add puts a passage into the trie and returns its node.
func (t *trie) add(passage []uint32) int32 {
	node := int32(0)
	for _, symbol := range passage {
		key := branch{node, symbol}
		next, known := t.children[key]
		if !known {
			next = int32(len(t.leaf))
			t.children[key] = next
			t.leaf = append(t.leaf, false)
		}
		node = next
	}
	t.leaf[node] = true
	return node
}

// find returns the node of the passage that starts a text, if the trie has it: symbol returns the text's
// i-th token and whether there is one.
func (t *trie) find(symbol func(i int) (uint32, bool)) (node int32, ok bool) {
	for i := 0; !t.leaf[node]; i++ {
		next, there := symbol(i)
		if !there {
			return 0, false
		}
		if node, there = t.children[branch{node, next}]; !there {
			return 0, false
		}
	}
	return node, true
}
