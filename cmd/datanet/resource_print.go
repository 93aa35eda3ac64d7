package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/gateway/client"
)

// print shows an answer: for programs as it is, for people as a table or as lines.
func (r resource) print(command *cobra.Command, data []byte, meta client.Meta) error {
	if wantsJSON(command) {
		return printDocument(command.OutOrStdout(), data)
	}
	if len(r.columns) == 0 {
		return printLines(command.OutOrStdout(), data)
	}
	return printTable(command, data, r.columns)
}

func printDocument(out io.Writer, data []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return fmt.Errorf("print the answer: %w", err)
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(out)
	return err
}

// printWritten shows what a write has made.
func printWritten(command *cobra.Command, data []byte, written client.Committed) error {
	out := command.OutOrStdout()
	if wantsJSON(command) {
		return printJSON(out, struct {
			Transaction string          `json:"transaction"`
			Block       uint64          `json:"block"`
			Key         string          `json:"key"`
			Replayed    bool            `json:"replayed,omitempty"`
			Response    json.RawMessage `json:"response"`
		}{written.Transaction, written.Block, written.Key, written.Replayed, data})
	}
	if err := printLines(out, data); err != nil {
		return err
	}
	again := ""
	if written.Replayed {
		again = ", by an earlier request with the same key"
	}
	_, err := fmt.Fprintf(out, "\nwritten in block %d by transaction %s%s\n", written.Block, written.Transaction, again)
	return err
}

// printLines shows an object as names and values; what is inside another object is named a.b, and each object of a list
// has a line of its own.
func printLines(out io.Writer, data []byte) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if err := lines(table, "", data); err != nil {
		return fmt.Errorf("print the answer: %w", err)
	}
	return table.Flush()
}

func lines(out io.Writer, prefix string, data []byte) error {
	decoder := jsontext.NewDecoder(bytes.NewReader(data))
	if items, ok := objects(data); ok {
		for _, item := range items {
			if _, err := fmt.Fprintf(out, "%s\t%s\n", strings.TrimSuffix(prefix, "."), item); err != nil {
				return err
			}
		}
		return nil
	}
	if decoder.PeekKind() != '{' {
		_, err := fmt.Fprintf(out, "%s\t%s\n", strings.TrimSuffix(prefix, "."), plainText(data))
		return err
	}
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		text := name.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return err
		}
		if err := lines(out, prefix+text+".", bytes.Clone(value)); err != nil {
			return err
		}
	}
	return nil
}

// objects are the items of a list of objects, as "name value" each; what is empty in an item is left out.
func objects(data []byte) (texts []string, ok bool) {
	var items []json.RawMessage
	if jsontext.Value(data).Kind() != '[' || json.Unmarshal(data, &items) != nil || len(items) == 0 || jsontext.Value(items[0]).Kind() != '{' {
		return nil, false
	}
	for _, item := range items {
		decoder := jsontext.NewDecoder(bytes.NewReader(item))
		var words []string
		for _, err := decoder.ReadToken(); err == nil && decoder.PeekKind() == '"'; {
			var name jsontext.Token
			if name, err = decoder.ReadToken(); err != nil {
				break
			}
			field := name.String()
			var value jsontext.Value
			if value, err = decoder.ReadValue(); err == nil {
				if shown := plainText(value); shown != "" {
					words = append(words, field+" "+shown)
				}
			}
		}
		texts = append(texts, strings.Join(words, ", "))
	}
	return texts, true
}

// plainText is a value as people read it. Control characters, which a text from the ledger may hold to deceive a terminal,
// are replaced.
func plainText(value []byte) string {
	v := jsontext.Value(value)
	switch v.Kind() {
	case '"':
		return printable(textOf(v))
	case '[':
		var items []json.RawMessage
		if json.Unmarshal(value, &items) != nil {
			return ""
		}
		texts := make([]string, len(items))
		for i, item := range items {
			texts[i] = plainText(item)
		}
		return strings.Join(texts, " ")
	case 'n':
		return ""
	}
	return printable(string(value))
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// inside finds the value a.b of an item.
func inside(values map[string]json.RawMessage, name string) json.RawMessage {
	first, rest, nested := strings.Cut(name, ".")
	if !nested {
		return values[name]
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(values[first], &inner) != nil {
		return nil
	}
	return inside(inner, rest)
}

// printTable shows the items of a page. A first column "slots:msp" says that the items are in the field slots; "members:"
// that they are plain values.
func printTable(command *cobra.Command, data []byte, columns []string) error {
	field, first, other := strings.Cut(columns[0], ":")
	names := slices.Clone(columns)
	if other {
		names[0] = first
	} else {
		field = "items"
	}
	var page map[string]json.RawMessage
	if err := json.Unmarshal(data, &page); err != nil {
		return fmt.Errorf("print the answer: %w", err)
	}
	var items []json.RawMessage
	if page[field] != nil {
		if err := json.Unmarshal(page[field], &items); err != nil {
			return fmt.Errorf("print the answer: %w", err)
		}
	}
	out := command.OutOrStdout()
	if names[0] == "" {
		for _, item := range items {
			fmt.Fprintln(out, plainText(item))
		}
		return nil
	}
	if len(items) == 0 {
		fmt.Fprintln(command.ErrOrStderr(), "nothing is listed")
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	heads := make([]string, len(names))
	for i, name := range names {
		heads[i] = strings.ToUpper(name[strings.LastIndexByte(name, '.')+1:])
	}
	fmt.Fprintln(table, strings.Join(heads, "\t"))
	for _, item := range items {
		var values map[string]json.RawMessage
		if err := json.Unmarshal(item, &values); err != nil {
			return fmt.Errorf("print the answer: %w", err)
		}
		texts := make([]string, len(names))
		for i, name := range names {
			texts[i] = cmp.Or(plainText(inside(values, name)), "-")
		}
		fmt.Fprintln(table, strings.Join(texts, "\t"))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the answer: %w", err)
	}
	if next := textOf(jsontext.Value(page["next"])); next != "" {
		fmt.Fprintf(command.ErrOrStderr(), "there are more: --cursor %s, or --all\n", next)
	}
	return nil
}
