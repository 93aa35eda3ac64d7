package question

import (
	"context"
	"fmt"
	"strings"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// Training answers the summary of training content that Article 53(1)(d) of Regulation (EU) 2024/1689 asks for, in the
// questions of the Commission's template (annex of C(2025) 8311), as far as the ledger knows. What it does not know stands there as
// a gap, for the provider to fill.
type Training struct {
	Asked
	Model    model.Named `json:"model"`
	Template string      `json:"template"`
	Fields   []Field     `json:"fields"`
	Makeup   Makeup      `json:"makeup" doc:"What the snapshots of the lineage held."`
}

// Field is a field of the template.
type Field struct {
	Number   string            `json:"number"`
	Title    string            `json:"title"`
	Value    string            `json:"value" doc:"What the ledger says; empty when it says nothing."`
	Gap      string            `json:"gap,omitzero" doc:"What the provider has to add, and why the ledger does not know it."`
	Evidence []report.Evidence `json:"evidence"`
}

// The ranges of the template for text.
const (
	billion      = 1_000_000_000
	tenTrillions = 10_000 * billion
)

// Training answers for one model.
func (a *Auditor) Training(ctx context.Context, n model.Named) (answer Training, err error) {
	m, err := a.Model(ctx, n, ledger.PageRequest{Limit: 1})
	if err != nil {
		return answer, err
	}
	answer.Model, answer.Template, answer.Asked = n, "C(2025) 8311", m.Asked
	answer.Question = "training-summary"
	answer.Unknown = append(answer.Unknown, "Everything that the fields name as a gap.")
	var snapshots []snapshot.Named
	for _, s := range m.Snapshots {
		snapshots = append(snapshots, s.Named)
	}
	if answer.Makeup, err = a.makeup(ctx, unique(snapshots)); err != nil {
		return answer, err
	}
	var abouts []item[datanet.Datanet]
	for _, s := range unique(datanetsOf(snapshots)) {
		about, found, err := load[datanet.Datanet](ctx, a, datanet.Key(s))
		if err != nil {
			return answer, err
		}
		if found {
			abouts = append(abouts, about)
		}
	}
	answer.general(m, abouts)
	answer.sources(m, abouts)
	answer.processing(m, abouts)
	return answer, nil
}

func datanetsOf(snapshots []snapshot.Named) (names []string) {
	for _, s := range snapshots {
		names = append(names, s.Datanet)
	}
	return names
}

func (t *Training) add(number, title, value, gap string, evidence ...report.Evidence) {
	if evidence == nil {
		evidence = []report.Evidence{}
	}
	t.Fields = append(t.Fields, Field{number, title, value, gap, evidence})
}

// general is section 1.
func (t *Training) general(m Model, abouts []item[datanet.Datanet]) {
	cited, held := m.Registered, t.Makeup.Evidence
	t.add("1", "Version of the Summary", "", "The provider numbers the summaries that it publishes, and links to the earlier ones.")
	t.add("1", "Last update", fmt.Sprintf("The ledger after %s, of which the last has the hash %s.", report.Count(t.Height, "block"), t.Last), "The day on which the provider publishes it.")
	t.add("1.1", "Provider name and contact details", ledger.Owner(m.Model.Name)+", by account "+string(m.Model.Developer), "Legal name and contact details: the ledger knows organisations by their MSP IDs.", cited)
	t.add("1.1", "Authorised representative name and contact details", "", "The ledger does not know representatives.")
	t.add("1.2", "Versioned model name(s)", m.Model.Named.String(), "", cited)
	t.add("1.2", "Model dependencies", orNone(dependencies(m)), "", append([]report.Evidence{cited}, ancestry(m)...)...)
	placed, when := "It was never published on the network.", []report.Evidence{cited}
	for _, c := range m.Cards {
		if c.InForce || c.Card == 1 {
			placed, when = "Published on the network on "+orNone(report.Time(c.Evidence[0].Time))+".", c.Evidence
			break
		}
	}
	t.add("1.2", "Date of placement of the model on the Union market", placed, "Whether publication on the network is placement on the Union market, and when it was placed otherwise.", when...)
	t.add("1.3", "Modality", "Text ("+strings.Join(unique(modalities(abouts)), ", ")+" datanets; contributions are texts, tables of text and program code)", "Modalities of base models from outside the network.", evidenceOf(abouts)...)
	t.add("1.3", "Training data size", size(t.Makeup), "Tokens of base models from outside the network.", held...)
	t.add("1.3", "Types of content", names(t.Makeup.MediaTypes), "A description of the content: the ledger holds commitments to it.", held...)
	t.add("1.3", "Latest date of data acquisition or collection for model training", report.Time(t.Makeup.Latest.Time), "The time is that of the transaction that sealed the last contribution; when the text was collected before, its contributor's organisation knows.", t.Makeup.Latest)
	t.add("1.3", "Is the model continuously trained on new or dynamic data after this date?", "No: a registered version stands for the snapshots of its tickets and for its artifacts' digests; training on more is another version.", "", cited)
	t.add("1.3", "Linguistic characteristics of the overall training data", names(t.Makeup.Languages), "", held...)
	t.add("1.3", "Other relevant characteristics of the overall training data", fmt.Sprintf("Works made %s. Personal data of living people, as the contributors say: in %d of %d contributions.", years(t.Makeup.FromYear, t.Makeup.ToYear), t.Makeup.PersonalData.Contributions, t.Makeup.Contributions), "", held...)
}

func modalities(abouts []item[datanet.Datanet]) (list []string) {
	for _, about := range abouts {
		list = append(list, string(about.value.Modality))
	}
	return list
}

func size(m Makeup) string {
	class := "less than 1 billion tokens"
	switch {
	case m.Tokens > tenTrillions:
		class = "more than 10 trillion tokens"
	case m.Tokens >= billion:
		class = "1 billion to 10 trillion tokens"
	}
	text := fmt.Sprintf("Text: %s (%d canonical tokens, counted by validators)", class, m.Tokens)
	if !m.Whole {
		text += "; only the first contributions were counted"
	}
	return text
}

func dependencies(m Model) string {
	var list []string
	for _, a := range m.Ancestors {
		list = append(list, a.Named.String())
	}
	for _, e := range m.Model.External {
		list = append(list, fmt.Sprintf("%s (from outside the network, licence %s, digest %s)", e.Name, e.Licence, e.Digest))
	}
	return strings.Join(list, "; ")
}

func ancestry(m Model) (list []report.Evidence) {
	for _, a := range m.Ancestors {
		list = append(list, a.Evidence)
	}
	return list
}

func evidenceOf(abouts []item[datanet.Datanet]) (list []report.Evidence) {
	for _, about := range abouts {
		list = append(list, about.evidence)
	}
	return list
}

// sources is section 2.
func (t *Training) sources(m Model, abouts []item[datanet.Datanet]) {
	public, crawled, users, synthetic := part(t.Makeup.Methods, "public-dataset"), part(t.Makeup.Methods, "crawled"), part(t.Makeup.Methods, "user-generated"), part(t.Makeup.Methods, "synthetic")
	licensed, other := part(t.Makeup.Methods, "licensed"), part(t.Makeup.Methods, "other")
	const descriptors = " They stand in the contributions' descriptors, of which the ledger holds commitments."

	t.add("2.1", "Have publicly available datasets been used to train the model?", used(public), "", t.Makeup.Evidence...)
	t.covered("2.1", public)
	t.detail("2.1", public, "List of large publicly available datasets", "Names, links and collection periods."+descriptors)
	t.detail("2.1", public, "General description of other publicly available datasets", "Their description."+descriptors)

	t.add("2.2.1", "Have commercial licensing agreements been concluded with rightsholders or their representatives?", t.licences(m, abouts)+" Contributions whose contributor had them from a rights holder: "+used(licensed), "Agreements that were concluded outside the network.", append(t.grants(m), t.Makeup.Evidence...)...)
	t.covered("2.2.1", licensed)
	own := []string{}
	for _, p := range t.Makeup.Methods {
		switch p.Name {
		case "public-dataset", "crawled", "user-generated", "synthetic", "licensed", "other":
		default:
			own = append(own, fmt.Sprintf("%s: %s, %s", p.Name, report.Count(p.Contributions, "contribution"), report.Count(p.Tokens, "token")))
		}
	}
	t.add("2.2.2", "Have private datasets been obtained from other third parties?", "Yes: datanets of the network, whose contributors are third parties. By how their contributions were collected: "+orNone(strings.Join(own, "; "))+".", "Private data that the provider had from elsewhere.", append(evidenceOf(abouts), t.Makeup.Evidence...)...)
	t.add("2.2.2", "Modalities of the content covered", "Text", "", evidenceOf(abouts)...)
	t.add("2.2.2", "Publicly known private datasets obtained from third parties", "Datanets: "+describe(abouts)+".", "", evidenceOf(abouts)...)
	t.add("2.2.2", "General description of private datasets that are not publicly known", "None of the network: every datanet is known to all its members.", "Private data that the provider had from elsewhere.", evidenceOf(abouts)...)

	t.add("2.3", "Were crawlers used by the provider or on its behalf?", used(crawled), "Whether the provider itself crawled anything.", t.Makeup.Evidence...)
	t.detail("2.3", crawled, "Names or identifiers of the crawlers", "The contributors' organisations know their crawlers.")
	t.detail("2.3", crawled, "Purposes of the crawlers", "The contributors' organisations know them.")
	t.detail("2.3", crawled, "General description of crawler behaviour", "How the crawlers treat captchas, paywalls and reservations of rights.")
	t.detail("2.3", crawled, "Period of data collection", "The ledger knows when works were made and when contributions were sealed, not when a crawler ran.")
	t.detail("2.3", crawled, "Comprehensive description of the type of content and online sources crawled", "The sources."+descriptors)
	t.covered("2.3", crawled)
	t.detail("2.3", crawled, "Summary of the most relevant domain names crawled", "The domains."+descriptors)

	t.add("2.4", "Was data from user interactions with the AI model used to train it?", "", "Uses of models are no contributions: prompts and answers stay with consumer and host. Whether a host used them all the same, nobody registers.")
	t.add("2.4", "Was data collected from user interactions with the provider's other services or products used?", used(users), "Whether the provider used data of its own services' users besides.", t.Makeup.Evidence...)
	t.detail("2.4", users, "General description of the provider's services or products that were used to collect the user data", "Their description."+descriptors)
	t.covered("2.4", users)

	t.add("2.5", "Was synthetic AI-generated data created by the provider or on its behalf to train the model?", used(synthetic), "Synthetic data from outside the network.", t.Makeup.Evidence...)
	t.covered("2.5", synthetic)
	t.detail("2.5", synthetic, "General-purpose AI models on the market that generated the synthetic data", "Their names."+descriptors)
	t.detail("2.5", synthetic, "Other AI models, the provider's own among them, that generated the synthetic data", "Their description."+descriptors)

	t.add("2.6", "Have data sources other than those of 2.1 to 2.5 been used to train the model?", used(other), "What the provider had besides the network's data: by registering the model its developer says that it was trained on these snapshots; no ledger sees the training.", append([]report.Evidence{m.Registered}, t.Makeup.Evidence...)...)
	t.detail("2.6", other, "Narrative description of these data sources and the data", "Their description."+descriptors)
}

// detail is a question about one kind of source that only who used it answers, and not by the ledger.
func (t *Training) detail(number string, p Part, title, gap string) {
	value := ""
	if p.Contributions == 0 {
		value, gap = "Not applicable to the network's data.", ""
	}
	t.add(number, title, value, gap, t.Makeup.Evidence...)
}

// covered is the question after the modalities of one kind of source: the network has texts only.
func (t *Training) covered(number string, p Part) {
	modality := "None"
	if p.Contributions > 0 {
		modality = "Text"
	}
	t.add(number, "Modalities of the content covered", modality, "", t.Makeup.Evidence...)
}

func used(p Part) string {
	if p.Contributions == 0 {
		return "No: no contribution in the lineage was collected so, as the contributors say."
	}
	return fmt.Sprintf("Yes: %s, %s, %s, as the contributors say.", report.Count(p.Contributions, "contribution"), report.Count(p.Records, "record"), report.Count(p.Tokens, "token"))
}

func describe(abouts []item[datanet.Datanet]) string {
	list := make([]string, len(abouts))
	for i, about := range abouts {
		list[i] = fmt.Sprintf("%s (%s)", about.value.Name, about.value.Title)
	}
	return orNone(strings.Join(list, "; "))
}

func (t *Training) licences(m Model, abouts []item[datanet.Datanet]) string {
	n := 0
	for _, one := range m.Tickets {
		n += len(one.Grants)
	}
	return fmt.Sprintf("Yes: data of %s was used under the licence of each, and under %s of the owners; contributors are paid a part of every fee.", report.Count(len(abouts), "datanet"), report.Count(n, "grant"))
}

func (t *Training) grants(m Model) (list []report.Evidence) {
	for _, one := range m.Tickets {
		list = append(list, one.Evidence...)
		for _, g := range one.Grants {
			list = append(list, g.Evidence...)
		}
	}
	return list
}

// processing is section 3.
func (t *Training) processing(m Model, abouts []item[datanet.Datanet]) {
	left := t.Makeup.Contributions - part(t.Makeup.States, "approved").Contributions
	t.add("3.1", "Is the provider a signatory of the Code of Practice, with its commitments on reservations of rights?", "", "The ledger does not know who signed it.")
	t.add("3.1", "Measures to respect reservations of rights from the text and data mining exception or limitation",
		"Every contribution was given by a contributor under a licence, and the chaincode refused a training ticket that a licence or grant did not cover (licence interlock). "+
			fmt.Sprintf("Withdrawn or erased since: %s. They enter no later snapshot and no new ticket.", report.Count(left, "contribution")),
		"Measures taken for data from outside the network.", append(t.grants(m), t.Makeup.Evidence...)...)
	t.add("3.2", "General description of measures to remove illegal content", "Each contribution was approved by a quorum of independent organisations, which saw an automatic report on duplicates, derived text, personal-data patterns and odd characters, and could decline it for its licence, its origin or personal data.",
		"What validators looked for beyond the report.", append(evidenceOf(abouts), t.Makeup.Evidence...)...)
	receipts, offered := "It was never published on the network, so no answer of it carries a receipt.", []report.Evidence{m.Registered}
	if len(m.Cards) > 0 {
		receipts, offered = "Answers that are paid for on the network carry receipts that name the contributions whose words they quote, and pay their contributors.", nil
		for _, c := range m.Cards {
			offered = append(offered, c.Evidence...)
		}
	}
	t.add("3.3", "Other information (optional)", receipts, "", offered...)
}

// Report is the answer to read.
func (t Training) Report() report.Document {
	d := t.document("Summary of training content of "+t.Model.String(), report.Fact{Name: "required by", Value: "Article 53(1)(d) of Regulation (EU) 2024/1689"}, report.Fact{Name: "template", Value: t.Template})
	for _, section := range []struct{ number, title string }{{"1", "1. General information"}, {"2", "2. List of data sources"}, {"3", "3. Data processing aspects"}} {
		table := &report.Table{Columns: []string{"field", "what the ledger says", "gap, for the provider to fill"}}
		for _, f := range t.Fields {
			if strings.HasPrefix(f.Number, section.number) {
				table.Add(f.Evidence, f.Number+" "+f.Title, f.Value, f.Gap)
			}
		}
		d.Sections = append(d.Sections, report.Section{Title: section.title, Table: table})
	}
	d.Sections = append(d.Sections, t.Makeup.section("What the figures are made of"))
	return d
}
