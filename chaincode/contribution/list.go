package contribution

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// List reads a page of a datanet's contributions, by id.
func List(r ledger.Lister, req Listing) (ledger.Page[Contribution], error) {
	return ledger.List(r, keysOf(req.Datanet), req.PageRequest, ledger.Value[Contribution])
}
