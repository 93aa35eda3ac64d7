package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDocument bounds a request document, in bytes. A batch of 3,000 payees takes about 300 kB.
const MaxDocument = 1 << 20

// Encode is the canonical codec of state values, responses and events: JSON with members in the order of the struct's
// fields, maps sorted, no insignificant white space, so that endorsers agree byte for byte.
func Encode(v any) ([]byte, error) {
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return data, nil
}

// Decode reads one JSON document strictly: names are matched exactly, an unknown or repeated name, a wrong type,
// invalid UTF-8 or anything after the document is an error. An unreadable document is an "invalid" [Fault] that
// names the field.
func Decode(data []byte, v any) error {
	if len(data) > MaxDocument {
		return Invalid("", "document of %d bytes exceeds the limit of %d", len(data), MaxDocument)
	}
	err := json.Unmarshal(data, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &semantic):
		field := fieldPath(semantic.JSONPointer)
		if errors.Is(err, json.ErrUnknownName) {
			return Invalid(field, "unknown field")
		}
		if f := new(Fault); errors.As(semantic.Err, &f) {
			return Invalid(field, "%s", f.Message)
		}
		if semantic.Err != nil {
			return Invalid(field, "%v", semantic.Err)
		}
		return Invalid(field, "does not accept this type of value")
	case errors.As(err, &syntactic):
		return Invalid(fieldPath(syntactic.JSONPointer), "not valid JSON at byte %d: %v", syntactic.ByteOffset, syntactic.Err)
	}
	return Invalid("", "not a valid document: %v", err)
}

// fieldPath turns a JSON pointer, /payees/3/amount, into the form that faults use, payees.3.amount.
func fieldPath(p jsontext.Pointer) string {
	path := ""
	for token := range p.Tokens() {
		if path != "" {
			path += "."
		}
		path += token
	}
	return path
}

// Same tells whether two documents are equal as the ledger writes them.
func Same(a, b any) (bool, error) {
	x, err := Encode(a)
	if err != nil {
		return false, err
	}
	y, err := Encode(b)
	return bytes.Equal(x, y), err
}

// Load reads and decodes the value of a key; found is false when the key is absent. A value that does not decode is
// an internal error: only rules write state.
func Load[T any](r Reader, key Key) (value T, found bool, err error) {
	data, err := r.Get(key)
	if err != nil || data == nil {
		return value, false, err
	}
	var memory *Memory
	if m, ok := r.(interface{ remembers() *Memory }); ok {
		memory = m.remembers()
	}
	value, err = Remember(memory, data, func(data []byte) (T, error) { return Value[T](key, data) })
	return value, err == nil, err
}

// Save encodes a value and writes it under a key.
func Save(tx Tx, key Key, value any) error {
	data, err := Encode(value)
	if err != nil {
		return err
	}
	tx.Put(key, data)
	return nil
}

// DecodeAnswer reads a function's answer or an event. Unlike [Decode] it sets no size and lets unknown fields pass:
// the chaincode may be newer than its client.
func DecodeAnswer(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
