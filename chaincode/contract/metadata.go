package contract

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

type schema = map[string]any

// Metadata describes every function for generic clients, in the contract API's own format: its name, whether it
// submits or evaluates, and the JSON schemas of the document it takes (parameter "request") and of its answer.
func Metadata(reg *ledger.Registry) ([]byte, error) {
	type contract struct {
		Name         string   `json:"name"`
		Transactions []schema `json:"transactions"`
	}
	contracts := map[string]*contract{}
	for _, f := range reg.Functions() {
		name, function, _ := strings.Cut(f.Name, ":")
		if contracts[name] == nil {
			contracts[name] = &contract{Name: name}
		}
		tags := []string{"submit", "SUBMIT"}
		if f.Query {
			tags = []string{"evaluate", "EVALUATE"}
		}
		contracts[name].Transactions = append(contracts[name].Transactions, schema{
			"name": function,
			"tag":  tags,
			"parameters": []schema{{
				"name": "request", "description": describe(f), "schema": schemaOf(f.Request),
			}},
			"returns": schemaOf(f.Response),
		})
	}
	contracts[contractapi.SystemContractName] = &contract{Name: contractapi.SystemContractName, Transactions: []schema{
		{"name": "GetMetadata", "tag": []string{"evaluate", "EVALUATE"}, "returns": schema{"type": "string"}},
	}}
	data, err := json.Marshal(schema{
		"info": schema{
			"title": "Datanet", "version": "1",
			"description": "Each function takes one JSON document and answers with one. Errors are JSON: code, message, field.",
		},
		"contracts":  contracts,
		"components": schema{},
	})
	if err != nil {
		return nil, fmt.Errorf("encode contract metadata: %w", err)
	}
	return data, nil
}

// describe says what the function does and who may call it.
func describe(f *ledger.Function) string {
	if len(f.Access.Roles) == 0 {
		return f.Doc
	}
	words := make([]string, len(f.Access.Roles))
	for i, role := range f.Access.Roles {
		words[i] = string(role)
	}
	return f.Doc + " Role: " + strings.Join(words, " or ") + "."
}

// schemaOf is the JSON schema of a Go type as the ledger's codec writes it.
func schemaOf(t reflect.Type) schema {
	if t == reflect.TypeFor[jsontext.Value]() {
		return schema{"type": "object"}
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return schema{"type": "string"}
	}
	switch t.Kind() {
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return schema{"type": "integer"}
	case reflect.Slice:
		return schema{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		properties, required := schema{}, []string{}
		addFields(t, properties, &required)
		s := schema{"type": "object", "properties": properties, "additionalProperties": false}
		if len(required) > 0 {
			s["required"] = required
		}
		return s
	}
	panic("contract: no schema for " + t.String())
}

func addFields(t reflect.Type, properties schema, required *[]string) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			addFields(field.Type, properties, required)
		case name == "" || name == "-":
			panic(fmt.Sprintf("contract: field %s.%s has no JSON name", t, field.Name))
		default:
			properties[name] = schemaOf(field.Type)
			if !strings.Contains(options, "omit") {
				*required = append(*required, name)
			}
		}
	}
}
