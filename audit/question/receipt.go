package question

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// Receipt answers what one answer of a model owes to whom, and which of it the ledger confirms.
type Receipt struct {
	Asked
	ID           string       `json:"id" doc:"The SHA-256 of the receipt's bytes."`
	Form         string       `json:"form" doc:"The form of the receipt, which fixes the engine's definition."`
	Model        string       `json:"model"`
	Artifact     string       `json:"artifact"`
	OutputBytes  uint32       `json:"outputBytes"`
	OutputTokens uint32       `json:"outputTokens"`
	Tau          uint8        `json:"tau"`
	CoveragePpm  uint32       `json:"coveragePpm" doc:"The part of the answer's information that is credited."`
	CorpusTokens uint64       `json:"corpusTokens"`
	Prompt       string       `json:"prompt" doc:"A commitment, as the next two."`
	Context      string       `json:"context"`
	Output       string       `json:"output"`
	Sources      []SourceSpan `json:"sources" doc:"The credited spans."`
	Shares       []ShareOf    `json:"shares"`
	Checks       []Check      `json:"checks" doc:"What the ledger says to the receipt."`
}

// SourceSpan is a passage of the answer and the contribution in which it first stands.
type SourceSpan struct {
	Start        uint32            `json:"start" doc:"In tokens of the answer."`
	End          uint32            `json:"end"`
	Contribution string            `json:"contribution"`
	Datanet      string            `json:"datanet,omitzero" doc:"Of the model's lineage; missing when none of it has the contribution."`
	Record       uint32            `json:"record"`
	Occurrences  uint64            `json:"occurrences"`
	Payees       []string          `json:"payees"`
	Evidence     []report.Evidence `json:"evidence"`
}

// ShareOf is an account's part of the receipt's credit.
type ShareOf struct {
	Account string `json:"account"`
	Ppm     uint32 `json:"ppm"`
}

// Check is something that the ledger can confirm of a receipt.
type Check struct {
	What     string            `json:"what"`
	Holds    bool              `json:"holds"`
	Evidence []report.Evidence `json:"evidence"`
}

// MaxReceipt bounds a receipt in bytes, as in bundles.
const MaxReceipt = parts.MaxReceipt

// maxSpans bounds how many spans an answer shows.
const maxSpans = most

// Receipt answers a receipt from its bytes. One that is malformed is an invalid fault.
func (a *Auditor) Receipt(ctx context.Context, encoded []byte) (answer Receipt, err error) {
	if len(encoded) > MaxReceipt {
		return answer, ledger.Invalid("receipt", "at most %d bytes", MaxReceipt)
	}
	r, err := receipt.Decode(encoded)
	if err != nil {
		return answer, ledger.Invalid("receipt", "%v", err)
	}
	if answer.Asked, err = a.asked(ctx, "receipt", "Whether the receipt is that of the answer: recomputing it takes the corpus and the texts, by datanet attribute verify, or as the attestors of its settlement do.",
		"In which settlement it was paid: leaves are with host and consumer; the claim names how many uses there were and who recomputed them.",
		"Whether the model, rather than the words, owes anything to these sources: a receipt shows textual provenance, not causation, and sees no paraphrase."); err != nil {
		return answer, err
	}
	id := receipt.ID(encoded)
	answer.ID, answer.Form, answer.Model, answer.Artifact = id.String(), "ATTR/1", r.Model, r.Artifact.String()
	answer.OutputBytes, answer.OutputTokens, answer.Tau, answer.CoveragePpm, answer.CorpusTokens = r.OutputBytes, r.OutputTokens, r.Tau, r.CoveragePPM, r.N
	answer.Prompt, answer.Context, answer.Output = r.Prompt.String(), r.Context.String(), r.Output.String()
	answer.Sources, answer.Shares, answer.Checks = []SourceSpan{}, []ShareOf{}, []Check{}
	for _, s := range r.Shares {
		answer.Shares = append(answer.Shares, ShareOf{s.Account, s.PPM})
	}
	name, version, _ := strings.Cut(r.Model, "@")
	n := model.Named{Name: name, Version: version}
	if n.Validate() != nil {
		answer.check("The receipt names a registered model.", false)
		return answer, nil
	}
	m, found, err := load[model.Model](ctx, a, model.Key(n))
	if err != nil {
		return answer, err
	}
	if !found {
		answer.check("The receipt names a registered model.", false)
		return answer, nil
	}
	registered, err := a.origin(ctx, m.value.Tx, m.evidence)
	if err != nil {
		return answer, err
	}
	answer.check("The receipt names a registered model.", true, registered)
	answer.check("The artifact is one of the model's.", slices.Contains(m.value.Artifacts, r.Artifact.String()), registered)
	answer.check(fmt.Sprintf("The strictness τ = %d is that of the lineage's datanets.", r.Tau), int(r.Tau) == m.value.Due.Tau, registered)
	if err := a.roots(ctx, r, m.value, &answer); err != nil {
		return answer, err
	}
	return answer, a.sources(ctx, r, m.value, &answer)
}

func (r *Receipt) check(what string, holds bool, evidence ...report.Evidence) {
	if evidence == nil {
		evidence = []report.Evidence{}
	}
	r.Checks = append(r.Checks, Check{what, holds, evidence})
}

// roots looks for the receipt's roots among the revisions of the lineage's snapshots.
func (a *Auditor) roots(ctx context.Context, r *receipt.Receipt, m model.Model, answer *Receipt) error {
	matched := 0
	seen := map[string]bool{}
	for _, s := range m.Lineage {
		name := fmt.Sprintf("%s@%d", s.Datanet, s.Number)
		if seen[name] {
			continue
		}
		seen[name] = true
		latest, found, err := load[snapshot.Snapshot](ctx, a, snapshot.Key(s.Named))
		if err != nil || !found {
			return err
		}
		named, found := 0, false
		var where report.Evidence
		for revision := latest.value.Revision; revision >= 1 && !found; revision-- {
			one, there, err := load[snapshot.Revision](ctx, a, revisionKey(s.Named, revision))
			if err != nil {
				return err
			}
			if there && slices.Contains(r.Roots, one.value.Root) {
				named, found, where = revision, true, one.evidence
			}
		}
		if !found {
			answer.check("It names a root of snapshot "+name+".", false, latest.evidence)
			continue
		}
		matched++
		answer.check(fmt.Sprintf("It names the root of revision %d of snapshot %s; the latest is %d.", named, name, latest.value.Revision), true, where)
	}
	if matched < len(r.Roots) {
		answer.check(fmt.Sprintf("All %d roots are of the model's lineage.", len(r.Roots)), false)
	}
	return nil
}

// sources looks up the contributions in which the spans first stand.
func (a *Auditor) sources(ctx context.Context, r *receipt.Receipt, m model.Model, answer *Receipt) error {
	var datanets []string
	for _, s := range m.Lineage {
		datanets = append(datanets, s.Datanet)
	}
	datanets = unique(datanets)
	spans := r.Spans[:min(len(r.Spans), maxSpans)]
	var keys []ledger.Key
	for _, span := range spans {
		keys = append(keys, homes(span.Home.Contribution, datanets)...)
	}
	slices.Sort(keys)
	contributions, err := loadAll[contribution.Contribution](ctx, a, slices.Compact(keys))
	if err != nil {
		return err
	}
	known, paid := true, true
	for _, span := range spans {
		one := SourceSpan{Start: span.Start, End: span.End, Contribution: span.Home.Contribution, Record: span.Home.Record, Occurrences: span.Occurrences, Payees: []string{}, Evidence: []report.Evidence{}}
		for _, p := range span.Payees {
			one.Payees = append(one.Payees, p.Account)
		}
		for _, key := range homes(one.Contribution, datanets) {
			if c, there := contributions[key]; there {
				one.Datanet, one.Evidence = c.value.Datanet, append(one.Evidence, c.evidence)
				paid = paid && (span.Occurrences > 1 || len(one.Payees) > 1 || slices.Contains(one.Payees, string(c.value.Contributor)))
			}
		}
		known = known && one.Datanet != ""
		answer.Sources = append(answer.Sources, one)
	}
	if len(spans) > 0 {
		which := "Every span"
		if len(spans) < len(r.Spans) {
			which = fmt.Sprintf("Every one of the first %d of %d spans", len(spans), len(r.Spans))
		}
		answer.check(which+" stands first in a contribution to a datanet of the lineage.", known)
		answer.check(which+" that stands in one place pays that contribution's contributor.", paid)
	}
	return nil
}

// homes are the keys of contributions that an id in a receipt may be of: one of the lineage's datanets, or the one that
// stands before a slash, where several datanets have contributions of that id.
func homes(id string, datanets []string) (keys []ledger.Key) {
	if i := strings.LastIndexByte(id, '/'); i >= 0 {
		if !slices.Contains(datanets, id[:i]) {
			return nil
		}
		datanets, id = []string{id[:i]}, id[i+1:]
	}
	if ledger.ValidID("", id) != nil {
		return nil
	}
	for _, d := range datanets {
		keys = append(keys, contribution.Key(d, id))
	}
	return keys
}

// Report is the answer to read.
func (r Receipt) Report() report.Document {
	self := report.Evidence{Receipt: r.ID}
	d := r.document("Answer of "+r.Model, report.Fact{Name: "receipt", Value: r.ID}, report.Fact{Name: "form", Value: r.Form}, report.Fact{Name: "artifact", Value: r.Artifact},
		report.Fact{Name: "answer", Value: report.Count(r.OutputTokens, "token") + ", " + report.Count(r.OutputBytes, "byte")}, report.Fact{Name: "credited", Value: ppm(r.CoveragePpm) + " of its information"})
	checks := &report.Table{Columns: []string{"what the ledger says", "holds"}}
	for _, c := range r.Checks {
		found := c.Evidence
		if len(found) == 0 {
			found = []report.Evidence{self}
		}
		checks.Add(found, c.What, yes(c.Holds))
	}
	shares := &report.Table{Columns: []string{"account", "share of the data part"}, None: "No span is credited; the data part goes to the pools."}
	for _, s := range r.Shares {
		shares.Add([]report.Evidence{self}, s.Account, ppm(s.Ppm))
	}
	sources := &report.Table{Columns: []string{"tokens of the answer", "first in", "record", "places", "pays"}, None: "No span is credited."}
	for _, s := range r.Sources {
		name := s.Contribution
		if s.Datanet != "" {
			name = s.Datanet + "/" + name
		}
		sources.Add(append([]report.Evidence{self}, s.Evidence...), fmt.Sprintf("%d to %d", s.Start, s.End), name, fmt.Sprint(s.Record), fmt.Sprint(s.Occurrences), strings.Join(s.Payees, ", "))
	}
	commitments := report.Section{Title: "Commitments"}
	commitments.Say([]report.Evidence{self}, "Prompt %s, context %s, output %s: whoever holds a text and its nonce can open them.", r.Prompt, r.Context, r.Output)
	d.Sections = append(d.Sections, report.Section{Title: "Checked on the ledger", Table: checks}, report.Section{Title: "Shares", Table: shares}, report.Section{Title: "Sources", Table: sources}, commitments)
	return d
}

// ppm is a part in millionths to read, in percent.
func ppm(n uint32) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%04d", n/10_000, n%10_000), "0"), ".") + " %"
}
