package question

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// Origin is a contribution in a snapshot: where it comes from, how it was collected, what it may be used for, who
// validated it and who declined.
type Origin struct {
	contribution.Named
	Snapshot       int                     `json:"snapshot,omitzero" doc:"Through which it is in the model."`
	Position       int64                   `json:"position" doc:"Of its leaf, from 0."`
	Contributor    ledger.Account          `json:"contributor"`
	State          contribution.State      `json:"state"`
	MediaType      string                  `json:"mediaType"`
	Records        int64                   `json:"records"`
	Tokens         int64                   `json:"tokens"`
	Provenance     contribution.Provenance `json:"provenance"`
	DatanetVersion int                     `json:"datanetVersion" doc:"Of the datanet, whose terms are its terms."`
	Licence        licence.Licence         `json:"licence"`
	OwnLicence     bool                    `json:"ownLicence" doc:"The licence is the contribution's own, stricter than the datanet's."`
	Ballots        []Ballot                `json:"ballots" doc:"Of the revision that was decided on."`
	Left           *report.Evidence        `json:"left,omitempty" doc:"Where it was withdrawn, or its erasure begun."`
	Evidence       []report.Evidence       `json:"evidence"`
}

// Ballot is an organisation's vote, or that it gave none.
type Ballot struct {
	Organisation string           `json:"organisation"`
	Revision     int              `json:"revision"`
	Validator    ledger.Account   `json:"validator,omitzero" doc:"Missing when the organisation did not vote."`
	Choice       approval.Choice  `json:"choice,omitzero"`
	Score        int              `json:"score,omitzero"`
	Reason       approval.Reason  `json:"reason,omitzero"`
	Report       string           `json:"report,omitzero" doc:"SHA-256 of the report that the validator saw."`
	Evidence     *report.Evidence `json:"evidence,omitempty"`
}

func (b Ballot) String() string {
	switch {
	case b.Validator == "":
		return b.Organisation + " did not vote"
	case b.Choice == approval.Approve:
		return fmt.Sprintf("%s approved (%d)", b.Organisation, b.Score)
	}
	return fmt.Sprintf("%s declined (%s)", b.Organisation, b.Reason)
}

// ballots reads the slots of revisions of contributions.
func (a *Auditor) ballots(ctx context.Context, c contribution.Contribution, first int) ([]Ballot, error) {
	byContribution, err := a.ballotsOf(ctx, []contribution.Contribution{c}, first)
	return byContribution[c.ID], err
}

// ballotsOf reads the slots of the revisions from first on, or of the last one only when first is 0.
func (a *Auditor) ballotsOf(ctx context.Context, list []contribution.Contribution, first int) (map[string][]Ballot, error) {
	var keys []ledger.Key
	for _, c := range list {
		for revision := from(first, c.Revision); revision <= c.Revision; revision++ {
			for _, msp := range c.Eligible {
				keys = append(keys, voteKey(c, revision, msp))
			}
		}
	}
	slots, err := loadAll[approval.Slot](ctx, a, keys)
	if err != nil {
		return nil, err
	}
	ballots := map[string][]Ballot{}
	for _, c := range list {
		ballots[c.ID] = []Ballot{}
		for revision := from(first, c.Revision); revision <= c.Revision; revision++ {
			for _, msp := range c.Eligible {
				slot, there := slots[voteKey(c, revision, msp)]
				if !there {
					continue // who is eligible may have changed with the revision
				}
				v := slot.value
				b := Ballot{Organisation: msp, Revision: revision, Validator: v.Validator, Choice: v.Choice, Score: v.Score, Reason: v.Reason, Report: v.Report}
				if v.Validator != "" {
					b.Evidence = &slot.evidence
				}
				ballots[c.ID] = append(ballots[c.ID], b)
			}
		}
	}
	return ballots, nil
}

func from(first, last int) int {
	if first == 0 {
		return last
	}
	return first
}

// originCursor is how far the contributions of some snapshots have been listed.
type originCursor struct {
	source   int
	position int64
}

func (c originCursor) String() string { return fmt.Sprintf("%d.%d", c.source, c.position) }

func parseOriginCursor(text string) (c originCursor, err error) {
	if text == "" {
		return c, nil
	}
	source, position, _ := strings.Cut(text, ".")
	if c.source, err = strconv.Atoi(source); err == nil {
		c.position, err = strconv.ParseInt(position, 10, 64)
	}
	if err != nil || c.String() != text || c.source < 0 || c.position < 0 {
		return c, ledger.Invalid("cursor", "not a cursor of this list")
	}
	return c, nil
}

// origins lists the contributions that snapshots hold, in the order of the snapshots and of their leaves.
func (a *Auditor) origins(ctx context.Context, sources []model.Source, page ledger.PageRequest) ([]Origin, string, error) {
	size, err := page.Size()
	if err != nil {
		return nil, "", err
	}
	at, err := parseOriginCursor(page.Cursor)
	if err != nil {
		return nil, "", err
	}
	list := []Origin{}
	for ; at.source < len(sources); at = (originCursor{source: at.source + 1}) {
		for len(list) < size {
			some, next, err := a.held(ctx, sources[at.source].Named, at.position, size-len(list))
			if err != nil {
				return nil, "", err
			}
			list = append(list, some...)
			if at.position = next; next == 0 {
				break
			}
		}
		if len(list) == size && (at.position > 0 || at.source+1 < len(sources)) {
			if at.position == 0 {
				at = originCursor{source: at.source + 1}
			}
			return list, at.String(), nil
		}
	}
	return list, "", nil
}

// leaf is a place in a snapshot and the contribution in it.
type leaf struct {
	contribution.Named
	position int64
}

// leaves lists the leaves of a snapshot from a position on, tombstones too, at most so many; next is 0 at the end.
func (a *Auditor) leaves(ctx context.Context, n snapshot.Named, position int64, limit int) (list []leaf, next int64, err error) {
	s, found, err := load[snapshot.Snapshot](ctx, a, snapshot.Key(n))
	if err != nil || !found {
		return nil, 0, err
	}
	for next = position; next < s.value.Count && len(list) < limit; {
		page, found, err := load[sealedPage](ctx, a, pageKey(n.Datanet, int(next/seal.PageSize)))
		if err != nil || !found {
			return nil, 0, err
		}
		ids := page.value.from(next % seal.PageSize)
		if len(ids) == 0 {
			return nil, 0, ledger.Refuse(ledger.CodeInternal, "page %d of %s has too few leaves", next/seal.PageSize, n.Datanet)
		}
		for _, id := range ids {
			if next == s.value.Count || len(list) == limit {
				break
			}
			list = append(list, leaf{contribution.Named{Datanet: n.Datanet, ID: id}, next})
			next++
		}
	}
	if next >= s.value.Count {
		next = 0
	}
	return list, next, nil
}

// held describes what a snapshot held when it was taken, from a position on. Contributions that were erased later are
// part of it.
func (a *Auditor) held(ctx context.Context, n snapshot.Named, position int64, limit int) (list []Origin, next int64, err error) {
	leaves, next, err := a.leaves(ctx, n, position, limit)
	if err != nil {
		return nil, 0, err
	}
	named, positions := make([]contribution.Named, len(leaves)), map[string]int64{}
	for i, l := range leaves {
		named[i], positions[l.ID] = l.Named, l.position
	}
	list, err = a.originsOf(ctx, named)
	if err != nil {
		return nil, 0, err
	}
	places, err := a.placesOf(ctx, named)
	if err != nil {
		return nil, 0, err
	}
	kept := list[:0]
	for _, o := range list {
		place := places[o.ID]
		if place.value.From != 0 && place.value.From <= n.Number {
			continue // a tombstone when the snapshot was taken
		}
		o.Snapshot, o.Position = n.Number, positions[o.ID]
		o.Evidence = append(o.Evidence, place.evidence)
		kept = append(kept, o)
	}
	return kept, next, nil
}

func (a *Auditor) placesOf(ctx context.Context, named []contribution.Named) (map[string]item[seal.Place], error) {
	keys := make([]ledger.Key, len(named))
	for i, n := range named {
		keys[i] = placeKey(n)
	}
	places, err := loadAll[seal.Place](ctx, a, keys)
	byID := map[string]item[seal.Place]{}
	for i, n := range named {
		byID[n.ID] = places[keys[i]]
	}
	return byID, err
}

// originsOf describes contributions, in their order.
func (a *Auditor) originsOf(ctx context.Context, named []contribution.Named) ([]Origin, error) {
	keys := make([]ledger.Key, len(named))
	for i, n := range named {
		keys[i] = contribution.Key(n.Datanet, n.ID)
	}
	contributions, err := loadAll[contribution.Contribution](ctx, a, keys)
	if err != nil {
		return nil, err
	}
	var list []contribution.Contribution
	var versionKeys []ledger.Key
	for _, key := range keys {
		if c, there := contributions[key]; there {
			list = append(list, c.value)
			versionKeys = append(versionKeys, datanet.VersionKey(c.value.Datanet, c.value.DatanetVersion))
		}
	}
	slices.Sort(versionKeys)
	versions, err := loadAll[datanet.Version](ctx, a, slices.Compact(versionKeys))
	if err != nil {
		return nil, err
	}
	ballots, err := a.ballotsOf(ctx, list, 0)
	if err != nil {
		return nil, err
	}
	origins := make([]Origin, len(list))
	for i, c := range list {
		version := versions[datanet.VersionKey(c.Datanet, c.DatanetVersion)]
		origins[i] = Origin{Named: c.Name(), Contributor: c.Contributor, State: c.State, MediaType: c.MediaType, Records: c.Records, Tokens: c.Tokens,
			Provenance: c.Provenance, DatanetVersion: c.DatanetVersion, Licence: c.Terms(version.value), OwnLicence: c.Licence != nil,
			Ballots: ballots[c.ID], Evidence: []report.Evidence{contributions[contribution.Key(c.Datanet, c.ID)].evidence}}
		left, err := a.transactions(ctx, c.LeaveTx)
		if err != nil {
			return nil, err
		}
		if len(left) > 0 {
			origins[i].Left = &left[0]
		}
		if !origins[i].OwnLicence {
			origins[i].Evidence = append(origins[i].Evidence, version.evidence)
		}
	}
	return origins, nil
}

// disputed tells the reasons for which a validator declined a contribution that was approved all the same, if they put
// its licence or its origin in doubt.
func (o Origin) disputed() (reasons []string, found []report.Evidence) {
	for _, b := range o.Ballots {
		if b.Choice == approval.Reject && slices.Contains([]approval.Reason{"licence", "provenance", "personal-data", "duplicate"}, b.Reason) {
			reasons = append(reasons, b.Organisation+": "+string(b.Reason))
			found = append(found, *b.Evidence)
		}
	}
	return reasons, found
}

// originTable shows contributions.
func originTable(list []Origin, next string) *report.Table {
	t := &report.Table{Columns: []string{"contribution", "snapshot", "contributor", "collected", "records / tokens", "may be used for", "validators", "state"},
		None: "No contributions."}
	for _, o := range list {
		found := slices.Clone(o.Evidence)
		votes := make([]string, len(o.Ballots))
		for i, b := range o.Ballots {
			votes[i] = b.String()
			if b.Evidence != nil {
				found = append(found, *b.Evidence)
			}
		}
		where := "–"
		if o.Snapshot > 0 {
			where = fmt.Sprintf("%d, leaf %d", o.Snapshot, o.Position)
		}
		t.Add(found, o.Datanet+"/"+o.ID, where, string(o.Contributor), collected(o.Provenance), fmt.Sprintf("%d / %d", o.Records, o.Tokens),
			terms(o.Licence, o.OwnLicence, o.DatanetVersion), strings.Join(votes, "; "), string(o.State))
	}
	if next != "" {
		t.More = further(next)
	}
	return t
}

func collected(p contribution.Provenance) string {
	text := fmt.Sprintf("%s, made %s, languages %s", p.Method, years(p.FromYear, p.ToYear), orNone(strings.Join(spoken(p.Languages), ", ")))
	if p.PersonalData {
		text += ", holds personal data"
	}
	return text
}

func years(first, last int) string {
	if first == last {
		return strconv.Itoa(first)
	}
	return fmt.Sprintf("%d to %d", first, last)
}

// language is a BCP 47 tag to read.
func language(tag string) string {
	if tag == "und" {
		return "und (not determined)"
	}
	return tag
}

func spoken(tags []string) []string {
	list := make([]string, len(tags))
	for i, tag := range tags {
		list[i] = language(tag)
	}
	return list
}

func orNone(s string) string {
	if s == "" {
		return "none named"
	}
	return s
}

// terms shows a licence.
func terms(l licence.Licence, own bool, version int) string {
	text := licence.List(l.Purposes)
	if !l.Expires.IsZero() {
		text += ", until " + report.Time(&l.Expires)
	}
	if len(l.Geography) > 0 {
		text += ", in " + strings.Join(l.Geography, ", ")
	}
	if own {
		return text + " (a licence of its own)"
	}
	return fmt.Sprintf("%s (the datanet's, version %d)", text, version)
}
