package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

// person is somebody of an organisation, who acts through the organisation's gateway.
type person struct {
	name    string // a person's name or what the user is for; it never leaves this process
	account ledger.Account
	client  *client.Client
	// own is the person's own certificate and key; nil for those whose key only the gateway has.
	own *pki.Identity
	// signs tells who signs what the person writes: the person here, or the gateway.
	signs bool
}

// cast is who acts in the story. Three members have a part, in the order of the topology: the first, a poetry society,
// runs the datanet; readers of the second, a library, pay; the third, a laboratory, trains the model. Members validate
// and decide together.
type cast struct {
	peers   peers
	clients []*client.Client

	members   []string // MSP IDs
	regulator string

	// The operators and the regulator's inspector came with the network. They log in with their certificates; the
	// gateways, which keep the operators' keys too, sign for them.
	operators []*person // one of each member, who approve and invite
	proposer  *person
	platform  *person
	issuer    *person
	inspector *person // of the regulator
	authority *person // the regulator's administrator

	// Everybody else was invited.
	validators map[string]*person // of the first three members
	curator    *person
	trainer    *person
	host       *person   // who serves the model
	reader     *person   // a consumer
	program    *person   // another one, a program with an API key
	poets      []*person // in the order of the corpus
	copyist    *person
}

// witnesses are users of every organisation with a peer, the regulator's last, by whom each is asked.
func (c *cast) witnesses() []*person { return append(append([]*person{}, c.operators...), c.inspector) }

// meet has everybody log in or enrol, puts the founding members on the ledger and opens the accounts.
func (s *Story) meet(ctx context.Context) error {
	if err := s.gather(); err != nil {
		return err
	}
	invited, err := s.invite(ctx)
	if err != nil {
		return err
	}
	members, err := do[member.Members](ctx, s, s.proposer, found())
	if err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	holders := append([]*person{s.platform, s.issuer, s.reader, s.program, s.trainer, s.host, s.copyist}, s.poets...)
	err = atOnce(ctx, len(holders), func(ctx context.Context, i int) error {
		opened, err := do[account.Account](ctx, s, holders[i], openAccount())
		if err == nil && opened.Account != holders[i].account {
			err = fmt.Errorf("the ledger opened %s for %s", opened.Account, holders[i].account)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.Out.Say("Members on the ledger: %s. Each has a gateway; so has %s.", sentence(members.Members), s.regulator)
	if invited > 0 {
		s.Out.Say("%s enrolled with invitations of their operators: some with a key of their own, others with an API key,", document.Count(invited, "person", "people"))
		s.Out.Say("for whom the gateway keeps a key and signs.")
	}
	s.Out.Say("%d accounts are open. A poet's is a pseudonym: %s wrote what %s will contribute,", len(holders), s.poets[0].name, short(s.poets[0].account))
	s.Out.Say("which only the file people.json in %s tells.", s.Folder)
	return s.everywhere(ctx)
}

// gather connects those who came with the network to their gateways.
func (s *Story) gather() (err error) {
	s.cast = cast{peers: newPeers(s.Network), validators: map[string]*person{}}
	topology := s.Network.Topology()
	s.members, s.regulator = topology.MemberMSPIDs(), topology.Regulator.MSPID
	if len(s.members) < 3 {
		return fmt.Errorf("the story needs three members, this network has %d: use another folder, or the topology that ships with the program", len(s.members))
	}
	society, library, laboratory := s.members[0], s.members[1], s.members[2]
	user := func(msp, name, part string) *person {
		if err != nil {
			return nil
		}
		var p *person
		p, err = s.user(msp, name, part)
		return p
	}
	s.proposer = user(society, "operator2", "proposer")
	for _, msp := range s.members {
		s.operators = append(s.operators, user(msp, "operator1", "operator"))
	}
	s.platform = user(laboratory, "operator2", "platform")
	s.issuer = user(library, "operator2", "issuer")
	s.inspector = user(s.regulator, "inspector1", "inspector")
	s.authority = user(s.regulator, network.AdminUser, "administrator")
	return err
}

// user is somebody whose identity lies in the network's folder.
func (s *Story) user(msp, name, part string) (*person, error) {
	own, err := s.Network.User(msp, name)
	p := &person{name: part, account: ledger.NewAccount(msp, name), own: own}
	if err != nil || name == network.AdminUser { // who is not served by a gateway
		return p, err
	}
	_, material, err := s.Network.Organization(msp)
	if err != nil {
		return nil, err
	}
	id, err := client.LoadIdentity(material.UserMSPDir(name))
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", name, msp, err)
	}
	return s.as(p, id, "")
}

// as connects a person to the gateway of the organisation, with a certificate or with an API key.
func (s *Story) as(p *person, id *client.Identity, token string) (_ *person, err error) {
	options, err := s.gateway(p.account.MSP())
	if err != nil {
		return nil, err
	}
	options.Identity, options.Token = id, token
	if p.client, err = client.New(options); err != nil {
		return nil, err
	}
	s.clients = append(s.clients, p.client)
	return p, nil
}

// gateway is how an organisation's gateway is reached.
func (s *Story) gateway(msp string) (client.Options, error) {
	address, err := s.Network.GatewayURL(msp)
	if err != nil {
		return client.Options{}, err
	}
	_, material, err := s.Network.Organization(msp)
	if err != nil {
		return client.Options{}, err
	}
	roots, err := client.ReadRoots(material.GatewayTLS().CAFile)
	return client.Options{Gateway: address, Roots: roots}, err
}

// part is somebody who is invited.
type part struct {
	name    string
	folder  string // of the identity, in the archive
	msp     string
	role    ledger.Role
	custody bool // the gateway keeps the key
	takes   func(*person)
}

func (s *Story) parts() (list []part) {
	society, library, laboratory := s.members[0], s.members[1], s.members[2]
	s.poets = make([]*person, len(s.Corpus))
	for i, c := range s.Corpus {
		list = append(list, part{c.Name, "contributors/" + c.Name, s.members[i%3], ledger.Contributor, i%2 == 1, func(p *person) { s.poets[i] = p }})
	}
	for _, msp := range s.members[:3] {
		list = append(list, part{"(validator of " + msp + ")", "validators/" + msp, msp, ledger.Validator, false, func(p *person) { s.validators[msp] = p }})
	}
	return append(list,
		// The copyist belongs to another member than the first poet, whom he copies.
		part{"(copyist)", "copyist", library, ledger.Contributor, true, func(p *person) { s.copyist = p }},
		part{"(curator)", "curator", society, ledger.Curator, true, func(p *person) { s.curator = p }},
		part{"(developer)", "developer", laboratory, ledger.Trainer, false, func(p *person) { s.trainer = p }},
		part{"(host)", "host", laboratory, ledger.Host, true, func(p *person) { s.host = p }},
		part{"(consumer)", "consumer", library, ledger.Consumer, false, func(p *person) { s.reader = p }},
		part{"(program)", "program", society, ledger.Consumer, true, func(p *person) { s.program = p }})
}

// invite has everybody enrol who has not done so in an earlier telling. It returns how many that were.
func (s *Story) invite(ctx context.Context) (invited int, err error) {
	people, err := s.archive.people()
	if err != nil {
		return 0, err
	}
	parts := s.parts()
	enrolments := make([]enrolled, len(parts))
	err = atOnce(ctx, len(parts), func(ctx context.Context, i int) (err error) {
		known, ok := people[parts[i].name]
		if !ok {
			known, err = s.enrol(ctx, parts[i])
		}
		enrolments[i] = known
		return err
	})
	if err != nil {
		return 0, err
	}
	for i, part := range parts {
		if _, ok := people[part.name]; !ok {
			people[part.name] = enrolments[i]
			invited++
		}
		p, err := s.known(part, enrolments[i])
		if err != nil {
			return 0, err
		}
		part.takes(p)
	}
	if invited == 0 {
		return 0, nil
	}
	return invited, s.archive.keepPeople(people)
}

// invitationLife is how long an invitation of the story can be used.
const invitationLife = time.Hour

// enrol has the operator of a person's organisation invite the person, who uses the invitation.
func (s *Story) enrol(ctx context.Context, part part) (enrolled, error) {
	operator, err := s.operator(part.msp)
	if err != nil {
		return enrolled{}, err
	}
	invited, err := operator.client.Invite(ctx, identity.InvitationRequest{Roles: []ledger.Role{part.role}, Expires: time.Now().Add(invitationLife).UTC().Truncate(time.Second)})
	if err != nil {
		return enrolled{}, fmt.Errorf("invite to %s: %w", part.msp, err)
	}
	options, err := s.gateway(part.msp)
	if err != nil {
		return enrolled{}, err
	}
	newcomer, err := client.New(options)
	if err != nil {
		return enrolled{}, err
	}
	defer newcomer.Close()
	request, folder := identity.EnrolRequest{Code: invited.Code, Custody: part.custody}, s.archive.identity(part.folder)
	if !part.custody {
		key, err := pki.NewKey(network.Ed25519)
		if err != nil {
			return enrolled{}, err
		}
		if err := folder.renewKey(key); err != nil {
			return enrolled{}, err
		}
		if request.Request, err = client.CertificateRequest(key); err != nil {
			return enrolled{}, err
		}
	}
	made, err := newcomer.Enrol(ctx, request)
	if err != nil {
		return enrolled{}, fmt.Errorf("enrol at the gateway of %s: %w", part.msp, err)
	}
	_, material, err := s.Network.Organization(part.msp)
	if err != nil {
		return enrolled{}, err
	}
	if err := folder.keep(options.Gateway, material.TLSCA.PEM, made); err != nil {
		return enrolled{}, err
	}
	if s.Profile != nil && !part.custody {
		if err := s.Profile(string(folder), options.Gateway, made.Account); err != nil {
			return enrolled{}, err
		}
	}
	return enrolled{Account: made.Account, Custody: part.custody, Folder: part.folder}, nil
}

func (s *Story) operator(msp string) (*person, error) {
	for _, o := range s.operators {
		if o.account.MSP() == msp {
			return o, nil
		}
	}
	return nil, fmt.Errorf("%s has no operator in the story", msp)
}

// known is somebody who is enrolled.
func (s *Story) known(part part, e enrolled) (*person, error) {
	folder := s.archive.identity(e.Folder)
	if !slices.Contains(s.members, e.Account.MSP()) {
		return nil, fmt.Errorf("%s is of another network: remove the folder", s.Folder)
	}
	p := &person{name: part.name, account: e.Account, signs: !e.Custody}
	if e.Custody {
		token, err := folder.token()
		if err != nil {
			return nil, err
		}
		return s.as(p, nil, token)
	}
	id, err := client.LoadIdentity(string(folder))
	if err != nil {
		return nil, err
	}
	if p.own, err = pki.NewIdentity(e.Account.MSP(), id.Certificate, id.Key()); err != nil {
		return nil, err
	}
	return s.as(p, id, "")
}

func (c *cast) close() error {
	for _, client := range c.clients {
		client.Close()
	}
	return c.peers.close()
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

// errAccepted is what became of a call that should have been refused.
var errAccepted = errors.New("it was accepted")

func orAccepted(err error) error {
	if err == nil {
		return errAccepted
	}
	return err
}
