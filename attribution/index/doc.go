// Package index makes the tokens of a corpus searchable: how often does a run of tokens occur, where first, and
// whose is the text there.
//
// Life of a contribution: a [Source] yields it, workers cut its records into canonical tokens, a dictionary
// numbers them, and with its neighbours it becomes an immutable [Segment]: the text as ids, its suffixes in
// order, a filter of its 3-grams, and which of its tokens were copied from an earlier contribution. A [View] is a
// row of segments. Contributions that are registered later become segments of their own; segments of like size
// are merged in the background. No answer depends on where one segment ends.
package index
