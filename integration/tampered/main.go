// Command tampered is a chaincode process of a dishonest member, for tests only: besides the honest functions it offers
// forge:Write, which endorses any write of any key by any creator. It is served exactly like command chaincode, and no
// peer can tell the difference.
package main

import (
	"fmt"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/common/policydsl"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules"
)

func main() {
	err := contract.Serve(os.Getenv, func(founders []string) (shim.Chaincode, error) {
		honest, err := contract.New(rules.New(founders))
		return forger{honest}, err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "tampered:", err)
		os.Exit(1)
	}
}

// forger is the honest chaincode and forge:Write.
type forger struct{ shim.Chaincode }

// write is one forged write: a key by its kind and parts, a value, and a policy in Fabric's policy language.
type write struct {
	Key    []string       `json:"key"`
	Value  jsontext.Value `json:"value,omitzero"`
	Policy string         `json:"policy,omitzero"`
}

func (f forger) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	args := stub.GetArgs()
	if len(args) != 2 || string(args[0]) != "forge:Write" {
		return f.Chaincode.Invoke(stub)
	}
	var writes []write
	if err := json.Unmarshal(args[1], &writes); err != nil {
		return shim.Error(err.Error())
	}
	for _, w := range writes {
		if err := apply(stub, w); err != nil {
			return shim.Error(err.Error())
		}
	}
	return shim.Success([]byte("{}"))
}

func apply(stub shim.ChaincodeStubInterface, w write) error {
	key := string(ledger.NewKey(w.Key[0], w.Key[1:]...))
	if len(w.Value) > 0 {
		if err := stub.PutState(key, w.Value); err != nil {
			return err
		}
	}
	if w.Policy == "" {
		return nil
	}
	envelope, err := policydsl.FromString(w.Policy)
	if err != nil {
		return err
	}
	data, err := proto.Marshal(envelope)
	if err != nil {
		return err
	}
	return stub.SetStateValidationParameter(key, data)
}
