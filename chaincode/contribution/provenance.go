package contribution

import (
	"regexp"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Method is how data was collected, from a closed vocabulary.
type Method string

// Methods lists the vocabulary.
var Methods = []Method{
	"authored",       // written by the contributor
	"commissioned",   // written by others for the contributor
	"digitised",      // scanned or recognised from paper
	"transcribed",    // from speech or handwriting
	"licensed",       // obtained from a rights holder
	"public-record",  // published by a public body
	"public-dataset", // taken from a dataset that others published
	"crawled",        // gathered from the web
	"user-generated", // by users of a service of the contributor's organisation
	"measured",       // by instruments
	"synthetic",      // made by a program or a model
	"other",
}

// Provenance is where a contribution comes from. It is typed so that no name and no free text of a person can reach the
// ledger; author and source stand in the descriptor, of which the ledger has a salted commitment.
type Provenance struct {
	Method       Method   `json:"method"`
	FromYear     int      `json:"fromYear"`     // of the works' making, common era, negative before it
	ToYear       int      `json:"toYear"`       // not before FromYear
	Languages    []string `json:"languages"`    // BCP 47: language, script, region, as fa or az-Arab-IR; ascending
	PersonalData bool     `json:"personalData"` // whether the content holds personal data of living people
}

// MaxLanguages bounds a contribution's languages.
const MaxLanguages = 16

const (
	firstYear = -5000
	lastYear  = 9999
)

// languagePattern is a language tag of BCP 47 (RFC 5646, section 2.1) in its usual capitals, without variants,
// extensions and private use, whose subtags could spell anything.
var languagePattern = regexp.MustCompile(`^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$`)

func (p Provenance) validate(field string) error {
	if !slices.Contains(Methods, p.Method) {
		return ledger.Invalid(field+".method", "must be one of %v", Methods)
	}
	if p.FromYear < firstYear || p.FromYear > p.ToYear {
		return ledger.Invalid(field+".fromYear", "must be from %d to the last year", firstYear)
	}
	if p.ToYear > lastYear {
		return ledger.Invalid(field+".toYear", "must be at most %d", lastYear)
	}
	if len(p.Languages) > MaxLanguages {
		return ledger.Invalid(field+".languages", "at most %d", MaxLanguages)
	}
	for i, tag := range p.Languages {
		if !languagePattern.MatchString(tag) {
			return ledger.Invalid(field+".languages", "%q is not a language tag like fa or az-Arab-IR", ledger.Clip(tag))
		}
		if i > 0 && tag <= p.Languages[i-1] {
			return ledger.Invalid(field+".languages", "must be ascending and each once")
		}
	}
	return nil
}

// MediaTypes lists what a contribution may be made of, as the gateway takes files in: txt, md, jsonl, csv, code.
var MediaTypes = []string{"text/plain", "text/markdown", "application/jsonl", "text/csv", "text/x-source"}
