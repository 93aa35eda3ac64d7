package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/pool"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// usualWindow is how many uses of a session may be unvouched when the caller does not say.
const usualWindow = "4"

// cardTerms gives a session what its rate card says, the least grace and the usual window, where no flag does.
func cardTerms(command *cobra.Command) error {
	flags := command.Flags()
	for name, value := range map[string]string{"window": usualWindow, "grace": fmt.Sprint(use.MinGrace)} {
		if !flags.Changed(name) {
			if err := flags.Set(name, value); err != nil {
				return err
			}
		}
	}
	if flags.Changed("card") && flags.Changed("host") {
		return nil
	}
	name, version, number := flags.Arg(0), flags.Arg(1), flags.Arg(2)
	if err := ledger.ValidName("model", name); err != nil {
		return usageError{err}
	}
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	card, _, err := client.Get[model.Card](command.Context(), c, "/v1/models/"+escape(name)+"/versions/"+escape(version)+"/cards/"+escape(number), nil)
	if err != nil {
		return fmt.Errorf("read the rate card: %w", err)
	}
	for name, value := range map[string]string{"card": card.Digest.String(), "host": string(card.Host)} {
		if !flags.Changed(name) {
			if err := flags.Set(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// unusedTopUps names the top-ups of a session that nothing has counted yet, as many as one return takes, when none is
// named.
func unusedTopUps(command *cobra.Command) error {
	if command.Flags().Changed("funds") {
		return nil
	}
	account, err := command.Flags().Arg(1), error(nil)
	if account == "" {
		if account, err = ownAccount(command); err != nil {
			return err
		}
	}
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	var unused []string
	for fund, err := range client.All[session.Fund](command.Context(), c, client.Path("accounts", account, "sessions", command.Flags().Arg(0), "top-ups"), nil) {
		if err != nil {
			return fmt.Errorf("read the session's top-ups: %w", err)
		}
		if !fund.Used && len(unused) < session.MaxFunds {
			unused = append(unused, fund.ID)
		}
	}
	if len(unused) == 0 {
		return nil
	}
	slices.Sort(unused)
	return command.Flags().Set("funds", strings.Join(unused, ","))
}

// poolCredits names credits of a datanet's pool, the oldest first, until they are worth what the pay-out is short of or are
// as many as one draw takes, when none is named.
func poolCredits(command *cobra.Command) error {
	if command.Flags().Changed("credits") {
		return nil
	}
	datanet, id := command.Flags().Arg(0), command.Flags().Arg(1)
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	payout, _, err := client.Get[pool.Payout](command.Context(), c, client.Path("datanets", datanet, "payouts", id), nil)
	if err != nil {
		return fmt.Errorf("read the pay-out: %w", err)
	}
	if payout.Short == 0 {
		return usageError{fmt.Errorf("the pay-out has all of its %v", payout.Amount)}
	}
	var (
		drawn []string
		worth money.Amount
	)
	type entry struct {
		Value token.Credit `json:"value"`
	}
	ofPool := url.Values{"account": {string(ledger.PoolAccount(datanet))}}
	for found, err := range client.All[entry](command.Context(), c, client.Path("lists", "credits"), ofPool) {
		if err != nil {
			return fmt.Errorf("read the pool's credits: %w", err)
		}
		drawn, worth = append(drawn, found.Value.ID), worth+found.Value.Amount
		if worth >= payout.Short || len(drawn) == token.MaxCredits {
			break
		}
	}
	if len(drawn) == 0 {
		return usageError{fmt.Errorf("the pool of %s has no credits", datanet)}
	}
	return command.Flags().Set("credits", strings.Join(drawn, ","))
}

func newSamplingDraw() *cobra.Command {
	return &cobra.Command{
		Use:   "draw FILE",
		Short: "Draw a sampling secret into a file, and print its commitment",
		Long: `Draws a secret and writes it, in hex, to a new file that only you can read. Prints the commitment
with which it is registered. Whoever knows the secret before it is revealed knows which uses your
organisation will recompute.`,
		Example: "  datanet sampling register $(datanet sampling draw secret.hex)",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			var secret use.Secret
			if _, err := rand.Read(secret[:]); err != nil {
				return fmt.Errorf("draw a secret: %w", err)
			}
			file, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return usageError{fmt.Errorf("write the secret: %w", err)}
			}
			_, err = fmt.Fprintln(file, hex.EncodeToString(secret[:]))
			if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
				return fmt.Errorf("write the secret: %w", err)
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), secret.Commitment())
			return err
		},
	}
}
