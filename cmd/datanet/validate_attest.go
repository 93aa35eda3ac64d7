package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// followEvery is how often attest --follow looks for claims.
const followEvery = 2 * time.Second

// examined is what the gateway has found of a settlement.
type examined struct {
	Uses       int               `json:"uses"`
	Recomputed int               `json:"recomputed"`
	Uncovered  int               `json:"uncovered"`
	Vote       *claim.Vote       `json:"vote,omitzero"`
	Objection  *claim.Difference `json:"objection,omitzero"`
	Difference *struct {
		Detail string `json:"detail"`
	} `json:"difference,omitzero"`
}

func newAttest() *cobra.Command {
	var follow, dry bool
	command := &cobra.Command{
		Use:   "attest [HOST ID]",
		Short: "Recompute settlements that wait for your organisation's vote, and vote or object",
		Long: `Has your gateway recompute a settlement: every leaf, and of the uses that your organisation's
secret draws, or of all, texts, units and receipts. Then you vote for the pay-out table that
follows, or object to the first difference, as yourself. Without HOST and ID it does so for every
settlement that waits for your organisation; with --follow it goes on until you stop it. With
--dry-run nothing is sent to the ledger.`,
		Example: "  datanet validate attest AILabMSP:host1 0f3c… --dry-run\n  datanet validate attest --follow",
		Args: arguments(func(command *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return errors.New("name a settlement by its host and id, or none")
			}
			return nil
		}),
		RunE: calling(func(command *cobra.Command, args []string, c *client.Client) error {
			if len(args) == 2 {
				if follow {
					return usageError{errors.New("--follow is for all settlements, not for one")}
				}
				return attestOne(command, c, claim.Named{Host: ledger.Account(args[0]), ID: args[1]}, dry)
			}
			return attestAll(command, c, follow, dry)
		}),
	}
	command.Flags().BoolVar(&follow, "follow", false, "go on until you stop it")
	command.Flags().BoolVar(&dry, "dry-run", false, "say what you would vote, and do not")
	return command
}

// attestAll attests every claim whose slot of the caller's organisation is open. One that fails does not hold up the others.
func attestAll(command *cobra.Command, c *client.Client, follow, dry bool) error {
	ctx := command.Context()
	who, err := c.WhoAmI(ctx)
	if err != nil {
		return err
	}
	done := map[claim.Named]bool{} // of a dry run
	for {
		var faults []error
		for one, err := range client.Listed[claim.Claim](ctx, c, "claims", url.Values{"awaits": {who.Organisation}}) {
			if err != nil {
				faults = append(faults, err)
				break
			}
			if !slices.Contains(one.Attestors, who.Organisation) || one.State != claim.Open || done[one.Named] {
				continue
			}
			if err := attestOne(command, c, one.Named, dry); err != nil {
				faults = append(faults, err)
				continue
			}
			done[one.Named] = dry
		}
		err := errors.Join(faults...)
		if !follow || ctx.Err() != nil {
			return err
		}
		if err != nil {
			fmt.Fprintln(command.ErrOrStderr(), printable(err.Error()))
		}
		if !waitFor(ctx, followEvery) {
			return nil
		}
	}
}

// waitFor waits; it is false when the context has ended.
func waitFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func attestOne(command *cobra.Command, c *client.Client, n claim.Named, dry bool) error {
	if err := n.Validate(); err != nil {
		return usageError{err}
	}
	ctx := command.Context()
	found, err := client.Do[examined](ctx, c, http.MethodPost, client.Path("hosts", string(n.Host), "claims", n.ID, "examine"), ledger.Nothing{})
	if err != nil {
		return fmt.Errorf("settlement %s of %s: %w", n.ID, n.Host, err)
	}
	told := "would be voted for"
	switch {
	case dry && found.Objection != nil:
		told = "would be objected to"
	case dry:
	case found.Objection != nil:
		told = "objected"
		_, _, err = client.Submit[claim.Claim](ctx, c, "claim:Object", "", claim.Object{Named: n, Difference: *found.Objection})
	case found.Vote != nil:
		told = "voted"
		_, _, err = client.Submit[claim.Slot](ctx, c, "claim:Attest", "", claim.Attest{Named: n, Vote: *found.Vote})
	default:
		err = errors.New("the gateway has found neither a table nor a difference")
	}
	if err != nil {
		return fmt.Errorf("settlement %s of %s: %w", n.ID, n.Host, err)
	}
	if wantsJSON(command) {
		return printJSON(command.OutOrStdout(), found)
	}
	out := command.OutOrStdout()
	fmt.Fprintf(out, "%s %s: %s; %s, %d recomputed, %d without coverage\n", n.Host, n.ID, told, document.Count(found.Uses, "use"), found.Recomputed, found.Uncovered)
	if found.Objection != nil {
		detail := ""
		if found.Difference != nil {
			detail = printable(found.Difference.Detail)
		}
		fmt.Fprintf(out, "  %s at %d of session %s: %s\n", found.Objection.Finding, found.Objection.Place, found.Objection.Session, detail)
	}
	return nil
}
