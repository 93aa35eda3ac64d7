// Package examples holds the sample data of the demonstration.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed persian-poetry
var files embed.FS

// PersianPoetry is a corpus of poems in the public domain: a folder for each poet with a file for each poem.
func PersianPoetry() fs.FS {
	poems, err := fs.Sub(files, "persian-poetry")
	if err != nil {
		panic(err) // the folder is part of this program
	}
	return poems
}
