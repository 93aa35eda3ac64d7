package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
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
	s.snapshot, err = do[snapshot.Snapshot](ctx, s, s.curator, "snapshot:Seal", snapshot.Seal{
		Named: snapshot.Named{Datanet: s.datanet, Number: 1}, Contributions: ids})
	if err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	texts, err := s.opened(ctx)
	if err != nil {
		return err
	}
	s.Out.Held("Snapshot 1 of %s: root %s…, the same on every peer, and", s.datanet, s.snapshot.Root[:16])
	s.Out.Say("recomputed from the %s, salts and accounts that it names.", plural(int(s.snapshot.Records), "text", "texts"))

	s.Out.Progress("training")
	var records [][]byte
	for _, c := range texts {
		records = append(records, c.Records...)
	}
	artifact := wordchain.Train(records).Encode()
	digest := sha256.Sum256(artifact)
	if err := s.register(ctx, hex.EncodeToString(digest[:])); err != nil {
		return err
	}
	if err := s.archive.keep(s.artifact(), artifact); err != nil {
		return err
	}
	s.Out.Say("%s is registered with its lineage: %s, %d KiB.", s.model.Named, "a word chain trained on the snapshot", len(artifact)>>10)
	s.Out.Say("It is no language model of the large kind: it draws each word from those that followed the two before it.")

	// What receipts are made of is the same corpus; a host would index it here.
	s.Out.Progress("reading the corpus for receipts")
	if s.engine, err = plain.New(texts); err != nil {
		return err
	}
	if n, _ := s.engine.Size(); n != uint64(s.snapshot.Tokens) {
		return fmt.Errorf("the corpus has %d tokens, the snapshot %d", n, s.snapshot.Tokens)
	}
	return s.everywhere(ctx)
}

// opened reads the snapshot's contributions from the archive, and checks that they are what its root stands for on
// every peer.
func (s *Story) opened(ctx context.Context) (attribution.Corpus, error) {
	var texts attribution.Corpus
	var leaves []merkle.Hash
	for _, id := range s.snapshot.Contributions {
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
	root := attribution.SnapshotRoot(leaves).String()
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

// register registers the model under a name that is free, and checks the lineage that the ledger gives it.
func (s *Story) register(ctx context.Context, digest string) error {
	name, err := s.freeName(ctx, "model:Get", s.trainer.account.MSP()+"/word-chain", func(name string) any { return model.Named{Name: name, Version: "1.0"} })
	if err != nil {
		return err
	}
	s.model, err = do[model.Model](ctx, s, s.trainer, "model:Register", model.Register{
		Named: model.Named{Name: name, Version: "1.0"}, Artifact: digest, Snapshots: []snapshot.Named{s.snapshot.Named}})
	if err != nil {
		return err
	}
	if len(s.model.Lineage) != 1 || s.model.Lineage[0].Root != s.snapshot.Root {
		return fmt.Errorf("the ledger gives %s the lineage %v", s.model.Named, s.model.Lineage)
	}
	return nil
}

// artifact is the name of the model's file in the archive.
func (s *Story) artifact() string {
	return filepath.Join("models", strings.ReplaceAll(s.model.Named.String(), "/", "_")+".txt")
}
