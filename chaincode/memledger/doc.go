// Package memledger is Fabric's ledger in memory: the same verdicts on the same transactions, without peers.
//
// # Two layers
//
// [Engine] is the ledger: committed state, and the validation of a block's transactions. It knows keys, versions,
// endorsing organisations and policies, but neither chaincode nor Fabric's message types. [Network] puts peers
// around it: proposals are simulated by each endorser's chaincode on committed state, endorsements are compared,
// transactions wait for the next block.
//
// # Life of a transaction
//
// [Network.Propose] simulates a [Proposal] on the committed snapshot and answers an [Envelope] with the read-write
// set. [Network.Submit] hands it to ordering, which may be never, or days later. [Network.Cut] makes a block, and
// [Engine.Commit] decides each transaction's [Flag] in Fabric's order:
//
//  1. an id that an earlier block holds, whatever its flag there, is a duplicate;
//  2. endorsements: each written key by its own policy as committed before this block, by the chaincode's policy when
//     it has none; a key whose policy an earlier transaction of the block sets fails its later writers;
//  3. of equal ids in the block the first one with good endorsements stays;
//  4. reads and range reads: against committed state and the earlier valid transactions of the block.
//
// Where it and a real peer disagree it is wrong; package replay finds such places by feeding it real blocks.
package memledger
