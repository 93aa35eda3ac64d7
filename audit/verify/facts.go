package verify

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// facts is what the blocks say of what the parts of a bundle hold. Like the invariants it reads entries by the names of
// their members, without the rules.
type facts struct {
	chaincode string
	state     *replay.Replayer
	// registered is in which order contributions were registered, by their keys; those of blocks before a range are missing.
	registered map[ledger.Key]registration
	settled    []settlement // in the order of the chain
}

func newFacts(chaincode string, state *replay.Replayer) *facts {
	return &facts{chaincode: chaincode, state: state, registered: map[ledger.Key]registration{}}
}

// registration is where a contribution was registered: in one transaction several are, in the order of its event.
type registration struct {
	block     uint64
	tx, among int
}

func (r registration) compare(o registration) int {
	return cmp.Or(cmp.Compare(r.block, o.block), cmp.Compare(r.tx, o.tx), cmp.Compare(r.among, o.among))
}

// settlement is a claim with uses, and where it was made.
type settlement struct {
	place
	host, claim string // the claim's account and id
}

func (f *facts) event(event *peer.ChaincodeEvent, at place) {
	if event == nil || !strings.HasPrefix(event.GetEventName(), "contribution.") {
		return
	}
	var payload changed
	if json.Unmarshal(event.GetPayload(), &payload) != nil {
		return
	}
	for i, c := range payload.Contributions {
		if c.Tx == at.id {
			f.registered[composite("contribution", c.Datanet, c.ID)] = registration{at.block, at.tx, i}
		}
	}
}

func (f *facts) changed(number uint64, changes []replay.Change, id func(tx int) string) {
	for _, c := range changes {
		if c.Namespace != f.chaincode || c.Collection != "" || c.Before != nil || c.After == nil || !strings.HasPrefix(c.Key, "\x00claim\x00") {
			continue
		}
		made, _, err := read[claimed](nil, c.After)
		parts := strings.Split(strings.Trim(c.Key, "\x00"), "\x00")
		if err == nil && len(parts) == 3 && made.Uses > 0 {
			tx := int(c.Version.Tx)
			f.settled = append(f.settled, settlement{place{number, tx, id(tx)}, parts[1], parts[2]})
		}
	}
}

// The entries, as far as they are read here.
type (
	named struct {
		Datanet string `json:"datanet"`
		Number  int    `json:"number"`
	}
	claimed struct {
		Model struct {
			Name    string `json:"name"`
			Version string `json:"version"`
			Card    int    `json:"card"`
		} `json:"model"`
		Card      merkle.Hash  `json:"card"`
		Uses      int64        `json:"uses"`
		Data      money.Amount `json:"data"`
		Scope     merkle.Hash  `json:"scope"`
		Revisions []named      `json:"revisions"`
		Attestors []string     `json:"attestors"`
	}
	carded struct {
		Digest   merkle.Hash  `json:"digest"`
		PriceIn  money.Amount `json:"priceIn"`
		PriceOut money.Amount `json:"priceOut"`
		Parts    struct {
			Data uint32 `json:"data"`
		} `json:"parts"`
		Owner     string  `json:"owner"`
		Snapshots []named `json:"snapshots"`
	}
	modelled struct {
		Artifacts []merkle.Hash `json:"artifacts"`
		Due       struct {
			Tau int `json:"tau"`
		} `json:"due"`
	}
	opened struct {
		ID         merkle.Hash `json:"id"`
		Disclosure string      `json:"disclosure"`
	}
	voted struct {
		By        string      `json:"by"`
		Revisions []int       `json:"revisions"`
		Table     merkle.Hash `json:"table"`
	}
	registered struct {
		Contributor string      `json:"contributor"`
		Commitment  merkle.Hash `json:"commitment"`
		Records     int64       `json:"records"`
		Tokens      int64       `json:"tokens"`
		State       string      `json:"state"`
	}
	taken struct {
		Revision int         `json:"revision"`
		Count    int64       `json:"count"`
		Root     merkle.Hash `json:"root"`
	}
	revised struct {
		Root   merkle.Hash `json:"root"`
		Erased []int64     `json:"erased"`
	}
	paged struct {
		IDs    []byte `json:"ids"`
		Leaves []byte `json:"leaves"`
	}
	retired struct {
		Leaves []struct {
			Index int `json:"index"`
			From  int `json:"from"`
		} `json:"leaves"`
	}
	changed struct {
		Contributions []struct {
			Datanet string `json:"datanet"`
			ID      string `json:"id"`
			Tx      string `json:"tx"`
		} `json:"contributions"`
	}
)

func (c claimed) model() string { return c.Model.Name + "@" + c.Model.Version }

// find reads an entry of the state; false when there is none.
func find[T any](f *facts, kind string, parts ...string) (value T, found bool, err error) {
	return read[T](nil, f.state.Get(composite(kind, parts...)))
}

// pageSize is how many leaves stand in a page.
const pageSize = 1024

// leaves are those of a snapshot in all revisions.
type leaves struct {
	named
	list []sealed
	// roots are those of the revisions, the first first.
	roots []merkle.Hash
}

// sealed is a leaf.
type sealed struct {
	id   string
	hash merkle.Hash
	// gone is the first revision in which it is a tombstone, 0 when none has it so.
	gone int
}

func (s sealed) in(revision int) bool { return s.gone == 0 || revision < s.gone }

// leaves reads a snapshot's leaves; nil when the ledger has no such snapshot.
func (f *facts) leaves(n named) (*leaves, error) {
	number := fmt.Sprintf("%010d", n.Number)
	cut, found, err := find[taken](f, "snapshot", n.Datanet, number)
	if err != nil || !found {
		return nil, err
	}
	s := &leaves{named: n}
	for page := 0; int64(len(s.list)) < cut.Count; page++ {
		if err := f.page(s, page, cut.Count); err != nil {
			return nil, err
		}
	}
	for revision := 1; revision <= cut.Revision; revision++ {
		made, found, err := find[revised](f, "snapshot-revision", n.Datanet, number, fmt.Sprintf("%06d", revision))
		if err != nil || !found {
			return nil, either(err, fmt.Errorf("it has no revision %d", revision))
		}
		s.roots = append(s.roots, made.Root)
		for _, position := range made.Erased {
			if position < 0 || position >= int64(len(s.list)) {
				return nil, fmt.Errorf("leaf %d, which is erased, is none of its %d", position, len(s.list))
			}
			if at := &s.list[position].gone; *at == 0 {
				*at = revision
			}
		}
	}
	if len(s.roots) == 0 || s.roots[len(s.roots)-1] != cut.Root || s.root(cut.Revision) != cut.Root {
		return nil, fmt.Errorf("its leaves do not give its root %s", cut.Root)
	}
	return s, nil
}

// page adds the leaves of a page, of which the snapshot has count in all.
func (f *facts) page(s *leaves, page int, count int64) error {
	const idSize = 16
	number := fmt.Sprintf("%08d", page)
	stands, found, err := find[paged](f, "page", s.Datanet, number)
	if err != nil || !found {
		return either(err, fmt.Errorf("page %d is missing", page))
	}
	n := len(stands.IDs) / idSize
	if n == 0 || n > pageSize || len(stands.IDs) != n*idSize || len(stands.Leaves) != n*len(merkle.Hash{}) || int64(len(s.list)+n) < min(count, int64(len(s.list))+pageSize) {
		return fmt.Errorf("page %d does not hold %d leaves", page, n)
	}
	first := len(s.list)
	for i := 0; i < n && int64(len(s.list)) < count; i++ {
		s.list = append(s.list, sealed{id: fmt.Sprintf("%x", stands.IDs[i*idSize:][:idSize]), hash: merkle.Hash(stands.Leaves[i*len(merkle.Hash{}):])})
	}
	gone, _, err := find[retired](f, "retired", s.Datanet, number)
	for _, r := range gone.Leaves {
		if r.From <= s.Number && r.Index >= 0 && r.Index < len(s.list)-first {
			s.list[first+r.Index].gone = 1
		}
	}
	return err
}

// root is that over the leaves of a revision.
func (s *leaves) root(revision int) merkle.Hash {
	var tree merkle.Frontier
	for _, l := range s.list {
		if l.in(revision) {
			tree.Append(l.hash)
		} else {
			tree.Append(attribution.ErasedLeaf())
		}
	}
	return tree.Root()
}

// revision is the number of the latest one.
func (s *leaves) revision() int { return len(s.roots) }

// live are the contributions of a revision.
func (s *leaves) live(revision int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, l := range s.list {
			if l.in(revision) && !yield(l.id) {
				return
			}
		}
	}
}

// lineage are the snapshots of a rate card, each once.
func lineage(list []named) []named {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b named) int { return cmp.Or(strings.Compare(a.Datanet, b.Datanet), a.Number-b.Number) })
	return slices.Compact(sorted)
}
