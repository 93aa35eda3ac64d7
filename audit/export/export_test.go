package export_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/piprate/json-gold/ld"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/export"
	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/audit/question/questiontest"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/index"
)

// exports is a folder into which the story's exports are written, to be looked at and given to other programs.
var exports = flag.String("exports", "", "write the exports of the story into this folder")

func keep(t *testing.T, name string, data []byte, err error) []byte {
	t.Helper()
	require.NoError(t, err)
	require.NotContains(t, string(data), "null")
	if *exports != "" {
		require.NoError(t, os.WriteFile(filepath.Join(*exports, name), data, 0o600))
	}
	return data
}

func ask(t *testing.T) (*questiontest.Story, *question.Auditor) {
	s := questiontest.Tell(t)
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "x.db"))+"?synchronous=normal")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	x, err := index.Open(t.Context(), db, "datanet")
	require.NoError(t, err)
	require.NoError(t, s.Index(t.Context(), x))
	view, err := x.View(t.Context())
	require.NoError(t, err)
	return s, question.New(view, "datanet")
}

// Croissant has no schema that a program here could apply: the document is processed as JSON-LD, and what the
// specification, and its reference implementation mlcroissant, require of a dataset, its files, record sets and fields is looked
// for in the expanded terms.
func TestCroissantIsJSONLDWithAllThatTheSpecificationRequires(t *testing.T) {
	s, a := ask(t)
	answer, err := a.Snapshot(t.Context(), snapshot.Named{Datanet: s.Pool, Number: 2})
	require.NoError(t, err)
	data, err := export.Croissant(answer)
	keep(t, "croissant.json", data, err)
	var document any
	require.NoError(t, json.Unmarshal(data, &document))
	options := ld.NewJsonLdOptions("https://gateway.example/")
	options.ProcessingMode = ld.JsonLd_1_1
	expanded, err := ld.NewJsonLdProcessor().Expand(document, options)
	require.NoError(t, err)
	require.Len(t, expanded, 1)
	dataset := expanded[0].(map[string]any)
	require.Equal(t, []any{"http://schema.org/Dataset"}, dataset["@type"])
	for _, term := range []string{"name", "description", "license", "url", "creator", "datePublished", "version", "keywords", "publisher", "inLanguage", "usageInfo", "distribution"} {
		require.NotEmpty(t, dataset["http://schema.org/"+term], term)
	}
	require.Equal(t, []any{map[string]any{"@value": "http://mlcommons.org/croissant/1.1", "@language": "en"}}, dataset["http://purl.org/dc/terms/conformsTo"])
	files := dataset["http://schema.org/distribution"].([]any)
	require.Len(t, files, 1)
	file := files[0].(map[string]any)
	require.Equal(t, []any{"http://mlcommons.org/croissant/FileObject"}, file["@type"])
	for _, term := range []string{"name", "contentUrl", "encodingFormat"} {
		require.NotEmpty(t, file["http://schema.org/"+term], term)
	}
	require.Equal(t, []any{map[string]any{"@value": true}}, dataset["http://mlcommons.org/croissant/isLiveDataset"], "else the file needs a checksum")
	sets := dataset["http://mlcommons.org/croissant/recordSet"].([]any)
	require.Len(t, sets, 1)
	fields := sets[0].(map[string]any)["http://mlcommons.org/croissant/field"].([]any)
	require.Len(t, fields, 3)
	declared := map[any]bool{}
	for _, one := range fields {
		field := one.(map[string]any)
		declared[field["@id"]] = true
		require.NotEmpty(t, field["http://schema.org/name"])
		require.Contains(t, field["@id"], "records/")
		require.Contains(t, field["http://mlcommons.org/croissant/dataType"].([]any)[0].(map[string]any)["@id"], "http://schema.org/")
		source := field["http://mlcommons.org/croissant/source"].([]any)[0].(map[string]any)
		require.Equal(t, file["@id"], source["http://mlcommons.org/croissant/fileObject"].([]any)[0].(map[string]any)["@id"])
		require.NotEmpty(t, source["http://mlcommons.org/croissant/extract"])
	}
	for _, key := range sets[0].(map[string]any)["http://mlcommons.org/croissant/key"].([]any) {
		require.True(t, declared[key.(map[string]any)["@id"]], "%v", key)
	}
	// Every term means something: none was dropped in the expansion.
	compacted, err := ld.NewJsonLdProcessor().Compact(document, document.(map[string]any)["@context"], options)
	require.NoError(t, err)
	for name := range document.(map[string]any) {
		require.Contains(t, compacted, name)
	}
}

// The schema is the one that the CycloneDX project publishes with its Go library.
func TestTheMLBOMIsValidByTheSchemaOfCycloneDX(t *testing.T) {
	s, a := ask(t)
	answer, err := a.Model(t.Context(), s.Small, ledger.PageRequest{})
	require.NoError(t, err)
	data, err := export.MLBOM(answer)
	keep(t, "mlbom.json", data, err)
	again, err := export.MLBOM(answer)
	require.NoError(t, err)
	require.Equal(t, string(data), string(again), "the same answer gives the same bytes")

	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.UseLoader(schemas(filepath.Join(strings.TrimSpace(string(folder)), "schema")))
	schema, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.7.schema.json")
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(document))
	require.Equal(t, "1.7", document.(map[string]any)["specVersion"])
	document.(map[string]any)["metadata"].(map[string]any)["component"].(map[string]any)["type"] = "poem"
	require.Error(t, schema.Validate(document), "the schema judges")
}

// schemas loads schemas from a folder by the last part of their names. The one of cryptographic terms, which the library
// does not bring and none of our documents has, allows everything.
type schemas string

func (s schemas) Load(url string) (any, error) {
	name := url[strings.LastIndexByte(url, '/')+1:]
	if strings.HasPrefix(name, "cryptography-defs") {
		return map[string]any{"definitions": map[string]any{"algorithmFamiliesEnum": true, "ellipticCurvesEnum": true}}, nil
	}
	file, err := os.Open(filepath.Join(string(s), name))
	if os.IsNotExist(err) && strings.HasPrefix(name, "jsf") {
		file, err = os.Open(filepath.Join(string(s), "jsf-0.82.schemax.json"))
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return jsonschema.UnmarshalJSON(file)
}

// provForm is what the schema of the W3C submission PROV-JSON demands of the statements that we make, in the words of JSON
// Schema.
func provForm() map[string]any {
	text, literal := map[string]any{"type": "string"}, map[string]any{"type": []any{"string", "number", "boolean"}}
	typed := map[string]any{"type": "object", "required": []any{"$"}, "additionalProperties": false, "properties": map[string]any{"$": text, "type": text, "lang": text}}
	value := map[string]any{"anyOf": []any{literal, typed}}
	value = map[string]any{"anyOf": []any{literal, typed, map[string]any{"type": "array", "minItems": 1, "items": value}}}
	statement := func(names ...any) map[string]any {
		known := map[string]any{"prov:time": map[string]any{"type": "string", "format": "date-time"}}
		for _, name := range names {
			known[name.(string)] = text
		}
		return map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "object", "required": names, "properties": known, "additionalProperties": value}}
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": map[string]any{
		"prefix": map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string", "format": "uri"}},
		"entity": statement(), "activity": statement(), "agent": statement(), "used": statement("prov:entity", "prov:activity"),
		"wasGeneratedBy": statement("prov:entity", "prov:activity"), "wasDerivedFrom": statement("prov:generatedEntity", "prov:usedEntity"),
		"wasAttributedTo": statement("prov:entity", "prov:agent"), "wasAssociatedWith": statement("prov:activity", "prov:agent"),
		"actedOnBehalfOf": statement("prov:delegate", "prov:responsible"), "hadMember": statement("prov:collection", "prov:entity")}}
}

func TestProvHasTheFormOfItsSchema(t *testing.T) {
	s, a := ask(t)
	answer, err := a.Model(t.Context(), s.Small, ledger.PageRequest{})
	require.NoError(t, err)
	data, err := export.Prov(answer)
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("prov.json", provForm()))
	schema, err := compiler.Compile("prov.json")
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(document))
	for _, used := range document.(map[string]any)["used"].(map[string]any) {
		delete(used.(map[string]any), "prov:entity")
	}
	require.ErrorContains(t, schema.Validate(document), "missing property 'prov:entity'", "the schema judges")
}

// Every name that a statement of PROV-JSON uses is one that the document declares, with its kind.
func TestProvNamesNothingThatItDoesNotDeclare(t *testing.T) {
	s, a := ask(t)
	answer, err := a.Model(t.Context(), s.Small, ledger.PageRequest{})
	require.NoError(t, err)
	data, err := export.Prov(answer)
	keep(t, "prov.json", data, err)
	var document map[string]map[string]map[string]any
	var prefixed struct {
		Prefix map[string]string `json:"prefix"`
	}
	require.NoError(t, json.Unmarshal(data, &prefixed))
	var raw map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(data, &raw))
	delete(raw, "prefix")
	rest, err := json.Marshal(raw)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(rest, &document))
	kinds := map[string]string{"prov:entity": "entity", "prov:activity": "activity", "prov:agent": "agent", "prov:generatedEntity": "entity", "prov:usedEntity": "entity",
		"prov:collection": "entity", "prov:delegate": "agent", "prov:responsible": "agent"}
	relations := 0
	for kind, statements := range document {
		for name, attributes := range statements {
			prefix, _, _ := strings.Cut(name, ":")
			require.True(t, prefix == "_" || prefixed.Prefix[prefix] != "", name)
			for attribute, value := range attributes {
				if of := kinds[attribute]; of != "" {
					require.Contains(t, document[of], value, "%s %s", kind, name)
					relations++
				}
			}
		}
	}
	require.Greater(t, relations, 30)
	for _, kind := range []string{"entity", "activity", "agent", "used", "wasGeneratedBy", "wasDerivedFrom", "wasAttributedTo", "wasAssociatedWith", "actedOnBehalfOf", "hadMember"} {
		require.NotEmpty(t, document[kind], kind)
	}
}
