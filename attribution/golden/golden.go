// Package golden holds the published examples of the attribution definition: cases and the receipts that
// every engine must give for them, byte for byte, and draws any number of further cases on which engines must
// agree. Tests and benchmarks of engines read it; no other program does.
package golden

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
)

//go:embed cases.jsonl.gz
var cases []byte

//go:embed receipts.txt.gz
var receipts []byte

// An Example is one case and its receipt.
type Example struct {
	Corpus  attribution.Corpus
	Answer  attribution.Answer
	Receipt []byte
}

// Examples returns all published examples in order.
func Examples() ([]Example, error) {
	caseLines, err := lines(cases)
	if err != nil {
		return nil, fmt.Errorf("read the examples' cases: %w", err)
	}
	receiptLines, err := lines(receipts)
	if err != nil {
		return nil, fmt.Errorf("read the examples' receipts: %w", err)
	}
	if len(caseLines) != len(receiptLines) {
		return nil, fmt.Errorf("read the examples: %d cases but %d receipts", len(caseLines), len(receiptLines))
	}
	examples := make([]Example, len(caseLines))
	for i := range examples {
		e := &examples[i]
		e.Corpus, e.Answer, err = ReadCase(caseLines[i])
		if err != nil {
			return nil, fmt.Errorf("example %d: %w", i, err)
		}
		if e.Receipt, err = hex.DecodeString(string(receiptLines[i])); err != nil {
			return nil, fmt.Errorf("example %d: read receipt: %w", i, err)
		}
	}
	return examples, nil
}

// Cases returns the cases as JSON Lines, as programs of others read them.
func Cases() ([]byte, error) {
	all, err := lines(cases)
	if err != nil {
		return nil, fmt.Errorf("read the examples' cases: %w", err)
	}
	return bytes.Join(append(all, nil), []byte("\n")), nil
}

// maxUnpacked bounds what the embedded files may grow to.
const maxUnpacked = 16 << 20

func lines(packed []byte) ([][]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	all, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	if len(all) > maxUnpacked {
		return nil, fmt.Errorf("unpack: more than %d bytes", maxUnpacked)
	}
	return bytes.Split(bytes.TrimSuffix(all, []byte("\n")), []byte("\n")), nil
}

// ReadCase reads a case from one JSON object, strictly: every member must be there, none more, and
// hashes and nonces have their length.
func ReadCase(line []byte) (attribution.Corpus, attribution.Answer, error) {
	var c caseLine
	if err := json.Unmarshal(line, &c, json.RejectUnknownMembers(true)); err != nil {
		return nil, attribution.Answer{}, fmt.Errorf("read case: %w", err)
	}
	corpus, answer, err := c.values()
	if err != nil {
		return nil, attribution.Answer{}, fmt.Errorf("read case: %w", err)
	}
	return corpus, answer, nil
}

type caseLine struct {
	Contributions *[]struct {
		ID      *string `json:"id"`
		Account *string `json:"account"`
		Records *[]text `json:"records"`
	} `json:"contributions"`
	Roots    *[]merkle.Hash `json:"roots"`
	Model    *string        `json:"model"`
	Artifact *merkle.Hash   `json:"artifact"`
	Nonces   *struct {
		Prompt  *nonce `json:"prompt"`
		Context *nonce `json:"context"`
		Output  *nonce `json:"output"`
	} `json:"nonces"`
	Tau     *uint8  `json:"tau"`
	Prompt  *[]text `json:"prompt"`
	Context *[]text `json:"context"`
	Output  *text   `json:"output"`
}

var errMissing = errors.New("a member is missing or null")

func (c *caseLine) values() (attribution.Corpus, attribution.Answer, error) {
	if c.Contributions == nil || c.Roots == nil || c.Model == nil || c.Artifact == nil || c.Nonces == nil ||
		c.Nonces.Prompt == nil || c.Nonces.Context == nil || c.Nonces.Output == nil ||
		c.Tau == nil || c.Prompt == nil || c.Context == nil || c.Output == nil {
		return nil, attribution.Answer{}, errMissing
	}
	corpus := make(attribution.Corpus, len(*c.Contributions))
	for i, k := range *c.Contributions {
		if k.ID == nil || k.Account == nil || k.Records == nil {
			return nil, attribution.Answer{}, fmt.Errorf("contribution %d: %w", i, errMissing)
		}
		corpus[i] = attribution.Contribution{ID: *k.ID, Account: *k.Account, Records: raw(*k.Records)}
	}
	return corpus, attribution.Answer{
		Roots: *c.Roots, Model: *c.Model, Artifact: *c.Artifact,
		Prompt: raw(*c.Prompt), Context: raw(*c.Context), Output: *c.Output,
		Nonces: attribution.Nonces{
			Prompt:  attribution.Nonce(*c.Nonces.Prompt),
			Context: attribution.Nonce(*c.Nonces.Context),
			Output:  attribution.Nonce(*c.Nonces.Output),
		},
		Tau: *c.Tau,
	}, nil
}

// A text is a JSON string, which stands for its UTF-8 bytes, or {"hex": ".."} for any bytes.
type text []byte

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return fmt.Errorf("read text: %w", err)
		}
		*t = text(s)
		return nil
	}
	var object struct {
		Hex *string `json:"hex"`
	}
	if err := json.Unmarshal(b, &object, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("read text: %w", err)
	}
	if object.Hex == nil {
		return fmt.Errorf("read text: hex: %w", errMissing)
	}
	bytes, err := hex.DecodeString(*object.Hex)
	if err != nil {
		return fmt.Errorf("read text: %w", err)
	}
	*t = bytes
	return nil
}

func raw(texts []text) [][]byte {
	list := make([][]byte, len(texts))
	for i, t := range texts {
		list[i] = t
	}
	return list
}

type nonce attribution.Nonce

func (n *nonce) UnmarshalText(digits []byte) error {
	if len(digits) != 2*len(n) {
		return fmt.Errorf("a nonce has %d hex digits, this has %d characters", 2*len(n), len(digits))
	}
	if _, err := hex.Decode(n[:], digits); err != nil {
		return fmt.Errorf("read nonce: %w", err)
	}
	return nil
}
