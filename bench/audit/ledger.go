package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/protoutil"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/verify/verifytest"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/disbursement"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/config"

	"github.com/datanet-consortium/datanet/attribution/use"
)

// What happens in one turn, in blocks of about as many transactions as a network under load makes.
const (
	consumers       = 60
	sessions        = 20
	contributions   = 40
	snapshotEvery   = 20 // turns
	startingCredits = money.Amount(1 << 40)
	fee             = money.Amount(20_000)
)

// maker keeps a market busy on the in-memory ledger, every transaction of which is signed as on a network.
type maker struct {
	*rulestest.Market
	made   int
	coins  []coin
	payers []*rulestest.Payer
	sealed int64
	turns  int
}

type coin struct {
	owner  ledger.Caller
	id     string
	amount money.Amount
}

// failing ends the benchmark where a test would fail.
type failing struct{}

func (failing) Helper()                           {}
func (failing) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

var must failing

// recorder writes what an in-memory ledger commits to a bundle.
type recorder struct {
	*bundle.Writer
	failed error
}

// record begins a channel with new keys, whose blocks go into a bundle.
func record(folder, keys string, s settings) (*verifytest.Network, *recorder, error) {
	topology := config.BFT
	if s.ordering == "raft" {
		topology = config.Raft
	}
	const member = "\n    mspId: "
	text := strings.ReplaceAll(string(topology), member, "\n    keys: "+s.keys+member)
	r := &recorder{}
	n, err := verifytest.New(keys, text, []string{rulestest.A, rulestest.B, rulestest.C}, rulestest.Regulator, func(b *common.Block) {
		if b.Header.Number == 0 {
			genesis := hex.EncodeToString(protoutil.BlockHeaderHash(b.Header))
			r.Writer, r.failed = bundle.Create(folder, bundle.Manifest{Channel: "datanet", Chaincode: "datanet", Genesis: genesis, Unproved: []string{}})
		}
		if r.failed == nil {
			r.failed = r.Append(b)
		}
	})
	return n, r, errors.Join(err, r.failed)
}

// makeLedger writes a bundle with at least so many transactions.
func makeLedger(folder, keys string, s settings, progress io.Writer) (err error) {
	n, r, err := record(folder, keys, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	m := &maker{Market: rulestest.MarketOn(must, rulestest.On(must, n.Config()))}
	m.begin()
	for m.made < s.size {
		m.turn()
		if r.failed != nil {
			return r.failed
		}
		if m.turns%50 == 0 {
			fmt.Fprintf(progress, "%d transactions made\n", m.made)
		}
	}
	return r.failed
}

// begin gives consumers credits and opens sessions.
func (m *maker) begin() {
	treasury := m.Consumer(must, rulestest.A, 1<<50)
	for i := range consumers {
		m.coins = append(m.coins, coin{owner: rulestest.User([]string{rulestest.A, rulestest.B, rulestest.C}[i%3], fmt.Sprintf("consumer%d", i), ledger.Consumer)})
		m.OpenAll(must, m.coins[i].owner)
	}
	for range 4 {
		var payments []token.Payment
		for _, c := range m.coins[:consumers] {
			payments = append(payments, token.Payment{To: c.owner.Account(), Amount: startingCredits})
		}
		paid := m.send(treasury, "token:TransferBatch", token.Batch{ID: m.ID(), Payments: payments})
		m.cut()
		for _, c := range m.coins[:consumers] {
			m.coins = append(m.coins, coin{owner: c.owner, id: paid, amount: startingCredits})
		}
	}
	m.coins = m.coins[consumers:]
	for range sessions {
		m.payers = append(m.payers, m.Open(must, m.Consumer(must, rulestest.B, 1<<40), 1<<40))
	}
	m.sealed = int64(len(m.Contributions))
}

// send endorses a call, hands it to ordering, and answers its id.
func (m *maker) send(by ledger.Caller, function string, request any) string {
	with := rulestest.A
	if by.MSP == with {
		with = rulestest.B
	}
	e, err := m.Propose(rulestest.Proposal(must, by, function, request), by.MSP, with)
	if err == nil {
		err = m.Submit(e)
	}
	if err != nil {
		must.Fatalf("%s: %v", function, err)
	}
	m.made++
	return e.Proposal.TxID
}

func (m *maker) cut() {
	if _, err := m.Cut(); err != nil {
		must.Fatalf("%v", err)
	}
}

// turn pays, contributes, votes, seals, settles and releases.
func (m *maker) turn() {
	m.turns++
	var names []contribution.Named
	for i := range contributions {
		author := []ledger.Caller{m.Ann, m.Bob}[i%2]
		s := contribution.Submit{Datanet: m.Pool, ID: m.ID(), Content: m.Poem()}
		m.send(author, "contribution:Submit", s)
		names = append(names, contribution.Named{Datanet: s.Datanet, ID: s.ID})
	}
	m.pay()
	settled := m.settle()
	m.cut()
	for i, name := range names {
		for _, msp := range []string{rulestest.A, []string{rulestest.C, rulestest.B}[i%2]} {
			m.send(rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote",
				approval.Vote{Named: name, Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
		}
	}
	page, attest := m.table(settled)
	m.send(rulestest.User(rulestest.A, "validator1", ledger.Validator), "claim:Attest", attest)
	m.cut()
	var ids []string
	for _, name := range names {
		m.send(m.Ann, "approval:Finalise", name)
		ids = append(ids, name.ID)
	}
	m.send(m.Ann, "claim:Release", claim.Release{Named: attest.Named, Page: page})
	m.pay()
	m.cut()
	m.send(m.Curator, "seal:Append", seal.Append{Datanet: m.Pool, From: m.sealed, Contributions: ids})
	m.sealed += int64(len(ids))
	m.pay()
	m.cut()
	if m.turns%snapshotEvery == 0 {
		m.send(m.Curator, "snapshot:Take", snapshot.Named{Datanet: m.Pool, Number: 1 + m.turns/snapshotEvery})
		m.cut()
	}
}

// pay has each consumer pay another with a credit that was committed before.
func (m *maker) pay() {
	spent := slices.Clone(m.coins[:consumers])
	m.coins = m.coins[consumers:]
	for i, c := range spent {
		to := spent[(i+1+m.turns)%consumers].owner
		if to.Account() == c.owner.Account() {
			to = spent[(i+1)%consumers].owner
		}
		amount := c.amount
		if amount > 1000 {
			amount /= 2 // the change is a credit that is never spent
		}
		id := m.send(c.owner, "token:Transfer", token.Transfer{ID: m.ID(), Payment: token.Payment{To: to.Account(), Amount: amount},
			Source: token.Source{Credits: []string{c.id}, Apart: true}})
		m.coins = append(m.coins, coin{owner: to, id: id, amount: amount})
	}
}

func (m *maker) settle() (id string) {
	req := claim.Settle{ID: m.ID(), Model: m.CardName(), Card: m.Card.Digest}
	for _, p := range m.payers {
		p.Use(must, fee)
		req.Sessions = append(req.Sessions, p.Present(must))
	}
	m.send(m.Host, "claim:Settle", req)
	return req.ID
}

// table pays all of a claim to two contributors and a pool.
func (m *maker) table(id string) (disbursement.Page, claim.Attest) {
	var c claim.Detail
	answer, err := m.Evaluate(rulestest.Proposal(must, m.Host, "claim:Get", claim.Named{Host: m.Host.Account(), ID: id}), "")
	if err == nil {
		err = ledger.DecodeAnswer(answer, &c)
	}
	if err != nil {
		must.Fatalf("%v", err)
	}
	page := disbursement.Page{Number: 1, Due: c.Left, Payments: []token.Payment{{To: m.Ann.Account(), Amount: c.Left / 2}, {To: m.Bob.Account(), Amount: c.Left - c.Left/2}}}
	digest, err := page.Digest()
	if err != nil {
		must.Fatalf("%v", err)
	}
	return page, claim.Attest{Named: c.Named, Vote: claim.Vote{Scope: c.Scope, Revisions: []int{1}, Table: digest, Rate: use.All}}
}
