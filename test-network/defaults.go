package testnetwork

import "time"

// Settings of the child processes, which an operator of a real network would put into the unit files of the services.
// The figures suit a laptop with two cores that runs all nodes at once.
const (
	// nodeGOGC lets the heap of a peer or orderer grow to three times what is alive before it is collected. Alive are
	// some 20 MiB, so memory is cheap next to the collector's share of the processor: 400 saves a peer 4 % of it at most, 100
	// costs nothing that can be measured (docs/performance.md has the figures, of other settings too).
	nodeGOGC = "200"
	// nodeMemoryLimit is where the collector begins to work harder instead of letting the heap grow.
	nodeMemoryLimit = "1GiB"

	// chaincodeGOGC and chaincodeMemoryLimit are the same for chaincode processes, which keep nothing between calls.
	chaincodeGOGC        = "200"
	chaincodeMemoryLimit = "512MiB"

	// nodeLogging leaves out what nodes write for each single call, connection or consensus message, which costs more
	// than it tells; what happens to blocks stays.
	nodeLogging = "info:grpc=error:comm.grpc.server=error:endorser=warn:gateway=warn:gossip=error:orderer.common.broadcast=error:orderer.consensus.smartbft=warn"
	// nodeLogFormat has no colours: the lines go to files.
	nodeLogFormat = "%{time:2006-01-02T15:04:05.000Z07:00} %{level} [%{module}] %{message}"
)

// Waiting.
const (
	// stopGrace is how long a process may take to end in order before it is killed. A peer closes its databases in a
	// tenth of a second.
	stopGrace = 10 * time.Second
	// startLimit bounds a start or restart of the whole network with a cold disk; it takes seconds.
	startLimit = 3 * time.Minute
	// chaincodeDialTimeout is how long a peer tries to connect to its chaincode process.
	chaincodeDialTimeout = 3 * time.Second
	// gossipPatience is how long a start waits for gossip after the chaincode is committed. Mostly it takes less than a
	// second, in one start of ten five.
	gossipPatience = time.Minute
	// retryEvery is the pause between attempts at a step that depends on the progress of other nodes.
	retryEvery = 100 * time.Millisecond
)

// leastFreeDisk is the free space in bytes below which no network is started: ledgers and logs of a short session take
// some tens of megabytes, and LevelDB does not survive a full disk gracefully.
const leastFreeDisk = 256 << 20

// Ports are chosen below the range from which Linux and macOS take the local ports of outgoing connections. A port
// inside it could be taken by any connection while its node is down.
const (
	lowestPort  = 20000
	highestPort = 32000
)
