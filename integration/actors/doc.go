// Package actors tells what each actor of a Datanet does, as scripts against a real network, with the program that people
// use and with plain HTTP requests to the gateways.
//
// The scripts in testdata are read by testscript (github.com/rogpeppe/go-internal/testscript), whose commands they use
// besides these. $NETWORK is the network's state folder. Those in testdata/five are of a network with five members.
//
//	as NAME@ORG               from here on this person acts, at the gateway of their organisation (poetrysociety, …). Who
//	                          is in the network's topology has an identity already; anybody else begins with nothing.
//	                          $GATEWAY and $CA are how the gateway is reached, $ACCOUNT is the account if there is one;
//	                          $CONFIG and $FOLDER are the gateway's configuration and what it keeps.
//	datanet WORD...           runs the program; ! datanet expects it to fail, and fails with CODE datanet WORD... to fail
//	                          with this exit code
//	http STATUS METHOD PATH [NAME:VALUE]... [JSON | @FILE]
//	                          sends a request with the person's certificate, unless a header Authorization shows
//	                          something else, or anonymous does not; the answer's body is the standard output, its
//	                          headers are the standard error. Every answer must be one that the gateway's own API
//	                          document describes.
//	secret NAME FILE          writes $NAME into a file that only the person may read
//	poems DIR COUNT           writes short poems that nobody has written before
//	pool NAME COUNT [ATTESTORS]
//	                          makes $DATANET of the poetry society, of so many approved and sealed poems of its contributor1,
//	                          whose settlements one organisation or so many have to attest
//	id NAME...                makes fresh ids
//	let NAME PATH             takes a value out of the last output, a JSON document, as items.0.id
//	want PATH VALUE           the last output has this value there; a list may be named by its length, as items.count, and
//	                          what is in it by a text that it has, as sessions.name=$S.vouched
//	fill FILE                 replaces $NAME in a file
//	bytes NAME FILE           takes the length of a file
//	etag NAME                 takes the tag of the last answer of http
//	await EVENT WORD...       follows the gateway's events from the first block on until there is one of this name whose
//	                          document holds all words
//	until PATH VALUE STATUS METHOD PATH...
//	                          repeats a request, as http does, until the answer has this status and value; ! until, another
//	                          value
//	follow FROM EVENT WORD... the same after the event FROM, and prints the ids of all events of $DATANET up to there
//	objects FILE DATANET      writes the names of the files in which the person's gateway keeps contents of a datanet
//	gone FILE                 none of these files is there
//	readonly                  every write of a member's gateway is neither in the API document of this person's gateway
//	                          nor does it answer to it; prints what it can change of its own
//	crash NODE                kills a process of the network, as gateway.ailab, at once
//	heal                      runs datanet network up, which starts again what has ended, until all is well
//
// $NAME stands for a value also within quotes, in the words of datanet and http.
package actors
