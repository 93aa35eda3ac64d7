package testnetwork

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/channel"
	"github.com/datanet-consortium/datanet/network/pki"
)

// State is what a client needs to know of a network, running or not. It does not change; after an organisation joined
// or the chaincode was upgraded there is a new one.
type State struct {
	folder   folder
	topology *network.Topology
	material *pki.Material
}

// Open reads the state of the network in the folder dir.
func Open(dir string) (*State, error) {
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	topology, err := network.Load(f.current())
	if errors.Is(err, os.ErrNotExist) {
		return nil, &NoNetworkError{Dir: string(f)}
	}
	if err != nil {
		return nil, err
	}
	return f.state(topology)
}

// state completes a topology with the ports and the certificates, and makes what is missing of both.
func (f folder) state(topology *network.Topology) (*State, error) {
	topology, err := clone(topology)
	if err != nil {
		return nil, err
	}
	if err := f.resolve(topology); err != nil {
		return nil, err
	}
	material, err := pki.Ensure(f.crypto(), topology)
	if err != nil {
		return nil, explainDisk(err)
	}
	return &State{folder: f, topology: topology, material: material}, nil
}

// clone copies a topology, defaults filled in.
func clone(t *network.Topology) (*network.Topology, error) {
	content, err := t.Marshal()
	if err != nil {
		return nil, err
	}
	return network.Parse(bytes.NewReader(content), "topology")
}

// Dir is the state folder.
func (s *State) Dir() string { return string(s.folder) }

// Topology is the consortium as it is now, with the ports that were chosen. Do not change it.
func (s *State) Topology() *network.Topology { return s.topology }

// Material is the keys and certificates of all organisations.
func (s *State) Material() *pki.Material { return s.material }

// GenesisFile is the path of the channel's first block.
func (s *State) GenesisFile() string { return s.folder.genesis() }

// Genesis is the channel's first block.
func (s *State) Genesis() (*common.Block, error) {
	content, err := readFile(s.folder.genesis())
	if err != nil {
		return nil, err
	}
	block := new(common.Block)
	if err := proto.Unmarshal(content, block); err != nil {
		return nil, fmt.Errorf("decode %s: %w", s.folder.genesis(), err)
	}
	return block, nil
}

// Organization is a member or the regulator, with its material.
func (s *State) Organization(mspID string) (*network.Organization, *pki.Organization, error) {
	org, ok := s.topology.Organization(mspID)
	if !ok {
		return nil, nil, fmt.Errorf("%s is not an organisation of this network", mspID)
	}
	material, err := s.material.Organization(mspID)
	if err != nil {
		return nil, nil, err
	}
	return org, material, nil
}

// Admin is the administrator of an organisation.
func (s *State) Admin(mspID string) (*pki.Identity, error) {
	_, material, err := s.Organization(mspID)
	if err != nil {
		return nil, err
	}
	return material.Admin()
}

// User is an enrolled user of an organisation.
func (s *State) User(mspID, name string) (*pki.Identity, error) {
	_, material, err := s.Organization(mspID)
	if err != nil {
		return nil, err
	}
	user, err := material.User(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has no user %s: see the users in %s", mspID, name, s.folder.current())
	}
	return user, err
}

// makeGenesis writes the genesis block unless it exists.
func (s *State) makeGenesis() error {
	if _, err := os.Stat(s.folder.genesis()); err == nil {
		return nil
	}
	if s.topology.Chaincode.Sequence != 1 {
		return errors.New("chaincode.sequence: a new network begins with 1")
	}
	block, err := channel.GenesisBlock(s.topology, s.material)
	if err != nil {
		return fmt.Errorf("make the genesis block: %w", err)
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(block)
	if err != nil {
		return fmt.Errorf("encode the genesis block: %w", err)
	}
	return writeFile(s.folder.genesis(), content)
}

// found keeps the topology of a new network, or checks that it is the one that the network was founded with, and returns
// the consortium as it is now. A nil topology stands for the one that is there.
func (f folder) found(topology *network.Topology) (*network.Topology, error) {
	old, err := readFile(f.founded())
	switch {
	case errors.Is(err, os.ErrNotExist) && topology == nil:
		return nil, &NoNetworkError{Dir: string(f)}
	case errors.Is(err, os.ErrNotExist):
		content, err := topology.Marshal()
		if err != nil {
			return nil, err
		}
		// The file of the founded topology comes last: with it there is a network.
		return topology, errors.Join(writeFile(f.current(), content), writeFile(f.founded(), content))
	case err != nil:
		return nil, err
	}
	if topology != nil {
		if err := f.matches(topology, old); err != nil {
			return nil, err
		}
	}
	return network.Load(f.current())
}

// matches fails unless a topology is the one that the network was founded with.
func (f folder) matches(topology *network.Topology, founded []byte) error {
	content, err := topology.Marshal()
	if err != nil {
		return err
	}
	if !bytes.Equal(founded, content) {
		return fmt.Errorf("the network in %s was founded with another topology (%s): resume it without naming one, "+
			"choose another folder, or remove it with \"datanet network down --clean\"", string(f), f.founded())
	}
	return nil
}

// Check fails unless the network in the folder dir was founded with the topology.
func Check(dir string, topology *network.Topology) error {
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	founded, err := readFile(f.founded())
	if err != nil {
		return err
	}
	return f.matches(topology, founded)
}

// keep makes a topology the current one. Ports that were chosen are not part of it.
func (f folder) keep(topology *network.Topology) error {
	content, err := topology.Marshal()
	if err != nil {
		return err
	}
	return writeFile(f.current(), content)
}

// announced is the chaincode definition that an upgrade was about to bring into force when the network was stopped, or
// nil.
func (f folder) announced() (*network.Chaincode, error) {
	content, err := readFile(f.upgrading())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	next := new(network.Chaincode)
	if err := json.Unmarshal(content, next); err != nil {
		return nil, fmt.Errorf("decode %s: %w", f.upgrading(), err)
	}
	return next, nil
}
