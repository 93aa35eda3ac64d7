package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// earningsBy are the ways to sum up earnings.
var earningsBy = []string{"model", "kind", "day", "month", "settlement", "contribution"}

func newEarnings() *cobra.Command {
	var by, from, until, settlement string
	command := &cobra.Command{
		Use:   "earnings [ACCOUNT]",
		Short: "Show what an account has earned: by model, time or contribution, down to spans",
		Long: `Sums up the credits that settlements, pay-outs of claims and pay-outs of pools have made, also those that are
spent by now. By contribution only data parts count, divided among the contributions in which the
credited spans stand first. With --settlement HOST/ID it shows the spans for which a settlement paid.`,
		Example: `  datanet account earnings --by month
  datanet account earnings --by settlement
  datanet account earnings --settlement NationalLibraryMSP:host1/ID`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			if !slices.Contains(earningsBy, by) {
				return usageError{fmt.Errorf("--by is one of %v", earningsBy)}
			}
			var account string
			if len(args) == 1 {
				account = args[0]
			} else {
				own, err := ownAccount(command)
				if err != nil {
					return err
				}
				account = own
			}
			return calling(func(command *cobra.Command, _ []string, c *client.Client) error {
				if settlement != "" {
					return showSpans(command, c, account, settlement)
				}
				query := url.Values{"by": {by}}
				for name, value := range map[string]string{"from": from, "until": until} {
					if value != "" {
						query.Set(name, value)
					}
				}
				return showSums(command, c, account, query)
			})(command, args)
		},
	}
	flags := command.Flags()
	flags.StringVar(&by, "by", "model", "model, kind, day, month, settlement or contribution")
	flags.StringVar(&from, "from", "", "of transactions from this time on, as 2030-01-31T12:00:00Z")
	flags.StringVar(&until, "until", "", "and before this one")
	flags.StringVar(&settlement, "settlement", "", "show the spans behind a settlement, HOST/ID")
	return command
}

// earned are sums as the gateway tells them.
type earned struct {
	Total money.Amount `json:"total"`
	Items []struct {
		Key    string       `json:"key"`
		Amount money.Amount `json:"amount"`
		Count  int          `json:"count"`
	} `json:"items"`
}

func showSums(command *cobra.Command, c *client.Client, account string, query url.Values) error {
	sums, _, err := client.Get[earned](command.Context(), c, client.Path("accounts", account, "earnings", "sums"), query)
	if err != nil {
		return err
	}
	if wantsJSON(command) {
		return printJSON(command.OutOrStdout(), sums)
	}
	for _, s := range sums.Items {
		key := s.Key
		if key == "" {
			key = "-"
		}
		fmt.Fprintf(command.OutOrStdout(), "%20v  %6d  %s\n", s.Amount, s.Count, printable(key))
	}
	fmt.Fprintf(command.OutOrStdout(), "%20v  micro-credits in all\n", sums.Total)
	return nil
}

// credited is a span as the gateway tells it.
type credited struct {
	Session      string `json:"session"`
	Place        uint64 `json:"place"`
	Receipt      string `json:"receipt"`
	Start        uint32 `json:"start"`
	End          uint32 `json:"end"`
	Contribution string `json:"contribution"`
	Record       uint32 `json:"record"`
	Credit       uint64 `json:"credit"`
	Of           uint64 `json:"of"`
}

func showSpans(command *cobra.Command, c *client.Client, account, settlement string) error {
	host, id, found := cutLast(settlement, '/')
	if !found {
		return usageError{errors.New("--settlement is HOST/ID")}
	}
	list, _, err := client.Get[struct {
		Items []credited `json:"items"`
	}](command.Context(), c, client.Path("accounts", account, "earnings", "spans"), url.Values{"host": {host}, "settlement": {id}})
	if err != nil {
		return err
	}
	if wantsJSON(command) {
		return printJSON(command.OutOrStdout(), list.Items)
	}
	for _, s := range list.Items {
		fmt.Fprintf(command.OutOrStdout(), "%s use %d, tokens %d to %d, in contribution %s record %d: %d of %d; receipt %s\n", s.Session[:min(8, len(s.Session))], s.Place,
			s.Start, s.End, printable(s.Contribution), s.Record, s.Credit, s.Of, s.Receipt)
	}
	return nil
}

func cutLast(text string, at byte) (before, after string, found bool) {
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == at {
			return text[:i], text[i+1:], true
		}
	}
	return text, "", false
}
