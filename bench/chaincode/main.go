// Command chaincode serves the ledger's rules together with the yardstick, for benchmarks only. Its settings are those
// of cmd/chaincode.
package main

import (
	"fmt"
	"os"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"

	"github.com/datanet-consortium/datanet/bench/yardstick"
	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/rules"
)

func main() {
	err := contract.Serve(os.Getenv, func(founders []string) (shim.Chaincode, error) {
		cc, err := contract.New(rules.New(founders))
		return yardstick.Chaincode{Chaincode: cc}, err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaincode:", err)
		os.Exit(1)
	}
}
