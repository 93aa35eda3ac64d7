package main

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// allCredits names the caller's own credits, as many as one spend takes, when none is named.
func allCredits(command *cobra.Command) error {
	if command.Flags().Changed("credits") {
		return nil
	}
	account, err := ownAccount(command)
	if err != nil {
		return err
	}
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	found, _, err := client.Get[ledger.Page[token.Credit]](command.Context(), c, client.Path("accounts", account, "credits"),
		url.Values{"limit": {strconv.Itoa(token.MaxCredits)}})
	if err != nil {
		return err
	}
	if len(found.Items) == 0 {
		return usageError{errors.New("there are no credits to fold")}
	}
	ids := make([]string, len(found.Items))
	for i, credit := range found.Items {
		ids[i] = credit.ID
	}
	return command.Flags().Set("credits", strings.Join(ids, ","))
}
