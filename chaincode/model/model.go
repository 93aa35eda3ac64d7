// Package model registers models with everything that they descend from, and publishes what their use costs.
//
//	register (tickets, bases) ──► registered ──publish──► (the host accepts) ──► rate card 1, 2, …
//	                                  └──retire──► retired: no new rate cards and sessions, no models on top of it
//
// A model version cites the tickets under which its data was released and the models that it was built on, ours or
// external ones. Its lineage is the union of all their snapshots. Bases are registered before what is built on them and
// no registration changes, so lineages have no cycles. For each snapshot and each ancestor a key of its own says that
// the model stands below it: what is affected by a contribution, a datanet or a model is one range.
//
// A rate card that names another organisation's account as host is in force only once that organisation has accepted
// it, in a slot that only its own peer, together with enough others for a majority, can write. Until then the card
// before it stays in force, and a later one takes its place.
//
// Each economic setting has one owner. Of the data, the validators, the strictness and the attestations, the strictest of
// the lineage's datanets decides, as frozen in the tickets; of what models built on this one pay, its registration; of
// the platform's part, the fee schedule; of host's and owner's part, the rate card. They sum to the whole fee exactly.
package model

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

// Bounds of a model.
const (
	MaxTickets   = 16
	MaxBases     = 16
	MaxArtifacts = 64
	MaxSources   = 64 // snapshots in a lineage, those of the bases too
	MaxAncestors = 64 // models in a lineage
)

// State of a model version.
type State string

const (
	Registered State = "registered"
	Retired    State = "retired"
)

// Named is a request that names a model: owner and name, and a version.
type Named struct {
	Name    string `json:"name"`    // "AILabMSP/word-chain"
	Version string `json:"version"` // "1.0"
}

var versionPattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+-]{0,31}$`)

func (n Named) Validate() error {
	if err := ledger.ValidName("name", n.Name); err != nil {
		return err
	}
	if !versionPattern.MatchString(n.Version) {
		return ledger.Invalid("version", "expected 1 to 32 letters, digits or . + -")
	}
	return nil
}

func (n Named) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{Key(n)} }

// String is the name that receipts use: name@version.
func (n Named) String() string { return n.Name + "@" + n.Version }

func compareNames(a, b Named) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}

// External is a base model from elsewhere.
type External struct {
	Name    string `json:"name"`    // where it is published, as huggingface.co/owner/model
	Licence string `json:"licence"` // an SPDX identifier or what its publisher calls it
	Digest  string `json:"digest"`  // SHA-256 of its artifact or of the manifest of its artifacts, hex
}

var (
	externalPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$`)
	spdxPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]{0,63}$`)
)

func (e External) validate(field string) error {
	if !externalPattern.MatchString(e.Name) {
		return ledger.Invalid(field+".name", "expected 1 to 200 characters of a model's address, like huggingface.co/owner/model")
	}
	if !spdxPattern.MatchString(e.Licence) {
		return ledger.Invalid(field+".licence", "expected an identifier like Apache-2.0")
	}
	return ledger.ValidDigest(field+".digest", e.Digest)
}

// Corpus is what the developer says of the text that the model was trained on. Whoever holds the snapshots can recompute
// it; the chaincode checks the count against the lineage.
type Corpus struct {
	Tokens   int64  `json:"tokens"`   // canonical tokens of the lineage's contributions
	Distinct int64  `json:"distinct"` // distinct ones among them
	Digest   string `json:"digest"`   // of the corpus as the training manifest defines it, SHA-256, hex
}

// Register is the request that registers a model version.
type Register struct {
	Named
	Tickets   []string        `json:"tickets"`           // ids, under which the data was released
	Bases     []Named         `json:"bases"`             // models of the network that it was built on, ascending
	External  []External      `json:"external,omitzero"` // other models that it was built on
	Artifacts []string        `json:"artifacts"`         // SHA-256 of each artifact, hex; receipts name one of them
	Manifest  string          `json:"manifest"`          // SHA-256 of the training manifest, hex
	Purpose   licence.Purpose `json:"purpose"`           // that of its tickets and bases
	Corpus    Corpus          `json:"corpus"`
	// DerivativePpm is what a model built on this one pays its owner, in ppm of every fee. Together with what it pays to
	// its own bases it is at least what the licences of its data ask.
	DerivativePpm int `json:"derivativePpm"`
}

func (r Register) Validate() error {
	if err := r.Named.Validate(); err != nil {
		return err
	}
	if len(r.Tickets) > MaxTickets || len(r.Bases)+len(r.External) > MaxBases {
		return ledger.Invalid("tickets", "at most %d tickets and %d base models", MaxTickets, MaxBases)
	}
	if len(r.Tickets)+len(r.Bases) == 0 {
		return ledger.Invalid("tickets", "a model has a ticket or a base model of the network: otherwise nothing here is in it")
	}
	for i, id := range r.Tickets {
		if err := ledger.ValidID(fmt.Sprintf("tickets.%d", i), id); err != nil {
			return err
		}
		if slices.Contains(r.Tickets[:i], id) {
			return ledger.Invalid(fmt.Sprintf("tickets.%d", i), "stands twice")
		}
	}
	for i, base := range r.Bases {
		if err := base.Validate(); err != nil {
			f := ledger.AsFault(err)
			return f.At(fmt.Sprintf("bases.%d.%s", i, f.Field))
		}
		if i > 0 && compareNames(r.Bases[i-1], base) >= 0 {
			return ledger.Invalid("bases", "must be ascending and each once")
		}
	}
	for i, e := range r.External {
		if err := e.validate(fmt.Sprintf("external.%d", i)); err != nil {
			return err
		}
	}
	if len(r.Artifacts) == 0 || len(r.Artifacts) > MaxArtifacts {
		return ledger.Invalid("artifacts", "a model has 1 to %d artifacts", MaxArtifacts)
	}
	for i, digest := range r.Artifacts {
		if err := ledger.ValidDigest(fmt.Sprintf("artifacts.%d", i), digest); err != nil {
			return err
		}
		if slices.Contains(r.Artifacts[:i], digest) {
			return ledger.Invalid(fmt.Sprintf("artifacts.%d", i), "stands twice")
		}
	}
	if err := ledger.ValidDigest("manifest", r.Manifest); err != nil {
		return err
	}
	if err := r.Purpose.Validate("purpose"); err != nil {
		return err
	}
	if r.Corpus.Tokens < 1 || r.Corpus.Distinct < 1 || r.Corpus.Distinct > r.Corpus.Tokens {
		return ledger.Invalid("corpus", "counts are positive, and no more tokens are distinct than there are")
	}
	if err := ledger.ValidDigest("corpus.digest", r.Corpus.Digest); err != nil {
		return err
	}
	if r.DerivativePpm < 0 || r.DerivativePpm > money.Million {
		return ledger.Invalid("derivativePpm", "must be from 0 to %d", money.Million)
	}
	return nil
}

func (r Register) Reads(c ledger.Caller) []ledger.Key {
	keys := []ledger.Key{Key(r.Named)}
	for _, id := range r.Tickets {
		keys = append(keys, ticket.Key(id))
	}
	for _, base := range r.Bases {
		keys = append(keys, Key(base))
	}
	return keys
}

func (r Register) digest() (string, error) {
	data, err := ledger.Encode(r)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}

// Source is one snapshot of a model's lineage, as it was released.
type Source struct {
	snapshot.Named
	Revision int         `json:"revision"`
	Root     merkle.Hash `json:"root"`
	Tokens   int64       `json:"tokens"`
	Ticket   string      `json:"ticket"`
	Via      string      `json:"via,omitzero"` // the base, name@version, through which it came; none when by an own ticket
}

// Upstream is what every fee for the model pays to the owner of a model that it descends from.
type Upstream struct {
	Model string         `json:"model"` // name@version
	Owner ledger.Account `json:"owner"`
	Ppm   int            `json:"ppm"`
}

// Model is a registered model version.
type Model struct {
	Register
	Developer ledger.Account `json:"developer"`
	Lineage   []Source       `json:"lineage"`   // by datanet and number
	Ancestors []Named        `json:"ancestors"` // the models that it descends from, by name
	Due       ticket.Due     `json:"due"`       // what its datanets ask
	Upstream  []Upstream     `json:"upstream"`  // by model; fixed at registration
	State     State          `json:"state"`
	Card      int            `json:"card"`           // the number of the rate card in force, 0 before the first
	Offer     int            `json:"offer,omitzero"` // the number of the rate card that waits for its host's consent
	Slots     []string       `json:"slots"`          // the members over which it is guarded
	Digest    string         `json:"digest"`         // of the request
	Tx        string         `json:"tx"`
	EndTx     string         `json:"endTx,omitzero"` // that retired it
}

// UpstreamPpm is the sum of what the model pays upstream.
func (m Model) UpstreamPpm() int {
	sum := 0
	for _, u := range m.Upstream {
		sum += u.Ppm
	}
	return sum
}

// Load reads a model version and checks its guard; a missing one is a fault at the given field.
func Load(r ledger.Reader, field string, n Named) (Model, error) {
	m, found, err := ledger.Load[Model](r, Key(n))
	if err != nil {
		return m, err
	}
	if !found {
		return m, ledger.Refuse(ledger.CodeNotFound, "no model %s", n).At(field)
	}
	return m, ledger.MustBeGuarded(r, Key(n), ledger.Owner(n.Name), m.Slots)
}

func mustOwn(tx ledger.Tx, name string) error {
	if owner := ledger.Owner(name); owner != tx.Caller().MSP {
		return ledger.Refuse(ledger.CodeForbidden, "%s decides nothing about models of %s", tx.Caller().MSP, owner)
	}
	return nil
}
