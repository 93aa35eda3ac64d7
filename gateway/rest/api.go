// Package rest is the gateway's HTTP interface: the ledger's functions as resources, and what a gateway adds to them.
//
// The life of a request: the listener's TLS (package server) → the middleware of this package, which gives it an id,
// bounds it and logs it → the caller is authenticated → the operation runs. A read runs the ledger's own query function
// over the index, so the answer is what the peer would give, at the height that the header Datanet-Height names. A write
// goes to the outbox, which makes it happen once. Whatever fails becomes a [Problem]; the table in problem.go is the one
// place where failures get their HTTP status.
//
// Two lists say what there is: routes has one line for each function of the ledger, and [New] adds the rest. The API
// document is made from the same values and types that handle the requests, and the tests check every answer against it.
package rest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/attesting"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/earnings"
	"github.com/datanet-consortium/datanet/gateway/evidence/archive"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/paying"
	"github.com/datanet-consortium/datanet/gateway/review"
	"github.com/datanet-consortium/datanet/gateway/serving"
	"github.com/datanet-consortium/datanet/gateway/settling"
)

// Options are what the API works on. What is nil or zero where that is allowed is not part of the API at all, and not in
// its document.
type Options struct {
	// Organisation is the gateway's own, by its MSP ID.
	Organisation string
	// Channel is the channel's name.
	Channel string
	// Version is the program's.
	Version string
	// Authenticate says who a request comes from; its refusals are of type *identity.Error.
	Authenticate func(*http.Request) (identity.Principal, error)
	Index        *index.Index
	Peer         Peer
	// Organisations are the MSP IDs of all, the regulator's too; EvaluateAt runs a query on the peer of one of them, nil:
	// nobody asks the others.
	Organisations []string
	EvaluateAt    func(ctx context.Context, organisation, function string, document []byte) ([]byte, error)
	// Block reads a block from the gateway's own peer, for audits; nil: they show what the index holds of it.
	Block func(ctx context.Context, number uint64) (*common.Block, error)
	// Chaincode is the chaincode's name.
	Chaincode string
	// HostReceipt gets a receipt from the gateway of another organisation, a host, for audits; nil: they are only sent.
	HostReceipt func(ctx context.Context, organisation string, id merkle.Hash) ([]byte, error)
	// Settled writes the leaves and receipts of a settlement, which its host's gateway shows, as package parts has them. Nil:
	// nobody is asked for them.
	Settled func(ctx context.Context, c claim.Claim, out io.Writer) error
	// Outbox is nil in a gateway that only reads.
	Outbox Outbox
	// Rate is how many requests a caller may send: as many per second over time, and as many at once.
	Rate, Burst int
	// BodyTimeout is how long a caller may take to send a JSON document.
	BodyTimeout time.Duration
	// WriteWait is how long a write is waited for when the caller does not say.
	WriteWait time.Duration
	// HeightWait is how long a read waits for the index to reach min_height; 0 is 10 s.
	HeightWait time.Duration
	Log        *slog.Logger
	// Opening writes what opens the commitment of a contribution, from one of its holders, in a gateway that keeps no content;
	// nil: nobody is asked.
	Opening func(ctx context.Context, of contribution.Contribution, h access.Handover, out io.Writer, holders ...string) error

	// Content, Reviews, Exchange, Release and Handover are nil together, in a gateway that keeps no content. Release records on the
	// ledger that this gateway hands something over, Handover serves the gateways of other members.
	Content  *content.Store
	Reviews  *review.Reviewer
	Exchange Exchange
	Release  func(context.Context, access.Handover) error
	Handover http.Handler
	// Losses looks after what of Content is lost; nil: nobody does.
	Losses Losses
	// Attesting recomputes settlements for validators; nil in a gateway that keeps no content. Evidence shows gateways of
	// other members what was settled here; nil in one that hosts nothing.
	Attesting *attesting.Worker
	Evidence  http.Handler
	// Serving answers requests for models as a host, Paying those of people of the organisation, whose sessions pay: it
	// answers, and returns the fault that it has told. Either may be nil. Models are those with a rate card in force.
	Serving *serving.Host
	Paying  func(http.ResponseWriter, *http.Request, identity.Principal) *openai.Error
	Models  func() []openai.Model
	// Wallet is what people see of the consumer's role; nil in a gateway that pays for nothing.
	Wallet *paying.Consumer
	// People issues API keys and certificates; nil: nobody does.
	People People
	// Artifacts are nil together with Content; ArtifactHandover gives them to the gateways of hosts.
	Artifacts        *artifact.Store
	ArtifactHandover http.Handler
	// Behind finds the uses and receipts behind an earning; nil: nobody asks other gateways.
	Behind func(context.Context, earnings.Earning) (earnings.Behind, error)
	// Pages gives pages of pay-out tables to other gateways; nil: nobody does.
	Pages http.Handler
	// Settle brings what consumers have signed for to the ledger at once; nil in a gateway that serves no models.
	Settle func(context.Context) ([]claim.Claim, error)
	// Metrics takes the API's own measurements, Gather shows all.
	Metrics prometheus.Registerer
	Gather  prometheus.Gatherer
	// Ready tells which checks there are, and which are well.
	Ready func(context.Context) map[string]bool
	// Peers are how many peers the gateway knows, and how many of them can be reached; nil: that is not told.
	Peers func() (configured, reachable int)
}

// Peer is the gateway's own peer.
type Peer interface {
	// Evaluate runs a query on the organisation's own peer.
	Evaluate(ctx context.Context, function string, document []byte) ([]byte, error)
}

// API is the HTTP interface.
type API struct {
	options    Options
	registry   *ledger.Registry
	huma       huma.API
	router     chi.Router
	rates      *rates
	hosts      *rates
	metrics    *metrics
	operations []*operation
	openAPI    []byte
	streams    streams
	ahead      *preparations
	stopping   chan struct{}
	stopOnce   sync.Once
}

// New makes the API.
func New(options Options) (*API, error) {
	if options.Log == nil || options.Authenticate == nil || options.Index == nil || options.Peer == nil || options.Metrics == nil ||
		options.Gather == nil || options.Ready == nil {
		return nil, fmt.Errorf("make the API: log, metrics, health, authentication, index and peer are needed")
	}
	metrics, err := newMetrics(options.Metrics)
	if err != nil {
		return nil, fmt.Errorf("make the API: %w", err)
	}
	if options.HeightWait == 0 {
		options.HeightWait = 10 * time.Second
	}
	router := chi.NewRouter()
	a := &API{options: options, registry: rules.New(nil), router: router, metrics: metrics, ahead: newPreparations(), stopping: make(chan struct{}),
		rates: newRates(options.Rate, options.Burst), hosts: newRates(options.Rate*callersPerHost, options.Burst*callersPerHost)}
	router.Use(a.observe, a.protect)
	router.NotFound(a.plain(func() *Problem {
		return newProblem(codeUnknownRoute, "this gateway has no such operation; /openapi.json lists those that it has")
	}))
	router.MethodNotAllowed(a.plain(func() *Problem { return newProblem(codeMethod, "/openapi.json lists the methods of each path") }))
	a.huma = humachi.New(router, huma.Config{OpenAPI: a.document()})
	if err := a.addRoutes(); err != nil {
		return nil, err
	}
	a.addTransactions()
	a.addLists()
	a.addEvents()
	a.addPeople()
	a.addUploads()
	a.addContents()
	a.addLost()
	a.addReview()
	a.addModels()
	a.addOrganisations()
	a.addAudit()
	a.addSettling()
	a.addAttesting()
	a.addArtifacts()
	a.addEarnings()
	if options.Handover != nil {
		router.Handle("/v1/exchange/*", a.between(options.Handover))
	}
	if options.Evidence != nil {
		router.Handle(archive.Prefix+"*", a.between(options.Evidence))
	}
	if options.ArtifactHandover != nil {
		router.Handle(artifact.Path+"*", a.between(options.ArtifactHandover))
	}
	a.addWallet()
	if options.Pages != nil {
		router.Handle(settling.PagesPath+"*", a.between(options.Pages))
	}
	a.addOperations()
	return a, a.addDocument()
}

// callersPerHost is how many callers' requests are taken from one address.
const callersPerHost = 20

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

// plain answers what no operation does.
func (a *API) plain(problem func() *Problem) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		note, p := noteOf(r.Context()), problem()
		note.fail(p)
		p.write(w, note.request)
	}
}

// between hands requests of other gateways on; they are no part of the API document, since no person sends them.
func (a *API) between(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noteOf(r.Context()).operation = "exchange"
		next.ServeHTTP(w, r)
	})
}

// document is the part of the API document that is no operation.
func (a *API) document() *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "Datanet gateway of " + a.options.Organisation, Version: a.options.Version,
			Description: "A Datanet: organisations pool data, agree on its quality, train models on it, and are paid whenever they are used. " +
				"Reads come from an index of the blocks, whose height the header Datanet-Height names; with at=ledger they come from the peer. " +
				"Writes happen once: PUT may be repeated as it is, POST with the same Idempotency-Key. " +
				"Whatever fails is a problem of RFC 9457, to be decided upon by its code."},
		Components: &huma.Components{Schemas: newRegistry(), SecuritySchemes: map[string]*huma.SecurityScheme{
			"certificate": {Type: "mutualTLS", Description: "The identity certificate of the caller's organisation as a TLS client certificate."},
			"token":       {Type: "http", Scheme: "bearer", Description: "An OIDC token, or an API key of this gateway."},
		}},
	}
}
