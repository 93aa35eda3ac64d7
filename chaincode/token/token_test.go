package token_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

var (
	ann    = rulestest.User(rulestest.A, "ann", ledger.Consumer)
	bob    = rulestest.User(rulestest.B, "bob", ledger.Contributor)
	carla  = rulestest.User(rulestest.C, "carla", ledger.Contributor)
	nobody = rulestest.User(rulestest.C, "nobody")
)

// funded is a consortium in which ann, bob and carla have accounts and ann holds one credit of 1000.
func funded(t *testing.T) (*rulestest.Consortium, string) {
	c := rulestest.New(t)
	c.OpenAll(t, ann, bob, carla)
	c.Mint(t, ann, 1000)
	return c, creditsOf(t, c, ann)[0].ID
}

func creditsOf(t *testing.T, c *rulestest.Consortium, user ledger.Caller) []token.Credit {
	var page ledger.Page[token.Credit]
	answer, err := c.Evaluate(rulestest.Proposal(t, user, "token:Credits", token.Listing{Account: user.Account()}), "")
	require.NoError(t, err)
	require.NoError(t, ledger.DecodeAnswer(answer, &page))
	return page.Items
}

func holding(t *testing.T, c *rulestest.Consortium, user ledger.Caller) (h token.Holding) {
	answer, err := c.Evaluate(rulestest.Proposal(t, user, "token:Balance", token.Owned{Account: user.Account()}), "")
	require.NoError(t, err)
	require.NoError(t, ledger.DecodeAnswer(answer, &h))
	return h
}

func pay(to ledger.Caller, amount money.Amount) token.Payment {
	return token.Payment{To: to.Account(), Amount: amount}
}

func TestATransferFoldsItsCreditsAndPaysAnotherOne(t *testing.T) {
	c, minted := funded(t)
	c.Must(t, ann, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(bob, 300), Source: token.Source{Credits: []string{minted}}})
	require.Equal(t, token.Holding{Account: ann.Account(), Balance: 700}, holding(t, c, ann))
	require.Equal(t, token.Holding{Account: bob.Account(), Credits: 300, Count: 1}, holding(t, c, bob))
	c.Must(t, ann, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(bob, 700)})
	require.Equal(t, token.Holding{Account: ann.Account()}, holding(t, c, ann))
	require.Equal(t, money.Amount(1000), holding(t, c, bob).Credits)
}

func TestASpendApartLeavesTheBalanceAndReturnsChange(t *testing.T) {
	c, minted := funded(t)
	c.Must(t, ann, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(bob, 300),
		Source: token.Source{Credits: []string{minted}, Apart: true}})
	require.Equal(t, token.Holding{Account: ann.Account(), Credits: 700, Count: 1}, holding(t, c, ann))
	change := creditsOf(t, c, ann)[0]
	require.Equal(t, "change", change.Kind)
	c.Must(t, ann, "token:Fold", token.Fold{ID: c.ID(), Credits: []string{change.ID}})
	require.Equal(t, token.Holding{Account: ann.Account(), Balance: 700}, holding(t, c, ann))
}

func TestABatchPaysEachPayeeOnce(t *testing.T) {
	c, minted := funded(t)
	c.Must(t, ann, "token:TransferBatch", token.Batch{ID: c.ID(), Payments: []token.Payment{pay(bob, 1), pay(carla, 2)},
		Source: token.Source{Credits: []string{minted}}})
	require.Equal(t, money.Amount(997), holding(t, c, ann).Balance)
	require.Equal(t, money.Amount(1), holding(t, c, bob).Credits)
	require.Equal(t, money.Amount(2), holding(t, c, carla).Credits)
}

func TestEveryRefusalNamesItsReason(t *testing.T) {
	c, minted := funded(t)
	fromMint := token.Source{Credits: []string{minted}}
	stranger := rulestest.User(rulestest.B, "stranger", ledger.Consumer)
	tooMuch := c.ID()
	for _, refused := range []struct {
		claim    string
		user     ledger.Caller
		function string
		request  any
		code     ledger.Code
		field    string
	}{
		{"a transfer to oneself", ann, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(ann, 1), Source: fromMint}, ledger.CodeInvalid, "to"},
		{"a transfer of nothing", ann, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(bob, 0), Source: fromMint}, ledger.CodeInvalid, "amount"},
		{"a negative amount", ann, "token:Transfer", map[string]string{"id": c.ID(), "to": string(bob.Account()), "amount": "-5"}, ledger.CodeInvalid, "amount"},
		{"an amount that is a number", ann, "token:Transfer", map[string]any{"id": c.ID(), "to": string(bob.Account()), "amount": 5}, ledger.CodeInvalid, "amount"},
		{"an amount above 2⁶³−1", ann, "token:Transfer", map[string]string{"id": c.ID(), "to": string(bob.Account()), "amount": "9223372036854775808"}, ledger.CodeInvalid, "amount"},
		{"an unknown field", ann, "token:Transfer", map[string]string{"id": c.ID(), "to": string(bob.Account()), "amount": "1", "memo": "x"}, ledger.CodeInvalid, "memo"},
		{"a sum that overflows", ann, "token:TransferBatch", token.Batch{ID: c.ID(), Payments: []token.Payment{pay(bob, math.MaxInt64), pay(carla, 1)}}, ledger.CodeInvalid, "payments.amount"},
		{"a payee twice in a batch", ann, "token:TransferBatch", token.Batch{ID: c.ID(), Payments: []token.Payment{pay(bob, 1), pay(bob, 1)}}, ledger.CodeInvalid, "payments.to"},
		{"an unknown payee", ann, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(stranger, 1), Source: fromMint}, ledger.CodeNotFound, "to"},
		{"a pool as payee", ann, "token:Transfer", map[string]string{"id": c.ID(), "to": "pool:AMSP/verse", "amount": "1"}, ledger.CodeInvalid, "to"},
		{"more than there is", ann, "token:Transfer", token.Transfer{ID: tooMuch, Payment: pay(bob, 1001), Source: fromMint}, ledger.CodeInsufficient, ""},
		{"an unfolded credit does not pay by itself", ann, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(bob, 1)}, ledger.CodeInsufficient, ""},
		{"somebody else's credit", bob, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(carla, 1), Source: fromMint}, ledger.CodeNotFound, "credits"},
		{"a credit named twice", ann, "token:Fold", token.Fold{ID: c.ID(), Credits: []string{minted, minted}}, ledger.CodeInvalid, "credits"},
		{"a fold of nothing", ann, "token:Fold", token.Fold{ID: c.ID()}, ledger.CodeInvalid, "credits"},
		{"apart from the balance without credits", ann, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(bob, 1), Source: token.Source{Apart: true}}, ledger.CodeInvalid, "credits"},
		{"an id that is none", ann, "token:Transfer", token.Transfer{ID: "rent", Payment: pay(bob, 1)}, ledger.CodeInvalid, "id"},
		{"a caller without a role", nobody, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(bob, 1)}, ledger.CodeForbidden, ""},
		{"a redemption before there is an issuer", ann, "token:Redeem", token.Redeem{ID: c.ID(), Amount: 1, Source: fromMint}, ledger.CodeState, ""},
	} {
		_, fault := c.Try(t, refused.user, refused.function, refused.request)
		require.NotNil(t, fault, refused.claim)
		require.Equal(t, refused.code, fault.Code, "%s: %v", refused.claim, fault)
		require.Equal(t, refused.field, fault.Field, "%s: %v", refused.claim, fault)
	}
	require.Equal(t, token.Holding{Account: ann.Account(), Credits: 1000, Count: 1}, holding(t, c, ann), "refusals change nothing")
}

func TestASpendIsSafeToRepeatAndItsNameIsTaken(t *testing.T) {
	c, minted := funded(t)
	req := token.Transfer{ID: c.ID(), Payment: pay(bob, 300), Source: token.Source{Credits: []string{minted}}}
	first := c.Must(t, ann, "token:Transfer", req)
	require.JSONEq(t, string(first), string(c.Must(t, ann, "token:Transfer", req)))
	require.Equal(t, money.Amount(300), holding(t, c, bob).Credits)

	other := req
	other.Amount = 301
	_, fault := c.Try(t, ann, "token:Transfer", other)
	require.Equal(t, ledger.CodeExists, fault.Code)
	_, fault = c.Try(t, ann, "token:Fold", token.Fold{ID: req.ID, Credits: []string{minted}})
	require.Equal(t, ledger.CodeExists, fault.Code, "the id is taken across functions")

	_, fault = c.Try(t, ann, "token:Fold", token.Fold{ID: c.ID(), Credits: []string{minted}})
	require.Equal(t, ledger.CodeNotFound, fault.Code, "a credit is folded once")
}

func TestARedemptionIsPaidOrReturned(t *testing.T) {
	c, minted := funded(t)
	issuer := c.SetSchedule(t)
	ask := func(amount money.Amount, source token.Source) token.RedemptionName {
		id := c.ID()
		c.Must(t, ann, "token:Redeem", token.Redeem{ID: id, Amount: amount, Source: source})
		return token.RedemptionName{Account: ann.Account(), ID: id}
	}
	paid := ask(100, token.Source{Credits: []string{minted}})
	acknowledgement := token.Acknowledgement{RedemptionName: paid, Reference: "SEPA-2030/17"}
	_, fault := c.Try(t, bob, "token:Acknowledge", acknowledgement)
	require.Equal(t, ledger.CodeForbidden, fault.Code)
	c.Must(t, issuer, "token:Acknowledge", acknowledgement)
	c.Must(t, issuer, "token:Acknowledge", acknowledgement)
	acknowledgement.Reference = "SEPA-2030/18"
	_, fault = c.Try(t, issuer, "token:Acknowledge", acknowledgement)
	require.Equal(t, ledger.CodeState, fault.Code, "one payment, one reference")
	_, fault = c.Try(t, issuer, "token:Return", paid)
	require.Equal(t, ledger.CodeState, fault.Code, "what was paid does not return")

	returned := ask(50, token.Source{})
	_, fault = c.Try(t, bob, "token:Return", returned)
	require.Equal(t, ledger.CodeForbidden, fault.Code)
	c.Must(t, issuer, "token:Return", returned)
	c.Must(t, issuer, "token:Return", returned)
	require.Equal(t, money.Amount(50), holding(t, c, ann).Credits)

	late := ask(25, token.Source{})
	_, fault = c.Try(t, ann, "token:Return", late)
	require.Equal(t, ledger.CodeState, fault.Code, "the issuer has its term")
	c.Clock = c.Clock.Add(token.RedeemTerm)
	c.Must(t, ann, "token:Return", late)

	tally := c.Tally(t)
	require.NoError(t, tally.Check())
	require.Equal(t, money.Amount(100), tally.Redeemed)
	require.Zero(t, tally.Escrow)
}

func TestCreditsAndStatementArePaged(t *testing.T) {
	c, minted := funded(t)
	c.Must(t, ann, "token:Fold", token.Fold{ID: c.ID(), Credits: []string{minted}})
	for range 5 {
		c.Must(t, ann, "token:Transfer", token.Transfer{ID: c.ID(), Payment: pay(bob, 10)})
	}
	var seen []string
	req := token.Listing{Account: bob.Account(), PageRequest: ledger.PageRequest{Limit: 2}}
	for {
		answer, err := c.Evaluate(rulestest.Proposal(t, carla, "token:Credits", req), "")
		require.NoError(t, err)
		var page ledger.Page[token.Credit]
		require.NoError(t, ledger.DecodeAnswer(answer, &page))
		for _, credit := range page.Items {
			seen = append(seen, credit.ID)
		}
		if req.Cursor = page.Next; page.Next == "" {
			break
		}
		require.Len(t, page.Items, 2)
	}
	require.Len(t, seen, 5)
	require.IsIncreasing(t, seen)

	answer, err := c.Evaluate(rulestest.Proposal(t, bob, "token:Statement", token.Listing{Account: ann.Account()}), "")
	require.NoError(t, err)
	var statement ledger.Page[token.Spend]
	require.NoError(t, ledger.DecodeAnswer(answer, &statement))
	require.Len(t, statement.Items, 6)

	_, err = c.Evaluate(rulestest.Proposal(t, bob, "token:Credits", token.Listing{Account: bob.Account(), PageRequest: ledger.PageRequest{Cursor: "%%"}}), "")
	require.Equal(t, ledger.CodeInvalid, ledger.AsFault(err).Code)
}
