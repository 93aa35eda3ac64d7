package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/corpus"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/evidence"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/keystore"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/query"
	"github.com/datanet-consortium/datanet/gateway/serving"
	"github.com/datanet-consortium/datanet/network/secret"
)

// Serving says how the gateway answers requests for models whose host's key it keeps.
type Serving struct {
	// Off serves nothing.
	Off bool `yaml:"off"`
	// Exposure is the most that one organisation's sessions may owe unvouched together, in micro-credits.
	Exposure uint64 `yaml:"exposure"`
	// Unsettled is how many uses may wait for settlement.
	Unsettled int `yaml:"unsettled"`
	// Abreast is how many requests for one model are answered at a time.
	Abreast int `yaml:"abreast"`
	// Tokens is the most of an answer's, in canonical ones, whatever is asked for.
	Tokens uint64 `yaml:"tokens"`
	// Timeout bounds the making of one answer.
	Timeout time.Duration `yaml:"timeout"`
	// Receipts is the URL of the database of receipts; "" is a SQLite file in the gateway's folder.
	Receipts string `yaml:"receipts"`
	// Models are those that a server of OpenAI's interface writes the answers of; built-in ones need no entry.
	Models []ServedModel `yaml:"models"`
}

// ServedModel is a model behind servers of OpenAI's interface.
type ServedModel struct {
	Model string `yaml:"model"` // name@version
	// URLs are the interfaces of servers that stand in for each other, as http://127.0.0.1:8000/v1.
	URLs []string `yaml:"urls"`
	// Name is that of the model there; "" is that of Model.
	Name string `yaml:"name"`
	// Key is the file of an API key, which only its owner may read; "" sends none.
	Key string `yaml:"key"`
	// System is a text that is put before every prompt. Receipts commit to it.
	System string `yaml:"system"`
	// Artifact is the digest that receipts name; "" is the first one that is registered.
	Artifact string `yaml:"artifact"`
}

const maxSystem = 64 << 10 // bytes of a system text

// check reports everything that is wrong.
func (s Serving) check(fault func(name, format string, args ...any)) {
	if s.Unsettled < 1 || s.Abreast < 1 || s.Tokens < 1 {
		fault("serving", "unsettled, abreast and tokens are at least 1")
	}
	if s.Tokens > evidence.MaxOutput {
		fault("serving.tokens", "at most %d: attestors recompute no longer answer", evidence.MaxOutput)
	}
	if s.Timeout <= 0 {
		fault("serving.timeout", "must be longer than 0")
	}
	known := map[string]bool{}
	for i, m := range s.Models {
		name := fmt.Sprintf("serving.models[%d]", i)
		if _, err := nameOf(m.Model); err != nil || known[m.Model] {
			fault(name+".model", "%q is no model's name@version, or stands twice", m.Model)
		}
		known[m.Model] = true
		if len(m.URLs) == 0 {
			fault(name+".urls", "name at least one server")
		}
		for _, text := range m.URLs {
			if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
				fault(name+".urls", "%q is no http or https URL without a user and a query", text)
			}
		}
		if len(m.System) > maxSystem {
			fault(name+".system", "has more than %d bytes", maxSystem)
		}
	}
}

// nameOf is a model's name and version.
func nameOf(text string) (model.Named, error) {
	name, version, _ := strings.Cut(text, "@")
	n := model.Named{Name: name, Version: version}
	return n, n.Validate()
}

// openServing makes the host's role. Its meter's journal lies in the gateway's folder.
func (s *Server) openServing(ctx context.Context) error {
	config := s.config.Serving
	if s.config.ReadOnly || config.Off {
		return nil
	}
	upstreams := map[string]serving.Upstream{}
	for _, m := range config.Models {
		u := serving.Upstream{Model: m.Name, System: m.System, Artifact: m.Artifact}
		if u.Model == "" {
			u.Model = m.Model
		}
		for _, address := range m.URLs {
			u.URLs = append(u.URLs, strings.TrimRight(address, "/"))
		}
		if m.Key != "" {
			key, err := secret.ReadToken(m.Key)
			if err != nil {
				return fmt.Errorf("read the API key of a model's server: %w", err)
			}
			u.Key = key
		}
		upstreams[m.Model] = u
	}
	receipts, err := s.openReceipts(ctx)
	if err != nil {
		return err
	}
	file, err := journal.OpenFile(s.journal())
	if err != nil {
		return err
	}
	if s.meter, err = meter.Open(file, meter.Limits{Exposure: config.Exposure, Unsettled: config.Unsettled}); err != nil {
		return errors.Join(err, file.Close())
	}
	s.closeLater(s.meter.Close)
	s.serving, err = serving.New(ctx, serving.Options{Organisation: s.config.Organisation, Channel: s.config.Channel, Index: s.index,
		Ledger: query.New(s.index, s.config.Channel, s.config.Organisation), Meter: s.meter, Keys: s.content.store, Receipts: receipts,
		Hosts: s.keepsKey, Open: s.openCorpus, Artifact: s.artifact, Upstreams: upstreams, Abreast: config.Abreast, Tokens: config.Tokens,
		Timeout: config.Timeout, BodyTimeout: s.config.Limits.Body, Metrics: s.registry, Log: s.log})
	if err != nil {
		return err
	}
	s.archive, err = s.openArchive(ctx, s.meter)
	return err
}

// openReceipts opens the database of receipts.
func (s *Server) openReceipts(ctx context.Context) (*database.DB, error) {
	address := s.config.Serving.Receipts
	if address == "" {
		address = database.SQLiteURL(filepath.Join(s.config.Folder, "receipts.db"))
	}
	receipts, err := database.Open(ctx, address)
	if err == nil {
		s.closeLater(receipts.Close)
	}
	return receipts, err
}

// journal is the file of the meter's journal.
func (s *Server) journal() string { return filepath.Join(s.config.Folder, "meter.journal") }

// keepsKey tells whether this gateway signs for an account.
func (s *Server) keepsKey(account ledger.Account) (bool, error) {
	if account.MSP() != s.config.Organisation {
		return false, nil
	}
	_, err := s.keys.Get(identity.Principal{Account: account}.Enrolment())
	if errors.Is(err, keystore.ErrNone) {
		return false, nil
	}
	return err == nil, err
}

// artifact reads an artifact that may be a built-in model.
func (s *Server) artifact(_ context.Context, m model.Model, digest string) ([]byte, error) {
	data, err := s.artifacts.Small(m, digest, serving.MaxArtifact)
	if why := s.artifacts.state(m.Named); errors.Is(err, fs.ErrNotExist) && why != "" && why != complete {
		err = fmt.Errorf("%s: %w", why, fs.ErrNotExist)
	}
	return data, err
}

// openCorpus opens the corpus of a rate card's lineage, by the right of a host to hold it.
func (s *Server) openCorpus(ctx context.Context, card model.Card) (*serving.Corpus, error) {
	c, err := s.corpora.Open(ctx, card.Snapshots, s.holdingRight)
	if err != nil {
		return nil, err
	}
	return &serving.Corpus{View: c.View, Roots: c.Roots(), Stale: c.Stale(), Close: c.Close}, nil
}

// holdingRight is by what right this gateway holds a datanet's contributions: its organisation owns it, or has a grant.
func (s *Server) holdingRight(ctx context.Context, datanet string) (access.Handover, error) {
	to := ledger.NewAccount(s.config.Organisation, identity.GatewayEnrolment)
	if ledger.Owner(datanet) == s.config.Organisation {
		return access.Handover{To: to, Reason: access.Holding}, nil
	}
	now := time.Now()
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		found, err := s.index.Entries(ctx, index.Filter{Kind: "grant", Datanet: datanet, Organisation: s.config.Organisation, State: string(access.Active)}, page)
		if err != nil {
			return access.Handover{}, err
		}
		for _, entry := range found.Items {
			var g access.Grant
			if err := ledger.DecodeAnswer(entry.Value, &g); err != nil {
				return access.Handover{}, err
			}
			if g.ForWhom(to) && now.Before(g.Expires) {
				return access.Handover{To: to, Reason: access.Holding, Grant: g.ID}, nil
			}
		}
		if page.Cursor = found.Next; page.Cursor == "" {
			return access.Handover{}, fmt.Errorf("%w: %s has no grant of %s: a host holds the data that its receipts are made from, so its organisation needs a grant of each datanet in the model's lineage",
				corpus.ErrNoRight, s.config.Organisation, datanet)
		}
	}
}
