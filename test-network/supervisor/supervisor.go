// Package supervisor keeps a local network running after the command that started it has returned.
//
// A supervisor is a process of its own, in a session of its own, whose children are the network's processes. It takes
// commands over a Unix socket in the network's state folder, which only the owner of the folder can open. Ending the
// supervisor, in whatever way, ends the network; the ledgers stay.
//
// The life of one: Spawn starts the program again as supervisor and shows what it reports; Serve, in the supervisor,
// starts the network, tells Spawn that it is up or why not, and from then on answers Clients until one of them, or a
// signal, stops it.
package supervisor

import (
	"fmt"
	"path/filepath"

	"github.com/datanet-consortium/datanet/test-network/binaries"
)

const (
	socketFile = "control.sock"
	logFile    = "supervisor.log"

	// longestSocket is the length of a path in bytes that macOS and Linux accept for a socket.
	longestSocket = 103
	// longestRequest bounds a request in bytes.
	longestRequest = 1 << 20
)

// Event is a line of what the supervisor reports while something takes its time. Exactly one field is set.
type Event struct {
	Progress string             `json:"progress,omitempty"`
	Building *binaries.Progress `json:"building,omitempty"`
	// Done ends a report: true after success.
	Done bool `json:"done,omitempty"`
	// Error ends a report: what went wrong.
	Error string `json:"error,omitempty"`
}

// Upgrade asks for a new chaincode definition.
type Upgrade struct {
	Version  string `json:"version"`
	Sequence int64  `json:"sequence"`
	// Program is the absolute path of the chaincode program; empty keeps the present one.
	Program string `json:"program,omitempty"`
}

// Healed names the processes that were started again.
type Healed struct {
	Processes []string `json:"processes"`
}

// socketPath is the path of the socket of the network in dir, which must be absolute.
func socketPath(dir string) (string, error) {
	path := filepath.Join(dir, socketFile)
	if len(path) > longestSocket {
		return "", fmt.Errorf("the path of the state folder %s is too long for a socket in it (%d bytes, at most %d): choose a folder with a shorter path",
			dir, len(dir), longestSocket-len(socketFile)-1)
	}
	return path, nil
}
