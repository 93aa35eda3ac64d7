// Package story runs stories of several parties from text files, unchanged, on the in-memory ledger and on a real
// network.
//
// A script is prose and commands. Lines that begin with # are prose. A command begins at the margin; what it is
// expected to do stands in indented lines below it. A JSON document may go on over indented lines.
//
//	submit USER FUNCTION JSON     calls a function and waits until the transaction is committed
//	query USER FUNCTION JSON      asks one peer; nothing is written
//	hold NAME USER FUNCTION JSON  collects endorsements and keeps the transaction back
//	release NAME                  submits a transaction that was held back
//	decide KIND JSON              has the members decide: proposed, approved by a majority, executed
//	id NAME                       makes a fresh random id
//	json NAME JSON                names a document, to be a part of others
//	time NAME DURATION            a time from now, in UTC and whole seconds
//	advance DURATION              lets time pass
//	key NAME                      makes a session's spending key, the public half
//	sign NAME KEY JSON            signs a voucher with the key of that name: session, card, n, amount, root
//	table NAME JSON               names the digest of a page of a pay-out table
//	seal NAME SECRET              names the commitment of a sampling secret
//
// USER is enrolment@MSP, as operator1@PoetrySocietyMSP. A call is expected to succeed unless a line below says
// otherwise:
//
//	endorsed by MSP...      the peers that endorse; without it they are planned from the policies
//	at MSP                  the organisation whose peer answers a query; without it the caller's own
//	want JSON               the answer contains this: an object these members, a list these objects in any place, or
//	                        exactly these values; [] is an empty list
//	let NAME = PATH         takes a value out of the answer, as items.0.tx; @tx is the transaction's id
//	fault CODE [FIELD]      the rules refuse
//	flag FLAG               ordered, and invalid with this validation code
//	refused at STAGE        nothing was ordered: refused at proposal, endorsement or ordering
//
// $NAME stands for a value everywhere after its definition; inside JSON it stands within a string, or for a number or a
// document. Scripts share a real ledger with whatever else runs there, so they use fresh ids and expect nothing of what
// others may change.
package story
