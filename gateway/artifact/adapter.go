package artifact

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
)

// AdapterConfig is the name of the file by which a folder is known to be a PEFT adapter.
const AdapterConfig = "adapter_config.json"

// Adapter is what the manifest tells of a PEFT adapter.
type Adapter struct {
	Type     string `json:"type"`              // "LORA"
	Base     string `json:"base"`              // as the training named it: mostly owner/model on Hugging Face
	Revision string `json:"revision,omitzero"` // of the base, if the training named one
	Rank     int    `json:"rank"`
}

// readAdapter reads adapter_config.json. PEFT writes many more settings, which may come and go with its versions.
func readAdapter(config []byte) (Adapter, error) {
	var c struct {
		Type     string `json:"peft_type"`
		Base     string `json:"base_model_name_or_path"`
		Revision string `json:"revision"`
		Rank     int    `json:"r"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return Adapter{}, fmt.Errorf("%s: %w", AdapterConfig, err)
	}
	switch {
	case c.Type != "LORA":
		return Adapter{}, fmt.Errorf("%s: an adapter of type %.50q: only LORA is known", AdapterConfig, c.Type)
	case c.Base == "":
		return Adapter{}, errors.New(AdapterConfig + ": it names no base model")
	case c.Rank < 1:
		return Adapter{}, errors.New(AdapterConfig + ": a rank is at least 1")
	}
	return Adapter{Type: c.Type, Base: c.Base, Revision: c.Revision, Rank: c.Rank}, nil
}

// checkLoRA checks that the tensors are those of a LoRA adapter: factors A and B, in pairs of the adapter's rank or, with
// a pattern of ranks, of another one.
func checkLoRA(tensors map[string]Tensor) error {
	pairs := 0
	for name, a := range tensors {
		before, after, isA := strings.Cut(name, ".lora_A.")
		if !isA {
			continue
		}
		b, paired := tensors[before+".lora_B."+after]
		if !paired {
			return fmt.Errorf("adapter: %.100q has no lora_B beside it", name)
		}
		if len(a.Shape) < 2 || len(b.Shape) < 2 || a.Shape[0] != b.Shape[1] {
			return fmt.Errorf("adapter: %.100q and its lora_B do not multiply", name)
		}
		pairs++
	}
	for name := range tensors {
		if before, after, isB := strings.Cut(name, ".lora_B."); isB {
			if _, paired := tensors[before+".lora_A."+after]; !paired {
				return fmt.Errorf("adapter: %.100q has no lora_A beside it", name)
			}
		}
	}
	if pairs == 0 {
		return errors.New("adapter: it has no lora_A and lora_B")
	}
	return nil
}
