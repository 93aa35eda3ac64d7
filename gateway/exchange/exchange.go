// Package exchange hands contents and fingerprint secrets from one member's gateway to another's, over mutual TLS.
//
// Life of a handover: a gateway asks the holder for a release, which names contributions or a snapshot, the recipient
// and the reason. The holder records it on the ledger, whose rules check the recipient's right; only a committed release
// is noted here. Under a noted release, for a limited time, the recipient fetches contents one by one, and goes on where
// a connection broke. It keeps what opens the commitment on the ledger as a replica, encrypted under its own keys.
//
//	POST /v1/exchange/releases                       JSON of an access.Handover; 200 once it is on the ledger
//	GET  /v1/exchange/contents/{commitment}          ?datanet= &contribution= &release= &offset=; see frame.go
//	GET  /v1/exchange/contents/{commitment}/opening  likewise, without offset: salt and records, as audits have them
//	GET  /v1/exchange/fingerprint-secrets/{epoch}    the secret of the epoch in force, for members in good standing
//
// Failures are problems of RFC 9457 with a member "code".
package exchange

import (
	"context"
	"net/http"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// The routes.
const (
	releasesPath = "/v1/exchange/releases"
	contentsPath = "/v1/exchange/contents/"
	secretsPath  = "/v1/exchange/fingerprint-secrets/"
)

// Ledger is what a holder asks of the ledger, as its gateway's service account. Its refusals are *[ledger.Fault].
type Ledger interface {
	// Release records a release and returns when it is committed. It may be repeated.
	Release(ctx context.Context, h access.Handover) error
	// Contribution shows a contribution in its latest revision.
	Contribution(ctx context.Context, n contribution.Named) (contribution.Contribution, error)
	// InSnapshot tells whether a snapshot holds a contribution.
	InSnapshot(ctx context.Context, s snapshot.Named, id string) (bool, error)
	// Active tells whether an organisation is a member in good standing.
	Active(ctx context.Context, msp string) (bool, error)
	// Epoch shows the fingerprint epoch in force.
	Epoch(ctx context.Context) (contribution.Epoch, error)
}

// Caller tells of which organisation's gateway a request comes, by its verified client certificate; ok is false for
// everybody else.
type Caller func(r *http.Request) (msp string, ok bool)
