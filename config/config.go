// Package config holds the topologies of the local network, and an example of a gateway's configuration, as they are
// published: commented YAML files that a production topology starts from.
package config

import _ "embed"

// BFT is a local network of three members, a regulator and four SmartBFT
// orderers, the fourth of a neutral operator without a peer.
//
//go:embed local-bft.yaml
var BFT []byte

// Raft is the same consortium with three Raft orderers.
//
//go:embed local-raft.yaml
var Raft []byte

// Gateway is an example of a gateway's configuration that explains every setting.
//
//go:embed gateway.yaml
var Gateway []byte
