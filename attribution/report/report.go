// Package report tells a validator what cannot be seen by reading: what of a new contribution stands in the
// corpus already, equal or nearly so, which records look like lists, in what language they are, where they
// seem to hold personal data, and which characters in them are odd.
//
// A report is a function of the corpus and the contribution and of nothing else, computed on integers, so
// that every validator arrives at the same bytes and a vote can cite their hash. It quotes no text: findings
// are positions. It decides nothing: every figure has honest causes too.
//
// Life of a report: New takes the contribution; the corpus goes past, contribution after contribution; Report
// ends it. Memory is in proportion to the new contribution, up to 200 bytes for each of its tokens.
package report

import (
	"crypto/sha256"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// Format names this form of reports. Another one is needed for any change that changes the bytes of a report.
const Format = "REPORT/1"

// A Report is what is found. Parts are in millionths (ppm), positions in bytes of the record, records and
// contributions' records are counted from 0. Lists end after MaxFindings; counts beside them do not.
type Report struct {
	Format       string       `json:"format"`
	Tokens       merkle.Hash  `json:"table"` // SHA-256 of the table of canonical tokens
	Contribution Contribution `json:"contribution"`
	Corpus       Corpus       `json:"corpus"`
	Derived      Derived      `json:"derived"`
	Duplicates   Duplicates   `json:"duplicates"`
	Contained    []Contained  `json:"contained"`
	Lists        Lists        `json:"lists"`
	Languages    []Language   `json:"languages"`
	Scripts      []Script     `json:"scripts"`
	Personal     Personal     `json:"personal"`
	Sizes        Sizes        `json:"sizes"`
	Characters   Characters   `json:"characters"`
}

// MaxFindings is the most entries of a list in a report.
const MaxFindings = 1000

// Contribution is what the report is about.
type Contribution struct {
	ID      string      `json:"id"`
	Account string      `json:"account"`
	Root    merkle.Hash `json:"root"` // RFC 6962, over the records
	Records int         `json:"records"`
	Bytes   int64       `json:"bytes"`
	Tokens  int64       `json:"tokens"`
}

// Corpus is what it was compared with.
type Corpus struct {
	Contributions int   `json:"contributions"`
	Records       int64 `json:"records"`
	Tokens        int64 `json:"tokens"`
	// Root is the Merkle root of RFC 6962 over the contributions in their order; the data of a leaf is
	// id ‖ 0x00 ‖ account ‖ 0x00 ‖ Merkle root over the records.
	Root merkle.Hash `json:"root"`
}

// Derived is the part of the contribution that by the definition of attribution is from other accounts.
type Derived struct {
	Tokens int64 `json:"tokens"`
	PPM    int64 `json:"ppm"`
}

// Duplicates are records that stand there already, in the corpus or earlier in the contribution itself.
type Duplicates struct {
	Equal     int    `json:"equal"` // records with the same canonical tokens as another
	EqualTo   []Pair `json:"equal_to"`
	Near      int    `json:"near"` // records that are similar to another, equal ones apart
	SimilarTo []Pair `json:"similar_to"`
}

// A Pair is a record of the contribution and a similar one that was there before.
type Pair struct {
	Record       int    `json:"record"`
	Contribution string `json:"contribution"`
	Other        int    `json:"other"`
	// Similarity is the Jaccard index of the two records' shingles, Contained the part of the record's shingles
	// that the other has. A shingle is a run of three tokens.
	Similarity int64 `json:"similarity_ppm"`
	Contained  int64 `json:"contained_ppm"`
}

// Contained says how many of the contribution's distinct shingles one earlier contribution has. A text with every
// fifth word changed is contained with about 400,000 ppm; different authors on one subject share a few percent.
type Contained struct {
	Contribution string `json:"contribution"`
	Account      string `json:"account"`
	Shingles     int64  `json:"shingles"`
	PPM          int64  `json:"ppm"`
}

// Hash is SHA-256 of the canonical bytes, which a vote cites.
func (r *Report) Hash() (merkle.Hash, error) {
	b, err := r.Bytes()
	if err != nil {
		return merkle.Hash{}, err
	}
	return sha256.Sum256(b), nil
}

// Bytes returns the report's canonical bytes: JSON in the form of RFC 8785.
func (r *Report) Bytes() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	value := jsontext.Value(b)
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return value, nil
}

// ppm is ⌊part·10⁶ / all⌋, 0 of nothing.
func ppm(part, all int64) int64 {
	if all == 0 {
		return 0
	}
	return part * 1_000_000 / all
}
