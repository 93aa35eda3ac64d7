package snapshot

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
)

// Gone is a contribution that a snapshot holds and that has left its datanet since.
type Gone struct {
	ID       string             `json:"id"`
	State    contribution.State `json:"state"` // withdrawn, erasing or erased
	Position int64              `json:"position"`
	Records  int64              `json:"records"`
	Tokens   int64              `json:"tokens"`
}

// Withdrawn returns the contributions with a live leaf in the snapshot's latest revision that have left the datanet
// since, whether the sequencer has retired them or not, by position. It reads what every withdrawal writes, so a
// transaction that relies on the answer and is held back loses against one. While more than [contribution.MaxNamed] wait
// to be retired it is a "state" fault: nobody can see within one transaction which ones they are.
func Withdrawn(r ledger.Reader, s Snapshot) ([]Gone, error) {
	left, err := contribution.Left(r, s.Datanet)
	if err != nil {
		return nil, err
	}
	if err := left.MustBeFew(s.Datanet); err != nil {
		return nil, err
	}
	return withdrawn(r, s, left.Named)
}

// AllWithdrawn is [Withdrawn] for queries, which see them however many wait.
func AllWithdrawn(r ledger.Lister, s Snapshot) ([]Gone, error) {
	left, err := contribution.AllLeft(r, s.Datanet)
	if err != nil {
		return nil, err
	}
	return withdrawn(r, s, left)
}

func withdrawn(r ledger.Reader, s Snapshot, left []string) ([]Gone, error) {
	positions := map[string]int64{}
	for _, id := range left {
		place, sealed, err := seal.PlaceOf(r, contribution.Named{Datanet: s.Datanet, ID: id})
		if err != nil {
			return nil, err
		}
		if sealed && place.Position < s.Count {
			positions[id] = place.Position
		}
	}
	if err := r.Prefetch(seal.RetiredKeys(s.Datanet, s.Count)...); err != nil {
		return nil, err
	}
	for number := range seal.PagesOf(s.Count) {
		retired, err := seal.RetiredOf(r, s.Datanet, number)
		if err != nil {
			return nil, err
		}
		for _, leaf := range retired {
			position := int64(number)*seal.PageSize + int64(leaf.Index)
			if _, tombstone := slices.BinarySearch(s.Erased, position); leaf.From > s.Number && position < s.Count && !tombstone {
				positions[leaf.ID] = position
			}
		}
	}
	return describe(r, s.Datanet, positions)
}

func describe(r ledger.Reader, datanet string, positions map[string]int64) ([]Gone, error) {
	list := make([]Gone, 0, len(positions))
	keys := make([]ledger.Key, 0, len(positions))
	for id, position := range positions {
		list = append(list, Gone{ID: id, Position: position})
	}
	slices.SortFunc(list, func(a, b Gone) int { return int(a.Position - b.Position) })
	for _, g := range list {
		keys = append(keys, contribution.Key(datanet, g.ID))
	}
	if err := r.Prefetch(keys...); err != nil {
		return nil, err
	}
	for i := range list {
		c, err := contribution.Load(r, contribution.Named{Datanet: datanet, ID: list[i].ID})
		if err != nil {
			return nil, err
		}
		list[i].State, list[i].Records, list[i].Tokens = c.State, c.Records, c.Tokens
	}
	return list, nil
}

// Stale returns those that are erased and still have a live leaf in the latest revision: a revision is due. An erasure
// completes only once the leaf is retired.
func Stale(r ledger.Reader, s Snapshot) ([]Gone, error) {
	gone, err := withdrawn(r, s, nil)
	return slices.DeleteFunc(gone, func(g Gone) bool { return g.State != contribution.Erased }), err
}

// Held tells whether a position was a live leaf in one revision of a snapshot that counts it.
func Held(r ledger.Reader, n Named, revision int, position int64) (bool, error) {
	for number := 2; number <= revision; number++ {
		v, err := LoadRevision(r, n, number)
		if err != nil {
			return false, err
		}
		if slices.Contains(v.Erased, position) {
			return false, nil
		}
	}
	return true, nil
}
