package access

import (
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Listing asks for a page of what concerns a datanet.
type Listing struct {
	Datanet string `json:"datanet"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return ledger.ValidName("datanet", l.Datanet) }

// Functions are the access functions.
func Functions() []*ledger.Function {
	curator := ledger.For(ledger.Curator)
	return []*ledger.Function{
		ledger.Command("access:Grant", "Grants an organisation or an account the use of an own datanet.", curator, grant),
		ledger.Command("access:Revoke", "Revokes a grant for an own datanet.", curator, revoke),
		ledger.Command("access:Expire", "Ends a grant whose time has passed.", ledger.Anyone, expire),
		ledger.Query("access:GetGrant", "Shows a grant.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Grant, error) { return LoadGrant(r, "id", req) }),
		ledger.Query("access:Grants", "Lists a datanet's grants by id.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Grant], error) {
				return ledger.List(r, grantsOf(req.Datanet), req.PageRequest, ledger.Value[Grant])
			}),
	}
}
