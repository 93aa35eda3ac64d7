package ingest

import (
	"errors"
	"path"
	"strings"
)

// A Format is how the records lie in a file.
type Format string

// The formats that are read.
const (
	Text      Format = "text"
	Markdown  Format = "markdown"
	JSONLines Format = "jsonl"
	CSV       Format = "csv"
	Code      Format = "code"
)

var formats = map[string]Format{
	"": Text, ".txt": Text, ".text": Text,
	".md": Markdown, ".markdown": Markdown,
	".jsonl": JSONLines, ".ndjson": JSONLines,
	".csv": CSV,
}

// sourceEndings are the files that are taken as source code.
const sourceEndings = " .asm .awk .bash .c .cc .clj .cpp .cs .css .cxx .d .dart .el .elm .erl .ex .exs .f .f90 .fs .go .gradle .groovy " +
	".h .hh .hpp .hs .html .ini .java .jl .js .json .jsx .kt .kts .lisp .lua .m .mjs .ml .mli .mm .nim .pas .php .pl .pm .proto " +
	".ps1 .py .r .rb .rs .s .scala .scm .scss .sh .sol .sql .svelte .swift .tcl .tex .tf .toml .ts .tsx .v .vb .vhd .vue .xml .yaml .yml .zig "

// FormatOf returns the format of a file by the ending of its name.
func FormatOf(name string) (Format, error) {
	ending := strings.ToLower(path.Ext(name))
	if format, ok := formats[ending]; ok {
		return format, nil
	}
	if strings.Contains(sourceEndings, " "+ending+" ") {
		return Code, nil
	}
	return "", errors.New("has an ending that is not known: text (.txt), Markdown (.md), JSON Lines (.jsonl), CSV (.csv) and source code are read")
}
