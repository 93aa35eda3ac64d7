package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/hyperledger/fabric/protoutil"

	"github.com/datanet-consortium/datanet/audit/bundle"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/audit/verify"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/bundles"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

// handOver is the consumers': what they show the regulator of an answer.
func (a answer) handOver(folder, model string) error {
	body, err := json.Marshal(map[string]any{"model": model, "messages": []map[string]string{{"role": "user", "content": a.Prompt}}}, json.Deterministic(true))
	if err != nil {
		return err
	}
	return bundles.KeepText(folder, &evidence.Evidence{Receipt: a.Receipt, Path: openai.ChatPath, Body: body, Output: []byte(a.Output), Nonces: a.Nonces})
}

// takeOut has the regulator take the ledger out of the network, with contents, receipts and the texts that consumers hand over,
// and verify it from the hash of the genesis block alone. What the verification must have shown is checked: every receipt of
// this telling computed again, and the table that each attestor voted for.
func (s *Story) takeOut(ctx context.Context) (err error) {
	texts, folder := s.archive.path("handed-over"), s.archive.path("bundle")
	for _, a := range s.answers {
		if err := a.handOver(texts, s.model.Named.String()); err != nil {
			return err
		}
	}
	peer, err := s.peers.as(s.inspector)
	if err != nil {
		return err
	}
	topology := s.Network.Topology()
	source := &bundles.Source{Peer: peer, Channel: topology.Channel, Chaincode: topology.Chaincode.Name, Gateway: s.inspector.client,
		Progress: func(what string, done, all uint64) { s.Out.Progress("%s: %d of %d", what, done, all) }}
	made, err := source.Export(ctx, folder, bundles.Wish{Receipts: true, Contents: true, Models: []string{s.model.Named.String()}, Texts: bundles.TextsIn(texts)})
	if err != nil {
		return fmt.Errorf("export the ledger as %s: %w", s.inspector.account, err)
	}
	s.reached(made.Height)
	if len(made.Parts.Refused) > 0 {
		return fmt.Errorf("the regulator was not given %d parts, first %s", len(made.Parts.Refused), made.Parts.Refused[0])
	}
	report, err := s.verified(ctx, folder)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(report.Findings, func(f verify.Finding) bool { return f.Severity != verify.Noted }); i >= 0 {
		return fmt.Errorf("the verification has %d findings, first %s", len(report.Findings), report.Findings[i])
	}
	held := report.Held
	approved := int(s.snapshot.Count)
	if held.Contents != approved || held.Recomputed != len(s.answers) || held.Uses != len(s.answers) || held.Tables == 0 {
		return fmt.Errorf("of %d contents and %d answers the verification has shown %+v", approved, len(s.answers), *held)
	}
	s.Out.Held("The regulator took the ledger out of the network, %d blocks, and verified it from the genesis block's hash alone:", made.Height)
	s.Out.Say("every signature, verdict and rule, %d transactions, no finding. With it went %d contents, each released by its holder's", report.Transactions, held.Contents)
	s.Out.Say("gateway for an audit and recorded on the ledger, and the texts of %d answers, which the consumers handed over: all %d receipts", made.Parts.Texts, held.Recomputed)
	s.Out.Say("came out the same when they were computed again, and so did the tables that %s voted for.", document.Count(held.Tables, "attestor"))
	return nil
}

// verified verifies a bundle. The genesis block is the one from which the network was made, not the bundle's.
func (s *Story) verified(ctx context.Context, folder string) (_ *verify.Report, err error) {
	genesis, err := s.Network.Genesis()
	if err != nil {
		return nil, err
	}
	r, err := bundle.Open(folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return verify.Run(ctx, r, verify.Options{Genesis: [32]byte(protoutil.BlockHeaderHash(genesis.GetHeader())),
		Progress: func(done, all uint64) { s.Out.Progress("blocks verified: %d of %d", done, all) }})
}
