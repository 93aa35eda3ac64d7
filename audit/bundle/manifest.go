package bundle

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Format names the layout and its version.
const Format = "datanet-audit/1"

// Bounds of what a reader accepts. A segment has its own bound, since it is never read as a whole.
const (
	maxManifest = 16 << 20
	// MaxBlock is the largest encoded block: Fabric's nodes refuse larger messages.
	MaxBlock = 100 << 20
	// MaxPieces is the most fields of a block that are read, down to those of its envelopes and signatures. An envelope holds a
	// certificate, so no honest block comes near.
	MaxPieces = 1 << 18
	// MaxSegment is the largest segment file.
	MaxSegment = 1 << 40
)

// Manifest is what a bundle says of itself. It is evidence of nothing: digests find damage, not forgery.
type Manifest struct {
	Format    string `json:"format"`
	Channel   string `json:"channel"`
	Chaincode string `json:"chaincode"`
	// Genesis is the hash of the header of block 0, in hex, as the exporter knows it.
	Genesis string `json:"genesis"`
	// First is the number of the first block, and Height that of the block after the last one.
	First  uint64 `json:"first"`
	Height uint64 `json:"height"`
	// Base, when First is not 0, is the configuration block in force before block First.
	Base *Segment `json:"base,omitempty"`
	// State, when First is not 0, is the state before block First, if the bundle has it.
	State *Segment `json:"state,omitempty"`
	// Segments hold the blocks in order, without a gap.
	Segments []Segment `json:"segments"`
	// Parts are what is on no ledger, by kind.
	Parts []Part `json:"parts,omitempty"`
	// Receipts says which settlements are to be among the parts; nil: none.
	Receipts *Receipts `json:"receipts,omitempty"`
	// Holder is the MSP ID of the organisation to which the contents among the parts were given; "" when there are none.
	Holder string `json:"holder,omitempty"`
	// Unproved says what this bundle cannot show, whatever it holds.
	Unproved []string `json:"unproved"`
}

// Segment is a file of blocks.
type Segment struct {
	File   string `json:"file"`
	First  uint64 `json:"first"` // number of its first block
	Count  uint64 `json:"count"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex, of the whole file
}

// segmentName is the only name that a segment beginning with a block may have.
func segmentName(first uint64) string { return fmt.Sprintf("blocks-%020d", first) }

const (
	manifestName = "manifest.json"
	baseName     = "configuration"
	stateName    = "state"
)

// Decode reads a manifest strictly and checks that its segments join.
func Decode(data []byte) (*Manifest, error) {
	if len(data) > maxManifest {
		return nil, fmt.Errorf("manifest of %d bytes, at most %d are accepted", len(data), maxManifest)
	}
	m := &Manifest{}
	if err := json.Unmarshal(data, m, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("decode manifest: %w", err)
	}
	return m, m.check()
}

func (m *Manifest) check() error {
	if m.Format != Format {
		return fmt.Errorf("format %q, this program reads %q", m.Format, Format)
	}
	if m.Channel == "" || m.Chaincode == "" {
		return errors.New("the manifest names no channel or no chaincode")
	}
	if !isDigest(m.Genesis) {
		return errors.New("the manifest's genesis hash is not 64 hex digits")
	}
	if (m.First != 0) != (m.Base != nil) {
		return errors.New("a bundle has a configuration to begin with exactly when it does not begin with block 0")
	}
	if m.Base != nil {
		if err := m.Base.check(); err != nil {
			return err
		}
		if m.Base.File != baseName || m.Base.Count != 1 || m.Base.First >= m.First {
			return errors.New("the configuration to begin with is not one block before the first one")
		}
	}
	if m.State != nil {
		if err := m.State.check(); err != nil {
			return err
		}
		if m.First == 0 || m.State.File != stateName || m.State.Count != 1 || m.State.First != m.First {
			return errors.New("the state to begin with is not that before the first block")
		}
	}
	next := m.First
	for _, s := range m.Segments {
		if err := s.check(); err != nil {
			return err
		}
		if s.File != segmentName(s.First) {
			return fmt.Errorf("segment %q should be called %s", s.File, segmentName(s.First))
		}
		if s.First != next {
			return fmt.Errorf("segment %s begins with block %d where block %d is due", s.File, s.First, next)
		}
		if next += s.Count; next < s.First {
			return fmt.Errorf("segment %s has too many blocks", s.File)
		}
	}
	if m.Height != next {
		return fmt.Errorf("the manifest's height is %d, its segments end at %d", m.Height, next)
	}
	return checkParts(m.Parts)
}

func (s Segment) check() error {
	if s.Count == 0 || s.Bytes < 0 || s.Bytes > MaxSegment || s.Count > uint64(s.Bytes) || !isDigest(s.SHA256) {
		return fmt.Errorf("segment %q: count, size or digest is out of bounds", s.File)
	}
	return nil
}

func isDigest(s string) bool {
	sum, err := hex.DecodeString(s)
	return err == nil && len(sum) == 32
}

func (m *Manifest) encode() ([]byte, error) {
	data, err := json.Marshal(m, jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(data, '\n'), nil
}
