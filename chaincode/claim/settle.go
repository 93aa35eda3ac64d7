package claim

import (
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

func settle(tx ledger.Tx, req Settle) (Claim, error) {
	me := tx.Caller().Account()
	n := Named{Host: me, ID: req.ID}
	digest, err := req.digest()
	if err != nil {
		return Claim{}, err
	}
	before, found, err := ledger.Load[Claim](tx, key(n))
	if err != nil {
		return Claim{}, err
	}
	if found {
		if before.Digest != digest {
			return Claim{}, ledger.Refuse(ledger.CodeExists, "a settlement %s of another content exists: choose a new id", req.ID).At("id")
		}
		return before, nil
	}
	card, err := model.LoadAgreed(tx, req.Model, req.Card)
	if err != nil {
		return Claim{}, err
	}
	if card.Host != me {
		return Claim{}, ledger.Refuse(ledger.CodeForbidden, "the host of rate card %d of %s is %s", card.Card, card.Named, card.Host)
	}
	members, err := member.Load(tx)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{Named: n, Model: req.Model, Card: req.Card, Sessions: len(req.Sessions), Attestors: card.Attestors, Quorum: card.Quorum,
		Slots: members.Members, State: Open, Settled: tx.Time().UTC().Truncate(time.Second), Digest: digest, Tx: tx.TxID(),
		Due: disbursement.Due{Paid: []merkle.Hash{}}}
	if c.Revisions, err = revisions(tx, sourcesOf(card)); err != nil {
		return Claim{}, err
	}
	due, err := c.collect(tx, req)
	if err != nil {
		return Claim{}, err
	}
	if err := c.divide(card); err != nil {
		return Claim{}, err
	}
	if c.Data < MinData && card.Parts.Data > 0 && !req.closes() {
		return Claim{}, ledger.Refuse(ledger.CodeState, "the data part is %v, less than %v: settle later, or close all of these sessions", c.Data, MinData).At("sessions")
	}
	for _, p := range c.Payments {
		due[p.To] += p.Amount
	}
	for _, to := range slices.Sorted(maps.Keys(due)) {
		if err := token.Pay(tx, to, due[to], "settlement", req.ID); err != nil {
			return Claim{}, err
		}
	}
	if c.Data == 0 {
		c.State, c.EndTx = Released, tx.TxID()
	} else if err := openSlots(tx, c); err != nil {
		return Claim{}, err
	}
	tx.Emit("claim.settled/1", c)
	return c, ledger.Save(tx, key(n), c)
}

// collect settles the sessions: fees and scope go into the claim, and what goes back to whom is returned.
func (c *Claim) collect(tx ledger.Tx, req Settle) (map[ledger.Account]money.Amount, error) {
	due := map[ledger.Account]money.Amount{}
	var moves []use.Move
	for i, p := range req.Sessions {
		done, err := session.Settle(tx, c.Host, c.Card, p)
		if err != nil {
			return nil, ledger.AsFault(err).Within("sessions", i)
		}
		if done.Uses > 0 {
			moves = append(moves, done.Move)
		}
		c.Uses += done.Uses
		if c.Fees, err = c.Fees.Add(done.Fees); err != nil {
			return nil, ledger.Invalid("sessions", "%v", err)
		}
		if c.Rest, err = c.Rest.Add(done.Rest); err != nil {
			return nil, ledger.Invalid("sessions", "%v", err)
		}
		if done.Rest > 0 {
			due[p.Account] += done.Rest
		}
	}
	if len(moves) == 0 {
		return due, nil
	}
	var err error
	c.Scope, err = use.Scope(c.Card, moves)
	return due, err
}

// divide splits the fees: ⌊fees · data / 10⁶⌋ waits for attestation, the rest goes to the other parts by largest
// remainder, each payee once.
func (c *Claim) divide(card model.Card) error {
	data := new(big.Int).Mul(big.NewInt(int64(c.Fees)), big.NewInt(int64(card.Parts.Data)))
	c.Data = money.Amount(data.Quo(data, big.NewInt(money.Million)).Int64())
	c.Left, c.Payments = c.Data, []token.Payment{}
	if c.Fees == c.Data {
		return nil
	}
	parts := fixedParts(card)
	amounts, err := money.Split(c.Fees-c.Data, parts)
	if err != nil {
		return err
	}
	for i, amount := range amounts {
		if amount > 0 {
			c.Payments = append(c.Payments, token.Payment{To: ledger.Account(parts[i].Name), Amount: amount})
		}
	}
	return nil
}

// fixedParts are the parts of a fee that do not depend on receipts, in ppm, by payee. One account may hold several.
func fixedParts(card model.Card) []money.Part {
	ppm := map[ledger.Account]int64{}
	ppm[card.Host] += int64(card.Parts.Host)
	ppm[card.Owner] += int64(card.Parts.Owner)
	ppm[card.Platform] += int64(card.Parts.Platform)
	for _, up := range card.Upstream {
		ppm[up.Owner] += int64(up.Ppm)
	}
	for _, pool := range card.Pools {
		ppm[ledger.PoolAccount(pool.Datanet)] += int64(pool.Ppm)
	}
	parts := make([]money.Part, 0, len(ppm))
	for _, to := range slices.Sorted(maps.Keys(ppm)) {
		parts = append(parts, money.Part{Name: string(to), Weight: big.NewInt(ppm[to])})
	}
	return parts
}

func sourcesOf(card model.Card) []Revision {
	sources := make([]Revision, len(card.Snapshots))
	for i, s := range card.Snapshots {
		sources[i] = Revision{Datanet: s.Datanet, Number: s.Number}
	}
	return sources
}

func (v Revision) named() snapshot.Named {
	return snapshot.Named{Datanet: v.Datanet, Number: v.Number}
}

func (v Revision) key() ledger.Key { return snapshot.Key(v.named()) }

func (v Revision) latest(r ledger.Reader) (Revision, error) {
	s, err := snapshot.Load(r, v.named())
	v.Revision, v.Root = s.Revision, s.Root
	return v, err
}
