// Package binaries provides the Fabric programs that a local network runs.
//
// There are two ways to come by them. Build compiles the pinned Fabric release, with patches that keep single
// transactions from halting every peer and orderers from waiting for each other for ever (docs/fabric-limits.md), once for
// each release and Go toolchain, into the user's cache; pins and patches are embedded, so an installed datanet needs a Go toolchain but not this repository. Use takes the programs that an operator already has and refuses those that would not work.
package binaries

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Version is the Fabric release that Build compiles.
const Version = "3.1.1"

// patched is what the programs that Build compiles report: the release with our patches, see docs/fabric-limits.md.
const patched = Version + "+datanet.3"

// release is the prefix of the Fabric versions that Use accepts. Minor releases differ in the settings of their nodes
// and in the capabilities of the channel, so only patches of one minor release are interchangeable.
const release = "3.1."

// smartBFT is the module that an orderer must contain to take part in BFT ordering.
const smartBFT = "github.com/hyperledger-labs/SmartBFT"

// Set is a pair of Fabric programs that belong together.
type Set struct {
	// Peer and Orderer are absolute paths of executable files.
	Peer, Orderer string
	// Version is what both programs report, without a leading "v": "3.1.1", or with our patches "3.1.1+datanet.3".
	Version string
}

// Use takes peer and orderer from the folder dir. It runs both to learn their versions and fails, saying what to do,
// unless both are the same patch of the supported release and the orderer contains SmartBFT.
func Use(ctx context.Context, dir string) (*Set, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder of the Fabric programs: %w", err)
	}
	set := &Set{Peer: filepath.Join(dir, "peer"), Orderer: filepath.Join(dir, "orderer")}

	peer, err := versionOf(ctx, set.Peer)
	if err != nil {
		return nil, err
	}
	orderer, err := versionOf(ctx, set.Orderer)
	if err != nil {
		return nil, err
	}
	if peer != orderer {
		return nil, fmt.Errorf("%s holds peer %s and orderer %s: use two programs of one release", dir, peer, orderer)
	}
	if !strings.HasPrefix(peer, release) {
		return nil, fmt.Errorf("%s holds Fabric %s, but this network needs Fabric %sx: install release %s, or leave the folder unset to have it built",
			dir, peer, release, Version)
	}
	if err := orders(set.Orderer); err != nil {
		return nil, err
	}
	set.Version = peer
	return set, nil
}

var versionLine = regexp.MustCompile(`(?m)^\s*Version: v?(\S+)\s*$`)

// versionOf runs a Fabric program with the argument "version".
func versionOf(ctx context.Context, program string) (string, error) {
	info, err := os.Stat(program)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("there is no Fabric program %s: name the folder that holds peer and orderer, or leave the folder unset to have them built", program)
	case err != nil:
		return "", fmt.Errorf("look at the Fabric program: %w", err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return "", fmt.Errorf("%s is not an executable file: name the folder that holds Fabric's peer and orderer", program)
	}

	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, program, "version")
	command.Stdout, command.Stderr = &stdout, &stderr
	command.WaitDelay = time.Second
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s does not tell its version (%w, %q): it is not the Fabric program for this machine", program, err, tail(stderr.String()))
	}
	found := versionLine.FindStringSubmatch(stdout.String())
	if found == nil {
		return "", fmt.Errorf("%s does not tell its version (it printed %q): it is not a Fabric program", program, tail(stdout.String()))
	}
	return found[1], nil
}

// orders fails if the orderer was built without SmartBFT. A program that was stripped of its build information gets the
// benefit of the doubt: its version has been checked.
func orders(orderer string) error {
	info, err := buildinfo.ReadFile(orderer)
	if err != nil || len(info.Deps) == 0 {
		return nil
	}
	for _, dependency := range info.Deps {
		if dependency.Path == smartBFT {
			return nil
		}
	}
	return fmt.Errorf("%s was built without SmartBFT and cannot take part in BFT ordering: use an unmodified Fabric %s", orderer, Version)
}

// tail is the end of a program's output, short enough for an error message.
func tail(output string) string {
	const most = 300
	output = strings.TrimSpace(output)
	if len(output) > most {
		output = "…" + output[len(output)-most:]
	}
	return output
}
