package question

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// Snapshot answers what a snapshot of a datanet holds.
type Snapshot struct {
	Asked
	snapshot.Named
	About     datanet.Version     `json:"about" doc:"The datanet in its latest version."`
	Versions  []datanet.Version   `json:"versions" doc:"Those under which its contributions stand."`
	Terms     []seal.Terms        `json:"terms" doc:"How many leaves stood under which version when it was taken."`
	Count     int64               `json:"count" doc:"Leaves, tombstones too."`
	Revisions []snapshot.Revision `json:"revisions" doc:"The earliest first."`
	Taken     report.Evidence     `json:"taken"`
	Revised   report.Evidence     `json:"revised" doc:"The transaction of the latest revision."`
	Evidence  []report.Evidence   `json:"evidence" doc:"The transactions of the versions and of the revisions."`
	Makeup    Makeup              `json:"makeup"`
}

// Snapshot answers for one snapshot.
func (a *Auditor) Snapshot(ctx context.Context, n snapshot.Named) (answer Snapshot, err error) {
	if err := n.Validate(); err != nil {
		return answer, err
	}
	s, found, err := load[snapshot.Snapshot](ctx, a, snapshot.Key(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "datanet %s has no snapshot %d", n.Datanet, n.Number).At("number")
	}
	if err != nil {
		return answer, err
	}
	if answer.Asked, err = a.asked(ctx, "snapshot", "What the contributions say: the ledger holds salted commitments.", "Who their authors are: that stands in the descriptors, which their organisations hold."); err != nil {
		return answer, err
	}
	answer.Named, answer.Count, answer.Terms, answer.Revised = n, s.value.Count, s.value.Terms, s.evidence
	if answer.Taken, err = a.origin(ctx, s.value.Taken, s.evidence); err != nil {
		return answer, err
	}
	head, _, err := load[datanet.Datanet](ctx, a, datanet.Key(n.Datanet))
	if err != nil {
		return answer, err
	}
	answer.About, answer.Versions, answer.Revisions, answer.Evidence = head.value.Version, []datanet.Version{}, []snapshot.Revision{}, []report.Evidence{}
	for _, t := range s.value.Terms {
		version, found, err := load[datanet.Version](ctx, a, datanet.VersionKey(n.Datanet, t.Version))
		if err != nil {
			return answer, err
		}
		if found {
			answer.Versions = append(answer.Versions, version.value)
			answer.Evidence = append(answer.Evidence, version.evidence)
		}
	}
	for number := max(1, s.value.Revision-most); number <= s.value.Revision; number++ {
		revision, found, err := load[snapshot.Revision](ctx, a, revisionKey(n, number))
		if err != nil {
			return answer, err
		}
		if found {
			answer.Revisions = append(answer.Revisions, revision.value)
			answer.Evidence = append(answer.Evidence, revision.evidence)
		}
	}
	answer.Makeup, err = a.makeup(ctx, []snapshot.Named{n})
	return answer, err
}

// Report is the answer to read.
func (s Snapshot) Report() report.Document {
	latest := s.Revisions[len(s.Revisions)-1]
	d := s.document(fmt.Sprintf("Snapshot %d of %s", s.Number, s.Datanet), report.Fact{Name: "datanet", Value: s.About.Title}, report.Fact{Name: "owner", Value: ledger.Owner(s.Datanet)},
		report.Fact{Name: "leaves", Value: strconv.FormatInt(s.Count, 10)}, report.Fact{Name: "live", Value: report.Count(latest.Records, "record") + ", " + report.Count(latest.Tokens, "canonical token")})
	revisions := &report.Table{Columns: []string{"revision", "root", "records", "tokens", "made tombstones", "transaction"}}
	for _, r := range s.Revisions {
		revisions.Add(s.written("snapshot-revision", fmt.Sprintf("%06d", r.Revision)), strconv.Itoa(r.Revision), r.Root.String(), strconv.FormatInt(r.Records, 10), strconv.FormatInt(r.Tokens, 10), strconv.Itoa(len(r.Erased)), r.Tx)
	}
	licences := &report.Table{Columns: []string{"version of the datanet", "licence", "contributions under it", "under licences of their own"}}
	for i, v := range s.Versions {
		licences.Add(s.written("datanet-version", fmt.Sprintf("%010d", v.Number)), strconv.Itoa(v.Number), terms(v.Licence, false, v.Number), strconv.FormatInt(s.Terms[i].Plain, 10), strconv.FormatInt(s.Terms[i].Own, 10))
	}
	taken := report.Section{Title: "Revisions", Table: revisions}
	taken.Say([]report.Evidence{s.Taken, s.Revised}, "Taken by %s, in its latest revision since %s.", s.Taken.By, orNone(report.Time(s.Revised.Time)))
	d.Sections = append(d.Sections, taken, report.Section{Title: "Licences", Table: licences}, s.Makeup.section("What it held when it was taken"))
	return d
}

// written is the transaction of the entry of a kind whose key ends so.
func (s Snapshot) written(kind, last string) []report.Evidence {
	for _, e := range s.Evidence {
		if len(e.Key) > 0 && e.Key[0] == kind && e.Key[len(e.Key)-1] == last {
			return []report.Evidence{e}
		}
	}
	return nil
}

// section shows a makeup.
func (m Makeup) section(title string) report.Section {
	s := report.Section{Title: title}
	s.Say(append(slices.Clone(m.Evidence), m.Latest), "%s with %s and %s, of works made %s; the last was sealed on %s.", report.Count(m.Contributions, "contribution"), report.Count(m.Records, "record"), report.Count(m.Tokens, "canonical token"), years(m.FromYear, m.ToYear), orNone(report.Time(m.Latest.Time)))
	if !m.Whole {
		s.Say(m.Evidence, "There are more: only so many were counted.")
	}
	s.Say(m.Evidence, "Personal data of living people, as the contributors say: in %d of them.", m.PersonalData.Contributions)
	t := &report.Table{Columns: []string{"of which", "contributions", "records", "tokens"}}
	for _, group := range []struct {
		name string
		list []Part
	}{{"collected: ", m.Methods}, {"media type: ", m.MediaTypes}, {"language: ", m.Languages}, {"contributed through: ", m.Organisations}, {"state now: ", m.States}} {
		for _, p := range group.list {
			t.Add(m.Evidence, group.name+language(p.Name), strconv.FormatInt(p.Contributions, 10), strconv.FormatInt(p.Records, 10), strconv.FormatInt(p.Tokens, 10))
		}
	}
	s.Table = t
	return s
}

func names(list []Part) string {
	all := make([]string, len(list))
	for i, p := range list {
		all[i] = fmt.Sprintf("%s: %s, %s", language(p.Name), report.Count(p.Contributions, "contribution"), report.Count(p.Tokens, "token"))
	}
	return strings.Join(all, "; ")
}
