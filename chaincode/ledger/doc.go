// Package ledger is the small language in which every rule of the network is written.
//
// # Life of a transaction
//
// A client signs a proposal: a function name such as "token:Transfer" and one JSON document. Each endorsing
// organisation's chaincode decodes the document strictly, asks the [Gate] whether this caller may call this function
// at all, and runs the rule: a pure function of the document and of committed state, read through a [Reader]. The
// rule answers with a value or a [Fault] and leaves its writes, key policies and one event in a buffer, the
// [Outcome]. Nothing is written during the run, so a transaction cannot read what it wrote.
//
// The outcome becomes the read-write set that the organisation endorses. The orderers put the transaction into a
// block; every peer checks endorsements (also those of guarded keys), then that nothing read has changed, and
// applies the writes. The event, together with the writes in the block, is what indexes and auditors work from.
//
// # Two ledgers
//
// [Store] is what a ledger must offer. Package contract implements it over the Fabric shim, package memledger in
// memory with Fabric's semantics; the rules do not know which one they run on.
//
// # Determinism
//
// Endorsers must agree byte for byte. Rules have no clock but [Reader.Time], no randomness, no floats, no goroutines,
// no logging, and never depend on the order of a map. They change no string in a list that they loaded, but make a list of
// their own: the verifier runs many transactions at once on values that it decoded once, see [Memory].
package ledger
