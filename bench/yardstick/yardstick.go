// Package yardstick is what the ledger's rules are measured against, served by the same chaincode process: a
// transaction that does nothing, which is the ceiling of a network, one that writes a single key, which is the least that
// a change of state costs, and a plain account-balance token.
//
// The token keeps one balance per account and moves credits by reading and writing the payer's and the payee's, in the
// manner of the ERC-20 sample of Fabric. It asks less than that sample: no client identity, no allowance, no event. So
// two transfers that share an account cannot both be valid in one block.
package yardstick

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// Functions of the yardstick.
const (
	Nothing  = "yardstick:Nothing"  // takes anything, reads and writes nothing
	Write    = "yardstick:Write"    // takes anything, writes one new key
	Mint     = "yardstick:Mint"     // takes a Grant
	Transfer = "yardstick:Transfer" // takes a Payment
)

// Grant adds an amount to each of some balances.
type Grant struct {
	Accounts []string `json:"accounts"`
	Amount   int64    `json:"amount"`
}

// Payment moves an amount from one balance to another.
type Payment struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int64  `json:"amount"`
}

// balance is the kind of the keys that hold balances.
const balance = "yardstick"

// written is as long as the record of a payment.
var written = bytes.Repeat([]byte{'.'}, 200)

// Chaincode answers the functions of the yardstick and leaves all others to the chaincode beside it.
type Chaincode struct{ shim.Chaincode }

// Invoke runs one function.
func (c Chaincode) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	name, args := stub.GetFunctionAndParameters()
	var err error
	switch name {
	case Nothing:
	case Write:
		err = stub.PutState(stub.GetTxID(), written)
	case Mint:
		err = mint(stub, args)
	case Transfer:
		err = transfer(stub, args)
	default:
		return c.Chaincode.Invoke(stub)
	}
	if err != nil {
		return shim.Error(fmt.Sprintf("%s: %v", name, err))
	}
	return shim.Success(nil)
}

func mint(stub shim.ChaincodeStubInterface, args []string) error {
	var g Grant
	if err := decode(args, &g); err != nil {
		return err
	}
	for _, account := range g.Accounts {
		if err := change(stub, account, g.Amount); err != nil {
			return err
		}
	}
	return nil
}

func transfer(stub shim.ChaincodeStubInterface, args []string) error {
	var p Payment
	if err := decode(args, &p); err != nil {
		return err
	}
	if p.From == p.To || p.Amount <= 0 {
		return errors.New("a positive amount goes to another account")
	}
	if err := change(stub, p.From, -p.Amount); err != nil {
		return err
	}
	return change(stub, p.To, p.Amount)
}

func decode(args []string, v any) error {
	if len(args) != 1 {
		return errors.New("takes one JSON document")
	}
	return json.Unmarshal([]byte(args[0]), v)
}

// change adds to a balance; an account that has none begins with 0.
func change(stub shim.ChaincodeStubInterface, account string, by int64) error {
	key, err := stub.CreateCompositeKey(balance, []string{account})
	if err != nil {
		return err
	}
	state, err := stub.GetState(key)
	if err != nil {
		return err
	}
	var amount int64
	if state != nil {
		if amount, err = strconv.ParseInt(string(state), 10, 64); err != nil {
			return fmt.Errorf("balance of %s: %w", account, err)
		}
	}
	if amount += by; amount < 0 {
		return fmt.Errorf("the balance of %s does not suffice", account)
	}
	return stub.PutState(key, strconv.AppendInt(nil, amount, 10))
}
