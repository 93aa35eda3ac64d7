package token

import (
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Mint is the parameter of a "token.mint" proposal: new credits for an account.
type Mint struct {
	To     ledger.Account `json:"to"`
	Amount money.Amount   `json:"amount"`
}

// Minted is the record of an executed mint, kept for ever: the sum of all of them is what was issued.
type Minted struct {
	Proposal string         `json:"proposal"`
	To       ledger.Account `json:"to"`
	Amount   money.Amount   `json:"amount"`
	Tx       string         `json:"tx"`
}

// CheckMint reports why credits cannot be minted.
func CheckMint(r ledger.Reader, m Mint) error {
	if m.Amount == 0 {
		return ledger.Invalid("params.amount", "must be positive")
	}
	return account.MustBeOpen(r, "params.to", m.To)
}

// ExecuteMint writes the new credits, for a proposal that the members approved.
func ExecuteMint(tx ledger.Tx, proposal string, m Mint) error {
	if err := Pay(tx, m.To, m.Amount, "mint", proposal); err != nil {
		return err
	}
	return ledger.Save(tx, mintKey(proposal), Minted{Proposal: proposal, To: m.To, Amount: m.Amount, Tx: tx.TxID()})
}
