package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/infgram"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	document "github.com/datanet-consortium/datanet/audit/report"
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
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// train waits until what was approved is sealed, has a snapshot taken and its contents downloaded under a training ticket,
// trains the built-in model on exactly those texts, and registers it with its lineage.
func (s *Story) train(ctx context.Context) error {
	approved := 0
	for _, c := range s.contributions {
		if c.State == contribution.Approved {
			approved++
		}
	}
	if approved == 0 {
		return errors.New("the validators approved nothing: too much of every contribution stands in another one")
	}
	s.Out.Progress("waiting for the seal")
	if err := s.sealed(ctx, approved); err != nil {
		return err
	}
	var err error
	if s.snapshot, err = do[snapshot.Snapshot](ctx, s, s.curator, take(snapshot.Named{Datanet: s.datanet, Number: 1})); err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	s.Out.Say("%s's gateway sealed what was approved by itself, and the curator took snapshot 1: root %s….", s.curator.account.MSP(), s.snapshot.Root.String()[:16])
	if err := s.license(ctx); err != nil {
		return err
	}
	s.Out.Progress("downloading what the ticket opens")
	texts, err := s.download(ctx)
	if err != nil {
		return err
	}
	s.Out.Held("Under the ticket the developer's gateway released and fetched the %s of the snapshot, byte for byte as they were", document.Count(int(s.snapshot.Records), "text"))
	s.Out.Say("uploaded, and opened the commitments from which every gateway has the same root.")

	if err := s.registerModel(ctx, texts); err != nil {
		return err
	}
	s.Out.Say("%s is registered with its lineage, and its artifact handed to the gateway that serves it: an ∞-gram model,", s.model.Named)
	s.Out.Say("which is no language model of the large kind: it counts what follows what in the snapshot, and nothing else.")
	return s.everywhere(ctx)
}

// sealPatience is how long the gateway's sequencer may take.
const sealPatience = time.Minute

// sealed follows the events of the datanet until as many contributions are sealed.
func (s *Story) sealed(ctx context.Context, count int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, sealPatience, errors.New("the sequencer of "+s.curator.account.MSP()+"'s gateway seals nothing: see its log with \"datanet network logs\""))
	defer cancel()
	// From the first block on, so that a seal that is there already is an event too.
	for event, err := range s.curator.client.Events(ctx, url.Values{"kind": {"seal"}, "datanet": {s.datanet}}, "0.0") {
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		var change struct {
			Block uint64 `json:"block"`
		}
		if err := ledger.DecodeAnswer(event.Data, &change); err != nil {
			return err
		}
		s.reached(change.Block + 1)
		head, err := read[seal.Head](ctx, s, s.curator, client.Path("datanets", s.datanet, "seal"))
		if err != nil {
			return err
		}
		if head.Count >= int64(count) {
			return nil
		}
	}
	return errors.New("the events of the curator's gateway ended")
}

// The training ticket, and what is trained under it.
const (
	purpose    = licence.CommercialService
	grantTerm  = 365 * 24 * time.Hour
	maxContext = 3 // tokens that decide over the next one
)

// license has the developer ask for a training ticket: without a grant of the datanet's owner, which the ledger refuses,
// and with one. What it says is frozen then.
func (s *Story) license(ctx context.Context) error {
	open := ticket.Open{ID: client.NewID(), Snapshots: []snapshot.Named{s.snapshot.Named}, Purpose: purpose}
	_, err := do[ticket.Ticket](ctx, s, s.trainer, openTicket(open))
	if !client.IsCode(err, string(ledger.CodeLicence)) {
		return fmt.Errorf("a ticket without a grant: expected a refusal by the licence, the answer was: %w", orAccepted(err))
	}
	terms := access.Terms{Named: access.Named{Datanet: s.datanet, ID: client.NewID()}, Grantee: s.trainer.account.MSP(), Purposes: []licence.Purpose{purpose},
		Expires: time.Now().UTC().Truncate(time.Second).Add(grantTerm)}
	if _, err := do[access.Grant](ctx, s, s.curator, grant(terms)); err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	open.Grants = []ticket.GrantName{{Datanet: s.datanet, ID: terms.ID}}
	if s.ticket, err = do[ticket.Ticket](ctx, s, s.trainer, openTicket(open)); err != nil {
		return err
	}
	s.Out.Held("Without a licence grant of %s there is no training ticket. With one, for %s,", ledger.Owner(s.datanet), purpose)
	s.Out.Say("%s holds a ticket on the snapshot until %s.", short(s.trainer.account), s.ticket.Expires.Format(time.DateOnly))
	return s.everywhere(ctx)
}

// download reads what the ticket opens at the developer's gateway, in the order of sealing, and checks that it is what the
// contributors uploaded, and what the snapshot's root stands for at every gateway.
func (s *Story) download(ctx context.Context) (attribution.Corpus, error) {
	uploaded := map[string]*registered{}
	for _, c := range s.contributions {
		uploaded[c.ID] = c
	}
	var texts attribution.Corpus
	var leaves []merkle.Hash
	for record, err := range s.trainer.client.Records(ctx, client.SnapshotContentPath(s.ticket.ID, s.datanet), s.after(nil)) {
		if err != nil {
			return nil, err
		}
		if record.Record == 0 {
			c, err := read[contribution.Contribution](ctx, s, s.trainer, client.Path("datanets", s.datanet, "contributions", record.Contribution))
			if err != nil {
				return nil, err
			}
			var commitment merkle.Hash
			if err := commitment.UnmarshalText([]byte(c.Commitment)); err != nil {
				return nil, fmt.Errorf("commitment of contribution %s: %w", c.ID, err)
			}
			leaf, err := attribution.SnapshotLeaf(c.ID, string(c.Contributor), commitment)
			if err != nil {
				return nil, err
			}
			leaves = append(leaves, leaf)
			texts = append(texts, attribution.Contribution{ID: c.ID, Account: string(c.Contributor)})
		}
		last := len(texts) - 1
		if last < 0 || texts[last].ID != record.Contribution || len(texts[last].Records) != record.Record {
			return nil, fmt.Errorf("record %d of contribution %s is out of order", record.Record, record.Contribution)
		}
		texts[last].Records = append(texts[last].Records, []byte(record.Text))
	}
	for _, c := range texts {
		from, known := uploaded[c.ID]
		if !known || !slices.EqualFunc(c.Records, from.records, bytes.Equal) {
			return nil, fmt.Errorf("the records of contribution %s are not those that were uploaded", c.ID)
		}
	}
	root := attribution.SnapshotRoot(leaves)
	for _, witness := range s.witnesses() {
		held, err := read[snapshot.Snapshot](ctx, s, witness, snapshotPath(s.snapshot.Named))
		if err != nil {
			return nil, err
		}
		if held.Root != root {
			return nil, fmt.Errorf("the texts have the root %s, the gateway of %s holds %s", root, witness.account.MSP(), held.Root)
		}
	}
	return texts, nil
}

// registerModel trains the built-in model on the texts of the snapshot and registers it under a name that is free, checks
// the lineage that the ledger gives it, hands it to the gateway, and publishes what its use costs.
func (s *Story) registerModel(ctx context.Context, texts attribution.Corpus) error {
	name, err := s.freeName(ctx, s.trainer, s.trainer.account.MSP()+"/verse", func(name string) string { return client.Path("models", name, "versions", "1.0") })
	if err != nil {
		return err
	}
	digester := artifact.NewDigester()
	for _, c := range texts {
		for i, record := range c.Records {
			if err := digester.Add(c.ID, i, string(record)); err != nil {
				return fmt.Errorf("sum up the texts: %w", err)
			}
		}
	}
	corpus := digester.Corpus()
	if corpus.Tokens != s.snapshot.Tokens {
		return fmt.Errorf("the texts have %d tokens, the snapshot %d", corpus.Tokens, s.snapshot.Tokens)
	}
	root := s.snapshot.Root.String()
	weights, err := artifact.Model{Interpolation: infgram.WittenBell, MaxContext: maxContext, Corpus: artifact.Trained{Corpus: corpus, Roots: []string{root}}}.Encode()
	if err != nil {
		return err
	}
	described := &artifact.Manifest{Method: artifact.InfGram, Purpose: purpose, Tickets: []string{s.ticket.ID}, Corpus: corpus, Program: "datanet demo",
		Snapshots: []artifact.Snapshot{{Named: s.snapshot.Named, Revision: s.snapshot.Revision, Root: root}}, Files: []artifact.File{artifact.FileOf(artifact.ModelName, weights)}}
	manifest, digest, err := described.Encode()
	if err != nil {
		return err
	}
	folder := filepath.Join("models", strings.ReplaceAll(name, "/", "_"))
	if err := errors.Join(s.archive.keep(filepath.Join(folder, artifact.ModelName), weights), s.archive.keep(filepath.Join(folder, artifact.ManifestName), manifest)); err != nil {
		return err
	}
	s.model, err = do[model.Model](ctx, s, s.trainer, register(model.Register{
		Named: model.Named{Name: name, Version: "1.0"}, Tickets: []string{s.ticket.ID}, Bases: []model.Named{}, Artifacts: described.Digests(),
		Manifest: digest, Purpose: purpose, Corpus: corpus, DerivativePpm: derivativePpm}))
	if err != nil {
		return err
	}
	if len(s.model.Lineage) != 1 || s.model.Lineage[0].Root != s.snapshot.Root {
		return fmt.Errorf("the ledger gives %s the lineage %v", s.model.Named, s.model.Lineage)
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	open := func(name string) (client.Opened, error) { return os.Open(s.archive.path(filepath.Join(folder, name))) }
	if err := s.trainer.client.HandOver(ctx, s.model.Named, manifest, s.height, open, nil); err != nil {
		return err
	}
	fees, err := read[schedule.Version](ctx, s, s.trainer, client.Path("schedule"))
	if err != nil {
		return err
	}
	left := money.Million - s.model.Due.DataPpm - s.model.Due.ValidatorsPpm - fees.PlatformPpm
	s.card, err = do[model.Card](ctx, s, s.trainer, publish(model.Publish{Named: s.model.Named, Card: 1,
		PriceIn: priceIn, PriceOut: priceOut, Host: s.host.account, HostPpm: left / 4, OwnerPpm: left - left/4}))
	return err
}
