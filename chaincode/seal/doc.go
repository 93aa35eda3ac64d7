// Package seal puts a datanet's approved contributions into the order in which snapshots have them.
//
// Contributions become leaves, leaves stand in pages of [PageSize], and the datanet's head names every page's root. A
// page is an aligned subtree of the Merkle tree of RFC 6962 over all leaves, so the root over page roots is the root
// over the leaves: a snapshot costs as much as there are pages, an appended batch as much as two pages and the head.
//
//	approved ──append──► live leaf ──(withdrawn, or being erased)──retire──► tombstone from the next snapshot on
//
// One sequencer per datanet writes here, a curator of its owner, who says how many leaves there are so far: of two
// sequencers one is refused. Head and pages are under keys that only the owner's peer, together with enough others for
// a majority, can write. A page's root stands in the head, so a page that somebody forged before it was guarded is found
// out where it is used. Where each contribution stands is kept under a key of its own, and no contribution is sealed
// twice. Which approved ones are not sealed yet, seal:Missing tells everyone.
//
// A page only grows. That a leaf is retired stands beside the page, with the number of the first snapshot without it, so
// that the leaves of any snapshot can be told; earlier snapshots keep their roots. While contributions that have left
// are not retired, no snapshot is taken.
package seal
