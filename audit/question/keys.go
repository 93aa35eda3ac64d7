package question

import (
	"encoding/hex"
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// Keys whose builders the domains keep to themselves, as they stand in blocks. What reads them is tested over entries that
// the rules have written.

func voteKey(c contribution.Contribution, revision int, msp string) ledger.Key {
	return ledger.NewKey("vote", c.Datanet, c.ID, fmt.Sprintf("%06d", revision), msp)
}

func grantKey(datanet, id string) ledger.Key { return ledger.NewKey("grant", datanet, id) }

func placeKey(n contribution.Named) ledger.Key { return ledger.NewKey("sealed", n.Datanet, n.ID) }

func pageKey(datanet string, page int) ledger.Key {
	return ledger.NewKey("page", datanet, fmt.Sprintf("%08d", page))
}

func revisionKey(n snapshot.Named, revision int) ledger.Key {
	return ledger.NewKey("snapshot-revision", n.Datanet, fmt.Sprintf("%010d", n.Number), fmt.Sprintf("%06d", revision))
}

func erasureKey(n contribution.Named) ledger.Key { return ledger.NewKey("erasure", n.Datanet, n.ID) }

func erasureSlotKey(e erasure.Erasure, msp string) ledger.Key {
	return ledger.NewKey("erasure-slot", e.Datanet, e.ID, msp)
}

func claimKey(n claim.Named) ledger.Key { return ledger.NewKey("claim", string(n.Host), n.ID) }

func claimSlotKey(n claim.Named, msp string) ledger.Key {
	return ledger.NewKey("claim-slot", string(n.Host), n.ID, msp)
}

func accountKey(a ledger.Account) ledger.Key { return ledger.NewKey("account", a.MSP(), string(a)) }

// sealedPage is a page of leaves as it stands on the ledger.
type sealedPage struct {
	IDs []byte `json:"ids"` // of contributions, 16 bytes each
}

// from are the ids of the leaves from a place on.
func (p sealedPage) from(first int64) (ids []string) {
	const size = 16
	for rest := p.IDs[min(first*size, int64(len(p.IDs))):]; len(rest) >= size; rest = rest[size:] {
		ids = append(ids, hex.EncodeToString(rest[:size]))
	}
	return ids
}
