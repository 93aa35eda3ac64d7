package verify

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/streaming"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// mostCorpora bounds how many corpora are built while the contents go by: each has the distinct tokens of its own in memory.
const mostCorpora = 16

// corpus is what receipts of one rate card's snapshots are computed from. Its token stream is a temporary file, written as
// the bundle's contents go by, of those that are live in the latest revisions.
type corpus struct {
	snapshots []*leaves
	live      map[ledger.Key]bool // contributions that are due, and not there yet
	twice     map[string]bool     // ids that contributions to several datanets have
	why       string              // it cannot be had, "" while it can
	file      *os.File
	out       *streaming.Writer
	engine    *streaming.Engine
	waiting   []recomputation
	weighed   map[string]weighed // by the revisions that attestors name
	by        map[string]bool    // accounts whose contributions it has in any revision; nil until that is asked
}

// weighed is what a corpus is on some revisions of its snapshots.
type weighed struct {
	roots   []merkle.Hash
	weights []payout.Datanet
}

// corpora are those of the settlements that a bundle holds.
type corpora struct {
	facts  *facts
	folder string // of temporary files; "" is the system's
	known  map[string]*corpus
	cut    map[named]*leaves
}

func newCorpora(f *facts, folder string) *corpora {
	return &corpora{facts: f, folder: folder, known: map[string]*corpus{}, cut: map[named]*leaves{}}
}

// snapshot gives a snapshot's leaves, nil when the ledger has none.
func (c *corpora) snapshot(n named) (*leaves, error) {
	if s, known := c.cut[n]; known {
		return s, nil
	}
	s, err := c.facts.leaves(n)
	if err == nil && s != nil {
		c.cut[n] = s
	}
	return s, err
}

// of gives the corpus of snapshots, and begins it if it is new.
func (c *corpora) of(snapshots []named) (*corpus, error) {
	list := lineage(snapshots)
	key := fmt.Sprint(list)
	if found := c.known[key]; found != nil {
		return found, nil
	}
	made := &corpus{live: map[ledger.Key]bool{}, twice: map[string]bool{}, weighed: map[string]weighed{}}
	datanets := map[string]string{} // by contribution
	for _, n := range list {
		s, err := c.snapshot(n)
		if err != nil || s == nil {
			return nil, either(err, fmt.Errorf("the ledger has no snapshot %d of %s", n.Number, n.Datanet))
		}
		made.snapshots = append(made.snapshots, s)
		if len(c.known) >= mostCorpora {
			continue
		}
		for id := range s.live(s.revision()) {
			made.live[composite("contribution", n.Datanet, id)] = true
			if datanet, known := datanets[id]; known && datanet != n.Datanet {
				made.twice[id] = true
			}
			datanets[id] = n.Datanet
		}
	}
	if c.known[key] = made; len(c.known) > mostCorpora {
		made.why = "the bundle has receipts on more corpora than are built at once"
		return made, nil
	}
	var err error
	if made.file, err = os.CreateTemp(c.folder, "datanet-audit-*"); err != nil {
		return nil, fmt.Errorf("build a corpus: %w", err)
	}
	made.out = streaming.NewWriter(made.file)
	return made, nil
}

// take begins a contribution in the corpora that have it, and returns what adds its records to them.
func (c *corpora) take(datanet, id, account string) (record func([]byte) error, spoil func(why string), err error) {
	var into []*corpus
	key := composite("contribution", datanet, id)
	for _, one := range c.known {
		if one.why == "" && one.live[key] {
			name := id
			if one.twice[id] {
				name = datanet + "/" + id
			}
			if err := one.out.Contribution(name, account); err != nil {
				return nil, nil, err
			}
			delete(one.live, key)
			into = append(into, one)
		}
	}
	record = func(text []byte) error {
		for _, one := range into {
			if err := one.out.Record(text); err != nil {
				return err
			}
		}
		return nil
	}
	return record, func(why string) {
		for _, one := range into {
			one.why = why
		}
	}, nil
}

// finish opens the corpora that are whole.
func (c *corpora) finish() error {
	for _, one := range c.known {
		if len(one.live) > 0 && one.why == "" {
			one.why = fmt.Sprintf("%d of the contents of its corpus are not in the bundle", len(one.live))
		}
		if one.why != "" {
			continue
		}
		if err := one.out.Close(); err != nil {
			return err
		}
		info, err := one.file.Stat()
		if err == nil {
			one.engine, err = streaming.Open(one.file, info.Size())
		}
		if err != nil {
			return fmt.Errorf("open a corpus: %w", err)
		}
		one.out = nil
	}
	return nil
}

// close removes the temporary files.
func (c *corpora) close() error {
	var errs []error
	for _, one := range c.known {
		if one.file != nil {
			errs = append(errs, one.file.Close(), os.Remove(one.file.Name()))
		}
	}
	return errors.Join(errs...)
}

// roots are those of the latest revisions, as receipts have them.
func (c *corpus) roots() []merkle.Hash {
	var latest []merkle.Hash
	for _, s := range c.snapshots {
		latest = append(latest, s.roots[s.revision()-1])
	}
	return receipt.Roots(latest)
}

// was tells whether roots are those of some revisions of the snapshots, one for each.
func (c *corpus) was(roots []merkle.Hash) bool {
	if len(roots) > len(c.snapshots) {
		return false
	}
	of := func(s *leaves, root merkle.Hash) bool { return slices.Contains(s.roots, root) }
	for _, s := range c.snapshots {
		if !slices.ContainsFunc(roots, func(r merkle.Hash) bool { return of(s, r) }) {
			return false
		}
	}
	return !slices.ContainsFunc(roots, func(r merkle.Hash) bool {
		return !slices.ContainsFunc(c.snapshots, func(s *leaves) bool { return of(s, r) })
	})
}

// contributors are the accounts of whom a corpus has contributions, in any revision of its snapshots.
func (c *corpora) contributors(of *corpus) (map[string]bool, error) {
	if of.by != nil {
		return of.by, nil
	}
	by := map[string]bool{}
	for _, s := range of.snapshots {
		for _, l := range s.list {
			entry, _, err := find[registered](c.facts, "contribution", s.Datanet, l.id)
			if err != nil {
				return nil, err
			}
			by[entry.Contributor] = true
		}
	}
	of.by = by
	return by, nil
}

// at tells which roots revisions of the claim's snapshots have, and what the datanets weigh in them; false when there are no
// such revisions.
func (c *corpora) at(of *corpus, snapshots []named, revisions []int) (roots []merkle.Hash, weights []payout.Datanet, ok bool, err error) {
	if len(snapshots) != len(revisions) {
		return nil, nil, false, nil
	}
	key := fmt.Sprint(snapshots, revisions)
	if known, found := of.weighed[key]; found {
		return known.roots, known.weights, true, nil
	}
	tokens, counted := map[string]uint64{}, map[ledger.Key]bool{}
	for _, s := range of.snapshots {
		at := slices.Index(snapshots, s.named)
		if at < 0 || revisions[at] < 1 || revisions[at] > s.revision() {
			return nil, nil, false, nil
		}
		roots = append(roots, s.roots[revisions[at]-1])
		for id := range s.live(revisions[at]) {
			key := composite("contribution", s.Datanet, id)
			if counted[key] {
				continue
			}
			counted[key] = true
			entry, _, err := find[registered](c.facts, "contribution", s.Datanet, id)
			if err != nil {
				return nil, nil, false, err
			}
			tokens[s.Datanet] += uint64(max(entry.Tokens, 0))
		}
	}
	for name, n := range tokens {
		weights = append(weights, payout.Datanet{Name: name, Tokens: n})
	}
	slices.SortFunc(weights, func(a, b payout.Datanet) int { return cmp.Compare(a.Name, b.Name) })
	of.weighed[key] = weighed{receipt.Roots(roots), weights}
	return of.weighed[key].roots, weights, true, nil
}
