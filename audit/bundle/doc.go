// Package bundle is the file in which a channel's blocks leave the network, to be verified elsewhere.
//
// # Life of a block
//
// A [Writer] gets it from a peer and appends it to the segment that is open. When the segment is large enough it is
// synced, and only then the manifest names it: what a crash leaves behind is a bundle that ends earlier, and the next
// export goes on there. [Pack] makes one file of a finished folder. A [Reader] gives the blocks back in order, from
// either, with bounded memory, and compares each segment with the manifest's digest.
//
// Nothing here is proof: whoever makes a bundle can write any manifest. Package verify looks at the blocks.
//
// docs/audit-bundle.md describes the format for other implementations.
package bundle
