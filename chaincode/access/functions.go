package access

import (
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Listing asks for a page of what concerns a datanet.
type Listing struct {
	Datanet string `json:"datanet"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return ledger.ValidName("datanet", l.Datanet) }

// OfContribution asks for a page of the releases that name a contribution.
type OfContribution struct {
	contribution.Named
	ledger.PageRequest
}

func (o OfContribution) Validate() error { return o.Named.Validate() }

// Functions are the access functions.
func Functions() []*ledger.Function {
	curator, keeper := ledger.For(ledger.Curator), ledger.For(ledger.Operator, ledger.Host)
	return []*ledger.Function{
		ledger.Command("access:Grant", "Grants an organisation or an account the use of an own datanet.", curator, grant),
		ledger.Command("access:Revoke", "Revokes a grant for an own datanet.", curator, revoke),
		ledger.Command("access:Expire", "Ends a grant whose time has passed.", ledger.Anyone, expire),
		ledger.Command("access:Release", "Records that content which the caller's organisation holds is handed over, if the recipient has a right to it.", keeper, release),
		ledger.Query("access:GetGrant", "Shows a grant.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Grant, error) { return LoadGrant(r, "id", req) }),
		ledger.Query("access:Grants", "Lists a datanet's grants by id.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Grant], error) {
				return ledger.List(r, grantsOf(req.Datanet), req.PageRequest, ledger.Value[Grant])
			}),
		ledger.Query("access:GetRelease", "Shows a release.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Release, error) { return LoadRelease(r, req) }),
		ledger.Query("access:Releases", "Lists a datanet's releases by id.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Release], error) {
				return ledger.List(r, releasesOf(req.Datanet), req.PageRequest, ledger.Value[Release])
			}),
		ledger.Query("access:ReleasesOf", "Lists the releases that name a contribution.", ledger.Anyone,
			func(r ledger.Lister, req OfContribution) (ledger.Page[Released], error) {
				return ledger.List(r, releasedOf(req.Datanet, req.ID), req.PageRequest, ledger.Value[Released])
			}),
		ledger.Query("access:SnapshotReleases", "Lists the releases of a datanet's snapshots, by snapshot.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Released], error) {
				return ledger.List(r, snapshotReleasesOf(req.Datanet), req.PageRequest, ledger.Value[Released])
			}),
		ledger.Query("access:Holders", "Shows which organisations have had a contribution, by itself or in a snapshot.", ledger.Anyone,
			func(r ledger.Lister, req contribution.Named) (Had, error) {
				c, err := contribution.Load(r, req)
				if err != nil {
					return Had{}, err
				}
				return Holders(r, c)
			}),
	}
}
