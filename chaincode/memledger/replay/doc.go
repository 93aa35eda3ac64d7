// Package replay feeds real blocks to the in-memory ledger and compares the verdicts.
//
// From each block it takes what [memledger.Engine] works from: public reads, writes, range reads and key policies of
// every namespace, and the organisations whose peers' endorsements are good by the channel's own configuration, read
// with Fabric's packages from the configuration blocks. The engine judges every transaction of the chaincode whose
// real flag stems from duplicate ids, endorsement policies, read conflicts or phantoms, and of the lifecycle all of these
// but the policies; other chaincodes' transactions, configurations, and flags of other origin are followed as the peers
// gave them. After a difference the replay goes on with the peers' verdict, so that one defect is reported once.
//
// It does not check what surrounds the verdicts: the hash chain, orderers' and creators' signatures, commit hashes.
// Of private data it follows the hashes, in the collections that each organisation has for itself; policies of single keys
// there it does not judge.
package replay
