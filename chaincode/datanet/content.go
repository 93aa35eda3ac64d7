package datanet

import (
	"regexp"
	"unicode"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
)

// Bounds of a datanet's description.
const (
	MaxTitle       = 120  // characters
	MaxDescription = 2000 // characters
	MaxTags        = 16
	MaxValidators  = 64
)

// Modality is the sort of data that a datanet pools.
type Modality string

const (
	Text    Modality = "text"
	Code    Modality = "code"
	Tabular Modality = "tabular"
	Mixed   Modality = "mixed"
)

// Content is what a curator says of a datanet, and can change by a new version.
type Content struct {
	Title       string          `json:"title"`       // of the datanet, never of a person
	Description string          `json:"description"` // may be empty
	Tags        []string        `json:"tags"`        // ascending
	Modality    Modality        `json:"modality"`
	Licence     licence.Licence `json:"licence"`
	Policy      `json:"policy"` // of validation and pay
}

var tagPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

func (c Content) validate() error {
	if n := utf8.RuneCountInString(c.Title); n < 1 || n > MaxTitle {
		return ledger.Invalid("title", "must have 1 to %d characters", MaxTitle)
	}
	if control(c.Title, false) {
		return ledger.Invalid("title", "must be one line without control characters")
	}
	if utf8.RuneCountInString(c.Description) > MaxDescription {
		return ledger.Invalid("description", "must have at most %d characters", MaxDescription)
	}
	if control(c.Description, true) {
		return ledger.Invalid("description", "must have no control characters but line ends")
	}
	if len(c.Tags) > MaxTags {
		return ledger.Invalid("tags", "at most %d", MaxTags)
	}
	for i, tag := range c.Tags {
		if !tagPattern.MatchString(tag) {
			return ledger.Invalid("tags", "%q is not a tag: expected 1 to 32 lower-case letters, digits or hyphens", ledger.Clip(tag))
		}
		if i > 0 && tag <= c.Tags[i-1] {
			return ledger.Invalid("tags", "must be ascending and each once")
		}
	}
	switch c.Modality {
	case Text, Code, Tabular, Mixed:
	default:
		return ledger.Invalid("modality", "must be %s, %s, %s or %s", Text, Code, Tabular, Mixed)
	}
	if err := c.Licence.Validate("licence"); err != nil {
		return err
	}
	return c.Policy.Validate("policy")
}

// control tells whether a text holds a control character. U+0000 to U+001F and U+007F to U+009F have always been all
// of them, so endorsers of different releases agree.
func control(s string, lines bool) bool {
	for _, r := range s {
		if unicode.IsControl(r) && !(lines && r == '\n') {
			return true
		}
	}
	return false
}
