// Package settlement pays for answers of a model by its rate card: host, developer, platform, the owners of the models
// that it descends from, the pools, and the contributors whose data the receipts name.
//
// It is to be replaced. Here the consumer pays directly from its own account, names the fees and sends the receipts, so
// only the consumer's money is at stake and nobody has to attest them; the chaincode computes the whole split. Sessions
// with escrow, vouchers and attestation take its place.
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
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
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
	b, err := read(tx, req.Model)
	if err != nil {
		return Settlement{}, err
	}
	s := Settlement{ID: req.ID, Payer: me, Model: req.Model, Receipts: []string{}, Tx: tx.TxID()}
	uses := make([]payout.Use, len(req.Answers))
	for i, answer := range req.Answers {
		id, r, fault := b.check(answer.Receipt)
		if fault != nil {
			return Settlement{}, fault.At(fmt.Sprintf("answers.%d.receipt", i))
		}
		if s.Total, err = s.Total.Add(answer.Fee); err != nil {
			return Settlement{}, ledger.Invalid("answers", "%v", err)
		}
		s.Receipts = append(s.Receipts, id)
		uses[i] = payout.Use{Fee: int64(answer.Fee), DataPPM: uint32(b.card.Parts.Data), CoveragePPM: r.CoveragePPM,
			Shares: r.Shares, Corpus: b.pools(), Owner: string(b.card.Owner)}
	}
	if err := b.split(&s, uses); err != nil {
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

// basis is what a settlement is computed from: the model, its rate card, and the latest revisions of its snapshots.
type basis struct {
	model   model.Model
	card    model.Card
	lineage []model.Source
}

// read loads what the ledger knows of a model. Receipts name the latest revision of each snapshot.
func read(r ledger.Reader, name model.Named) (b basis, err error) {
	if b.model, err = model.Load(r, "model", name); err != nil {
		return b, err
	}
	if b.card, err = model.Offered(r, b.model); err != nil {
		return b, ledger.AsFault(err).At("model")
	}
	for _, source := range b.model.Lineage {
		s, err := snapshot.Load(r, source.Named)
		if err != nil {
			return b, err
		}
		source.Revision, source.Root, source.Tokens = s.Revision, s.Root, s.Tokens
		b.lineage = append(b.lineage, source)
	}
	return b, nil
}

// check decodes a receipt and compares it with what the ledger knows of the model.
func (b basis) check(encoded string) (id string, r *receipt.Receipt, fault *ledger.Fault) {
	data, err := hex.DecodeString(encoded)
	if err != nil {
		return "", nil, ledger.Invalid("", "not hex")
	}
	if r, err = receipt.Decode(data); err != nil {
		return "", nil, ledger.Invalid("", "%v", err)
	}
	roots := make([]merkle.Hash, len(b.lineage))
	for i, source := range b.lineage {
		roots[i] = source.Root
	}
	tokens, exact := model.TokensOf(b.lineage)
	artifact := hex.EncodeToString(r.Artifact[:])
	switch {
	case r.Model != b.model.Named.String() || !slices.Contains(b.model.Artifacts, artifact):
		return "", nil, ledger.Invalid("", "is of model %s with artifact %s", ledger.Clip(r.Model), artifact)
	case !slices.Equal(r.Roots, receipt.Roots(roots)):
		return "", nil, ledger.Invalid("", "names other snapshots than the latest revisions of the model's lineage")
	case int(r.Tau) != b.model.Due.Tau:
		return "", nil, ledger.Invalid("", "has tau %d, the model's datanets ask for %d", r.Tau, b.model.Due.Tau)
	case r.N > uint64(tokens) || (exact && r.N < uint64(tokens)):
		return "", nil, ledger.Invalid("", "counts %d tokens in the corpus, the ledger %d", r.N, tokens)
	}
	sum := receipt.ID(data)
	return hex.EncodeToString(sum[:]), r, nil
}

// pools weighs the datanets of the lineage by the tokens of their snapshots, each datanet once.
func (b basis) pools() []payout.Datanet {
	var pools []payout.Datanet
	for _, source := range b.lineage {
		if n := len(pools); n > 0 && pools[n-1].Name == source.Datanet {
			pools[n-1].Tokens = max(pools[n-1].Tokens, uint64(source.Tokens))
			continue
		}
		pools = append(pools, payout.Datanet{Name: source.Datanet, Tokens: uint64(source.Tokens)})
	}
	return pools
}

// split fills in who gets what: the data part by the receipts, the rest among the fixed parts by largest remainder,
// the validators' part to the datanets' pools by their tokens. Payments to one account are one payment.
func (b basis) split(s *Settlement, uses []payout.Use) error {
	byReceipts, err := payout.Split(uses)
	if err != nil {
		return ledger.Invalid("answers", "%v", err)
	}
	due := map[ledger.Account]money.Amount{}
	for _, p := range byReceipts {
		s.Data += money.Amount(p.Amount)
		due[ledger.Account(p.Payee)] += money.Amount(p.Amount)
	}
	fixed, err := b.fixedParts()
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

// fixedParts weighs everyone but the data: host, developer, platform and upstream by their ppm, each pool by the
// validators' ppm times its share of the tokens. One account may hold several parts.
func (b basis) fixedParts() ([]money.Part, error) {
	weights := map[string]*big.Int{}
	var tokens uint64
	for _, pool := range b.pools() {
		tokens += pool.Tokens
	}
	if tokens == 0 {
		return nil, ledger.Refuse(ledger.CodeState, "all that the model was trained on has been erased")
	}
	add := func(to ledger.Account, ppm int, share uint64) {
		w := new(big.Int).Mul(big.NewInt(int64(ppm)), new(big.Int).SetUint64(share))
		if weights[string(to)] == nil {
			weights[string(to)] = new(big.Int)
		}
		weights[string(to)].Add(weights[string(to)], w)
	}
	add(b.card.Host, b.card.Parts.Host, tokens)
	add(b.card.Owner, b.card.Parts.Owner, tokens)
	add(b.card.Platform, b.card.Parts.Platform, tokens)
	for _, up := range b.card.Upstream {
		add(up.Owner, up.Ppm, tokens)
	}
	for _, pool := range b.pools() {
		add(ledger.PoolAccount(pool.Name), b.card.Parts.Validators, pool.Tokens)
	}
	parts := []money.Part{}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		parts = append(parts, money.Part{Name: name, Weight: weights[name]})
	}
	return parts, nil
}
