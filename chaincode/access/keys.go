package access

import (
	"fmt"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// KeyKinds lists the kinds of key that this domain writes.
var KeyKinds = []string{"grant", "release", "released", "released-snapshot", "holder", "snapshot-holder",
	"outside-holder", "outside-snapshot-holder"}

func grantKey(n Named) ledger.Key { return ledger.NewKey("grant", n.Datanet, n.ID) }

func grantsOf(datanet string) ledger.Key { return ledger.NewKey("grant", datanet) }

func releaseKey(n Named) ledger.Key { return ledger.NewKey("release", n.Datanet, n.ID) }

func releasesOf(datanet string) ledger.Key { return ledger.NewKey("release", datanet) }

// releasedKey finds a release by a contribution, snapshotReleasedKey by a snapshot.
func releasedKey(datanet, contribution, release string) ledger.Key {
	return ledger.NewKey("released", datanet, contribution, release)
}

func releasedOf(datanet, contribution string) ledger.Key {
	return ledger.NewKey("released", datanet, contribution)
}

func snapshotReleasedKey(datanet string, number int, release string) ledger.Key {
	return ledger.NewKey("released-snapshot", datanet, fmt.Sprintf("%010d", number), release)
}

func snapshotReleasesOf(datanet string) ledger.Key {
	return ledger.NewKey("released-snapshot", datanet)
}

// holderKey is where it stands that an organisation has had a contribution, snapshotHolderKey that it has had snapshots.
func holderKey(datanet, contribution, msp string) ledger.Key {
	return ledger.NewKey("holder", datanet, contribution, msp)
}

func snapshotHolderKey(datanet, msp string) ledger.Key {
	return ledger.NewKey("snapshot-holder", datanet, msp)
}

// outsideKey is where it stands which organisations that are no members have had a contribution, snapshotOutsideKey
// which have had snapshots of a datanet.
func outsideKey(datanet, contribution string) ledger.Key {
	return ledger.NewKey("outside-holder", datanet, contribution)
}

func snapshotOutsideKey(datanet string) ledger.Key {
	return ledger.NewKey("outside-snapshot-holder", datanet)
}
