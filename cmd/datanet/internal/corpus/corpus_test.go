package corpus_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/cmd/datanet/internal/corpus"
	"github.com/datanet-consortium/datanet/examples"
)

func folder(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

const verse = "the first line of a verse that is long enough"

func TestRead(t *testing.T) {
	got, err := corpus.Read(folder(map[string]string{
		"saadi/02.txt": verse + " two", "saadi/01.txt": verse + " one", "hafez.txt": verse,
		"شاهنامه\u200cی فردوسی.txt": verse, "README.md": "not a contribution", ".hidden": "neither", "saadi/.swp": "nor this",
	}))
	require.NoError(t, err)
	require.Equal(t, []corpus.Contributor{
		{Name: "hafez", Records: [][]byte{[]byte(verse)}},
		{Name: "saadi", Records: [][]byte{[]byte(verse + " one"), []byte(verse + " two")}},
		{Name: "شاهنامه\u200cی فردوسی", Records: [][]byte{[]byte(verse)}},
	}, got, "a file is one record, a folder one for each file, all in the order of the names")
}

func TestReadRefuses(t *testing.T) {
	many := map[string]string{}
	for i := range corpus.MaxContributors + 1 {
		many[fmt.Sprint("poet", i)] = verse
	}
	for claim, c := range map[string]struct {
		files map[string]string
		says  string
	}{
		"an empty folder":                      {nil, "folder is empty"},
		"a folder of empty folders":            {map[string]string{"hafez/.keep": ""}, "folder is empty"},
		"a record too short to hold a passage": {map[string]string{"hafez.txt": "four words are few"}, "hafez.txt, record 1: is too short"},
		"many words of one letter":             {map[string]string{"hafez.txt": "a b c d e f"}, "too short"},
		"a text that is not UTF-8":             {map[string]string{"hafez/1.txt": verse + "\xff"}, "hafez/1.txt: is not text in UTF-8"},
		"one name twice":                       {map[string]string{"hafez.txt": verse, "hafez/1.txt": verse}, "hafez is there twice"},
		"a name that cannot be printed":        {map[string]string{"ha\x1b[31mfez.txt": verse}, "cannot be printed"},
		"too many contributors":                {many, "exceed the limit"},
		"more than it may hold":                {map[string]string{"a": strings.Repeat(verse, corpus.MaxBytes/2/len(verse)+1), "b": strings.Repeat(verse, corpus.MaxBytes/2/len(verse)+1)}, "more than 16 MiB"},
	} {
		t.Run(claim, func(t *testing.T) {
			_, err := corpus.Read(folder(c.files))
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestTheSampleIsACorpus(t *testing.T) {
	got, err := corpus.Read(examples.PersianPoetry())
	require.NoError(t, err)
	require.Len(t, got, 12)
}
