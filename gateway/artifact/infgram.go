package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/attribution/infgram"
	"github.com/datanet-consortium/datanet/chaincode/model"
)

// ModelName is the file that a built-in model consists of.
const ModelName = "model.json"

// Model is the artifact of a built-in model: how it weighs contexts, and what it was trained on. The model itself is the
// corpus, from which a host builds it; so what is erased from the corpus leaves the model too.
type Model struct {
	Format        string                `json:"format"` // [InfGram]
	Interpolation infgram.Interpolation `json:"interpolation"`
	MaxContext    int                   `json:"maxContext"`
	Corpus        Trained               `json:"corpus"`
}

// Trained is what a built-in model was trained on.
type Trained struct {
	model.Corpus
	Roots []string `json:"roots"` // of the snapshots, in hex, as they were released
}

// Encode returns the artifact's bytes.
func (m Model) Encode() ([]byte, error) {
	m.Format = InfGram
	encoded, err := json.Marshal(m, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode the model: %w", err)
	}
	encoded = append(encoded, '\n')
	_, err = DecodeModel(encoded)
	return encoded, err
}

// DecodeModel reads the artifact of a built-in model, strictly.
func DecodeModel(encoded []byte) (Model, error) {
	var m Model
	if err := json.Unmarshal(encoded, &m, json.RejectUnknownMembers(true)); err != nil {
		return Model{}, fmt.Errorf("read the model: %w", err)
	}
	switch {
	case m.Format != InfGram:
		return Model{}, fmt.Errorf("read the model: its format is %.50q", m.Format)
	case m.MaxContext < 0 || m.Interpolation == (infgram.Interpolation{}):
		return Model{}, errors.New("read the model: it does not say how it weighs contexts")
	}
	return m, nil
}

// FileOf is a file of these bytes.
func FileOf(name string, content []byte) File {
	sum := sha256.Sum256(content)
	return File{Name: name, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}
