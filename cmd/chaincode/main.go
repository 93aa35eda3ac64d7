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
	"os/signal"
	"syscall"

	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/rules"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	failed := make(chan error, 1)
	go func() { failed <- run(os.Getenv) }()
	select {
	case <-stop:
	case err := <-failed:
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
	server, err := contract.Server(getenv, cc)
	if err != nil {
		return err
	}
	return server.Start()
}
