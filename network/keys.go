package network

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// checkKeys compares every key of the document with the settings that exist.
// Viper folds the case of keys before it decodes them, so it cannot tell
// mspid from mspId, nor two spellings of one key.
func checkKeys(raw []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the file is empty")
		}
		return err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("the file must hold exactly one YAML document")
	}
	var faults []error
	walkKeys(doc.Content[0], reflect.TypeFor[Topology](), "", &faults)
	return errors.Join(faults...)
}

func walkKeys(node *yaml.Node, t reflect.Type, path string, faults *[]error) {
	fault := func(at *yaml.Node, path, format string, args ...any) {
		*faults = append(*faults, fmt.Errorf("line %d: %s: %s", at.Line, path, fmt.Sprintf(format, args...)))
	}
	where := strings.TrimPrefix(path, ".")
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		fault(node, where, "anchors and aliases are not supported, write the value out")
	case t.Kind() == reflect.Struct:
		if node.Kind != yaml.MappingNode {
			if where == "" {
				where = "topology"
			}
			fault(node, where, "must be a mapping")
			return
		}
		fields := fieldsOf(t)
		seen := map[string]bool{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			here := strings.TrimPrefix(path+"."+key.Value, ".")
			field, known := fields[key.Value]
			switch {
			case !known:
				fault(key, here, "unknown setting%s", suggestion(fields, key.Value))
			case seen[key.Value]:
				fault(key, here, "given twice")
			default:
				seen[key.Value] = true
				walkKeys(value, field, path+"."+key.Value, faults)
			}
		}
	case t.Kind() == reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			fault(node, where, "must be a list")
			return
		}
		for i, item := range node.Content {
			walkKeys(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i), faults)
		}
	case node.Kind != yaml.ScalarNode:
		fault(node, where, "must be a single value")
	case node.Tag == "!!null":
		fault(node, where, "has no value; give one or leave the setting out")
	}
}

func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		fields[f.Tag.Get("yaml")] = f.Type
	}
	return fields
}

func suggestion(fields map[string]reflect.Type, key string) string {
	for name := range fields {
		if strings.EqualFold(name, key) {
			return fmt.Sprintf(" (it is written %s)", name)
		}
	}
	return ""
}
