package testnetwork

import (
	"fmt"
)

// Renew issues the certificates of the network in the folder dir again, for the same keys and names, and returns how
// many. The network must not run.
func Renew(dir string) (int, error) {
	f, err := openFolder(dir)
	if err != nil {
		return 0, err
	}
	lock, err := f.take()
	if err != nil {
		return 0, err
	}
	defer lock.Unlock()
	state, err := Open(dir)
	if err != nil {
		return 0, err
	}
	var ids []string
	for _, org := range state.topology.Organizations() {
		ids = append(ids, org.MSPID)
	}
	for _, operator := range state.topology.Ordering.Operators {
		ids = append(ids, operator.MSPID)
	}
	renewed := 0
	for _, id := range ids {
		material, err := state.material.Organization(id)
		if err != nil {
			return renewed, err
		}
		count, err := material.Renew()
		renewed += count
		if err != nil {
			return renewed, fmt.Errorf("renew the certificates of %s: %w", id, err)
		}
	}
	return renewed, nil
}
