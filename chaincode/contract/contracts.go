package contract

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// context is what the contract API hands to every function.
type context = contractapi.TransactionContextInterface

// base is what the contracts share: their name and the table that holds the rules.
type base struct {
	contractapi.Contract
	reg *ledger.Registry
}

func newBase(name string, reg *ledger.Registry) base {
	return base{Contract: contractapi.Contract{Name: name}, reg: reg}
}

// GetEvaluateTransactions tells generic clients which functions are queries.
func (b *base) GetEvaluateTransactions() []string {
	var names []string
	for _, f := range b.reg.Functions() {
		if contract, name, _ := strings.Cut(f.Name, ":"); contract == b.Name && f.Query {
			names = append(names, name)
		}
	}
	return names
}

// run executes the function of this contract.
func (b *base) run(ctx context, name, request string) (string, error) {
	stub := ctx.GetStub()
	store, err := newStore(stub, ctx.GetClientIdentity())
	if err != nil {
		return "", wireError{ledger.AsFault(err)}
	}
	out, err := b.reg.Execute(store, b.Name+":"+name, []byte(request))
	if err != nil {
		return "", wireError{ledger.AsFault(err)}
	}
	if err := apply(stub, out); err != nil {
		return "", wireError{ledger.AsFault(err)}
	}
	return string(out.Response), nil
}

// wireError is a fault in the form that crosses Fabric.
type wireError struct{ *ledger.Fault }

func (e wireError) Error() string { return e.Wire() }

// sameFunctions reports a rule without a contract function, or the reverse.
func sameFunctions(reg *ledger.Registry, contracts []contractapi.ContractInterface) error {
	var have, want []string
	for _, c := range contracts {
		embedded := reflect.TypeFor[*base]()
		t := reflect.TypeOf(c)
		for i := range t.NumMethod() {
			if _, inherited := embedded.MethodByName(t.Method(i).Name); !inherited {
				have = append(have, c.GetName()+":"+t.Method(i).Name)
			}
		}
	}
	for _, f := range reg.Functions() {
		want = append(want, f.Name)
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return fmt.Errorf("contracts offer %v, the table of functions has %v", have, want)
	}
	return nil
}
