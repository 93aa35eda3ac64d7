// Command ccaas-builder is the external builder with which a peer accepts chaincode that runs as a service of its own.
//
// A peer runs the programs detect, build and release of a builder's bin folder, one after the other, when a package is
// installed. This program is all three: it acts by the name it is called by. Nothing is compiled. Detect claims
// packages of type "ccaas", build checks the connection settings and keeps them, and release hands them to the peer,
// which then dials the chaincode.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	step := filepath.Base(os.Args[0])
	if err := run(step, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "ccaas-builder: %s: %v\n", step, err)
		os.Exit(1)
	}
}

// run performs one step of the external builder protocol.
func run(step string, folders []string) error {
	want := map[string]int{"detect": 2, "build": 3, "release": 2}[step]
	if want == 0 {
		return errors.New("call this program by the name detect, build or release, as a peer does")
	}
	if len(folders) != want {
		return fmt.Errorf("got %d folders, need %d", len(folders), want)
	}
	switch step {
	case "detect":
		return detect(folders[1])
	case "build":
		return build(folders[0], folders[2])
	default:
		return release(folders[0], folders[1])
	}
}
