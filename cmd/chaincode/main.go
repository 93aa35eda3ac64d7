// Command chaincode is the process that an organisation's peer talks to (chaincode as a service). It serves the
// ledger's rules over mutual TLS.
//
// Its settings are environment variables, all required: CHAINCODE_ID (the package id that the peer installed),
// CHAINCODE_SERVER_ADDRESS (host:port to listen on), CHAINCODE_TLS_CERT, CHAINCODE_TLS_KEY and CHAINCODE_CLIENT_CA
// (files; only the peer whose certificate that CA signed may connect), and DATANET_GENESIS_BLOCK (a file: this
// organisation's own copy of the channel's genesis block, which names the founding members).
package main

import (
	"fmt"
	"os"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"

	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/rules"
)

func main() {
	err := contract.Serve(os.Getenv, func(founders []string) (shim.Chaincode, error) {
		return contract.New(rules.New(founders))
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaincode:", err)
		os.Exit(1)
	}
}
