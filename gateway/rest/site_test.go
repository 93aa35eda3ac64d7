package rest_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/memblob"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/earnings"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal/journaltest"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/rest"
	"github.com/datanet-consortium/datanet/gateway/review"
	"github.com/datanet-consortium/datanet/gateway/serving"
	"github.com/datanet-consortium/datanet/network"
	"github.com/datanet-consortium/datanet/network/pki"
)

func openDatabase(t *testing.T, name string) *database.DB {
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), name+".db"))+"?synchronous=normal")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// organisation makes the certificates of A.
func organisation(t *testing.T) *pki.Organization {
	org := network.Organization{Name: "a", MSPID: rulestest.A}
	org.ApplyDefaults(network.MemberUsers)
	material, err := pki.EnsureOrganization(t.TempDir(), &org)
	require.NoError(t, err)
	return material
}

// withPeople adds real identities, with an authority that enrols people.
func withPeople(t *testing.T) func(*rest.Options) {
	return func(o *rest.Options) {
		material := organisation(t)
		authority, err := pki.OpenAuthority(material.CADir())
		require.NoError(t, err)
		o.People, err = identity.Open(t.Context(), openDatabase(t, "state"), identity.Config{MSPID: rulestest.A,
			Authorities: map[string][]byte{rulestest.A: material.CA.PEM}, Authority: authority})
		require.NoError(t, err)
	}
}

// nobody is an exchange with members that hand over nothing.
type nobody struct{}

func (nobody) Fetch(context.Context, *content.Store, contribution.Contribution, access.Handover, ...string) (content.Info, error) {
	return content.Info{}, context.DeadlineExceeded
}

func (nobody) Release(context.Context, access.Handover, ...string) error {
	return context.DeadlineExceeded
}

func (nobody) Obtain(context.Context, *content.Store, access.Handover, []contribution.Contribution, func(context.Context, contribution.Contribution) ([]string, error)) error {
	return errors.New("nobody hands anything over")
}

func (nobody) FetchSecret(context.Context, *content.Store, contribution.Epoch, ...string) error {
	return context.DeadlineExceeded
}

// withContent adds a real content store.
func withContent(t *testing.T) func(*rest.Options) {
	return func(o *rest.Options) {
		keys, err := content.CreateMasterKeys(filepath.Join(t.TempDir(), "master-keys.json"))
		require.NoError(t, err)
		bucket := memblob.OpenBucket(nil)
		t.Cleanup(func() { require.NoError(t, bucket.Close()) })
		o.Content, err = content.New(t.Context(), openDatabase(t, "content"), bucket, keys, content.Options{})
		require.NoError(t, err)
		o.Reviews, err = review.New(o.Content)
		require.NoError(t, err)
		o.Artifacts, err = artifact.Open(t.TempDir())
		require.NoError(t, err)
		o.Behind = func(context.Context, earnings.Earning) (earnings.Behind, error) { return nil, nil }
		o.Settle = func(context.Context) ([]claim.Claim, error) { return nil, nil }
		o.Exchange = nobody{}
		o.Release = func(context.Context, access.Handover) error { return ledger.Refuse(ledger.CodeForbidden, "no right") }
	}
}

// withServing adds a host that serves nothing.
func withServing(t *testing.T) func(*rest.Options) {
	return func(o *rest.Options) {
		m, err := meter.Open(&journaltest.Memory{}, meter.Limits{Exposure: 1, Unsettled: 1})
		require.NoError(t, err)
		o.Serving, err = serving.New(t.Context(), serving.Options{Organisation: rulestest.A, Channel: "datanet", Index: o.Index, Meter: m,
			Receipts: openDatabase(t, "receipts"), Abreast: 1, Tokens: 1, Timeout: time.Second, BodyTimeout: o.BodyTimeout, Metrics: prometheus.NewRegistry()})
		require.NoError(t, err)
		o.Models = func() []openai.Model { return nil }
	}
}

// certify makes a certificate for a person, as the organisation's authority would.
func (s *site) certify(name string) {
	attributes, err := json.Marshal(map[string]any{"attrs": map[string]string{"hf.EnrollmentID": name}})
	require.NoError(s.t, err)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(s.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, OrganizationalUnit: []string{"client"}}, NotAfter: time.Now().Add(time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5, 6, 7, 8, 1}, Value: attributes}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(s.t, err)
	p := s.people[name]
	p.Certificate = der
	s.people[name] = p
}

func (s *site) certificate(name string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.people[name].Certificate}))
}

// event is one of a stream.
type event struct {
	id     string
	change rest.Change
}

// follow reads events after a place.
func (s *site) follow(who, last string, count int) (events []event) {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/events", nil)
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+who)
	request.Header.Set("Last-Event-ID", last)
	response, err := s.client.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	require.Equal(s.t, http.StatusOK, response.StatusCode)
	lines := bufio.NewScanner(response.Body)
	id := ""
	for len(events) < count && lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = text
		}
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			e := event{id: id}
			require.NoError(s.t, json.Unmarshal([]byte(text), &e.change))
			events = append(events, e)
		}
	}
	require.NoError(s.t, lines.Err())
	return events
}
