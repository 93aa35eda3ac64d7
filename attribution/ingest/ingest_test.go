package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/text1"
)

const verse = "the first line of a verse that is long enough"

func folder(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// ingested returns the records of one file.
func ingested(name, text string, rules ingest.Rules, limits ingest.Limits) ([]string, *ingest.Manifest, error) {
	var records []string
	manifest, err := ingest.Read(context.Background(), folder(map[string]string{name: text}), []string{name}, rules, limits,
		func(record []byte) error {
			records = append(records, string(record))
			return nil
		})
	return records, manifest, err
}

func TestRecords(t *testing.T) {
	second := verse + " as well"
	for claim, c := range map[string]struct {
		name, text string
		rules      ingest.Rules
		want       []string
	}{
		"a text is one record, byte for byte":        {"a.txt", "\ufeff" + verse + "\r\n\r\n" + second + "\n", ingest.Rules{}, []string{"\ufeff" + verse + "\r\n\r\n" + second + "\n"}},
		"a file without an ending is text":           {"poem", verse, ingest.Rules{}, []string{verse}},
		"a text can be cut at blank lines":           {"a.txt", "\ufeff\n" + verse + "\nmore\n \t\n\n" + second + "\r\n\r\n", ingest.Rules{Split: true}, []string{verse + "\nmore", second}},
		"Markdown can be cut too":                    {"a.MD", verse + "\n\n" + second, ingest.Rules{Split: true}, []string{verse, second}},
		"source code is never cut":                   {"a.go", verse + "\n\n" + second, ingest.Rules{Split: true}, []string{verse + "\n\n" + second}},
		"a line of JSON Lines is its field":          {"a.jsonl", "\ufeff{\"id\":1,\"text\":\"" + verse + "\\u0021\"}\n\n{\"text\":\"" + second + "\"}", ingest.Rules{Field: "text"}, []string{verse + "!", second}},
		"a row of CSV is its columns":                {"a.csv", "\ufeffid,title,text\n1,T,\"" + verse + "\n\"\"x\"\"\"\n2,U," + second + "\n", ingest.Rules{Columns: []string{"text", "title"}}, []string{verse + "\n\"x\"\nT", second + "\nU"}},
		"short records are left out when asked":      {"a.txt", "I.\n\n" + verse + "\n\na b c d e f", ingest.Rules{Split: true, SkipShort: true}, []string{verse}},
		"a table of nothing but its head is nothing": {"a.csv", "text\n", ingest.Rules{Columns: []string{"text"}}, nil},
	} {
		t.Run(claim, func(t *testing.T) {
			got, manifest, err := ingested(c.name, c.text, c.rules, ingest.DefaultLimits())
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			tree, size, tokens := merkle.Frontier{}, 0, 0
			for _, record := range got {
				tree.Append(merkle.Leaf([]byte(record)))
				size += len(record)
				tokens += len(text1.Tokens([]byte(record)))
			}
			require.Equal(t, tree.Root(), manifest.Root)
			require.Equal(t, []int{len(got), size, tokens}, []int{manifest.Records, int(manifest.Bytes), int(manifest.Tokens)})
			require.Equal(t, int64(len(c.text)), manifest.Files[0].Bytes)
		})
	}
}

func TestReadRefuses(t *testing.T) {
	small := ingest.Limits{Files: 2, FileBytes: 500, RecordBytes: 100, Records: 2, Bytes: 150}
	for claim, c := range map[string]struct {
		name, text string
		rules      ingest.Rules
		says       string
	}{
		"an unknown ending":                      {"a.docx", verse, ingest.Rules{}, "ending that is not known"},
		"a record too short":                     {"a.txt", "four words are few", ingest.Rules{}, "a.txt, record 1: is too short"},
		"words of one letter":                    {"a.txt", "a b c d e f g h i j k", ingest.Rules{}, "too short"},
		"a short block, by its number":           {"a.txt", verse + "\n\nII.\n\n" + verse, ingest.Rules{Split: true}, "record 2: is too short"},
		"an empty file":                          {"a.txt", "", ingest.Rules{}, "too short"},
		"a file too large":                       {"a.txt", strings.Repeat(verse+"\n\n", 20), ingest.Rules{Split: true, SkipShort: true}, "larger than a file"},
		"a record too large":                     {"a.txt", strings.Repeat(verse, 3), ingest.Rules{}, "record 1: is larger than a record"},
		"a block too large":                      {"a.txt", verse + "\n\n" + strings.Repeat(verse+"\n", 3), ingest.Rules{Split: true}, "record 2: is larger than a record"},
		"too many records":                       {"a.txt", verse + "\n\n" + verse + "\n\n" + verse, ingest.Rules{Split: true}, "more than 2 records"},
		"JSON Lines without a field's name":      {"a.jsonl", `{}`, ingest.Rules{}, "name the field"},
		"JSON Lines without the field":           {"a.jsonl", `{"t":"x"}`, ingest.Rules{Field: "text"}, `line 1: has no field "text"`},
		"a field that is a number":               {"a.jsonl", `{"text":1}`, ingest.Rules{Field: "text"}, "is no string"},
		"a line that is no JSON":                 {"a.jsonl", "{\"text\":\"" + verse + "\"}\n{", ingest.Rules{Field: "text"}, "line 2: is no JSON object"},
		"a field twice":                          {"a.jsonl", `{"text":"x","text":"y"}`, ingest.Rules{Field: "text"}, "is no JSON object"},
		"CSV without columns' names":             {"a.csv", "a,b", ingest.Rules{}, "name the columns"},
		"CSV without the column":                 {"a.csv", "a,b", ingest.Rules{Columns: []string{"text"}}, `no column "text": its columns are a, b`},
		"CSV with the column twice":              {"a.csv", "text,text", ingest.Rules{Columns: []string{"text"}}, "two columns"},
		"CSV without a head":                     {"a.csv", "", ingest.Rules{Columns: []string{"text"}}, "is empty"},
		"CSV with a row of another length":       {"a.csv", "text,b\nx\n", ingest.Rules{Columns: []string{"text"}}, "wrong number of fields"},
		"UTF-16 with a byte order mark":          {"a.txt", "\xff\xfea\x00", ingest.Rules{}, "line 1, byte 0): it is UTF-16"},
		"UTF-16 without":                         {"a.txt", "a\x00b\x00c\x00d\x00e\x00f\x00", ingest.Rules{}, "looks like UTF-16"},
		"UTF-32":                                 {"a.txt", "\xff\xfe\x00\x00a\x00\x00\x00", ingest.Rules{}, "it is UTF-32"},
		"Windows-1256":                           {"a.txt", "\xe4\xc7\xe3 \xce\xcf\xc7\xe6\xe4\xcf", ingest.Rules{}, "such as Windows-1256"},
		"ISO 2022":                               {"a.txt", "\x1b$B$3$s", ingest.Rules{}, "ISO 2022"},
		"a damaged byte":                         {"a.txt", "\n" + strings.Repeat("é", 20) + "\xff" + verse, ingest.Rules{}, "line 2, byte 41): a few of its bytes are damaged"},
		"a rune that the end cuts":               {"a.txt", verse + "\xc3", ingest.Rules{}, "byte 45"},
		"a PDF":                                  {"a.txt", "%PDF-1.7", ingest.Rules{}, "extract its text"},
		"a NUL":                                  {"a.txt", verse + "\x00" + verse, ingest.Rules{}, "NUL byte"},
		"JSON Lines that are not UTF-8":          {"a.jsonl", "{\"text\":\"\xff\"}", ingest.Rules{Field: "text"}, "is not text in UTF-8"},
		"CSV that is not UTF-8":                  {"a.csv", "text\n\xff\n", ingest.Rules{Columns: []string{"text"}}, "is not text in UTF-8"},
		"UTF-8 that says a surrogate in JSON":    {"a.jsonl", `{"text":"\ud800"}`, ingest.Rules{Field: "text"}, "line 1"},
		"more than the file's limit in one gulp": {"a.go", strings.Repeat(" ", 501), ingest.Rules{}, "larger than"},
	} {
		t.Run(claim, func(t *testing.T) {
			_, _, err := ingested(c.name, c.text, c.rules, small)
			require.ErrorContains(t, err, c.says)
			var in *ingest.Error
			require.ErrorAs(t, err, &in)
			require.Equal(t, c.name, in.File)
		})
	}
	_, err := ingest.Read(t.Context(), fstest.MapFS{}, []string{"a", "b", "c"}, ingest.Rules{}, small, nil)
	require.ErrorContains(t, err, "3 files are more than 2")
}

func TestAQuoteWithoutAnEndDoesNotFillTheMemory(t *testing.T) {
	limits := ingest.DefaultLimits()
	limits.RecordBytes = 1000
	_, _, err := ingested("a.csv", "text\n\""+strings.Repeat("word ", 1<<20), ingest.Rules{Columns: []string{"text"}}, limits)
	require.ErrorContains(t, err, "larger than a record")
	_, _, err = ingested("a.jsonl", "{\"text\":\""+strings.Repeat("word ", 1<<20), ingest.Rules{Field: "text"}, limits)
	require.ErrorContains(t, err, "larger than a record")
}

func TestReadStopsWhenToldTo(t *testing.T) {
	files := folder(map[string]string{"a.txt": verse})
	stop := errors.New("enough")
	_, err := ingest.Read(t.Context(), files, []string{"a.txt"}, ingest.Rules{}, ingest.DefaultLimits(), func([]byte) error { return stop })
	require.Equal(t, stop, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = ingest.Read(ctx, files, []string{"a.txt"}, ingest.Rules{}, ingest.DefaultLimits(), func([]byte) error { return nil })
	require.Equal(t, context.Canceled, err)
}

func TestContributors(t *testing.T) {
	got, err := ingest.Contributors(folder(map[string]string{
		"saadi/b.txt": "", "saadi/a/c.txt": "", "hafez.txt": "", "README.md": "", ".hidden": "", ".git/x": "", "saadi/.swp": "",
	}))
	require.NoError(t, err)
	require.Equal(t, []ingest.Contributor{
		{Name: "hafez", Files: []string{"hafez.txt"}},
		{Name: "saadi", Files: []string{"saadi/a/c.txt", "saadi/b.txt"}},
	}, got)
	for says, files := range map[string]map[string]string{
		"is empty":       {},
		"there twice":    {"hafez.txt": "", "hafez/a": ""},
		"with two endin": {"hafez.txt": "", "hafez.md": ""},
		"begins with":    {"pool:x.txt": ""},
	} {
		_, err := ingest.Contributors(folder(files))
		require.ErrorContains(t, err, says)
	}
}

// FuzzRead reads any bytes in every format and compares what is taken with what the manifest says.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"", verse, verse + "\n\n" + verse, "\xff\xfea\x00", "{\"text\":\"" + verse + "\"}\n", "text,b\n\"" + verse + "\",1\n", "\ufeff" + verse} {
		for format := range uint8(4) {
			f.Add([]byte(seed), format)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, format uint8) {
		name := []string{"a.txt", "a.md", "a.jsonl", "a.csv"}[format%4]
		rules := ingest.Rules{Split: format%2 == 0, Field: "text", Columns: []string{"text"}, SkipShort: format%8 < 4}
		limits := ingest.Limits{Files: 1, FileBytes: 1 << 12, RecordBytes: 1 << 10, Records: 100, Bytes: 1 << 12}
		records, manifest, err := ingested(name, string(text), rules, limits)
		if err != nil {
			require.Nil(t, manifest)
			return
		}
		require.True(t, utf8.Valid(text))
		require.Len(t, records, manifest.Records)
		require.LessOrEqual(t, manifest.Records, limits.Records)
		for i, record := range records {
			require.True(t, utf8.ValidString(record))
			require.LessOrEqual(t, len(record), limits.RecordBytes)
			require.GreaterOrEqual(t, len(text1.Tokens([]byte(record))), 5, fmt.Sprint("record ", i))
		}
	})
}
