package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/attribution/golden"
	"github.com/datanet-consortium/datanet/attribution/index"
)

func newAttributeReceipts() *cobra.Command {
	var kind string
	command := &cobra.Command{
		Use:   "receipts [--engine indexed|streaming|plain] < cases.jsonl",
		Short: "Print the receipt of each case in hex, to compare engines with each other and with others' programs",
		Long: `Reads one case from each line: {"contributions": [{"id", "account", "records": [text]}],
"roots": [hex], "model": "name@version", "artifact": hex, "nonces": {"prompt", "context",
"output": hex}, "tau": number, "prompt": [text], "context": [text], "output": text},
where a text is a string or {"hex": ".."}. Prints one receipt for each line.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			if wantsJSON(command) {
				return usageError{errors.New("receipts prints hex and has no --json")}
			}
			return printReceipts(command.Context(), kind, command.InOrStdin(), command.OutOrStdout())
		},
	}
	command.Flags().StringVar(&kind, "engine", engineIndexed, "indexed, streaming or plain")
	return command
}

// maxCase bounds a line of cases, in bytes.
const maxCase = 256 << 20

func printReceipts(ctx context.Context, kind string, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 1<<16), maxCase)
	printed := bufio.NewWriter(out)
	number := 0
	for lines.Scan() {
		number++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		encoded, err := receiptOfCase(ctx, kind, lines.Bytes())
		if err != nil {
			return errors.Join(fmt.Errorf("line %d: %w", number, err), printed.Flush())
		}
		fmt.Fprintln(printed, hex.EncodeToString(encoded))
	}
	if err := lines.Err(); err != nil {
		return errors.Join(fmt.Errorf("read cases after line %d: %w", number, err), printed.Flush())
	}
	if err := printed.Flush(); err != nil {
		return fmt.Errorf("print receipts: %w", err)
	}
	return nil
}

func receiptOfCase(ctx context.Context, kind string, line []byte) ([]byte, error) {
	whole, answer, err := golden.ReadCase(line)
	if err != nil {
		return nil, usageError{err}
	}
	e, err := newEngine(ctx, kind, index.FromCorpus(whole))
	if err != nil {
		return nil, err
	}
	defer e.Close()
	r, err := e.Receipt(ctx, answer)
	if err != nil {
		return nil, err
	}
	return r.Encode()
}
