package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// person is a user of an organisation, who acts through the organisation's own peer.
type person struct {
	name    string // a person's name or what the user is for; it never leaves this process
	account ledger.Account
	client  *fabric.Client
}

// cast is who acts in the story. Three members have a part, in the order of the topology: the first, a poetry society,
// runs the datanet; readers of the second, a library, pay; the third, a laboratory, trains the model. Members validate
// and decide together.
type cast struct {
	network *testnetwork.State
	conns   map[string]*grpc.ClientConn // by MSP ID
	clients []*fabric.Client

	members   []string // MSP IDs
	regulator string

	operators  []*person // one of each member, who approve
	proposer   *person
	validators map[string]*person // of the first three members
	curator    *person
	trainer    *person
	host       *person // who serves the model
	reader     *person // the consumer
	platform   *person
	issuer     *person
	inspector  *person // of the regulator
	authority  *person // the regulator's administrator

	poets   []*person // in the order of the corpus
	copyist *person
}

// meet finds everyone's identity, puts the founding members on the ledger and opens the accounts.
func (s *Story) meet(ctx context.Context) error {
	if err := s.gather(); err != nil {
		return err
	}
	members, err := do[member.Members](ctx, s, s.proposer, "member:Found", ledger.Nothing{})
	if err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	holders := append([]*person{s.platform, s.issuer, s.reader, s.trainer, s.host, s.copyist}, s.poets...)
	err = atOnce(ctx, len(holders), func(ctx context.Context, i int) error {
		opened, err := do[account.Account](ctx, s, holders[i], "account:Open", ledger.Nothing{})
		if err == nil && opened.Account != holders[i].account {
			err = fmt.Errorf("the ledger opened %s for %s", opened.Account, holders[i].account)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.Out.Say("Members on the ledger: %s.", sentence(members.Members))
	s.Out.Say("%d accounts are open. A poet's is a pseudonym: %s wrote what %s will contribute,", len(holders), s.poets[0].name, s.poets[0].account)
	s.Out.Say("which only the file people.json in %s tells.", s.Folder)
	return s.everywhere(ctx)
}

// gather connects to the peers and loads the identities.
func (s *Story) gather() error {
	s.cast = cast{network: s.Network, conns: map[string]*grpc.ClientConn{}, validators: map[string]*person{}}
	topology := s.Network.Topology()
	s.members, s.regulator = topology.MemberMSPIDs(), topology.Regulator.MSPID
	if len(s.members) < 3 {
		return fmt.Errorf("the story needs three members, this network has %d: use another folder, or the topology that ships with the program", len(s.members))
	}
	society, library, laboratory := s.members[0], s.members[1], s.members[2]
	var err error
	user := func(msp, name, part string) *person {
		if err != nil {
			return nil
		}
		var id *pki.Identity
		if id, err = s.network.User(msp, name); err != nil {
			return nil
		}
		var p *person
		p, err = s.as(id, name, part)
		return p
	}
	s.proposer = user(society, "operator2", "proposer")
	for _, msp := range s.members {
		s.operators = append(s.operators, user(msp, "operator1", "operator"))
	}
	for _, msp := range s.members[:3] {
		s.validators[msp] = user(msp, "validator1", "validator")
	}
	s.curator = user(society, "curator1", "curator")
	s.trainer = user(laboratory, "trainer1", "developer")
	s.host = user(laboratory, "host1", "host")
	s.reader = user(library, "consumer1", "consumer")
	s.platform = user(laboratory, "operator2", "platform")
	s.issuer = user(library, "operator2", "issuer")
	s.inspector = user(s.regulator, "inspector1", "inspector")
	s.authority = user(s.regulator, network.AdminUser, "administrator")
	if err != nil {
		return err
	}
	return s.enrolPoets()
}

// enrolPoets gives each contributor of the corpus, and one who will copy, an account under a random pseudonym, the same
// one each time. They are spread over the first three members.
func (s *Story) enrolPoets() error {
	people, err := s.archive.people()
	if err != nil {
		return err
	}
	enrol := func(name string, number int) (*person, error) {
		known, ok := people[name]
		if !ok {
			var pseudonym [8]byte
			rand.Read(pseudonym[:]) // never fails
			known = enrolled{MSP: s.members[number%3], Enrolment: hex.EncodeToString(pseudonym[:])}
			people[name] = known
			if err := s.archive.keepPeople(people); err != nil {
				return nil, err
			}
		}
		org, material, err := s.network.Organization(known.MSP)
		if err != nil {
			return nil, err
		}
		id, err := material.Enrol(network.User{Name: known.Enrolment, Roles: []network.Role{ledger.Contributor}}, org.Keys)
		if err != nil {
			return nil, err
		}
		return s.as(id, known.Enrolment, name)
	}
	for i, c := range s.Corpus {
		poet, err := enrol(c.Name, i)
		if err != nil {
			return err
		}
		s.poets = append(s.poets, poet)
	}
	// The copyist belongs to another member than the first poet, whom he copies.
	s.copyist, err = enrol("(copyist)", 1)
	return err
}

// as connects an identity.
func (c *cast) as(id *pki.Identity, enrolment, name string) (*person, error) {
	org, material, err := c.network.Organization(id.MspID())
	if err != nil {
		return nil, err
	}
	conn, ok := c.conns[org.MSPID]
	if !ok {
		if conn, err = fabric.Dial(org.PeerAddress(), material.TLSCA.PEM); err != nil {
			return nil, err
		}
		c.conns[org.MSPID] = conn
	}
	topology := c.network.Topology()
	client, err := fabric.Connect(conn, id, topology.Channel, topology.Chaincode.Name)
	if err != nil {
		return nil, err
	}
	c.clients = append(c.clients, client)
	return &person{name: name, account: ledger.NewAccount(org.MSPID, enrolment), client: client}, nil
}

// witnesses are users of every organisation with a peer, the regulator's last, by whom each peer is asked.
func (c *cast) witnesses() []*person { return append(append([]*person{}, c.operators...), c.inspector) }

func (c *cast) close() error {
	var faults []error
	for _, client := range c.clients {
		faults = append(faults, client.Close())
	}
	for _, conn := range c.conns {
		faults = append(faults, conn.Close())
	}
	return errors.Join(faults...)
}

// named is the name of whoever holds an account, as far as the story knows it.
func (c *cast) named(a ledger.Account) string {
	if a.IsPool() {
		return "validators' pool"
	}
	for _, p := range append([]*person{c.trainer, c.host, c.platform, c.issuer, c.reader, c.copyist}, c.poets...) {
		if p.account == a {
			return p.name
		}
	}
	return string(a)
}
