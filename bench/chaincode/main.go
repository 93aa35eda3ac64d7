// Command chaincode serves the ledger's rules together with the yardstick, for benchmarks only. Its settings are those
// of cmd/chaincode.
package main

import (
	"fmt"
	"os"

	"github.com/datanet-consortium/datanet/bench/yardstick"
	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/rules"
)

func main() {
	if err := run(os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "chaincode:", err)
		os.Exit(1)
	}
}

func run(getenv func(string) string) error {
	genesis, err := contract.ReadSetting(getenv, "DATANET_GENESIS_BLOCK")
	if err != nil {
		return err
	}
	founders, err := contract.Founders(genesis)
	if err != nil {
		return err
	}
	cc, err := contract.New(rules.New(founders))
	if err != nil {
		return err
	}
	server, err := contract.Server(getenv, yardstick.Chaincode{Chaincode: cc})
	if err != nil {
		return err
	}
	return server.Start()
}
