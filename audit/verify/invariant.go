package verify

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// sealingTerm is how long after its outcome an approved contribution may stay out of a snapshot. The times are those of
// proposals, which clients choose within a quarter of an hour.
const sealingTerm = 24 * time.Hour

// invariants look at what blocks leave in the state, without the rules: they read entries by the names of their members and
// know nothing of how they came about. What a mistake in a rule lets through is found here.
type invariants struct {
	chaincode string
	state     *replay.Replayer
	memory    *ledger.Memory         // of what was decoded lately
	waiting   map[ledger.Key]outcome // approved contributions that are in no page yet
	unused    map[string]place       // tickets under which content was released and no model registered, by id
}

// outcome is when a contribution was approved.
type outcome struct {
	place
	at time.Time
}

// place is where something happened.
type place struct {
	block uint64
	tx    int
	id    string
}

func newInvariants(chaincode string, state *replay.Replayer) *invariants {
	return &invariants{chaincode: chaincode, state: state, memory: &ledger.Memory{}, waiting: map[ledger.Key]outcome{}, unused: map[string]place{}}
}

// kind is the check of an entry that changed, whose key has so many parts.
type kind struct {
	parts int
	check func(i *invariants, c change) error
}

// kinds are the checks by the kind of the key.
var kinds = map[string]kind{
	"vote": {4, (*invariants).vote}, "contribution": {2, (*invariants).contribution}, "sealed": {2, (*invariants).sealed}, "snapshot": {2, (*invariants).snapshot},
	"ticket": {1, (*invariants).ticket}, "release": {2, (*invariants).release}, "model": {2, (*invariants).model}, "proposal": {1, (*invariants).proposal},
	"proposal-slot": {2, (*invariants).approval}, "claim": {2, (*invariants).claim}, "claim-slot": {3, (*invariants).attestation},
	"erasure-slot": {3, (*invariants).acknowledgement}, "replica-consent": {2, (*invariants).consent}, "rate-card": {3, (*invariants).card},
	"rate-card-consent": {3, (*invariants).acceptance},
}

// change is one key that a transaction changed.
type change struct {
	replay.Change
	parts []string // of the key
	by    ledger.Caller
	place
	at    time.Time
	block []replay.Change // all of the block
}

// broken is an invariant that does not hold, under its rule.
type broken struct {
	rule Rule
	why  string
}

func (b broken) Error() string { return b.why }

func breaks(rule Rule, format string, args ...any) error {
	return broken{rule, fmt.Sprintf(format, args...)}
}

// check looks at a block's changes after they were applied. A transaction gives who sent it and when.
func (i *invariants) check(number uint64, changes []replay.Change, transaction func(tx int) (id string, by ledger.Caller, at time.Time)) []Finding {
	var found []Finding
	for _, c := range changes {
		if c.Namespace != i.chaincode || c.Collection != "" {
			continue
		}
		name, rest, _ := strings.Cut(strings.Trim(c.Key, "\x00"), "\x00")
		kind, known := kinds[name]
		if !known {
			continue
		}
		one := change{Change: c, parts: strings.Split(rest, "\x00"), block: changes, place: place{block: number, tx: int(c.Version.Tx)}}
		one.id, one.by, one.at = transaction(one.tx)
		err := breaks(RuleState, "a key of %d parts, where those of its kind have %d", len(one.parts), kind.parts)
		if len(one.parts) == kind.parts {
			err = kind.check(i, one)
		}
		if err != nil {
			b, ok := err.(broken)
			if !ok {
				b = broken{RuleState, err.Error()}
			}
			found = append(found, Finding{Severity: Broken, Rule: b.rule, Block: number, Tx: &one.tx, TxID: one.id, Key: readable(c.Key), Message: b.why})
		}
	}
	return found
}

// end lists what was released for training and never cited.
func (i *invariants) end() []Finding {
	var found []Finding
	for ticket, p := range i.unused {
		found = append(found, Finding{Severity: Noted, Rule: RuleUnused, Block: p.block, Tx: &p.tx, TxID: p.id, Key: "ticket/" + ticket,
			Message: "content was released under this ticket, and no model cites it"})
	}
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.Key, b.Key) })
	return found
}

// read decodes what is needed of an entry; false when there is none.
func read[T any](m *ledger.Memory, e *memledger.Entry) (value T, found bool, err error) {
	if e == nil {
		return value, false, nil
	}
	value, err = ledger.Remember(m, e.Value, func(data []byte) (value T, err error) {
		if err := json.Unmarshal(data, &value); err != nil {
			return value, fmt.Errorf("an entry that is not what its key says: %w", err)
		}
		return value, nil
	})
	return value, err == nil, err
}

// load is read for a key of the state after the block.
func load[T any](i *invariants, kind string, parts ...string) (value T, found bool, err error) {
	return read[T](i.memory, i.state.Get(composite(kind, parts...)))
}

func composite(kind string, parts ...string) ledger.Key {
	return ledger.Key("\x00" + strings.Join(append([]string{kind}, parts...), "\x00") + "\x00")
}

// filled is a slot that belongs to one organisation: empty when it is made, filled by its people.
type filled struct {
	MSP       string         `json:"msp"`
	Validator ledger.Account `json:"validator"`
	Approver  ledger.Account `json:"approver"`
	By        ledger.Account `json:"by"`
	Choice    string         `json:"choice"`
}

func (f filled) who() ledger.Account {
	return ledger.Account(string(f.Validator) + string(f.Approver) + string(f.By))
}

// slot checks what all slots but consents to rate cards have in common: they are made over the members, one of whom has it,
// and see held.
func (i *invariants) slot(c change, msp string, members []string) (filled, error) {
	s, err := i.held(c, msp, members)
	switch {
	case err != nil:
	case !slices.Contains(members, msp):
		err = breaks(RuleSlots, "%s has a slot, and is none of those that may have one: %v", msp, members)
	case c.Before == nil && !i.allMembers(members):
		err = breaks(RuleSlots, "the slot is over %v, which are not the members", members)
	}
	return s, err
}

// held checks that key and guard of a slot are its organisation's, and so is who fills it.
func (i *invariants) held(c change, msp string, members []string) (filled, error) {
	s, found, err := read[filled](i.memory, c.After)
	before, _, _ := read[filled](i.memory, c.Before)
	switch {
	case err != nil:
		return s, err
	case !found:
		return s, breaks(RuleSlots, "a slot was deleted")
	case s.MSP != msp:
		return s, breaks(RuleSlots, "the slot of %s says that it is of %q", msp, s.MSP)
	case c.After.Policy == nil || !c.After.Policy.Equal(ledger.SlotPolicy(msp, members)):
		return s, breaks(RuleSlots, "the slot is not guarded by %s and a majority of %v", msp, members)
	case s.who() != before.who() && (s.who() != c.by.Account() || c.by.MSP != msp):
		return s, breaks(RuleSlots, "%s stands in the slot of %s, and %s put it there", s.who(), msp, c.by.Account())
	}
	return s, nil
}

// allMembers tells whether organisations are the members of the consortium.
func (i *invariants) allMembers(msps []string) bool {
	m, _, err := load[struct {
		Members []string `json:"members"`
	}](i, "members")
	return err == nil && (slices.Equal(m.Members, msps) || slices.Equal(slices.Sorted(slices.Values(m.Members)), slices.Sorted(slices.Values(msps))))
}

type contributed struct {
	Contributor ledger.Account `json:"contributor"`
	Eligible    []string       `json:"eligible"`
	Slots       []string       `json:"slots"`
	Revision    int            `json:"revision"`
	Quorum      int            `json:"quorum"`
	State       string         `json:"state"`
	Approval    bool           `json:"approval"`
}

// vote: by an eligible organisation, in its slot, never the contributor's.
func (i *invariants) vote(c change) error {
	of, found, err := load[contributed](i, "contribution", c.parts[:len(c.parts)-2]...)
	if err != nil || !found {
		return either(err, breaks(RuleVotes, "a vote on a contribution that is not there"))
	}
	msp := c.parts[len(c.parts)-1]
	if !slices.Contains(of.Eligible, msp) || of.Contributor.MSP() == msp {
		return breaks(RuleVotes, "%s votes on a contribution of %s, on which %v may", msp, of.Contributor, of.Eligible)
	}
	_, err = i.slot(c, msp, of.Slots)
	return err
}

// contribution: an outcome is what the votes give, and what was approved waits to be sealed.
func (i *invariants) contribution(c change) error {
	after, found, err := read[contributed](i.memory, c.After)
	if err != nil || !found {
		return either(err, breaks(RuleVotes, "a contribution was deleted"))
	}
	before, _, err := read[contributed](i.memory, c.Before)
	if err != nil {
		return err
	}
	key := ledger.Key(c.Key)
	if after.State != "approved" {
		delete(i.waiting, key)
	}
	if before.State == after.State || after.State != "approved" && after.State != "rejected" {
		return nil
	}
	count := map[string]int{}
	for _, msp := range after.Eligible {
		s, _, err := load[filled](i, "vote", c.parts[0], c.parts[1], fmt.Sprintf("%06d", after.Revision), msp)
		if err != nil {
			return err
		}
		count[s.Choice]++
	}
	if after.State == "approved" {
		i.waiting[key] = outcome{c.place, c.at}
	}
	if 2*after.Quorum <= len(after.Eligible) {
		return breaks(RuleVotes, "a quorum of %d of %d lets two outcomes stand", after.Quorum, len(after.Eligible))
	}
	if after.State == "approved" && count["approve"] < after.Quorum || after.State == "rejected" && count["reject"] <= len(after.Eligible)-after.Quorum {
		return breaks(RuleVotes, "it is %s with %d votes to approve and %d to reject of %d, where %d decide", after.State, count["approve"], count["reject"],
			len(after.Eligible), after.Quorum)
	}
	return nil
}

// sealed: only what was approved.
func (i *invariants) sealed(c change) error {
	of, _, err := load[contributed](i, "contribution", c.parts...)
	if err != nil {
		return err
	}
	delete(i.waiting, composite("contribution", c.parts...))
	if !of.Approval {
		return breaks(RuleApproval, "it is sealed, and was never approved")
	}
	return nil
}

// snapshot: nothing that was approved long before is left out.
func (i *invariants) snapshot(c change) error {
	if c.Before != nil {
		return nil
	}
	prefix := string(composite("contribution", c.parts[0]))
	var skipped []string
	for key, o := range i.waiting {
		if strings.HasPrefix(string(key), prefix) && c.at.Sub(o.at) > sealingTerm {
			skipped = append(skipped, readable(string(key)))
		}
	}
	if len(skipped) > 0 {
		slices.Sort(skipped)
		return breaks(RuleSealing, "it leaves out %d contributions that were approved more than %s before, first %s", len(skipped), sealingTerm, skipped[0])
	}
	return nil
}

type ticketed struct {
	Trainer ledger.Account `json:"trainer"`
	Purpose string         `json:"purpose"`
	Expires time.Time      `json:"expires"`
	State   string         `json:"state"`
	Models  []string       `json:"models"`
	Sources []struct {
		Datanet  string `json:"datanet"`
		Number   int    `json:"number"`
		Versions []int  `json:"versions"`
		Grant    string `json:"grant"`
	} `json:"sources"`
}

// ticket: licences and grants that are in force cover the purpose.
func (i *invariants) ticket(c change) error {
	t, found, err := read[ticketed](i.memory, c.After)
	if err != nil || !found {
		return either(err, breaks(RuleLicence, "a ticket was deleted"))
	}
	if len(t.Models) > 0 {
		delete(i.unused, c.parts[0])
	}
	before, had, err := read[ticketed](i.memory, c.Before)
	if err != nil {
		return err
	}
	if had { // a model was registered under it, or it ended
		if len(t.Models) > len(before.Models) && (before.State != "open" && before.State != "used" || !before.Expires.IsZero() && !c.at.Before(before.Expires)) {
			return breaks(RuleLicence, "a model was registered under a ticket that had ended")
		}
		return nil
	}
	for _, s := range t.Sources {
		if err := i.covered(t, s.Datanet, s.Versions, s.Grant, c.at); err != nil {
			return err
		}
	}
	return nil
}

type licensed struct {
	Licence struct {
		Purposes []string  `json:"purposes"`
		Expires  time.Time `json:"expires"`
	} `json:"licence"`
}

type granted struct {
	Grantee  string    `json:"grantee"`
	Purposes []string  `json:"purposes"`
	Expires  time.Time `json:"expires"`
	State    string    `json:"state"`
}

func (i *invariants) covered(t ticketed, datanet string, versions []int, grant string, at time.Time) error {
	for _, version := range versions {
		l, found, err := load[licensed](i, "datanet-version", datanet, fmt.Sprintf("%010d", version))
		if err != nil {
			return err
		}
		if !found || !slices.Contains(l.Licence.Purposes, t.Purpose) || !l.Licence.Expires.IsZero() && !at.Before(l.Licence.Expires) {
			return breaks(RuleLicence, "the licence of version %d of %s does not cover %s at %s", version, datanet, t.Purpose, at.Format(time.RFC3339))
		}
	}
	if ledger.Owner(datanet) == t.Trainer.MSP() {
		return nil
	}
	g, found, err := load[granted](i, "grant", datanet, grant)
	switch {
	case err != nil:
		return err
	case grant == "" || !found:
		return breaks(RuleLicence, "%s has no grant of %s", t.Trainer, datanet)
	case g.State != "active", !at.Before(g.Expires), !slices.Contains(g.Purposes, t.Purpose), g.Grantee != string(t.Trainer) && g.Grantee != t.Trainer.MSP():
		return breaks(RuleLicence, "the grant %s of %s, for %s, is %s until %s and for %v: not for %s of %s", grant, datanet, g.Grantee, g.State,
			g.Expires.Format(time.RFC3339), g.Purposes, t.Purpose, t.Trainer)
	}
	return nil
}

// release: nothing of what is erased, and for training only under a ticket that runs.
func (i *invariants) release(c change) error {
	r, found, err := read[struct {
		Datanet       string   `json:"datanet"`
		Contributions []string `json:"contributions"`
		Ticket        string   `json:"ticket"`
	}](i.memory, c.After)
	if err != nil || !found || c.Before != nil {
		return err
	}
	for _, id := range r.Contributions {
		of, _, err := load[contributed](i, "contribution", r.Datanet, id)
		if err != nil {
			return err
		}
		if of.State == "erased" {
			return breaks(RuleErasure, "contribution %s was handed over after it was erased", id)
		}
	}
	if r.Ticket == "" {
		return nil
	}
	t, found, err := load[ticketed](i, "ticket", r.Ticket)
	switch {
	case err != nil:
		return err
	case !found, t.State != "open" && t.State != "used", !t.Expires.IsZero() && !c.at.Before(t.Expires):
		return breaks(RuleLicence, "content was released under ticket %s, which does not run", r.Ticket)
	case len(t.Models) == 0:
		i.unused[r.Ticket] = c.place
	}
	return nil
}

type registeredModel struct {
	Bases     []modelName `json:"bases"`
	Ancestors []modelName `json:"ancestors"`
	Card      int         `json:"card"`
	Slots     []string    `json:"slots"`
}

type modelName struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// model: it descends from models that stood before it, so no model descends from itself, and the card in force is accepted.
func (i *invariants) model(c change) error {
	m, found, err := read[registeredModel](i.memory, c.After)
	if err != nil || !found {
		return err
	}
	before, had, err := read[registeredModel](i.memory, c.Before)
	if err == nil && m.Card != 0 && m.Card != before.Card {
		err = i.accepted(c, m.Card)
	}
	if err != nil || had {
		return err
	}
	if !i.allMembers(m.Slots) {
		return breaks(RuleSlots, "the model is over %v, which are not the members", m.Slots)
	}
	for _, base := range append(m.Bases, m.Ancestors...) {
		key := string(composite("model", base.Name, base.Version))
		made := slices.ContainsFunc(c.block, func(o replay.Change) bool { return o.Key == key && o.Before == nil })
		if made || i.state.Get(ledger.Key(key)) == nil {
			return breaks(RuleLineage, "it descends from %s@%s, which did not stand before it", base.Name, base.Version)
		}
	}
	return nil
}

// hostOf is the organisation of a rate card's host, and whether the host has to be asked: it is another than the model's.
func (i *invariants) hostOf(name, version, card string) (msp string, foreign bool, err error) {
	c, found, err := load[struct {
		Host ledger.Account `json:"host"`
	}](i, "rate-card", name, version, card)
	if err == nil && !found {
		err = breaks(RuleSlots, "there is no rate card %s of %s@%s", card, name, version)
	}
	return c.Host.MSP(), c.Host.MSP() != ledger.Owner(name), err
}

// accepted: a card comes into force with its host's consent.
func (i *invariants) accepted(c change, card int) error {
	number := fmt.Sprintf("%06d", card)
	msp, foreign, err := i.hostOf(c.parts[0], c.parts[1], number)
	if err != nil || !foreign {
		return err
	}
	s, _, err := load[filled](i, "rate-card-consent", c.parts[0], c.parts[1], number)
	if err == nil && s.By == "" {
		err = breaks(RuleSlots, "rate card %d came into force, and %s has not accepted it", card, msp)
	}
	return err
}

// acceptance: of a rate card by its host's organisation, in its own slot, over those that were members when the model was
// registered. The host's may have joined later.
func (i *invariants) acceptance(c change) error {
	msp, _, err := i.hostOf(c.parts[0], c.parts[1], c.parts[2])
	if err != nil {
		return err
	}
	m, found, err := load[registeredModel](i, "model", c.parts[0], c.parts[1])
	if err != nil || !found {
		return either(err, breaks(RuleSlots, "a consent to a rate card of a model that is not there"))
	}
	_, err = i.held(c, msp, m.Slots)
	return err
}

// card: it gives data, validators and base models what is due to them, and where something is due it has a price.
func (i *invariants) card(c change) error {
	card, found, err := read[struct {
		PriceIn  money.Amount `json:"priceIn"`
		PriceOut money.Amount `json:"priceOut"`
		Parts    struct {
			Data       int `json:"data"`
			Validators int `json:"validators"`
			Upstream   int `json:"upstream"`
		} `json:"parts"`
	}](i.memory, c.After)
	if err != nil || !found {
		return either(err, breaks(RulePrice, "a rate card was deleted"))
	}
	m, found, err := load[struct {
		Due struct {
			DataPpm       int `json:"dataPpm"`
			ValidatorsPpm int `json:"validatorsPpm"`
		} `json:"due"`
		Upstream []struct {
			Ppm int `json:"ppm"`
		} `json:"upstream"`
	}](i, "model", c.parts[:len(c.parts)-1]...)
	if err != nil || !found {
		return either(err, breaks(RulePrice, "a rate card of a model that is not there"))
	}
	below := 0
	for _, u := range m.Upstream {
		below += u.Ppm
	}
	switch due := m.Due.DataPpm + m.Due.ValidatorsPpm + below; {
	case card.Parts.Data != m.Due.DataPpm, card.Parts.Validators != m.Due.ValidatorsPpm, card.Parts.Upstream != below:
		return breaks(RulePrice, "it gives data %d, validators %d and base models %d ppm of a fee, where %d, %d and %d are due", card.Parts.Data, card.Parts.Validators,
			card.Parts.Upstream, m.Due.DataPpm, m.Due.ValidatorsPpm, below)
	case card.PriceIn == 0 && card.PriceOut == 0 && due > 0:
		return breaks(RulePrice, "the use costs nothing, and of every fee %d ppm are due to others", due)
	}
	return nil
}

type proposed struct {
	Proposer ledger.Account `json:"proposer"`
	Slots    []string       `json:"slots"`
	Approved []string       `json:"approved"`
	State    string         `json:"state"`
}

// approval: of a proposal, by another person than who made it.
func (i *invariants) approval(c change) error {
	p, found, err := load[proposed](i, "proposal", c.parts[0])
	if err != nil || !found {
		return either(err, breaks(RuleSlots, "an approval of a proposal that is not there"))
	}
	s, err := i.slot(c, c.parts[1], p.Slots)
	if err == nil && s.Approver == p.Proposer && s.Approver != "" {
		err = breaks(RuleSeparation, "%s approves the own proposal", s.Approver)
	}
	return err
}

// proposal: executed with the approvals of a majority.
func (i *invariants) proposal(c change) error {
	p, found, err := read[proposed](i.memory, c.After)
	before, _, _ := read[proposed](i.memory, c.Before)
	if err != nil || !found || p.State != "executed" || before.State == "executed" {
		return err
	}
	approvals := 0
	for _, msp := range p.Slots {
		s, _, err := load[filled](i, "proposal-slot", c.parts[0], msp)
		if err != nil {
			return err
		}
		if s.Approver != "" {
			approvals++
		}
	}
	if approvals < ledger.Majority(len(p.Slots)) {
		return breaks(RuleVotes, "it was executed with %d approvals of %d members", approvals, len(p.Slots))
	}
	return nil
}

// attestation: in the attestor's own slot.
func (i *invariants) attestation(c change) error {
	of, found, err := load[struct {
		Slots     []string `json:"slots"`
		Attestors []string `json:"attestors"`
	}](i, "claim", c.parts[:len(c.parts)-1]...)
	if err != nil || !found {
		return either(err, breaks(RuleSlots, "an attestation of a claim that is not there"))
	}
	msp := c.parts[len(c.parts)-1]
	if !slices.Contains(of.Attestors, msp) {
		return breaks(RuleVotes, "%s attests, and is none of %v", msp, of.Attestors)
	}
	_, err = i.slot(c, msp, of.Slots)
	return err
}

// acknowledgement: of an erasure, in the holder's own slot.
func (i *invariants) acknowledgement(c change) error {
	of, found, err := load[struct {
		Slots []string `json:"slots"`
	}](i, "erasure", c.parts[:len(c.parts)-1]...)
	if err != nil || !found {
		return either(err, breaks(RuleSlots, "an acknowledgement of an erasure that is not there"))
	}
	_, err = i.slot(c, c.parts[len(c.parts)-1], of.Slots)
	return err
}

// consent: of the keeper that the agreement names, in its own slot.
func (i *invariants) consent(c change) error {
	of, found, err := load[struct {
		Keeper string   `json:"keeper"`
		Slots  []string `json:"slots"`
	}](i, "replica", c.parts...)
	if err != nil || !found {
		return either(err, breaks(RuleSlots, "a consent to an agreement that is not there"))
	}
	_, err = i.slot(c, of.Keeper, of.Slots)
	return err
}

type tabbed struct {
	N      int64        `json:"n"`
	Amount money.Amount `json:"amount"`
}

// claim: a settlement takes out of the sessions what it pays and claims.
func (i *invariants) claim(c change) error {
	after, found, err := read[struct {
		Fees     money.Amount `json:"fees"`
		Data     money.Amount `json:"data"`
		Uses     int64        `json:"uses"`
		Payments []struct {
			Amount money.Amount `json:"amount"`
		} `json:"payments"`
	}](i.memory, c.After)
	if err != nil || !found || c.Before != nil {
		return err
	}
	uses, fees := new(big.Int), new(big.Int)
	for _, o := range c.block {
		if o.Version.Tx != c.Version.Tx || !strings.HasPrefix(o.Key, "\x00tab\x00") || o.Before == nil {
			continue
		}
		was, _, err := read[tabbed](i.memory, o.Before)
		if err != nil {
			return err
		}
		is, _, err := read[tabbed](i.memory, o.After)
		if err != nil {
			return err
		}
		if is.N < was.N || is.Amount < was.Amount {
			return breaks(RuleSettlement, "the tab %s went back", readable(o.Key))
		}
		uses.Add(uses, big.NewInt(is.N-was.N))
		fees.Add(fees, big.NewInt(int64(is.Amount-was.Amount)))
	}
	paid := big.NewInt(int64(after.Data))
	for _, p := range after.Payments {
		paid.Add(paid, big.NewInt(int64(p.Amount)))
	}
	if !uses.IsInt64() || uses.Int64() != after.Uses || !fees.IsInt64() || fees.Int64() != int64(after.Fees) || paid.Cmp(fees) != 0 {
		return breaks(RuleSettlement, "sessions gave %s micro-credits for %s uses, the settlement is of %d for %d and pays or claims %s", fees, uses, after.Fees, after.Uses, paid)
	}
	return nil
}

func either(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
