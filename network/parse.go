package network

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"gopkg.in/yaml.v3"
)

// MaxFileBytes bounds a topology file before it is parsed.
const MaxFileBytes = 1 << 20

// Load reads, completes and validates the topology in a file.
func Load(path string) (*Topology, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open topology: %w", err)
	}
	defer file.Close()
	return Parse(file, path)
}

// Parse reads a topology as YAML, completes it with the defaults and validates
// it as a whole. The name stands for the source in errors. A setting that is
// unknown, also for the case of its letters, is an error: a typing error must
// not silently become a default.
func Parse(r io.Reader, name string) (*Topology, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read topology %s: %w", name, err)
	}
	if len(raw) > MaxFileBytes {
		return nil, fmt.Errorf("read topology %s: larger than %d bytes", name, MaxFileBytes)
	}
	t, err := decode(raw)
	if err != nil {
		return nil, fmt.Errorf("read topology %s: %w", name, err)
	}
	t.ApplyDefaults()
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("topology %s: %w", name, err)
	}
	return t, nil
}

func decode(raw []byte) (*Topology, error) {
	if err := checkKeys(raw); err != nil {
		return nil, err
	}
	v := viper.New()
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	var t Topology
	err := v.UnmarshalExact(&t, func(c *mapstructure.DecoderConfig) {
		c.TagName = "yaml"
		c.WeaklyTypedInput = false
		c.DecodeHook = mapstructure.StringToTimeDurationHookFunc()
	})
	if err != nil {
		return nil, err
	}
	if t.Version != Version {
		return nil, fmt.Errorf("version: this program reads version %d, the file says %d", Version, t.Version)
	}
	return &t, nil
}

// Marshal writes the topology, defaults included, as YAML that Parse reads
// back to an equal value.
func (t *Topology) Marshal() ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	err := errors.Join(enc.Encode(t), enc.Close())
	if err != nil {
		return nil, fmt.Errorf("write topology: %w", err)
	}
	return out.Bytes(), nil
}
