// Package settlement pays for answers of a model: the developer, the platform, the pools, and the contributors whose
// data the receipts name.
//
// It is to be replaced. Here the consumer pays directly from its own account and sends the receipts, so only the
// consumer's money is at stake and nobody has to attest them; the chaincode computes the whole split. Sessions with
// escrow, vouchers and attestation take its place.
package settlement

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// MaxAnswers bounds a settlement.
const MaxAnswers = 100

// Answer is one answer to pay for.
type Answer struct {
	Receipt string       `json:"receipt"` // ATTR/1, hex
	Fee     money.Amount `json:"fee"`
}

// Pay is the request that pays for answers of one model.
type Pay struct {
	ID      string      `json:"id"`
	Model   model.Named `json:"model"`
	Answers []Answer    `json:"answers"`
	token.Source
}

func (p Pay) Validate() error {
	if err := ledger.ValidID("id", p.ID); err != nil {
		return err
	}
	if err := p.Model.Validate(); err != nil {
		return ledger.AsFault(err).At("model." + ledger.AsFault(err).Field)
	}
	if len(p.Answers) == 0 || len(p.Answers) > MaxAnswers {
		return ledger.Invalid("answers", "a settlement pays for 1 to %d answers", MaxAnswers)
	}
	for i, a := range p.Answers {
		if a.Fee == 0 {
			return ledger.Invalid(fmt.Sprintf("answers.%d.fee", i), "must be positive")
		}
	}
	return p.Source.Validate()
}

func (p Pay) Reads(c ledger.Caller) []ledger.Key {
	return append(token.SpendReads(c, p.ID, p.Source), model.Key(p.Model))
}

// Settlement is a settlement as it was paid, kept under (payer, id).
type Settlement struct {
	ID       string          `json:"id"`
	Payer    ledger.Account  `json:"payer"`
	Model    model.Named     `json:"model"`
	Receipts []string        `json:"receipts"` // ids, in the order of the answers
	Total    money.Amount    `json:"total"`
	Data     money.Amount    `json:"data"` // of it for the data, by the receipts
	Payments []token.Payment `json:"payments"`
	Tx       string          `json:"tx"`
}

// Named is a request that names a settlement.
type Named struct {
	Payer ledger.Account `json:"payer"`
	ID    string         `json:"id"`
}

func (n Named) Validate() error {
	if err := n.Payer.Validate("payer"); err != nil {
		return err
	}
	return ledger.ValidID("id", n.ID)
}

// Functions are the settlement functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("settlement:Pay", "Pays for answers of a model, split by their receipts.", ledger.For(ledger.Consumer), pay),
		ledger.Query("settlement:Get", "Shows a settlement.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Settlement, error) { return load(r, req) }),
	}
}

func load(r ledger.Reader, n Named) (Settlement, error) {
	s, found, err := ledger.Load[Settlement](r, key(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "%s has no settlement %s", n.Payer, n.ID).At("id")
	}
	return s, err
}

func pay(tx ledger.Tx, req Pay) (Settlement, error) {
	me := tx.Caller().Account()
	_, done, err := token.Repeated(tx, req.ID, "settlement", req)
	if err != nil {
		return Settlement{}, err
	}
	if done {
		return load(tx, Named{Payer: me, ID: req.ID})
	}
	m, err := model.Load(tx, req.Model)
	if err != nil {
		return Settlement{}, err
	}
	s := Settlement{ID: req.ID, Payer: me, Model: req.Model, Receipts: []string{}, Tx: tx.TxID()}
	uses := make([]payout.Use, len(req.Answers))
	for i, answer := range req.Answers {
		id, r, fault := check(m, answer.Receipt)
		if fault != nil {
			return Settlement{}, fault.At(fmt.Sprintf("answers.%d.receipt", i))
		}
		if s.Total, err = s.Total.Add(answer.Fee); err != nil {
			return Settlement{}, ledger.Invalid("answers", "%v", err)
		}
		s.Receipts = append(s.Receipts, id)
		uses[i] = payout.Use{Fee: int64(answer.Fee), DataPPM: uint32(m.Parts.Data), CoveragePPM: r.CoveragePPM,
			Shares: r.Shares, Corpus: corpusOf(m), Owner: string(m.Developer)}
	}
	if err := split(&s, m, uses); err != nil {
		return Settlement{}, err
	}
	for _, p := range s.Payments {
		if p.To == me {
			return Settlement{}, ledger.Refuse(ledger.CodeState, "%s earns from these answers and cannot pay for them", me)
		}
		if p.To.IsPool() {
			continue
		}
		if err := account.MustBeOpen(tx, "answers", p.To); err != nil {
			return Settlement{}, err
		}
	}
	if _, err := token.Take(tx, req.ID, "settlement", req, s.Total, len(s.Payments), req.Source); err != nil {
		return Settlement{}, err
	}
	for _, p := range s.Payments {
		if err := token.Pay(tx, p.To, p.Amount, "settlement", req.ID); err != nil {
			return Settlement{}, err
		}
	}
	tx.Emit("settlement.paid/1", s)
	return s, ledger.Save(tx, key(Named{Payer: me, ID: req.ID}), s)
}

// check decodes a receipt and compares it with what the ledger knows of the model.
func check(m model.Model, encoded string) (id string, r *receipt.Receipt, fault *ledger.Fault) {
	data, err := hex.DecodeString(encoded)
	if err != nil {
		return "", nil, ledger.Invalid("", "not hex")
	}
	if r, err = receipt.Decode(data); err != nil {
		return "", nil, ledger.Invalid("", "%v", err)
	}
	roots := make([]merkle.Hash, len(m.Lineage))
	var tokens int64
	for i, source := range m.Lineage {
		if _, err := hex.Decode(roots[i][:], []byte(source.Root)); err != nil {
			return "", nil, ledger.Refuse(ledger.CodeInternal, "root of %s: %v", source.Datanet, err)
		}
		tokens += source.Tokens
	}
	artifact := hex.EncodeToString(r.Artifact[:])
	switch {
	case r.Model != m.Named.String() || artifact != m.Artifact:
		return "", nil, ledger.Invalid("", "is of model %s with artifact %s", ledger.Clip(r.Model), artifact)
	case !slices.Equal(r.Roots, receipt.Roots(roots)):
		return "", nil, ledger.Invalid("", "names other snapshots than the model's lineage")
	case int(r.Tau) != m.Tau:
		return "", nil, ledger.Invalid("", "has tau %d, the model's datanets ask for %d", r.Tau, m.Tau)
	case r.N != uint64(tokens):
		return "", nil, ledger.Invalid("", "counts %d tokens in the corpus, the ledger %d", r.N, tokens)
	}
	sum := receipt.ID(data)
	return hex.EncodeToString(sum[:]), r, nil
}

func corpusOf(m model.Model) []payout.Datanet {
	corpus := make([]payout.Datanet, len(m.Lineage))
	for i, source := range m.Lineage {
		corpus[i] = payout.Datanet{Name: source.Datanet, Tokens: uint64(source.Tokens)}
	}
	return corpus
}

// split fills in who gets what: the data part by the receipts, the rest among the fixed parts by largest remainder,
// the validators' part to the datanets' pools by their tokens. Payments to one account are one payment.
func split(s *Settlement, m model.Model, uses []payout.Use) error {
	byReceipts, err := payout.Split(uses)
	if err != nil {
		return ledger.Invalid("answers", "%v", err)
	}
	due := map[ledger.Account]money.Amount{}
	for _, p := range byReceipts {
		s.Data += money.Amount(p.Amount)
		due[ledger.Account(p.Payee)] += money.Amount(p.Amount)
	}
	fixed, err := fixedParts(m)
	if err != nil {
		return err
	}
	amounts, err := money.Split(s.Total-s.Data, fixed)
	if err != nil && s.Total > s.Data {
		return ledger.Refuse(ledger.CodeInternal, "fixed parts: %v", err)
	}
	for i, amount := range amounts {
		due[ledger.Account(fixed[i].Name)] += amount
	}
	for _, to := range slices.Sorted(maps.Keys(due)) {
		if due[to] > 0 {
			s.Payments = append(s.Payments, token.Payment{To: to, Amount: due[to]})
		}
	}
	return nil
}

// fixedParts weighs everyone but the data: developer and platform by their ppm, each pool by the validators' ppm times
// its share of the tokens. One account may hold several parts.
func fixedParts(m model.Model) ([]money.Part, error) {
	weights := map[string]*big.Int{}
	var tokens int64
	for _, source := range m.Lineage {
		tokens += source.Tokens
	}
	if tokens == 0 {
		return nil, ledger.Refuse(ledger.CodeInternal, "the model's corpus is empty")
	}
	add := func(to ledger.Account, ppm int, share int64) {
		w := new(big.Int).Mul(big.NewInt(int64(ppm)), big.NewInt(share))
		if weights[string(to)] == nil {
			weights[string(to)] = new(big.Int)
		}
		weights[string(to)].Add(weights[string(to)], w)
	}
	add(m.Developer, m.Parts.Developer, tokens)
	add(m.Platform, m.Parts.Platform, tokens)
	for _, source := range m.Lineage {
		add(ledger.PoolAccount(source.Datanet), m.Parts.Validators, source.Tokens)
	}
	parts := []money.Part{}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		parts = append(parts, money.Part{Name: name, Weight: weights[name]})
	}
	return parts, nil
}
