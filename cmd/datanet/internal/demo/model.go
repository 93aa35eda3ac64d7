package demo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/wordchain"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// train seals what was approved, recomputes the root from the texts, trains a word chain on exactly those texts, and
// registers it with its lineage.
func (s *Story) train(ctx context.Context) error {
	var ids []string
	for _, c := range s.contributions {
		if c.State == contribution.Approved {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) == 0 {
		return errors.New("the validators approved nothing: too much of every contribution stands in another one")
	}
	var err error
	if _, err = do[seal.Head](ctx, s, s.curator, "seal:Append", seal.Append{Datanet: s.datanet, Contributions: ids}); err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	s.snapshot, err = do[snapshot.Snapshot](ctx, s, s.curator, "snapshot:Take", snapshot.Named{Datanet: s.datanet, Number: 1})
	if err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	texts, err := s.opened(ctx, ids)
	if err != nil {
		return err
	}
	s.Out.Held("Snapshot 1 of %s: root %s…, the same on every peer, and", s.datanet, s.snapshot.Root.String()[:16])
	s.Out.Say("recomputed from the %s, salts and accounts that it names.", plural(int(s.snapshot.Records), "text", "texts"))

	if err := s.license(ctx); err != nil {
		return err
	}
	s.Out.Progress("training")
	var records [][]byte
	for _, c := range texts {
		records = append(records, c.Records...)
	}
	artifact := wordchain.Train(records).Encode()

	// What receipts are made of is the same corpus; a host would index it here.
	s.Out.Progress("reading the corpus for receipts")
	if s.engine, err = plain.New(texts); err != nil {
		return err
	}
	if n, _ := s.engine.Size(); n != uint64(s.snapshot.Tokens) {
		return fmt.Errorf("the corpus has %d tokens, the snapshot %d", n, s.snapshot.Tokens)
	}
	if err := s.register(ctx, artifact, records); err != nil {
		return err
	}
	if err := s.archive.keep(s.artifact(), artifact); err != nil {
		return err
	}
	s.Out.Say("%s is registered with its lineage: %s, %d KiB.", s.model.Named, "a word chain trained on the snapshot", len(artifact)>>10)
	s.Out.Say("It is no language model of the large kind: it draws each word from those that followed the two before it.")
	return s.everywhere(ctx)
}

// The training ticket.
const (
	purpose   = licence.CommercialService
	grantTerm = 365 * 24 * time.Hour
)

// license has the developer ask for a training ticket: without a grant of the datanet's owner, which the ledger refuses,
// and with one. What it says is frozen then.
func (s *Story) license(ctx context.Context) error {
	open := ticket.Open{ID: newID(), Snapshots: []snapshot.Named{s.snapshot.Named}, Purpose: purpose}
	_, err := do[ticket.Ticket](ctx, s, s.trainer, "ticket:Open", open)
	var fault *ledger.Fault
	if !errors.As(err, &fault) || fault.Code != ledger.CodeLicence {
		return fmt.Errorf("a ticket without a grant: expected a refusal by the licence, got %w", cmp.Or(err, errors.New("a ticket")))
	}
	grant := access.Terms{Named: access.Named{Datanet: s.datanet, ID: newID()}, Grantee: s.trainer.account.MSP(), Purposes: []licence.Purpose{purpose},
		Expires: time.Now().UTC().Truncate(time.Second).Add(grantTerm)}
	if _, err := do[access.Grant](ctx, s, s.curator, "access:Grant", grant); err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	open.Grants = []ticket.GrantName{{Datanet: s.datanet, ID: grant.ID}}
	if s.ticket, err = do[ticket.Ticket](ctx, s, s.trainer, "ticket:Open", open); err != nil {
		return err
	}
	s.Out.Held("Without a licence grant of %s there is no training ticket. With one, for %s,", ledger.Owner(s.datanet), purpose)
	s.Out.Say("%s holds a ticket on the snapshot until %s.", s.trainer.account, s.ticket.Expires.Format(time.DateOnly))
	return s.everywhere(ctx)
}

// opened reads the snapshot's contributions from the archive, in the order of sealing, and checks that they are what its
// root stands for on every peer.
func (s *Story) opened(ctx context.Context, ids []string) (attribution.Corpus, error) {
	var texts attribution.Corpus
	var leaves []merkle.Hash
	for _, id := range ids {
		d, err := s.archive.dossier(id)
		if err != nil {
			return nil, err
		}
		leaf, err := attribution.SnapshotLeaf(id, string(d.Contributor), attribution.Commit(d.Salt, d.Records))
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, leaf)
		texts = append(texts, attribution.Contribution{ID: id, Account: string(d.Contributor), Records: d.Records})
	}
	root := attribution.SnapshotRoot(leaves)
	for _, witness := range s.witnesses() {
		held, err := fabric.Query[snapshot.Snapshot](ctx, witness.client, witness.account.MSP(), "snapshot:Get", s.snapshot.Named)
		if err != nil {
			return nil, fmt.Errorf("snapshot on the peer of %s: %w", witness.account.MSP(), err)
		}
		if held.Root != root {
			return nil, fmt.Errorf("the texts have the root %s, the peer of %s holds %s", root, witness.account.MSP(), held.Root)
		}
	}
	return texts, nil
}

// register registers the model under a name that is free, checks the lineage that the ledger gives it, and publishes
// what its use costs.
func (s *Story) register(ctx context.Context, artifact []byte, records [][]byte) error {
	name, err := s.freeName(ctx, "model:Get", s.trainer.account.MSP()+"/word-chain", func(name string) any { return model.Named{Name: name, Version: "1.0"} })
	if err != nil {
		return err
	}
	tokens, distinctAndOne := s.engine.Size()
	digest, leaves := sha256.Sum256(artifact), make([]merkle.Hash, len(records))
	for i, record := range records {
		leaves[i] = merkle.Leaf(record)
	}
	corpus := model.Corpus{Tokens: int64(tokens), Distinct: int64(distinctAndOne) - 1, Digest: merkle.Root(leaves).String()}
	manifest, err := json.Marshal(map[string]any{"method": "word chain, each word after the two before it", "artifact": hex.EncodeToString(digest[:]),
		"corpus": corpus, "corpusDigest": "Merkle root of RFC 6962 over the records in the order of sealing", "ticket": s.ticket.ID})
	if err != nil {
		return fmt.Errorf("describe the training: %w", err)
	}
	if err := s.archive.keep(filepath.Join("models", strings.ReplaceAll(name, "/", "_")+".manifest.json"), manifest); err != nil {
		return err
	}
	manifestDigest := sha256.Sum256(manifest)
	s.model, err = do[model.Model](ctx, s, s.trainer, "model:Register", model.Register{
		Named: model.Named{Name: name, Version: "1.0"}, Tickets: []string{s.ticket.ID}, Bases: []model.Named{}, Artifacts: []string{hex.EncodeToString(digest[:])},
		Manifest: hex.EncodeToString(manifestDigest[:]), Purpose: purpose, Corpus: corpus, DerivativePpm: derivativePpm})
	if err != nil {
		return err
	}
	if len(s.model.Lineage) != 1 || s.model.Lineage[0].Root != s.snapshot.Root {
		return fmt.Errorf("the ledger gives %s the lineage %v", s.model.Named, s.model.Lineage)
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	fees, err := fabric.Query[schedule.Version](ctx, s.trainer.client, s.trainer.account.MSP(), "schedule:Get", ledger.Nothing{})
	if err != nil {
		return err
	}
	left := money.Million - s.model.Due.DataPpm - s.model.Due.ValidatorsPpm - fees.PlatformPpm
	s.card, err = do[model.Card](ctx, s, s.trainer, "model:Publish", model.Publish{Named: s.model.Named, Card: 1,
		PriceIn: priceIn, PriceOut: priceOut, Host: s.host.account, HostPpm: left / 4, OwnerPpm: left - left/4})
	return err
}

// artifact is the name of the model's file in the archive.
func (s *Story) artifact() string {
	return filepath.Join("models", strings.ReplaceAll(s.model.Named.String(), "/", "_")+".txt")
}
