// Command writer is a process with an outbox, for tests that kill it between two steps of a write. It takes up what an
// earlier run left, submits the requests that it reads as JSON from standard input, all at once, and prints their entries
// in that order. Built with the tag failpoints it dies where DATANET_OUTBOX_FAIL says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/outbox"
	"github.com/datanet-consortium/datanet/network/pki"
)

func main() {
	var s settings
	flag.StringVar(&s.peer, "peer", "", "address of the peer")
	flag.StringVar(&s.rootCA, "ca", "", "file with the certificate of the peer's TLS authority")
	flag.StringVar(&s.mspID, "msp", "", "MSP ID of the organisation")
	flag.StringVar(&s.identity, "identity", "", "MSP folder of who signs")
	flag.StringVar(&s.channel, "channel", "", "channel")
	flag.StringVar(&s.chaincode, "chaincode", "", "name of the chaincode")
	flag.StringVar(&s.database, "database", "", "URL of the outbox's database")
	flag.Parse()
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "writer:", err)
		os.Exit(1)
	}
}

type settings struct{ peer, rootCA, mspID, identity, channel, chaincode, database string }

func run(s settings) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	root, err := os.ReadFile(s.rootCA)
	if err != nil {
		return err
	}
	conn, err := fabric.Dial(s.peer, root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	identity, err := pki.LoadIdentity(s.identity, s.mspID)
	if err != nil {
		return err
	}
	client, err := fabric.Connect(conn, identity, s.channel, s.chaincode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	db, err := database.Open(ctx, s.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	box, err := outbox.Open(ctx, db, outbox.Options{Service: client,
		Signer: func(context.Context, ledger.Account) (outbox.Signer, error) { return client, nil }})
	if err != nil {
		return err
	}
	defer box.Close()
	if err := box.Recover(ctx); err != nil {
		return err
	}
	var requests []outbox.Request
	if err := json.NewDecoder(os.Stdin).Decode(&requests); err != nil {
		return err
	}
	entries, errs := make([]outbox.Entry, len(requests)), make([]error, len(requests))
	var running sync.WaitGroup
	for i, request := range requests {
		running.Go(func() { entries[i], errs[i] = box.Submit(ctx, request) })
	}
	running.Wait()
	return errors.Join(append(errs, json.NewEncoder(os.Stdout).Encode(entries))...)
}
