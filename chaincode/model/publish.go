package model

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// MaxCards bounds the rate cards of a model version.
const MaxCards = 100_000

// Publish is the request that puts a rate card in force, or offers it to the host of another organisation. Where both
// prices are 0 the use costs nothing and needs no session; only a model of which nothing is due to others can have that.
type Publish struct {
	Named
	Card     int            `json:"card"`     // the number of the new one: one more than that in force
	PriceIn  money.Amount   `json:"priceIn"`  // per 1,000 canonical tokens that the consumer sends
	PriceOut money.Amount   `json:"priceOut"` // per 1,000 canonical tokens of the answer
	Host     ledger.Account `json:"host"`     // who serves the model, an account that has shown the role
	HostPpm  int            `json:"hostPpm"`  // the host's part of a fee
	OwnerPpm int            `json:"ownerPpm"` // the developer's part of a fee
}

func (p Publish) Validate() error {
	if err := p.Named.Validate(); err != nil {
		return err
	}
	if p.Card < 1 || p.Card > MaxCards {
		return ledger.Invalid("card", "rate cards are numbered from 1 to %d", MaxCards)
	}
	if p.HostPpm < 0 || p.HostPpm > money.Million {
		return ledger.Invalid("hostPpm", "must be from 0 to %d", money.Million)
	}
	if p.OwnerPpm < 0 || p.OwnerPpm > money.Million {
		return ledger.Invalid("ownerPpm", "must be from 0 to %d", money.Million)
	}
	return p.Host.Validate("host")
}

func (p Publish) Reads(ledger.Caller) []ledger.Key {
	return []ledger.Key{Key(p.Named), schedule.Key, account.Key(p.Host)}
}

// Parts are how a fee is divided, in ppm. They sum to a million.
type Parts struct {
	Data       int `json:"data"`
	Validators int `json:"validators"`
	Platform   int `json:"platform"`
	Upstream   int `json:"upstream"` // to the owners of the models below, as the card lists them
	Host       int `json:"host"`
	Owner      int `json:"owner"`
}

func (p Parts) sum() int { return p.Data + p.Validators + p.Platform + p.Upstream + p.Host + p.Owner }

// Pool is what every fee for the model pays to the pool of one datanet, for its validators.
type Pool struct {
	Datanet string `json:"datanet"`
	Ppm     int    `json:"ppm"`
}

// Card is a rate card: everything that a fee for the model is computed from. It never changes; a new one takes its place.
type Card struct {
	Publish
	Parts     Parts            `json:"parts"`
	Upstream  []Upstream       `json:"upstream"`
	Pools     []Pool           `json:"pools"`     // by datanet: all of the lineage; they share the validators' part by tokens
	Owner     ledger.Account   `json:"owner"`     // the developer
	Platform  ledger.Account   `json:"platform"`  // of the fee schedule
	Schedule  int              `json:"schedule"`  // its version
	Snapshots []snapshot.Named `json:"snapshots"` // of the lineage; receipts name the latest revision of each
	Attestors []string         `json:"attestors"` // organisations that may recompute receipts, ascending; never the host's
	Quorum    int              `json:"quorum"`    // how many of them must find the same
	Tx        string           `json:"tx"`
	Digest    merkle.Hash      `json:"digest,omitzero"` // of all that stands before it; sessions and vouchers name it
}

// Free tells whether the model's use costs nothing.
func (c Card) Free() bool { return c.PriceIn == 0 && c.PriceOut == 0 }

// digest is that of the card as the ledger keeps it, its own field left out.
func (c Card) digest() (merkle.Hash, error) {
	c.Digest = merkle.Hash{}
	document, err := ledger.Encode(c)
	return use.CardDigest(document), err
}

// LoadAgreed reads a rate card that a session has agreed to by its digest. It reads nothing that changes.
func LoadAgreed(r ledger.Reader, n CardName, digest merkle.Hash) (Card, error) {
	c, found, err := ledger.Load[Card](r, cardKey(n.Named, n.Card))
	if err != nil {
		return c, err
	}
	if !found {
		return c, ledger.Refuse(ledger.CodeNotFound, "model %s has no rate card %d", n.Named, n.Card).At("card")
	}
	is, err := c.digest()
	if err == nil && is != digest {
		err = ledger.Refuse(ledger.CodeState, "rate card %d of %s is not the one with the digest %s", n.Card, n.Named, digest).At("card")
	}
	return c, err
}

// CardKey is where a rate card stands, for prefetching.
func CardKey(n CardName) ledger.Key { return cardKey(n.Named, n.Card) }

// CardName is a request that names a rate card.
type CardName struct {
	Named
	Card int `json:"card"` // 0: the one in force
}

// LoadCard reads a rate card of a model version, whether in force or not, and checks its guard.
func LoadCard(r ledger.Reader, m Model, number int) (Card, error) {
	key := cardKey(m.Named, max(number, 1))
	c, found, err := ledger.Load[Card](r, key)
	if err != nil {
		return c, err
	}
	if !found || number == 0 {
		return c, ledger.Refuse(ledger.CodeNotFound, "model %s has no rate card %d", m.Named, max(number, 1)).At("card")
	}
	return c, ledger.MustBeGuarded(r, key, ledger.Owner(m.Name), m.Slots)
}

func publish(tx ledger.Tx, req Publish) (Card, error) {
	if err := mustOwn(tx, req.Name); err != nil {
		return Card{}, err
	}
	m, err := Load(tx, "name", req.Named)
	if err != nil {
		return Card{}, err
	}
	last := max(m.Card, m.Offer)
	if req.Card <= last {
		card, err := LoadCard(tx, m, req.Card)
		if err == nil && card.Publish != req {
			err = ledger.Refuse(ledger.CodeExists, "rate card %d says something else", req.Card).At("card")
		}
		return card, err
	}
	if m.State != Registered {
		return Card{}, ledger.Refuse(ledger.CodeState, "model %s is %s", m.Named, m.State)
	}
	if next := last + 1; req.Card != next {
		return Card{}, ledger.Invalid("card", "the next rate card is %d", next)
	}
	host, err := account.Load(tx, "host", req.Host)
	if err != nil {
		return Card{}, err
	}
	if !slices.Contains(host.Roles, ledger.Host) {
		return Card{}, ledger.Refuse(ledger.CodeState, "account %s has not shown the role %s", req.Host, ledger.Host).At("host")
	}
	fees, err := schedule.Load(tx)
	if err != nil {
		return Card{}, err
	}
	card := Card{Publish: req, Upstream: m.Upstream, Owner: m.Developer, Platform: fees.Platform, Schedule: fees.Number, Tx: tx.TxID(),
		Snapshots: []snapshot.Named{}, Attestors: m.attestors(req.Host.MSP()), Quorum: m.Due.Attestations,
		Parts: Parts{Data: m.Due.DataPpm, Validators: m.Due.ValidatorsPpm, Platform: fees.PlatformPpm, Upstream: m.UpstreamPpm(), Host: req.HostPpm, Owner: req.OwnerPpm}}
	if sum := card.Parts.sum(); sum != money.Million {
		return Card{}, ledger.Invalid("ownerPpm", "data %d, validators %d, platform %d, upstream %d, host %d and owner %d ppm sum to %d, not %d",
			card.Parts.Data, card.Parts.Validators, card.Parts.Platform, card.Parts.Upstream, card.Parts.Host, card.Parts.Owner, sum, money.Million)
	}
	if due := card.Parts.Data + card.Parts.Validators + card.Parts.Upstream; card.Free() && due > 0 {
		return Card{}, ledger.Invalid("priceOut", "of every fee %d ppm are due to data, validators and base models: a model on them cannot cost nothing", due)
	}
	for _, s := range m.Lineage {
		card.Snapshots = append(card.Snapshots, s.Named)
	}
	if card.Pools, err = m.pools(); err != nil {
		return Card{}, err
	}
	if card.Digest, err = card.digest(); err != nil {
		return Card{}, err
	}
	event := "model.published/1"
	if card.foreign() {
		event, m.Offer = "model.offered/1", req.Card
		err = askHost(tx, m, card)
	} else {
		m.Card, m.Offer = req.Card, 0
	}
	if err != nil {
		return Card{}, err
	}
	if err := ledger.Save(tx, Key(m.Named), m); err != nil {
		return Card{}, err
	}
	tx.Guard(cardKey(m.Named, req.Card), ledger.SlotPolicy(ledger.Owner(m.Name), m.Slots))
	tx.Emit(event, card)
	return card, ledger.Save(tx, cardKey(m.Named, req.Card), card)
}

// attestors are the organisations that validate the lineage's datanets, but the host's: nobody confirms its own bill. A
// policy asks for the attestations of at most all but one of its validators, so they are always enough.
func (m Model) attestors(host string) []string {
	return slices.DeleteFunc(slices.Clone(m.Due.Validators), func(msp string) bool { return msp == host })
}

// pools divides the validators' part over the lineage's datanets, each by the most tokens that one of its snapshots
// released.
func (m Model) pools() ([]Pool, error) {
	pools, parts := []Pool{}, []money.Part{}
	for _, s := range m.Lineage {
		if n := len(pools); n > 0 && pools[n-1].Datanet == s.Datanet {
			if tokens := big.NewInt(s.Tokens); tokens.Cmp(parts[n-1].Weight) > 0 {
				parts[n-1].Weight = tokens
			}
			continue
		}
		pools = append(pools, Pool{Datanet: s.Datanet})
		parts = append(parts, money.Part{Name: s.Datanet, Weight: big.NewInt(s.Tokens)})
	}
	ppm, err := money.Split(money.Amount(m.Due.ValidatorsPpm), parts)
	if err != nil {
		return nil, fmt.Errorf("validators' part of %s: %w", m.Named, err)
	}
	for i := range pools {
		pools[i].Ppm = int(ppm[i])
	}
	return pools, nil
}

// retire ends what can still be ended: fees of answers given before stay due.
func retire(tx ledger.Tx, req Named) (Model, error) {
	if err := mustOwn(tx, req.Name); err != nil {
		return Model{}, err
	}
	m, err := Load(tx, "name", req)
	if err != nil || m.State == Retired {
		return m, err
	}
	m.State, m.EndTx = Retired, tx.TxID()
	tx.Emit(fmt.Sprintf("model.%s/1", m.State), m)
	return m, ledger.Save(tx, Key(req), m)
}
