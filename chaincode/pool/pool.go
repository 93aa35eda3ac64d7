// Package pool pays out the pools of datanets: credits for the validators, and what no receipt names.
//
// A pool is an account that nobody signs for. From time to time somebody works out, as the datanet's policy says, who gets
// what, and the members decide on the table by a proposal of kind "pool.pay". Then anyone draws credits of the pool until
// the pay-out has what it pays, and has it paid page by page.
//
//	pool.pay (the members) ──► short of its amount ──draw (anyone) ×──► funded ──release (anyone) × page──► paid out
//
// The proposal names no credits, so nobody can make it fail by using one of them.
package pool

import (
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// Named names a pay-out of a datanet's pool.
type Named struct {
	Datanet string `json:"datanet"`
	ID      string `json:"id"`
}

func (n Named) Validate() error {
	if err := ledger.ValidName("datanet", n.Datanet); err != nil {
		return err
	}
	return ledger.ValidID("id", n.ID)
}

func (n Named) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{key(n)} }

// Pay is the parameter of a "pool.pay" proposal: what is paid out of the pool, and the digest of the table by which. Of an
// existing pay-out it gives another table for all that it has not paid yet.
type Pay struct {
	Named
	Amount money.Amount `json:"amount"`
	Table  merkle.Hash  `json:"table"`
}

// Payout is a pay-out that the members have decided. It holds what has been drawn and not paid yet.
type Payout struct {
	Named
	Amount money.Amount `json:"amount"`
	Short  money.Amount `json:"short"` // what is still to be drawn of the amount
	disbursement.Due
	Proposal string `json:"proposal"`
	Tx       string `json:"tx"`
}

func load(r ledger.Reader, n Named) (Payout, error) {
	p, found, err := ledger.Load[Payout](r, key(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "the pool of %s has no pay-out %s", n.Datanet, n.ID).At("id")
	}
	return p, err
}

// CheckPay reports why a pay-out cannot be decided.
func CheckPay(r ledger.Reader, p Pay) error {
	if err := p.Named.Validate(); err != nil {
		f := ledger.AsFault(err)
		return f.At("params." + f.Field)
	}
	if p.Amount == 0 {
		return ledger.Invalid("params.amount", "must be positive")
	}
	if p.Table == (merkle.Hash{}) {
		return ledger.Invalid("params.table", "is missing")
	}
	there, found, err := ledger.Load[Payout](r, key(p.Named))
	if err == nil && found && there.Short+there.Left != p.Amount {
		err = ledger.Refuse(ledger.CodeExists, "the pay-out %s exists and has %v left to pay", p.ID, there.Short+there.Left).At("params.id")
	}
	return err
}

// Decide writes a pay-out that has nothing yet, or gives one another table, for a proposal that the members approved.
func Decide(tx ledger.Tx, proposal string, p Pay) error {
	there, found, err := ledger.Load[Payout](tx, key(p.Named))
	if err != nil {
		return err
	}
	if !found {
		there = Payout{Named: p.Named, Amount: p.Amount, Short: p.Amount, Due: disbursement.Due{Paid: []merkle.Hash{}}}
	}
	there.Next, there.Proposal, there.Tx = p.Table, proposal, tx.TxID()
	return ledger.Save(tx, key(p.Named), there)
}

// Draw is the request that takes credits out of the pool for a pay-out; what they are worth more stays in the pool.
type Draw struct {
	Named
	Draw    string   `json:"draw"` // a random id
	Credits []string `json:"credits"`
}

func (d Draw) source() token.Source { return token.Source{Credits: d.Credits, Apart: true} }

func (d Draw) Validate() error {
	if err := d.Named.Validate(); err != nil {
		return err
	}
	if err := ledger.ValidID("draw", d.Draw); err != nil {
		return err
	}
	return d.source().Validate()
}

func (d Draw) Reads(ledger.Caller) []ledger.Key {
	return append(token.SpendReadsFrom(ledger.PoolAccount(d.Datanet), d.Draw, d.source()), key(d.Named))
}

func draw(tx ledger.Tx, req Draw) (Payout, error) {
	pool := ledger.PoolAccount(req.Datanet)
	_, done, err := token.RepeatedFrom(tx, pool, req.Draw, "pool-payout", req)
	if err != nil {
		return Payout{}, ledger.AsFault(err).At("draw")
	}
	p, err := load(tx, req.Named)
	if err != nil || done {
		return p, err
	}
	if p.Short == 0 {
		return Payout{}, ledger.Refuse(ledger.CodeState, "the pay-out has all of its %v", p.Amount)
	}
	worth, err := token.Worth(tx, pool, req.Credits)
	if err != nil {
		return Payout{}, err
	}
	amount := min(worth, p.Short)
	if _, err := token.TakeFrom(tx, pool, req.Draw, "pool-payout", req, amount, 0, req.source()); err != nil {
		return Payout{}, err
	}
	p.Short, p.Left = p.Short-amount, p.Left+amount
	tx.Emit("pool.drawn/1", p)
	return p, ledger.Save(tx, key(p.Named), p)
}

// Release is the request that pays a page.
type Release struct {
	Named
	disbursement.Page
}

func (r Release) Validate() error {
	if err := r.Named.Validate(); err != nil {
		return err
	}
	return r.Page.Check()
}

func (r Release) Reads(ledger.Caller) []ledger.Key { return append(r.Page.Reads(), key(r.Named)) }

// release pays the next page. No pool is paid out of a pool.
func release(tx ledger.Tx, req Release) (Payout, error) {
	p, err := load(tx, req.Named)
	if err != nil {
		return p, err
	}
	if p.Short > 0 {
		return Payout{}, ledger.Refuse(ledger.CodeState, "%v are still to be drawn of the pool", p.Short)
	}
	due, fresh, err := p.Pay(tx, req.Page, func(string) bool { return false }, "pool", req.Datanet)
	if err != nil || !fresh {
		return p, err
	}
	p.Due = due
	tx.Emit("pool.released/1", p)
	return p, ledger.Save(tx, key(p.Named), p)
}

// Listing asks for a page of the pay-outs of a datanet's pool.
type Listing struct {
	Datanet string `json:"datanet"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return ledger.ValidName("datanet", l.Datanet) }

// Functions are the pool functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("pool:Draw", "Takes credits out of a datanet's pool for a pay-out that the members have decided.", ledger.Anyone, draw),
		ledger.Command("pool:Release", "Pays the next page of a pay-out that the members have decided.", ledger.Anyone, release),
		ledger.Query("pool:Get", "Shows a pay-out of a datanet's pool.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Payout, error) { return load(r, req) }),
		ledger.Query("pool:List", "Lists the pay-outs of a datanet's pool.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Payout], error) {
				return ledger.List(r, payoutsOf(req.Datanet), req.PageRequest, ledger.Value[Payout])
			}),
	}
}
