package rest

import (
	"errors"
	"net/http"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/paying"
)

// SpendingKey is a key with which a session is opened that the gateway spends from.
type SpendingKey struct {
	Key string `json:"key" doc:"The public half, as session terms name it. The private one stays in the gateway."`
}

// Wallet is what the gateway pays from for an account, and what it has paid.
type Wallet struct {
	Sessions []WalletSession `json:"sessions"`
	Keys     []WalletKey     `json:"keys"`
}

// WalletSession is a session that the gateway spends from.
type WalletSession struct {
	Name     string         `json:"name"`
	ID       merkle.Hash    `json:"id" doc:"The digest of its terms, as vouchers name it."`
	Model    model.CardName `json:"model"`
	Host     ledger.Account `json:"host"`
	Expires  time.Time      `json:"expires"`
	Funded   money.Amount   `json:"funded"`
	Spent    money.Amount   `json:"spent" doc:"Fees of the answers that were accepted; what the ledger has settled may be less."`
	Reserved money.Amount   `json:"reserved" doc:"What requests under way may cost at most."`
	Uses     uint64         `json:"uses"`
	Vouched  uint64         `json:"vouched" doc:"Uses for which the host has a voucher, and which it can settle."`
	Waiting  int            `json:"waiting" doc:"Requests under way."`
	Stopped  string         `json:"stopped,omitzero" doc:"Why nothing more is signed: what was wrong with an answer."`
}

// WalletKey is what requests with an API key have cost.
type WalletKey struct {
	ID       string        `json:"id"`
	Spent    money.Amount  `json:"spent"`
	Reserved money.Amount  `json:"reserved" doc:"What its requests under way may cost at most."`
	Budget   *money.Amount `json:"budget,omitempty"`
}

// addWallet adds what people see and need of the consumer's role.
func (a *API) addWallet() {
	consumer := a.options.Wallet
	if consumer == nil {
		return
	}
	a.add(&operation{id: "make-spending-key", method: post, path: "/v1/spending-keys", tag: "usage", summary: "Makes a spending key for a session of the caller's account",
		doc: "Open a session with it, and this gateway pays from it.", scope: identity.Write, answers: good[SpendingKey](http.StatusCreated),
		problems: []string{string(ledger.CodeState)}, handle: func(c *call) error {
			key, err := consumer.MakeKey(c.principal.Account)
			if errors.Is(err, paying.ErrKeys) {
				return newProblem(string(ledger.CodeState), "%v", err)
			}
			if err != nil {
				return err
			}
			return c.answer(http.StatusCreated, SpendingKey{key})
		}})
	a.add(&operation{id: "get-wallet", method: get, path: "/v1/wallet", tag: "usage", summary: "Shows what the gateway pays from for the caller's account, and what it has paid",
		doc: "An API key without the scope admin sees of the keys only itself.", scope: identity.Use, answers: good[Wallet](http.StatusOK), handle: a.showWallet})
}

func (a *API) showWallet(c *call) error {
	holdings, err := a.options.Wallet.Holdings(c.principal.Account)
	if err != nil {
		return err
	}
	shown := Wallet{Sessions: []WalletSession{}, Keys: []WalletKey{}}
	for _, h := range holdings {
		shown.Sessions = append(shown.Sessions, WalletSession{Name: h.Session.Name, ID: h.Session.ID, Model: h.Model, Host: h.Host, Expires: h.Expires, Funded: money.Amount(h.Funded),
			Spent: money.Amount(h.Amount), Reserved: money.Amount(h.Caps), Uses: h.N, Vouched: h.Vouched, Waiting: len(h.Waiting), Stopped: h.Stopped})
	}
	var keys []identity.Key
	switch {
	case c.principal.May(identity.Admin) && a.options.People != nil:
		if keys, err = a.options.People.Keys(c.ctx(), c.principal); err != nil {
			return err
		}
	case c.principal.KeyID != "":
		keys = []identity.Key{{ID: c.principal.KeyID, Budget: c.principal.Budget}}
	}
	for _, key := range keys {
		spent, reserved := a.options.Wallet.Spent(key.ID)
		shown.Keys = append(shown.Keys, WalletKey{ID: key.ID, Spent: money.Amount(spent), Reserved: money.Amount(reserved), Budget: key.Budget})
	}
	return c.answer(http.StatusOK, shown)
}
