package question

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// Contribution answers what became of a contribution, from its registration on.
type Contribution struct {
	Asked
	Origin     Origin                   `json:"origin"`
	Revision   int                      `json:"revision"`
	Commitment string                   `json:"commitment" doc:"To the records, salted."`
	Descriptor string                   `json:"descriptor" doc:"The commitment to author, source and notes, salted."`
	Print      contribution.Fingerprint `json:"fingerprint"`
	Steps      []Step                   `json:"steps" doc:"Every state that it has had."`
	Ballots    []Ballot                 `json:"ballots" doc:"The votes on all revisions."`
	Sealed     *Sealed                  `json:"sealed,omitempty" doc:"Where it stands in snapshots; missing when it was never sealed."`
	Releases   []Release                `json:"releases" doc:"To whom it was handed over, by itself or within a snapshot, of each kind at most 1,000."`
	More       bool                     `json:"more" doc:"There are more releases than are listed."`
	Holders    []string                 `json:"holders" doc:"The organisations that have had it: the contributor's and those of the releases."`
	Models     []model.Named            `json:"models" doc:"Models trained on a snapshot that holds it."`
	Trained    []report.Evidence        `json:"trained" doc:"Where each of these models was registered, in the same order."`
	Erasure    *Erasure                 `json:"erasure,omitempty"`
}

// Step is a state of an entry.
type Step struct {
	State    string          `json:"state"`
	Revision int             `json:"revision"`
	Evidence report.Evidence `json:"evidence"`
}

// Sealed is where a contribution stands in its datanet's snapshots.
type Sealed struct {
	Position int64           `json:"position"`
	First    int             `json:"first" doc:"The number of the first snapshot with it."`
	Until    int             `json:"until,omitzero" doc:"The number of the first snapshot without it; missing while the next one will hold it."`
	Evidence report.Evidence `json:"evidence"`
}

// Release is that content was handed over.
type Release struct {
	Release  string          `json:"release"`
	Datanet  string          `json:"datanet"`
	Snapshot int             `json:"snapshot,omitzero"`
	By       ledger.Account  `json:"by"`
	To       ledger.Account  `json:"to"`
	Reason   access.Reason   `json:"reason"`
	Evidence report.Evidence `json:"evidence"`
}

// Erasure is what happened to an erasure.
type Erasure struct {
	contribution.Named
	State            erasure.State     `json:"state"`
	By               ledger.Account    `json:"by"`
	Requested        time.Time         `json:"requested"`
	Completed        *time.Time        `json:"completed,omitempty"`
	Acknowledgements []Acknowledgement `json:"acknowledgements"`
	Outside          []string          `json:"outside" doc:"Organisations that are no members and have had it; nobody acknowledges for them."`
	Evidence         []report.Evidence `json:"evidence"`
}

// Acknowledgement is a holder's word that content and wrapping key are destroyed.
type Acknowledgement struct {
	Organisation string           `json:"organisation"`
	By           ledger.Account   `json:"by,omitzero" doc:"Missing until there is one."`
	Evidence     *report.Evidence `json:"evidence,omitempty"`
}

// Contribution answers everything that the ledger has of one contribution.
func (a *Auditor) Contribution(ctx context.Context, n contribution.Named) (Contribution, error) {
	if err := n.Validate(); err != nil {
		return Contribution{}, err
	}
	c, found, err := load[contribution.Contribution](ctx, a, contribution.Key(n.Datanet, n.ID))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "datanet %s has no contribution %s", n.Datanet, n.ID).At("id")
	}
	if err != nil {
		return Contribution{}, err
	}
	answer := Contribution{Revision: c.value.Revision, Commitment: c.value.Commitment, Descriptor: c.value.Descriptor, Print: c.value.Fingerprint, Models: []model.Named{}, Trained: []report.Evidence{}}
	if answer.Asked, err = a.asked(ctx, "contribution", "What the content says, who its author is, and where it was found: the ledger holds salted commitments.",
		"Whether content left a holder without a record of its release.",
		"That destroyed content is gone: holders say so, signed."); err != nil {
		return answer, err
	}
	origins, err := a.originsOf(ctx, []contribution.Named{n})
	if err != nil {
		return answer, err
	}
	answer.Origin = origins[0]
	if answer.Steps, err = a.steps(ctx, c.key); err != nil {
		return answer, err
	}
	if answer.Ballots, err = a.ballots(ctx, c.value, 1); err != nil {
		return answer, err
	}
	places, err := a.placesOf(ctx, []contribution.Named{n})
	if err != nil {
		return answer, err
	}
	if place := places[n.ID]; place.evidence.Some() {
		answer.Sealed = &Sealed{Position: place.value.Position, First: place.value.First, Until: place.value.From, Evidence: place.evidence}
		answer.Origin.Position = place.value.Position
	}
	if answer.Releases, answer.More, err = a.releasesOf(ctx, n, answer.Sealed); err != nil {
		return answer, err
	}
	answer.Holders = []string{c.value.Contributor.MSP()}
	for _, r := range answer.Releases {
		answer.Holders = append(answer.Holders, r.To.MSP())
	}
	answer.Holders = unique(answer.Holders)
	slices.Sort(answer.Holders)
	if err := a.below(ctx, n, &answer); err != nil {
		return answer, err
	}
	answer.Erasure, err = a.erasureOf(ctx, n)
	return answer, err
}

// steps are the states that an entry has had, in the order of the chain.
func (a *Auditor) steps(ctx context.Context, key ledger.Key) ([]Step, error) {
	versions, err := a.book.Versions(ctx, key, most)
	if err != nil {
		return nil, err
	}
	steps := []Step{}
	for _, e := range versions {
		one, err := decode[struct {
			State    string `json:"state"`
			Revision int    `json:"revision"`
		}](e)
		if err != nil {
			return nil, err
		}
		steps = append(steps, Step{one.value.State, one.value.Revision, one.evidence})
	}
	return steps, nil
}

// within tells whether a snapshot has the leaf.
func (s *Sealed) within(snapshot int) bool {
	return s != nil && snapshot >= s.First && (s.Until == 0 || snapshot < s.Until)
}

// releasesOf lists the releases that name a contribution, and, if it is sealed, those of snapshots that hold it.
func (a *Auditor) releasesOf(ctx context.Context, n contribution.Named, sealed *Sealed) (list []Release, more bool, err error) {
	list, more, err = a.releases(ctx, n.Datanet, index.Filter{Kind: "released", Within: []string{n.Datanet, n.ID}})
	if err != nil || sealed == nil {
		return list, more, err
	}
	within, cut, err := a.snapshotReleases(ctx, n.Datanet)
	if err != nil {
		return nil, false, err
	}
	for _, r := range within {
		if sealed.within(r.Snapshot) {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(x, y Release) int { return chain(x.Evidence, y.Evidence) })
	return list, more || cut, nil
}

func (a *Auditor) snapshotReleases(ctx context.Context, datanet string) (list []Release, more bool, err error) {
	return a.releases(ctx, datanet, index.Filter{Kind: "released-snapshot", Within: []string{datanet}})
}

func (a *Auditor) releases(ctx context.Context, datanet string, f index.Filter) (list []Release, more bool, err error) {
	found, whole, err := all[access.Released](ctx, a, f)
	list = []Release{}
	for _, r := range found {
		list = append(list, Release{Release: r.value.Release, Datanet: datanet, Snapshot: r.value.Snapshot, By: r.value.By, To: r.value.To, Reason: r.value.Reason, Evidence: r.evidence})
	}
	return list, !whole, err
}

// snapshotHolders tells which snapshots of a datanet each member organisation has had.
func (a *Auditor) snapshotHolders(ctx context.Context, datanet string) (map[string][]int, error) {
	found, _, err := all[struct {
		Snapshots []int `json:"snapshots"`
	}](ctx, a, index.Filter{Kind: "snapshot-holder", Within: []string{datanet}})
	held := map[string][]int{}
	for _, h := range found {
		if _, parts, ok := h.key.Split(); ok && len(parts) == 2 {
			held[parts[1]] = h.value.Snapshots
		}
	}
	return held, err
}

// chain orders by the order of the chain.
func chain(x, y report.Evidence) int {
	switch {
	case earlier(x, y):
		return -1
	case earlier(y, x):
		return 1
	}
	return 0
}

// below lists the models trained on a snapshot that holds a contribution.
func (a *Auditor) below(ctx context.Context, n contribution.Named, answer *Contribution) error {
	sealed := answer.Sealed
	if sealed == nil {
		return nil
	}
	page := ledger.PageRequest{Limit: most}
	for {
		found, err := a.book.Find(ctx, index.Filter{Kind: "downstream", Within: []string{"datanet", n.Datanet}}, page)
		if err != nil {
			return err
		}
		for _, e := range found.Items {
			_, parts, _ := e.Key.Split()
			if len(parts) != 5 {
				continue
			}
			var number int
			if _, err := fmt.Sscanf(parts[2], "%d", &number); err == nil && number >= sealed.First && (sealed.Until == 0 || number < sealed.Until) {
				if m := (model.Named{Name: parts[3], Version: parts[4]}); !slices.Contains(answer.Models, m) {
					answer.Models, answer.Trained = append(answer.Models, m), append(answer.Trained, evidence(e))
				}
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" || len(answer.Models) >= most {
			return nil
		}
	}
}

// erasureOf reads what happened to an erasure, nil when none was asked for.
func (a *Auditor) erasureOf(ctx context.Context, n contribution.Named) (*Erasure, error) {
	e, found, err := load[erasure.Erasure](ctx, a, erasureKey(n))
	if err != nil || !found {
		return nil, err
	}
	one := &Erasure{Named: n, State: e.value.State, By: e.value.By, Requested: e.value.Requested, Acknowledgements: []Acknowledgement{}, Outside: e.value.Outside}
	if one.Outside == nil {
		one.Outside = []string{}
	}
	if one.Evidence, err = a.transactions(ctx, e.value.Tx, e.value.EndTx); err != nil {
		return nil, err
	}
	for i := range one.Evidence {
		one.Evidence[i].Key = e.evidence.Key
	}
	if e.value.EndTx != "" {
		one.Completed = one.Evidence[len(one.Evidence)-1].Time
	}
	keys := make([]ledger.Key, len(e.value.Holders))
	for i, msp := range e.value.Holders {
		keys[i] = erasureSlotKey(e.value, msp)
	}
	slots, err := loadAll[erasure.Slot](ctx, a, keys)
	if err != nil {
		return nil, err
	}
	for i, msp := range e.value.Holders {
		slot := slots[keys[i]]
		acknowledged := Acknowledgement{Organisation: msp, By: slot.value.By}
		if slot.value.By != "" {
			acknowledged.Evidence = &slot.evidence
		}
		one.Acknowledgements = append(one.Acknowledgements, acknowledged)
	}
	return one, nil
}

// Report is the answer to read.
func (c Contribution) Report() report.Document {
	d := c.document("Contribution "+c.Origin.Datanet+"/"+c.Origin.ID, report.Fact{Name: "contributor", Value: string(c.Origin.Contributor)}, report.Fact{Name: "state", Value: string(c.Origin.State)},
		report.Fact{Name: "commitment to the records", Value: c.Commitment}, report.Fact{Name: "commitment to author and source", Value: c.Descriptor},
		report.Fact{Name: "fingerprint", Value: fmt.Sprintf("%s, epoch %d", c.Print.HMAC, c.Print.Epoch)})
	steps := &report.Table{Columns: []string{"revision", "state", "when", "signed by"}}
	for _, s := range c.Steps {
		steps.Add([]report.Evidence{s.Evidence}, fmt.Sprint(s.Revision), s.State, report.Time(s.Evidence.Time), s.Evidence.By)
	}
	votes := &report.Table{Columns: []string{"revision", "organisation", "validator", "vote", "score", "reason", "report (SHA-256)"}, None: "No slots."}
	for _, b := range c.Ballots {
		choice := string(b.Choice)
		if b.Validator == "" {
			choice = "did not vote"
		}
		votes.Add(optional(b.Evidence), fmt.Sprint(b.Revision), b.Organisation, string(b.Validator), choice, fmt.Sprint(b.Score), string(b.Reason), b.Report)
	}
	where := report.Section{Title: "Snapshots and models"}
	switch s := c.Sealed; {
	case s == nil:
		where.Say(c.Origin.Evidence[:1], "It was never sealed, so no snapshot and no model has it.")
	case s.Until == 0:
		where.Say([]report.Evidence{s.Evidence}, "Leaf %d, in every snapshot from %d on.", s.Position, s.First)
	default:
		where.Say([]report.Evidence{s.Evidence}, "Leaf %d, in the snapshots from %d to before %d, where it is a tombstone.", s.Position, s.First, s.Until)
	}
	for i, m := range c.Models {
		where.Say(c.Trained[i:i+1], "Model %s was trained on a snapshot that holds it.", m)
	}
	d.Sections = append(d.Sections, report.Section{Title: "Origin", Table: originTable([]Origin{c.Origin}, "")}, report.Section{Title: "Its life", Table: steps},
		report.Section{Title: "Votes", Table: votes}, where, report.Section{Title: "Who received it", Table: releaseTable(c.Releases, c.More)}, erasureSection(c.Erasure))
	return d
}

func optional(e *report.Evidence) []report.Evidence {
	if e == nil {
		return nil
	}
	return []report.Evidence{*e}
}

func releaseTable(list []Release, more bool) *report.Table {
	t := &report.Table{Columns: []string{"released to", "why", "what", "by", "when"}, None: "No release is recorded."}
	for _, r := range list {
		what := "the contribution"
		if r.Snapshot > 0 {
			what = fmt.Sprintf("snapshot %d", r.Snapshot)
		}
		t.Add([]report.Evidence{r.Evidence}, string(r.To), string(r.Reason), what+" of "+r.Datanet, string(r.By), report.Time(r.Evidence.Time))
	}
	if more {
		t.More = "There are more releases than are listed here; the answer about a period has all of them."
	}
	return t
}

func erasureSection(e *Erasure) report.Section {
	s := report.Section{Title: "Erasure"}
	if e == nil {
		s.Say(nil, "Nobody has asked for its erasure.")
		return s
	}
	asked := e.Evidence[:min(1, len(e.Evidence))]
	s.Say(asked, "%s asked for the erasure on %s.", e.By, report.Time(&e.Requested))
	for _, k := range e.Acknowledgements {
		if k.By == "" {
			s.Say(asked, "%s has not acknowledged yet.", k.Organisation)
			continue
		}
		s.Say(optional(k.Evidence), "%s acknowledged for %s on %s that content and wrapping key are destroyed.", k.By, k.Organisation, report.Time(k.Evidence.Time))
	}
	if len(e.Outside) > 0 {
		s.Say(asked, "Got it for an audit, and acknowledge nothing here: %s.", strings.Join(e.Outside, ", "))
	}
	if e.State == erasure.Erased {
		s.Say(e.Evidence[len(e.Evidence)-1:], "The erasure was completed on %s.", report.Time(e.Completed))
	} else {
		s.Say(asked, "It is not complete.")
	}
	return s
}
