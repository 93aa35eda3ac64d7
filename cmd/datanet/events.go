package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/gateway/client"
)

func newEvents() *cobra.Command {
	var (
		after  string
		filter = map[string]*string{}
	)
	command := &cobra.Command{
		Use:   "events",
		Short: "Follow what changes on the ledger",
		Long: `Prints each change as it comes, one JSON document a line, until interrupted. The field id of
the last line, given to --after, goes on where an earlier run ended, without loss or
repetition; --after 0.0 begins with the first block.`,
		Args: arguments(cobra.NoArgs),
		RunE: calling(func(command *cobra.Command, _ []string, c *client.Client) error {
			query := url.Values{}
			for name, value := range filter {
				if *value != "" {
					query.Set(name, *value)
				}
			}
			for event, err := range c.Events(command.Context(), query, after) {
				if err != nil {
					if command.Context().Err() != nil {
						return nil // interrupted, as it is meant to end
					}
					return err
				}
				line, err := json.Marshal(struct {
					ID     string          `json:"id"`
					Change json.RawMessage `json:"change"`
				}{event.ID, event.Data})
				if err != nil {
					return fmt.Errorf("print an event: %w", err)
				}
				if _, err := fmt.Fprintf(command.OutOrStdout(), "%s\n", line); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	command.Flags().StringVar(&after, "after", "", "id of the last event that was seen")
	for name, usage := range map[string]string{
		"kind": "only entries of this kind, as contribution", "datanet": "only of this datanet",
		"organisation": "only of this organisation, by its MSP ID", "account": "only what this account signed or owns",
	} {
		filter[name] = command.Flags().String(name, "", usage)
	}
	return command
}

func newTransaction() *cobra.Command {
	command := newGroup("transaction", "Transactions: their outcome and what they wrote")
	show := &cobra.Command{
		Use:   "show ID",
		Short: "Show a transaction, its outcome and what it wrote",
		Args:  arguments(cobra.ExactArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			return readInto(command, resource{}, client.Path("transactions", args[0]), nil)
		},
	}
	var account, function string
	list := &cobra.Command{
		Use:   "list",
		Short: "List transactions, the latest first",
		Args:  arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, value := range map[string]string{"account": account, "function": function} {
				if value != "" {
					query.Set(name, value)
				}
			}
			return readInto(command, resource{columns: []string{"block", "position", "state", "function", "account", "time", "transaction"}}, client.Path("transactions"), query)
		},
	}
	list.Flags().StringVar(&account, "account", "", "only those that this account signed")
	list.Flags().StringVar(&function, "function", "", "only calls of this function, as token:Transfer")
	command.AddCommand(show, list)
	return command
}

// readInto reads a path and prints the answer as a resource does.
func readInto(command *cobra.Command, r resource, path string, query url.Values) error {
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	data, meta, err := c.Raw(command.Context(), http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	return r.print(command, data, meta)
}

// newStatement is added to the accounts: what came and what left, in one list.
func newStatement() *cobra.Command {
	return &cobra.Command{
		Use:   "statement [ACCOUNT]",
		Short: "List what came to an account and what left it, the latest first",
		Args:  arguments(cobra.MaximumNArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			account := ""
			if len(args) > 0 {
				account = args[0]
			} else {
				var err error
				if account, err = ownAccount(command); err != nil {
					return err
				}
			}
			c, err := connect(command)
			if err != nil {
				return err
			}
			defer c.Close()
			data, meta, err := c.Raw(command.Context(), http.MethodGet, client.Path("accounts", account, "statement"), nil, nil)
			switch {
			case err != nil:
				return err
			case wantsJSON(command):
				return resource{}.print(command, data, meta)
			default:
				return printStatement(command, data)
			}
		},
	}
}

// printStatement shows credits and spends in common columns.
func printStatement(command *cobra.Command, data []byte) error {
	var page struct {
		Items []client.Entry `json:"items"`
		Next  string         `json:"next"`
	}
	if err := json.Unmarshal(data, &page); err != nil {
		return fmt.Errorf("print the statement: %w", err)
	}
	type row struct {
		Block  uint64 `json:"block"`
		Time   string `json:"time"`
		What   string `json:"what"`
		Amount string `json:"amount"`
		From   string `json:"from"`
		Tx     string `json:"transaction"`
	}
	rows := []row{}
	for _, e := range page.Items {
		var value struct {
			Kind   string `json:"kind"`
			Amount string `json:"amount"`
			From   string `json:"from"`
		}
		if err := json.Unmarshal(e.Value, &value); err != nil {
			return fmt.Errorf("print the statement: %w", err)
		}
		sign := "+"
		if len(e.Key) > 0 && e.Key[0] == "spend" {
			sign = "-"
		}
		at := ""
		if e.Time != nil {
			at = e.Time.UTC().Format("2006-01-02 15:04:05")
		}
		rows = append(rows, row{e.Block, at, value.Kind, sign + value.Amount, value.From, e.Transaction})
	}
	shown, err := json.Marshal(map[string]any{"items": rows, "next": page.Next})
	if err != nil {
		return fmt.Errorf("print the statement: %w", err)
	}
	return printTable(command, shown, []string{"block", "time", "what", "amount", "from", "transaction"})
}
