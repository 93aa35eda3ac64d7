package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// auditQuestion is a command that asks the gateway a question and shows the answer as a report. The gateway gives the
// data; the report is made here, so it is the same whatever gateway answers.
type auditQuestion struct {
	use, short string
	path       string // under /audit, with the arguments' names in braces
	paged      bool
	// flags are query parameters of the question, with what they mean.
	flags map[string]string
	// render turns the answer's document into a report.
	render func(data []byte) (question.Answer, error)
}

func rendered[T question.Answer](data []byte) (question.Answer, error) {
	var answer T
	if err := ledger.DecodeAnswer(data, &answer); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return answer, nil
}

var auditQuestions = []auditQuestion{
	{use: "model NAME VERSION", short: "Which snapshots trained a model, by which right, and who validated each contribution", path: "/models/{name}/versions/{version}", paged: true, render: rendered[question.Model]},
	{use: "contribution DATANET ID", short: "What became of a contribution, from its registration on", path: "/datanets/{datanet}/contributions/{id}", render: rendered[question.Contribution]},
	{use: "snapshot DATANET NUMBER", short: "What a snapshot holds, by how it was collected, its languages and licences", path: "/datanets/{datanet}/snapshots/{number}", render: rendered[question.Snapshot]},
	{use: "training-summary NAME VERSION", short: "The summary of training content of Article 53(1)(d) of Regulation (EU) 2024/1689", path: "/models/{name}/versions/{version}/training-summary", render: rendered[question.Training]},
	{use: "claim HOST ID", short: "What became of a settlement: who recomputed it, who objected, who was paid", path: "/hosts/{host}/claims/{id}", render: rendered[question.Claim]},
	{use: "period", short: "All events of a period, with the proof that none is missing", path: "/period", paged: true, render: rendered[question.Period],
		flags: map[string]string{"first": "number of the first block", "end": "number of the block before which it ends", "from": "beginning, as 2030-01-02T15:04:05Z or 2030-01-02", "until": "end, which is no part of it, as 2030-01-02T15:04:05Z or 2030-01-02"}},
	{use: "blocks", short: "Headers of blocks, from which the chain of hashes can be computed again", path: "/blocks", render: rendered[question.Blocks],
		flags: map[string]string{"first": "number of the first block", "limit": "how many"}},
	{use: "person ACCOUNT", short: "What is held of a person, who received it, and what was erased", path: "/people/{account}", paged: true, render: rendered[question.Person]},
	{use: "fees", short: "Where fees went", path: "/fees", paged: true, render: rendered[question.Fees], flags: map[string]string{"host": "of one host, by its account", "model": "of one model, as NAME@VERSION"}},
	{use: "supply", short: "Whether credits were created or lost", path: "/supply", render: rendered[question.Supply]},
	{use: "transaction ID|PLACE", short: "A transaction's history, from the proposal to the state, by id or by place, like 61.0", path: "/transactions/{id|place}", render: rendered[question.Transaction]},
	{use: "roles", short: "Who held which role when, and breaches of the separation of duties", path: "/roles", paged: true, render: rendered[question.Roles], flags: map[string]string{"account": "one account (default: all, page by page)"}},
	{use: "unused", short: "Which data was released for training and is cited by no model", path: "/unused", paged: true, render: rendered[question.Unused]},
}

func newQuestions() []*cobra.Command {
	var commands []*cobra.Command
	for _, q := range auditQuestions {
		commands = append(commands, q.command())
	}
	for _, e := range auditExports {
		commands = append(commands, e.command())
	}
	commands = append(commands, newAuditReceipt(), newAuditSign(), newAuditVerifyModel())
	for _, command := range commands {
		gatewayFlags(command)
	}
	return commands
}

// auditExports are the descriptions in formats that others read; they are written as the gateway gives them.
var auditExports = []auditQuestion{
	{use: "croissant DATANET NUMBER", short: "Describe a snapshot as Croissant 1.1", path: "/datanets/{datanet}/snapshots/{number}/croissant"},
	{use: "mlbom NAME VERSION", short: "List what a model was made of as CycloneDX 1.7 (ML-BOM)", path: "/models/{name}/versions/{version}/mlbom"},
	{use: "prov NAME VERSION", short: "Tell a model's provenance as W3C PROV-JSON", path: "/models/{name}/versions/{version}/prov"},
}

func (q auditQuestion) command() *cobra.Command {
	names := strings.Fields(q.use)[1:]
	command := &cobra.Command{Use: q.use, Short: q.short, Args: arguments(cobra.ExactArgs(len(names))),
		Long: q.long()}
	shown := showFlags(command, q.render != nil)
	if q.paged {
		command.Flags().Int("limit", 0, "how many entries of the list in the answer (default: as the gateway says)")
		command.Flags().String("cursor", "", "where the list goes on, as an earlier answer says")
	}
	for name, usage := range q.flags {
		command.Flags().String(name, "", usage)
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		path := q.path
		for i, name := range names {
			if name == "NAME" || name == "DATANET" {
				if owner, of, _ := strings.Cut(args[i], "/"); owner == "" || of == "" || strings.Contains(of, "/") {
					return usageError{fmt.Errorf("%s: %q is no name: expected ORGANISATION/NAME, like PoetrySocietyMSP/persian-poetry", name, args[i])}
				}
			}
			path = strings.ReplaceAll(path, "{"+strings.ToLower(name)+"}", escaped(args[i]))
		}
		query := shown.query()
		for _, name := range append([]string{"limit", "cursor"}, keysOf(q.flags)...) {
			if flag := command.Flags().Lookup(name); flag != nil && flag.Changed {
				query.Set(name, flag.Value.String())
			}
		}
		return shown.answer(command, q.render, func(c *client.Client) ([]byte, error) {
			data, _, err := c.Raw(command.Context(), http.MethodGet, "/v1/audit"+path, query, nil)
			return data, err
		})
	}
	return command
}

// long says what the answer has and for whom it is.
func (q auditQuestion) long() string {
	if q.render == nil {
		return q.short + ". For the roles regulator and operator."
	}
	return q.short + ", with the ledger evidence beside\nevery statement. For the roles regulator and operator."
}

func keysOf(m map[string]string) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

// escaped is a name as a part of a path; the slash of a datanet's or a model's name separates two parts.
func escaped(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// showOptions are those of every question.
type showOptions struct {
	format, out string
	height      uint64
}

func showFlags(command *cobra.Command, formats bool) *showOptions {
	o := &showOptions{format: "json"}
	if formats {
		command.Flags().StringVar(&o.format, "format", "markdown", "markdown, html or json")
	}
	command.Flags().StringVar(&o.out, "out", "", "write the answer to this file")
	command.Flags().Uint64Var(&o.height, "height", 0, "answer as of this many blocks (default: all)")
	return o
}

func (o *showOptions) query() url.Values {
	query := url.Values{}
	if o.height > 0 {
		query.Set("height", fmt.Sprint(o.height))
	}
	return query
}

// answer asks and shows what comes.
func (o *showOptions) answer(command *cobra.Command, render func([]byte) (question.Answer, error), ask func(*client.Client) ([]byte, error)) error {
	format := o.format
	if wantsJSON(command) {
		format = "json"
	}
	if format != "json" && format != "html" && format != "markdown" {
		return usageError{errors.New("--format: markdown, html or json is expected")}
	}
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	data, err := ask(c)
	if err != nil {
		return err
	}
	if format != "json" {
		answer, err := render(data)
		if err != nil {
			return err
		}
		document := answer.Report()
		if data = document.Markdown(); format == "html" {
			if data, err = document.HTML(); err != nil {
				return err
			}
		}
	} else {
		var b bytes.Buffer
		if err := json.Indent(&b, data, "", "  "); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		data = append(b.Bytes(), '\n')
	}
	return writeOut(command, o.out, data)
}

// writeOut writes a document to a file that only its owner may read, or to the output.
func writeOut(command *cobra.Command, out string, data []byte) error {
	if out != "" {
		if err := os.WriteFile(out, data, 0o600); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		return nil
	}
	if _, err := command.OutOrStdout().Write(data); err != nil {
		return fmt.Errorf("print the answer: %w", err)
	}
	return nil
}

func newAuditReceipt() *cobra.Command {
	var host string
	command := &cobra.Command{Use: "receipt FILE|ID", Short: "What an answer of a model owes to whom, and which of it the ledger confirms", Args: arguments(cobra.ExactArgs(1)),
		Long: `Reads a receipt from a file, as bytes, in hex or in an .evidence file of "datanet chat --keep", or from
standard input (-); with --host it gets the receipt of that id from the gateway of the host. Of an
.evidence file only the receipt is sent. Shows its model, sources and shares, each checked on the
ledger. Whether it is the receipt of the answer takes the corpus and the texts: datanet attribute
verify. For the roles regulator and operator.`}
	shown := showFlags(command, true)
	command.Flags().StringVar(&host, "host", "", "MSP ID of the host whose gateway has the receipt")
	command.RunE = func(command *cobra.Command, args []string) error {
		if host != "" {
			return shown.answer(command, rendered[question.Receipt], func(c *client.Client) ([]byte, error) {
				data, _, err := c.Raw(command.Context(), http.MethodGet, "/v1/audit/hosts/"+escaped(host)+"/receipts/"+escaped(args[0]), shown.query(), nil)
				return data, err
			})
		}
		r, err := readReceipt(args[0], command.InOrStdin())
		if err != nil {
			return err
		}
		encoded, err := r.Encode()
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		return shown.answer(command, rendered[question.Receipt], func(c *client.Client) ([]byte, error) {
			data, _, err := c.Ask(command.Context(), "/v1/audit/receipts", shown.query(), "application/octet-stream", encoded)
			return data, err
		})
	}
	return command
}
