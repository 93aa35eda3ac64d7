// Package verify checks a bundle of blocks, knowing nothing but the hash of the channel's genesis block.
//
// # Life of a block
//
// A reader takes it from the bundle. Workers, several blocks at a time, hash its data, check its orderers' signatures,
// each transaction's form and creator and every endorsement, all by the configuration in force. Then, block after
// block: the chain of headers, the rules run again on the state before the block for every transaction that took effect,
// the peers' verdicts computed again, the writes applied, what the state must be whatever the rules let through, the commit
// hash and the conservation of credits compared. After a configuration block the reader waits, since it decides how the next
// ones are judged.
//
// What is found is a [Finding]: it says which rule was broken, where, and how grave that is. [Run] fails only when the
// bundle cannot be read or its blocks cannot be followed any further.
//
// Signatures, certificates, policies and configuration updates are judged by Fabric's own packages, and the rules are
// those of the chaincode: an error in them is an error here. What that hides, and what not, stands in
// docs/audit-bundle.md.
package verify
