package network

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Limits of a topology. They keep what is derived from it (certificates,
// genesis block, signature policies) far below Fabric's own limits.
const (
	MaxMembers   = 64
	MaxOperators = 64
	MaxUsers     = 10_000

	// maxBlockBytes leaves room in the 100 MB that nodes accept in one
	// message.
	maxBlockBytes = 64 << 20

	minTimeWindow = time.Minute
	maxTimeWindow = 24 * time.Hour
)

var (
	dnsLabel = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	dnsName  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	// An MSP ID is part of account names, ledger keys and policy
	// expressions, which have separators of their own.
	mspID        = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,62}$`)
	enrolmentID  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	channelName  = regexp.MustCompile(`^[a-z][a-z0-9.-]{0,248}$`)
	chaincode    = regexp.MustCompile(`^[a-zA-Z0-9]+([-_][a-zA-Z0-9]+)*$`)
	chaincodeVer = regexp.MustCompile(`^[A-Za-z0-9_.+-]{1,64}$`)
)

// AdminUser is the enrolment id of every organisation's administrator. No
// other user may have it.
const AdminUser = "admin"

// Validate reports everything that is wrong, one error for each field, each
// beginning with the path of the field.
func (t *Topology) Validate() error {
	v := &validation{}
	v.topology(t)
	return errors.Join(v.faults...)
}

// ValidateNew reports what is wrong with an organisation that is to join the
// consortium as a member.
func (t *Topology) ValidateNew(org Organization) error {
	joined := *t
	joined.Members = append(append([]Organization(nil), t.Members...), org)
	return joined.Validate()
}

// Validate reports what is wrong with a user of a member, who need not be in a
// topology.
func (u User) Validate() error {
	v := &validation{}
	v.user("user", u, false)
	return errors.Join(v.faults...)
}

type validation struct{ faults []error }

func (v *validation) fault(path, format string, args ...any) {
	v.faults = append(v.faults, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (v *validation) check(ok bool, path, format string, args ...any) {
	if !ok {
		v.fault(path, format, args...)
	}
}

func (v *validation) topology(t *Topology) {
	v.check(t.Version == Version, "version", "must be %d", Version)
	v.check(dnsLabel.MatchString(t.Name), "name", "%q is not a DNS label (a–z, 0–9 and hyphen, beginning with a letter)", t.Name)
	v.check(channelName.MatchString(t.Channel), "channel", "%q is not a channel name (a–z, 0–9, dot and hyphen, beginning with a letter)", t.Channel)
	v.check(len(t.Members) > 0, "members", "name at least one member")
	v.check(len(t.Members) <= MaxMembers, "members", "%d members are more than the %d supported", len(t.Members), MaxMembers)
	for i := range t.Members {
		v.organization(fmt.Sprintf("members[%d]", i), &t.Members[i], false)
	}
	v.organization("regulator", &t.Regulator, true)
	v.ordering(&t.Ordering)
	v.check(chaincode.MatchString(t.Chaincode.Name) && len(t.Chaincode.Name) <= 64, "chaincode.name", "%q is not a chaincode name (letters and digits, joined by single hyphens or underscores)", t.Chaincode.Name)
	v.check(chaincodeVer.MatchString(t.Chaincode.Version), "chaincode.version", "%q is not a version (letters, digits and . _ + -)", t.Chaincode.Version)
	v.check(t.Chaincode.Sequence >= 1, "chaincode.sequence", "must be at least 1")
	v.check(t.TimeWindow >= minTimeWindow && t.TimeWindow <= maxTimeWindow, "timeWindow", "%s is not between %s and %s", t.TimeWindow, minTimeWindow, maxTimeWindow)
	v.unique(t)
}

func (v *validation) organization(path string, o *Organization, regulator bool) {
	v.identity(path, o.Name, o.MSPID, o.Domain)
	v.check(o.Keys == Ed25519 || o.Keys == ECDSAP256, path+".keys", "%q is neither %s nor %s", o.Keys, Ed25519, ECDSAP256)
	v.host(path+".peer.host", o.Peer.Host)
	v.host(path+".chaincodeService.host", o.ChaincodeService.Host)
	v.check(len(o.Users) <= MaxUsers, path+".users", "%d users are more than the %d supported", len(o.Users), MaxUsers)
	names := map[string]int{}
	for i, u := range o.Users {
		v.user(fmt.Sprintf("%s.users[%d]", path, i), u, regulator)
		// File systems may fold case, and each user has a folder.
		folded := strings.ToLower(u.Name)
		if first, dup := names[folded]; dup {
			v.fault(fmt.Sprintf("%s.users[%d].name", path, i), "%q is already the name of users[%d]", u.Name, first)
			continue
		}
		names[folded] = i
	}
}

func (v *validation) identity(path, name, msp, domain string) {
	v.check(dnsLabel.MatchString(name), path+".name", "%q is not a DNS label (a–z, 0–9 and hyphen, beginning with a letter)", name)
	v.check(mspID.MatchString(msp), path+".mspId", "%q is not an MSP ID (letters, digits and hyphen, beginning with a letter, at most 63)", msp)
	v.check(dnsName.MatchString(domain) && len(domain) <= 190, path+".domain", "%q is not a DNS domain", domain)
}

func (v *validation) user(path string, u User, regulator bool) {
	v.check(enrolmentID.MatchString(u.Name), path+".name", "%q is not an enrolment id (letters, digits and . _ -, beginning with a letter or digit, at most 64)", u.Name)
	v.check(!strings.EqualFold(u.Name, AdminUser), path+".name", "%q is the administrator's name", AdminUser)
	v.check(len(u.Roles) > 0, path+".roles", "name at least one role")
	seen := map[Role]bool{}
	for i, r := range u.Roles {
		at := fmt.Sprintf("%s.roles[%d]", path, i)
		switch {
		case !known(r):
			v.fault(at, "%q is not a role; the roles are %s", r, roleList())
		case seen[r]:
			v.fault(at, "%q is given twice", r)
		case regulator != (r == ledger.Regulator):
			v.fault(at, "%q is not a role in this organisation: only the regulator's users, and all of them, are %s", r, ledger.Regulator)
		}
		seen[r] = true
	}
}

func (v *validation) host(path, host string) {
	v.check(net.ParseIP(host) != nil || (dnsName.MatchString(host) && len(host) <= 253), path, "%q is neither an IP address nor a DNS name", host)
}

func (v *validation) ordering(o *Ordering) {
	switch o.Type {
	case ConsensusBFT:
		v.check(len(o.Operators) >= MinBFTOrderers, "ordering.operators", "bft needs at least %d orderers to survive one that lies, here are %d; add operators or use raft", MinBFTOrderers, len(o.Operators))
		v.bft(&o.BFT)
	case ConsensusRaft:
		v.check(len(o.Operators) >= 1, "ordering.operators", "name at least one operator; three survive the loss of one")
		v.raft(&o.Raft)
	default:
		v.fault("ordering.type", "%q is neither %s nor %s", o.Type, ConsensusBFT, ConsensusRaft)
	}
	v.check(len(o.Operators) <= MaxOperators, "ordering.operators", "%d operators are more than the %d supported", len(o.Operators), MaxOperators)
	for i := range o.Operators {
		op := &o.Operators[i]
		path := fmt.Sprintf("ordering.operators[%d]", i)
		v.identity(path, op.Name, op.MSPID, op.Domain)
		v.host(path+".orderer.host", op.Orderer.Host)
	}
	b := o.Batch
	v.duration("ordering.batch.timeout", b.Timeout, time.Millisecond, time.Minute)
	v.check(b.MaxMessages >= 1 && b.MaxMessages <= 10_000, "ordering.batch.maxMessages", "%d is not between 1 and 10000", b.MaxMessages)
	v.check(b.AbsoluteBytes >= 1<<20 && b.AbsoluteBytes <= maxBlockBytes, "ordering.batch.absoluteBytes", "%d is not between %d and %d", b.AbsoluteBytes, 1<<20, maxBlockBytes)
	v.check(b.PreferredBytes >= 1 && b.PreferredBytes <= b.AbsoluteBytes, "ordering.batch.preferredBytes", "%d is not between 1 and absoluteBytes, %d", b.PreferredBytes, b.AbsoluteBytes)
}

// bft repeats the conditions of SmartBFT's own validation, which otherwise
// stop an orderer when it joins.
func (v *validation) bft(b *BFT) {
	const p = "ordering.bft."
	longest := time.Hour
	v.duration(p+"requestBatchMaxInterval", b.RequestBatchMaxInterval, time.Millisecond, time.Minute)
	v.duration(p+"requestForwardTimeout", b.RequestForwardTimeout, time.Millisecond, longest)
	v.duration(p+"requestComplainTimeout", b.RequestComplainTimeout, time.Millisecond, longest)
	v.duration(p+"requestAutoRemoveTimeout", b.RequestAutoRemoveTimeout, time.Millisecond, longest)
	v.duration(p+"viewChangeResendInterval", b.ViewChangeResendInterval, time.Millisecond, longest)
	v.duration(p+"viewChangeTimeout", b.ViewChangeTimeout, time.Millisecond, longest)
	v.duration(p+"leaderHeartbeatTimeout", b.LeaderHeartbeatTimeout, time.Millisecond, longest)
	v.duration(p+"collectTimeout", b.CollectTimeout, time.Millisecond, longest)
	v.check(b.LeaderHeartbeatCount >= 1 && b.LeaderHeartbeatCount <= 1000, p+"leaderHeartbeatCount", "%d is not between 1 and 1000", b.LeaderHeartbeatCount)
	v.check(b.IncomingMessageBufferSize >= 1 && b.IncomingMessageBufferSize <= 1_000_000, p+"incomingMessageBufferSize", "%d is not between 1 and 1000000", b.IncomingMessageBufferSize)
	v.check(b.RequestPoolSize >= 1 && b.RequestPoolSize <= 1_000_000, p+"requestPoolSize", "%d is not between 1 and 1000000", b.RequestPoolSize)
	v.check(b.RequestForwardTimeout <= b.RequestComplainTimeout, p+"requestForwardTimeout", "must not be longer than requestComplainTimeout")
	v.check(b.RequestComplainTimeout <= b.RequestAutoRemoveTimeout, p+"requestComplainTimeout", "must not be longer than requestAutoRemoveTimeout")
	v.check(b.ViewChangeResendInterval <= b.ViewChangeTimeout, p+"viewChangeResendInterval", "must not be longer than viewChangeTimeout")
}

func (v *validation) raft(r *Raft) {
	const p = "ordering.raft."
	v.duration(p+"tickInterval", r.TickInterval, time.Millisecond, time.Minute)
	v.check(r.HeartbeatTick >= 1, p+"heartbeatTick", "must be at least 1")
	v.check(r.ElectionTick > r.HeartbeatTick && r.ElectionTick <= 10_000, p+"electionTick", "%d is not between heartbeatTick + 1 and 10000", r.ElectionTick)
	v.check(r.MaxInflightBlocks >= 1 && r.MaxInflightBlocks <= 1000, p+"maxInflightBlocks", "%d is not between 1 and 1000", r.MaxInflightBlocks)
	v.check(r.SnapshotIntervalSize >= 1<<20, p+"snapshotIntervalSize", "%d is less than %d bytes", r.SnapshotIntervalSize, 1<<20)
}

func (v *validation) duration(path string, d, least, most time.Duration) {
	v.check(d >= least && d <= most, path, "%s is not between %s and %s", d, least, most)
}

// unique finds names, MSP IDs and fixed ports that occur twice. An ordering
// operator is an organisation of its own: the same MSP in both places would
// let its members' clients sign as orderers.
func (v *validation) unique(t *Topology) {
	type party struct{ path, name, msp string }
	var parties []party
	for i, m := range t.Members {
		parties = append(parties, party{fmt.Sprintf("members[%d]", i), m.Name, m.MSPID})
	}
	parties = append(parties, party{"regulator", t.Regulator.Name, t.Regulator.MSPID})
	for i, o := range t.Ordering.Operators {
		parties = append(parties, party{fmt.Sprintf("ordering.operators[%d]", i), o.Name, o.MSPID})
	}
	names, msps := map[string]string{}, map[string]string{}
	for _, p := range parties {
		v.once(names, p.name, p.path, ".name")
		v.once(msps, p.msp, p.path, ".mspId")
	}

	sockets := map[string]string{}
	for _, l := range t.Listeners() {
		if *l.Port < 0 || *l.Port > 65535 {
			v.fault(l.Field, "%d is not a port (0 lets the system choose)", *l.Port)
			continue
		}
		if *l.Port == 0 {
			continue
		}
		address := l.Address()
		if first, dup := sockets[address]; dup {
			v.fault(l.Field, "%s is already taken by %s", address, first)
			continue
		}
		sockets[address] = l.Field
	}
}

func (v *validation) once(seen map[string]string, value, path, field string) {
	if value == "" {
		return
	}
	// Names become folders, and file systems may fold case.
	folded := strings.ToLower(value)
	first, dup := seen[folded]
	if !dup {
		seen[folded] = path
		return
	}
	v.fault(path+field, "%q is already the one of %s", value, first)
}

func roleList() string {
	names := make([]string, 0, len(ledger.Roles))
	for _, r := range ledger.Roles {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}
