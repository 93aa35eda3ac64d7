package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/explain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/gateway/evidence"
)

func newAttributeVerify() *cobra.Command {
	var (
		from    corpusFlags
		answer  answerFlags
		nonces  nonceFlags
		kind    string
		claimed string
	)
	command := &cobra.Command{
		Use:   "verify --corpus DIR --text FILE --receipt FILE",
		Short: "Recompute a receipt and say where it is wrong",
		Long: `Recomputes the receipt of an answer over the corpus and compares every byte. A folder knows
no snapshot roots, model name and artifact: these are taken from the receipt as they are.
Exit code 0 means that all else is right.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			if claimed == "" {
				return usageError{errors.New("--receipt is needed: the file to check")}
			}
			opened, err := nonces.values()
			if err != nil {
				return err
			}
			r, err := readReceipt(claimed, command.InOrStdin())
			if err != nil {
				return err
			}
			a, err := answer.read(command.InOrStdin())
			if err != nil {
				return err
			}
			a.Nonces = opened
			a.Roots, a.Model, a.Artifact = r.Roots, r.Model, r.Artifact
			return verify(command, from, kind, r, a)
		},
	}
	from.add(command)
	from.addBuilt(command)
	answer.add(command)
	nonces.add(command)
	command.Flags().StringVar(&kind, "engine", engineStreaming, "indexed, streaming or plain")
	command.Flags().StringVar(&claimed, "receipt", "", "file with the receipt, as bytes or in hex")
	return command
}

func verify(command *cobra.Command, from corpusFlags, kind string, claimed *receipt.Receipt, answer attribution.Answer) error {
	engine, _, err := from.engine(command, kind)
	if err != nil {
		return err
	}
	defer engine.Close()
	computed, err := engine.Receipt(command.Context(), answer)
	if err != nil {
		return err
	}
	id, err := claimed.ID()
	if err != nil {
		return err
	}
	wrong := receipt.Compare(claimed, computed)
	var mismatch *receipt.Mismatch
	errors.As(wrong, &mismatch)
	out := command.OutOrStdout()
	if wantsJSON(command) {
		if err := printJSON(out, verdict{Right: wrong == nil, ID: id.String(), Wrong: mismatch}); err != nil {
			return err
		}
		return wrong
	}
	if wrong == nil {
		fmt.Fprintf(out, "Receipt %s is right: %s, %s, %s of what the text tells is credited.\n"+
			"Snapshot roots, model name and artifact were not checked, since a folder has none.\n",
			id, document.Count(len(claimed.Spans), "span"), document.Count(len(claimed.Shares), "account"), explain.Percent(claimed.CoveragePPM))
	}
	return wrong
}

// verdict is the outcome of a check for programs.
type verdict struct {
	Right bool              `json:"right"`
	ID    string            `json:"id"`
	Wrong *receipt.Mismatch `json:"wrong,omitempty"`
}

// readReceipt reads a receipt from a file: as bytes, in hex, or in the text of its use, as "datanet chat --keep" keeps it.
func readReceipt(name string, stdin io.Reader) (*receipt.Receipt, error) {
	data, err := readText(name, stdin)
	if err != nil {
		return nil, err
	}
	if e, err := evidence.Decode(data); err == nil {
		data = e.Receipt
	}
	digits := bytes.TrimSpace(data)
	if raw, err := hex.DecodeString(string(digits)); err == nil && len(raw) > 0 {
		data = raw
	}
	r, err := receipt.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// nonceFlags open the receipt's commitments. Without nonces they are zero, as in receipts that trace writes.
type nonceFlags struct{ prompt, context, output string }

func (f *nonceFlags) add(command *cobra.Command) {
	command.Flags().StringVar(&f.prompt, "prompt-nonce", "", "nonce of the commitment to the prompt, in hex")
	command.Flags().StringVar(&f.context, "context-nonce", "", "nonce of the commitment to the context, in hex")
	command.Flags().StringVar(&f.output, "output-nonce", "", "nonce of the commitment to the output, in hex")
}

func (f *nonceFlags) values() (attribution.Nonces, error) {
	var nonces attribution.Nonces
	for _, n := range []struct {
		flag, digits string
		nonce        *attribution.Nonce
	}{
		{"--prompt-nonce", f.prompt, &nonces.Prompt}, {"--context-nonce", f.context, &nonces.Context}, {"--output-nonce", f.output, &nonces.Output},
	} {
		if n.digits == "" {
			continue
		}
		raw, err := hex.DecodeString(n.digits)
		if err != nil || len(raw) != len(n.nonce) {
			return attribution.Nonces{}, usageError{fmt.Errorf("%s is %d hex digits", n.flag, 2*len(n.nonce))}
		}
		*n.nonce = attribution.Nonce(raw)
	}
	return nonces, nil
}
