// Package contract exposes the table of functions as fabric-contract-api-go contracts. It is the only code that knows
// the shim: it turns the signed proposal into a [ledger.Store], runs the function, and hands the outcome back to the
// peer in one batch.
//
// Every function takes one argument, a JSON document, and answers with one. Faults travel as JSON in the error
// message, which is all of a chaincode's error that Fabric shows a client; see [ledger.ParseFault].
package contract

import (
	"fmt"
	"reflect"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"
	"github.com/hyperledger/fabric-contract-api-go/v2/metadata"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// metadataFunction is the contract API's own query for what a chaincode offers.
const metadataFunction = contractapi.SystemContractName + ":GetMetadata"

// chaincode puts in front of the contract API what it leaves open: panics, superfluous arguments, names that differ in
// case, and errors that are no faults.
type chaincode struct {
	contracts *contractapi.ContractChaincode
	functions map[string]bool
	metadata  []byte
}

// New returns the chaincode for a table of functions. It fails when table and contracts differ.
func New(reg *ledger.Registry) (shim.Chaincode, error) {
	contracts, err := contractapi.NewChaincode(all(reg)...)
	if err != nil {
		return nil, fmt.Errorf("build contracts: %w", err)
	}
	contracts.TransactionSerializer = verbatim{}
	c := &chaincode{contracts: contracts, functions: map[string]bool{}}
	for _, f := range reg.Functions() {
		c.functions[f.Name] = true
	}
	if err := sameFunctions(reg, all(reg)); err != nil {
		return nil, err
	}
	if c.metadata, err = Metadata(reg); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *chaincode) Init(shim.ChaincodeStubInterface) *peer.Response {
	return failure(ledger.Refuse(ledger.CodeNotFound, "the chaincode has no initialisation"))
}

func (c *chaincode) Invoke(stub shim.ChaincodeStubInterface) (response *peer.Response) {
	defer func() {
		if p := recover(); p != nil {
			response = failure(ledger.Refuse(ledger.CodeInternal, "panic: %v", p))
		}
	}()
	args := stub.GetArgs()
	if len(args) == 0 {
		return failure(ledger.Invalid("", "a function name and one JSON document are expected"))
	}
	name := string(args[0])
	if name == metadataFunction {
		return shim.Success(c.metadata)
	}
	if !c.functions[name] {
		return failure(ledger.Refuse(ledger.CodeNotFound, "no function %.80q", name))
	}
	if len(args) != 2 {
		return failure(ledger.Invalid("", "%s takes one JSON document, not %d arguments", name, len(args)-1))
	}
	response = c.contracts.Invoke(stub)
	if response.GetStatus() != shim.OK {
		if _, ok := ledger.ParseFault(response.GetMessage()); !ok {
			return failure(ledger.Refuse(ledger.CodeInternal, "%s", response.GetMessage()))
		}
	}
	return response
}

func failure(f *ledger.Fault) *peer.Response { return shim.Error(f.Wire()) }

// verbatim passes documents through: they are decoded by the ledger package, which is stricter than the contract
// API's own serializer.
type verbatim struct{}

func (verbatim) FromString(document string, _ reflect.Type, _ *metadata.ParameterMetadata, _ *metadata.ComponentMetadata) (reflect.Value, error) {
	return reflect.ValueOf(document), nil
}

func (verbatim) ToString(v reflect.Value, _ reflect.Type, _ *metadata.ReturnMetadata, _ *metadata.ComponentMetadata) (string, error) {
	return v.String(), nil
}
