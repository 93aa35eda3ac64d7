// Package datanet registers datanets: pools of data on one subject, each owned by an organisation, under a licence that
// says what the data may be used for, and governed by a policy that says who validates and which parts of a fee are due.
//
//	create ──► active ──amend──► active, next version
//	             └──retire──► retired: takes no more contributions
//
// The head is under a key that only the owner's peer, together with enough others for a majority of the members, can
// write: nobody amends another's datanet. Each version stays under a key of its own, guarded alike. A contribution keeps
// the version it was submitted under, so an amendment changes the terms of later contributions only.
package datanet

import (
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

// State of a datanet.
type State string

const (
	Active  State = "active"
	Retired State = "retired"
)

// MaxVersion bounds how often a datanet can be amended.
const MaxVersion = 1_000_000

// Create is the request that registers a datanet.
type Create struct {
	Name string `json:"name"` // "PoetrySocietyMSP/persian-poetry"
	Content
}

func (c Create) Validate() error {
	if err := ledger.ValidName("name", c.Name); err != nil {
		return err
	}
	return c.Content.validate()
}

func (c Create) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{Key(c.Name)} }

// Amend is the request that replaces a datanet's content by the next version.
type Amend struct {
	Name    string `json:"name"`
	Version int    `json:"version"` // the number of the new version: one more than that in force
	Content
}

func (a Amend) Validate() error {
	if err := validVersion(a.Name, a.Version); err != nil {
		return err
	}
	return a.Content.validate()
}

func (a Amend) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{Key(a.Name)} }

// Version is one version of a datanet's content.
type Version struct {
	Name   string `json:"name"`
	Number int    `json:"version"` // from 1
	Content
	Curator ledger.Account `json:"curator"` // who made this version
	Slots   []string       `json:"slots"`   // the members then: the guard of head and version is over them
	Tx      string         `json:"tx"`
}

// Datanet is a datanet's head: the version in force.
type Datanet struct {
	Version
	State State  `json:"state"`
	EndTx string `json:"endTx,omitzero"` // that retired it
}

// Named is a request that names a datanet.
type Named struct {
	Name string `json:"name"`
}

func (n Named) Validate() error { return ledger.ValidName("name", n.Name) }

func (n Named) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{Key(n.Name)} }

// VersionName is a request that names a version.
type VersionName struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
}

func (v VersionName) Validate() error { return validVersion(v.Name, v.Version) }

func validVersion(name string, version int) error {
	if err := ledger.ValidName("name", name); err != nil {
		return err
	}
	if version < 1 || version > MaxVersion {
		return ledger.Invalid("version", "versions are numbered from 1 to %d", MaxVersion)
	}
	return nil
}

// Listing asks for a page of a datanet's versions.
type Listing struct {
	Name string `json:"name"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return ledger.ValidName("name", l.Name) }

// Functions are the datanet functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("datanet:Create", "Registers a datanet of the caller's organisation.", ledger.For(ledger.Curator), create),
		ledger.Command("datanet:Amend", "Replaces the content of an own datanet by a new version.", ledger.For(ledger.Curator), amend),
		ledger.Command("datanet:Retire", "Ends an own datanet: it takes no more contributions.", ledger.For(ledger.Curator), retire),
		ledger.Query("datanet:Get", "Shows a datanet and the version in force.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Datanet, error) { return Load(r, "name", req.Name) }),
		ledger.Query("datanet:Version", "Shows one version of a datanet.", ledger.Anyone,
			func(r ledger.Lister, req VersionName) (Version, error) {
				return LoadVersion(r, "version", req.Name, req.Version)
			}),
		ledger.Query("datanet:Versions", "Lists the versions of a datanet.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Version], error) {
				return ledger.List(r, versionsOf(req.Name), req.PageRequest, ledger.Value[Version])
			}),
		ledger.Query("datanet:List", "Lists datanets by name.", ledger.Anyone,
			func(r ledger.Lister, req ledger.PageRequest) (ledger.Page[Datanet], error) {
				return ledger.List(r, prefix, req, ledger.Value[Datanet])
			}),
	}
}

// Load reads a datanet's head and checks its guard. A missing one is a fault at the given field.
func Load(r ledger.Reader, field, name string) (Datanet, error) {
	d, found, err := ledger.Load[Datanet](r, Key(name))
	if err != nil {
		return Datanet{}, err
	}
	if !found {
		return Datanet{}, ledger.Refuse(ledger.CodeNotFound, "no datanet %s", name).At(field)
	}
	return d, ledger.MustBeGuarded(r, Key(name), ledger.Owner(name), d.Slots)
}

// LoadVersion reads a version, which need not be in force. A missing one is a fault at the given field.
func LoadVersion(r ledger.Reader, field, name string, version int) (Version, error) {
	v, found, err := ledger.Load[Version](r, VersionKey(name, version))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "datanet %s has no version %d", name, version).At(field)
	}
	return v, err
}

func create(tx ledger.Tx, req Create) (Datanet, error) {
	if err := mustOwn(tx, req.Name); err != nil {
		return Datanet{}, err
	}
	head, found, err := ledger.Load[Datanet](tx, Key(req.Name))
	if err != nil {
		return Datanet{}, err
	}
	if found {
		// What is in force may have been amended since: the first version is what a repetition must equal.
		first, err := LoadVersion(tx, "name", req.Name, 1)
		if err != nil {
			return Datanet{}, err
		}
		if err := mustEqual(first.Content, req.Content, "name", "datanet %s exists with other content", req.Name); err != nil {
			return Datanet{}, err
		}
		return head, nil
	}
	d := Datanet{Version: Version{Name: req.Name, Number: 1, Content: req.Content}, State: Active}
	return put(tx, d, "datanet.created/1")
}

func amend(tx ledger.Tx, req Amend) (Datanet, error) {
	if err := mustOwn(tx, req.Name); err != nil {
		return Datanet{}, err
	}
	d, err := Load(tx, "name", req.Name)
	if err != nil {
		return Datanet{}, err
	}
	if req.Version <= d.Number {
		made, err := LoadVersion(tx, "version", req.Name, req.Version)
		if err != nil {
			return Datanet{}, err
		}
		if err := mustEqual(made.Content, req.Content, "version", "version %d of %s says something else", req.Version, req.Name); err != nil {
			return Datanet{}, err
		}
		return d, nil
	}
	if d.State != Active {
		return Datanet{}, ledger.Refuse(ledger.CodeState, "datanet %s is %s", d.Name, d.State)
	}
	if next := d.Number + 1; req.Version != next {
		return Datanet{}, ledger.Invalid("version", "the next version is %d", next)
	}
	d.Version = Version{Name: req.Name, Number: req.Version, Content: req.Content}
	return put(tx, d, "datanet.amended/1")
}

// put writes a new version and makes it the one in force.
func put(tx ledger.Tx, d Datanet, event string) (Datanet, error) {
	members, err := member.Load(tx)
	if err != nil {
		return Datanet{}, err
	}
	for _, msp := range d.Validators {
		if !members.Has(msp) {
			return Datanet{}, ledger.Invalid("policy.validators", "%s is not a member", msp)
		}
	}
	if d.Licence.Expired(tx.Time()) {
		return Datanet{}, ledger.Invalid("licence.expires", "has passed already")
	}
	d.Curator, d.Slots, d.Tx = tx.Caller().Account(), members.Members, tx.TxID()
	guard := ledger.SlotPolicy(ledger.Owner(d.Name), d.Slots)
	version := VersionKey(d.Name, d.Number)
	if err := ledger.Save(tx, version, d.Version); err != nil {
		return Datanet{}, err
	}
	tx.Guard(version, guard)
	tx.Guard(Key(d.Name), guard)
	tx.Emit(event, d)
	return d, ledger.Save(tx, Key(d.Name), d)
}

func retire(tx ledger.Tx, req Named) (Datanet, error) {
	if err := mustOwn(tx, req.Name); err != nil {
		return Datanet{}, err
	}
	d, err := Load(tx, "name", req.Name)
	if err != nil || d.State == Retired {
		return d, err
	}
	d.State, d.EndTx = Retired, tx.TxID()
	tx.Emit("datanet.retired/1", d)
	return d, ledger.Save(tx, Key(d.Name), d)
}

func mustOwn(r ledger.Reader, name string) error {
	if caller, owner := r.Caller().MSP, ledger.Owner(name); caller != owner {
		return ledger.Refuse(ledger.CodeForbidden, "%s belongs to %s: %s can neither make nor change it", name, owner, caller)
	}
	return nil
}

func mustEqual(there, asked Content, field, format string, args ...any) error {
	same, err := ledger.Same(there, asked)
	if err == nil && !same {
		err = ledger.Refuse(ledger.CodeExists, format, args...).At(field)
	}
	return err
}
