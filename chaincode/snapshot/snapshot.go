// Package snapshot seals approved contributions into immutable, numbered Merkle roots, which models are trained on and
// receipts name.
//
// This is the first, thin form: a snapshot names all its contributions in one value, at most [MaxContributions]; pages,
// revisions with tombstones and inclusion proofs are not there yet, and nothing forces a curator to seal what is
// approved.
package snapshot

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// MaxContributions bounds a snapshot.
const MaxContributions = 1000

// Named is a request that names a snapshot: the datanet and the number, from 1.
type Named struct {
	Datanet string `json:"datanet"`
	Number  int    `json:"number"`
}

func (n Named) Validate() error {
	if err := ledger.ValidName("datanet", n.Datanet); err != nil {
		return err
	}
	if n.Number < 1 || n.Number > 1<<30 {
		return ledger.Invalid("number", "snapshots are numbered from 1")
	}
	return nil
}

// Seal is the request that makes the next snapshot of a datanet: the contributions of the one before, in its order,
// and then new ones.
type Seal struct {
	Named
	Contributions []string `json:"contributions"` // ids, in the order of sealing
}

func (s Seal) Validate() error {
	if err := s.Named.Validate(); err != nil {
		return err
	}
	if len(s.Contributions) == 0 || len(s.Contributions) > MaxContributions {
		return ledger.Invalid("contributions", "a snapshot has from 1 to %d contributions", MaxContributions)
	}
	seen := make(map[string]bool, len(s.Contributions))
	for _, id := range s.Contributions {
		if err := ledger.ValidID("contributions", id); err != nil {
			return err
		}
		if seen[id] {
			return ledger.Invalid("contributions", "%s stands twice", id)
		}
		seen[id] = true
	}
	return nil
}

func (s Seal) Reads(ledger.Caller) []ledger.Key {
	keys := []ledger.Key{datanet.Key(s.Datanet), key(s.Named)}
	if s.Number > 1 {
		keys = append(keys, key(Named{s.Datanet, s.Number - 1}))
	}
	for _, id := range s.Contributions {
		keys = append(keys, contribution.Key(s.Datanet, id))
	}
	return keys
}

// Snapshot is a sealed snapshot.
type Snapshot struct {
	Seal
	Root    string `json:"root"`    // as attribution defines it, hex
	Records int64  `json:"records"` // of all contributions
	Tokens  int64  `json:"tokens"`  // of all contributions
	Tx      string `json:"tx"`
}

// Functions are the snapshot functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("snapshot:Seal", "Seals approved contributions into the next snapshot of an own datanet.", ledger.For(ledger.Curator), seal),
		ledger.Query("snapshot:Get", "Shows a snapshot.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Snapshot, error) { return Load(r, req) }),
	}
}

// Load reads a snapshot.
func Load(r ledger.Reader, n Named) (Snapshot, error) {
	s, found, err := ledger.Load[Snapshot](r, key(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "datanet %s has no snapshot %d", n.Datanet, n.Number).At("number")
	}
	return s, err
}

func seal(tx ledger.Tx, req Seal) (Snapshot, error) {
	if ledger.Owner(req.Datanet) != tx.Caller().MSP {
		return Snapshot{}, ledger.Refuse(ledger.CodeForbidden, "only %s seals %s", ledger.Owner(req.Datanet), req.Datanet)
	}
	existing, found, err := ledger.Load[Snapshot](tx, key(req.Named))
	if err != nil {
		return Snapshot{}, err
	}
	if found {
		if !slices.Equal(existing.Contributions, req.Contributions) {
			return Snapshot{}, ledger.Refuse(ledger.CodeExists, "snapshot %d holds other contributions", req.Number).At("number")
		}
		return existing, nil
	}
	if _, err := datanet.Load(tx, "datanet", req.Datanet); err != nil {
		return Snapshot{}, err
	}
	if err := follows(tx, req); err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Seal: req, Tx: tx.TxID()}
	var leaves []merkle.Hash
	for _, id := range req.Contributions {
		c, err := contribution.Load(tx, contribution.Named{Datanet: req.Datanet, ID: id})
		if err != nil {
			return Snapshot{}, err
		}
		if c.State != contribution.Approved {
			return Snapshot{}, ledger.Refuse(ledger.CodeState, "contribution %s is %s", id, c.State).At("contributions")
		}
		leaf, err := leafOf(c)
		if err != nil {
			return Snapshot{}, err
		}
		leaves = append(leaves, leaf)
		s.Records += c.Records
		s.Tokens += c.Tokens
	}
	root := attribution.SnapshotRoot(leaves)
	s.Root = hex.EncodeToString(root[:])
	tx.Emit("snapshot.sealed/1", s)
	return s, ledger.Save(tx, key(req.Named), s)
}

// follows checks that the snapshot before exists and that this one begins with its contributions.
func follows(r ledger.Reader, req Seal) error {
	if req.Number == 1 {
		return nil
	}
	before, err := Load(r, Named{req.Datanet, req.Number - 1})
	if err != nil {
		return err
	}
	n := len(before.Contributions)
	if len(req.Contributions) <= n || !slices.Equal(req.Contributions[:n], before.Contributions) {
		return ledger.Invalid("contributions", "must begin with the %d of snapshot %d, in their order, and add others", n, before.Number)
	}
	return nil
}

func leafOf(c contribution.Contribution) (merkle.Hash, error) {
	var commitment merkle.Hash
	if _, err := hex.Decode(commitment[:], []byte(c.Commitment)); err != nil {
		return merkle.Hash{}, fmt.Errorf("commitment of %s: %w", c.ID, err)
	}
	return attribution.SnapshotLeaf(c.ID, string(c.Contributor), commitment)
}
