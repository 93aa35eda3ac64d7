// Package model registers models with the snapshots they were trained on.
//
// This is the first, thin form: training tickets, base models, rate cards and retirement are not there yet.
package model

import (
	"regexp"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// MaxSnapshots bounds a model's lineage.
const MaxSnapshots = 16

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

// String is the name that receipts use: name@version.
func (n Named) String() string { return n.Name + "@" + n.Version }

// Register is the request that registers a model version.
type Register struct {
	Named
	Artifact  string           `json:"artifact"`  // SHA-256 of the model's artifact, hex
	Snapshots []snapshot.Named `json:"snapshots"` // it was trained on
}

func (r Register) Validate() error {
	if err := r.Named.Validate(); err != nil {
		return err
	}
	if err := ledger.ValidDigest("artifact", r.Artifact); err != nil {
		return err
	}
	if len(r.Snapshots) == 0 || len(r.Snapshots) > MaxSnapshots {
		return ledger.Invalid("snapshots", "a model is trained on 1 to %d snapshots", MaxSnapshots)
	}
	for i, s := range r.Snapshots {
		if err := s.Validate(); err != nil {
			return ledger.AsFault(err).At("snapshots." + ledger.AsFault(err).Field)
		}
		if i > 0 && s.Datanet <= r.Snapshots[i-1].Datanet {
			return ledger.Invalid("snapshots", "must be ascending by datanet, one of each")
		}
	}
	return nil
}

func (r Register) Reads(c ledger.Caller) []ledger.Key {
	keys := []ledger.Key{Key(r.Named), schedule.Key, account.Key(c.Account())}
	for _, s := range r.Snapshots {
		keys = append(keys, snapshot.Key(s), datanet.Key(s.Datanet))
	}
	return keys
}

// Source is one snapshot of a model's lineage, as it stood when the model was registered.
type Source struct {
	snapshot.Named
	Root   string `json:"root"`
	Tokens int64  `json:"tokens"`
}

// Parts are how a fee for the model is divided, in ppm, fixed when it is registered: the strictest datanet decides,
// the platform's part is the schedule's, and what is left is the developer's. They sum to a million.
type Parts struct {
	Data       int `json:"data"`
	Validators int `json:"validators"`
	Platform   int `json:"platform"`
	Developer  int `json:"developer"`
}

// Model is a registered model version.
type Model struct {
	Register
	Developer ledger.Account `json:"developer"`
	Platform  ledger.Account `json:"platform"`
	Lineage   []Source       `json:"lineage"`
	Tau       int            `json:"tau"` // the strictest of its datanets
	Parts     Parts          `json:"parts"`
	Tx        string         `json:"tx"`
}

// Functions are the model functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("model:Register", "Registers a model version with its lineage.", ledger.For(ledger.Trainer), register),
		ledger.Query("model:Get", "Shows a model version.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Model, error) { return Load(r, req) }),
		ledger.Query("model:List", "Lists model versions by name.", ledger.Anyone,
			func(r ledger.Lister, req ledger.PageRequest) (ledger.Page[Model], error) {
				return ledger.List(r, prefix, req, ledger.Value[Model])
			}),
	}
}

// Load reads a model version.
func Load(r ledger.Reader, n Named) (Model, error) {
	m, found, err := ledger.Load[Model](r, Key(n))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "no model %s", n).At("name")
	}
	return m, err
}

func register(tx ledger.Tx, req Register) (Model, error) {
	caller := tx.Caller()
	if ledger.Owner(req.Name) != caller.MSP {
		return Model{}, ledger.Refuse(ledger.CodeForbidden, "%s cannot register a model of %s", caller.MSP, ledger.Owner(req.Name))
	}
	existing, found, err := ledger.Load[Model](tx, Key(req.Named))
	if err != nil {
		return Model{}, err
	}
	if found {
		if existing.Artifact != req.Artifact || !slices.Equal(existing.Snapshots, req.Snapshots) || existing.Developer != caller.Account() {
			return Model{}, ledger.Refuse(ledger.CodeExists, "model %s exists with other content", req.Named).At("version")
		}
		return existing, nil
	}
	if err := account.MustBeOpen(tx, "", caller.Account()); err != nil {
		return Model{}, err
	}
	fees, err := schedule.Load(tx)
	if err != nil {
		return Model{}, err
	}
	m := Model{Register: req, Developer: caller.Account(), Platform: fees.Platform, Tx: tx.TxID(), Parts: Parts{Platform: fees.PlatformPpm}}
	for _, name := range req.Snapshots {
		s, err := snapshot.Load(tx, name)
		if err != nil {
			return Model{}, err
		}
		d, err := datanet.Load(tx, "snapshots.datanet", name.Datanet)
		if err != nil {
			return Model{}, err
		}
		m.Lineage = append(m.Lineage, Source{Named: name, Root: s.Root, Tokens: s.Tokens})
		m.Tau = max(m.Tau, d.Tau)
		m.Parts.Data = max(m.Parts.Data, d.DataPpm)
		m.Parts.Validators = max(m.Parts.Validators, d.ValidatorsPpm)
	}
	m.Parts.Developer = money.Million - m.Parts.Data - m.Parts.Validators - m.Parts.Platform
	if m.Parts.Developer < 0 {
		return Model{}, ledger.Refuse(ledger.CodeState, "data %d, validators %d and platform %d ppm exceed the whole fee",
			m.Parts.Data, m.Parts.Validators, m.Parts.Platform)
	}
	tx.Emit("model.registered/1", m)
	return m, ledger.Save(tx, Key(req.Named), m)
}
