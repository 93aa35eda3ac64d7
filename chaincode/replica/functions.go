package replica

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// Listing asks for a page of a datanet's agreements.
type Listing struct {
	Datanet string `json:"datanet"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return ledger.ValidName("datanet", l.Datanet) }

// Functions are the functions of replica agreements.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("replica:Offer", "Asks a member to hold what is approved in an own datanet.", ledger.For(ledger.Curator), offer),
		ledger.Command("replica:Accept", "Agrees for the caller's organisation to hold replicas.", ledger.For(ledger.Operator), accept),
		ledger.Command("replica:End", "Ends a replica agreement, by either side.", ledger.For(ledger.Curator, ledger.Operator), end),
		ledger.Query("replica:Get", "Shows a replica agreement.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Detail, error) { return load(r, "id", req) }),
		ledger.Query("replica:List", "Lists a datanet's replica agreements by id.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Detail], error) {
				return ledger.List(r, agreementsOf(req.Datanet), req.PageRequest, func(key ledger.Key, value []byte) (Detail, error) {
					a, err := ledger.Value[Agreement](key, value)
					if err != nil {
						return Detail{}, err
					}
					return load(r, "id", a.Named)
				})
			}),
	}
}
