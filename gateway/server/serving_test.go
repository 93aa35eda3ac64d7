package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/infgram"
	"github.com/datanet-consortium/datanet/attribution/ingest"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	gatewayclient "github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/meter"
	"github.com/datanet-consortium/datanet/gateway/meter/journal"
	"github.com/datanet-consortium/datanet/gateway/openai"
	"github.com/datanet-consortium/datanet/gateway/rest"
)

const verse = "We few, we happy few, we band of brothers; for he today that sheds his blood with me shall be my brother\n\n" +
	"The quality of mercy is not strained; it droppeth as the gentle rain from heaven upon the place beneath\n\n" +
	"Shall I compare thee to a summer's day? Thou art more lovely and more temperate\n"

func newID() string {
	sum := sha256.Sum256([]byte(time.Now().String()))
	return hex.EncodeToString(sum[:16])
}

// decide carries a proposal through, until the gateway's index shows what was decided.
func (s *site) decide(kind string, params any) {
	raw, err := ledger.Encode(params)
	require.NoError(s.t, err)
	content := proposal.Content{ID: newID(), Kind: kind, Params: raw, Expires: s.consortium.Clock.Add(48 * time.Hour)}
	digest, err := content.Digest()
	require.NoError(s.t, err)
	s.must(rulestest.User(rulestest.A, "operator1", ledger.Operator), "proposal:Propose", content)
	for _, msp := range []string{rulestest.A, rulestest.B} {
		s.must(rulestest.User(msp, "operator2", ledger.Operator), "proposal:Approve", proposal.Approval{ID: content.ID, Digest: digest})
	}
	s.shown(s.must(rulestest.User(rulestest.A, "operator1", ledger.Operator), "proposal:Execute", proposal.Named{ID: content.ID}))
}

// person is a client of the gateway with a certificate.
func (s *site) person(name string) *gatewayclient.Client {
	id, err := gatewayclient.LoadIdentity(s.org.UserMSPDir(name))
	require.NoError(s.t, err)
	c, err := gatewayclient.New(gatewayclient.Options{Gateway: s.url, Roots: s.roots, Identity: id})
	require.NoError(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

func TestABuiltInModelIsServedFromWhatTheGatewayHolds(t *testing.T) {
	var operator = rulestest.User(rulestest.A, "operator1", ledger.Operator)
	own := func(name string, role ledger.Role) ledger.Caller { return rulestest.User(rulestest.A, name, role) }
	trainer, host, consumer := own("trainer1", ledger.Trainer), own("host1", ledger.Host), own("consumer1", ledger.Consumer)
	s := newSite(t, func(c *rulestest.Consortium) {
		c.OpenAll(t, own("contributor1", ledger.Contributor), trainer, host, consumer, operator, rulestest.User(rulestest.A, "operator2", ledger.Operator))
	}, nil)
	ctx := t.Context()
	s.decide("schedule.set", schedule.Schedule{Platform: operator.Account(), PlatformPpm: 50_000, Issuer: ledger.NewAccount(rulestest.A, "operator2")})
	drawn, err := gatewayclient.Do[contribution.Rotation](ctx, s.person("operator1"), http.MethodPost, "/v1/fingerprint-secrets", nil)
	require.NoError(t, err)
	s.decide("fingerprint.rotate", drawn)

	// The text of a contributor of the organisation comes into its gateway's store, and others approve it.
	pool := rulestest.A + "/verse"
	s.shown(s.must(own("curator1", ledger.Curator), "datanet:Create", datanet.Create{Name: pool, Content: rulestest.Verse(rulestest.A, rulestest.B, rulestest.C)}))
	author := s.person("contributor1")
	upload := gatewayclient.Upload{ID: newID(), Files: []gatewayclient.File{{Name: "verse.txt", Bytes: int64(len(verse))}}, Rules: ingest.Rules{Split: true}}
	require.NoError(t, author.Upload(ctx, upload, strings.NewReader(verse), nil))
	n := contribution.Named{Datanet: pool, ID: newID()}
	prepared, err := author.FinishUpload(ctx, upload.ID, gatewayclient.Finish{Descriptor: gatewayclient.Descriptor{Author: "Anon"}, Datanet: n.Datanet, Contribution: n.ID})
	require.NoError(t, err)
	provenance := contribution.Provenance{Method: "digitised", FromYear: 1320, ToYear: 1389, Languages: []string{"en"}}
	_, _, err = gatewayclient.Write[contribution.Contribution](ctx, author, http.MethodPut, "/v1/datanets/"+n.Datanet+"/contributions/"+n.ID, "", prepared.Content(provenance))
	require.NoError(t, err)
	for _, msp := range []string{rulestest.B, rulestest.C} {
		s.must(rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote", approval.Vote{Named: n, Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
	}
	s.soon(func() bool {
		head, _, err := gatewayclient.Get[seal.Head](ctx, author, "/v1/datanets/"+pool+"/seal", nil)
		return err == nil && head.Count == 1
	})
	first := snapshot.Named{Datanet: pool, Number: 1}
	s.must(own("curator1", ledger.Curator), "snapshot:Take", first)

	// A built-in model is trained, handed over and published.
	released := ticket.Open{ID: newID(), Snapshots: []snapshot.Named{first}, Purpose: licence.CommercialService}
	s.must(trainer, "ticket:Open", released)
	folder := t.TempDir()
	weights, err := artifact.Model{Interpolation: infgram.WittenBell, MaxContext: 3, Corpus: artifact.Trained{Corpus: model.Corpus{Tokens: 50, Distinct: 30, Digest: rulestest.Hash}, Roots: []string{}}}.Encode()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, artifact.ModelName), weights, 0o600))
	manifest, err := artifact.Read(ctx, folder, nil)
	require.NoError(t, err)
	manifest.Program = "test"
	encoded, digest, err := manifest.Encode()
	require.NoError(t, err)
	registered := model.Register{Named: model.Named{Name: rulestest.A + "/verse", Version: "1"}, Tickets: []string{released.ID}, Bases: []model.Named{},
		Artifacts: manifest.Digests(), Manifest: digest, Purpose: licence.CommercialService, Corpus: model.Corpus{Tokens: int64(prepared.Tokens), Distinct: 30, Digest: rulestest.Hash}}
	height := s.must(trainer, "model:Register", registered)
	require.NoError(t, s.person("trainer1").HandOver(ctx, registered.Named, encoded, height, func(string) (gatewayclient.Opened, error) {
		return os.Open(filepath.Join(folder, artifact.ModelName))
	}, nil))
	s.must(trainer, "model:Publish", model.Publish{Named: registered.Named, Card: 1, PriceIn: 1_000, PriceOut: 5_000, Host: host.Account(), HostPpm: 100_000, OwnerPpm: 150_000})

	// A consumer opens a session with a key that the gateway has made.
	s.decide("token.mint", token.Mint{To: consumer.Account(), Amount: 1_000_000})
	payer := s.person("consumer1")
	var credits ledger.Page[token.Credit]
	s.soon(func() bool {
		credits, _, err = gatewayclient.Get[ledger.Page[token.Credit]](ctx, payer, gatewayclient.Path("accounts", string(consumer.Account()), "credits"), nil)
		return err == nil && len(credits.Items) == 1
	})
	s.must(consumer, "token:Fold", token.Fold{ID: newID(), Credits: []string{credits.Items[0].ID}})
	made, err := gatewayclient.Do[rest.SpendingKey](ctx, payer, http.MethodPost, gatewayclient.Path("spending-keys"), nil)
	require.NoError(t, err)
	var card model.Card
	s.soon(func() bool {
		card, _, err = gatewayclient.Get[model.Card](ctx, payer, gatewayclient.Path("models", registered.Name, "versions", "1", "cards", "1"), nil)
		return err == nil
	})
	terms := session.Terms{Model: model.CardName{Named: registered.Named, Card: 1}, Card: card.Digest, Host: host.Account(), Window: 4, Grace: use.MinGrace,
		Expires: s.consortium.Clock.Add(24 * time.Hour).UTC().Truncate(time.Second), Disclosure: use.DiscloseSample, Escrow: money.Amount(500_000)}
	require.NoError(t, terms.Key.UnmarshalText([]byte(made.Key)))
	opened := session.Open{Name: newID(), Terms: terms}
	s.must(consumer, "session:Open", opened)

	person := s.client("consumer1")
	say := func(body string) (*http.Response, []byte) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+openai.ChatPath, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		response, err := person.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		all, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, all
	}
	body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"we happy"}],"seed":7,"max_tokens":20}`, registered.Named)
	var answer *openai.Answer
	s.soon(func() bool {
		response, all := say(body)
		if response.StatusCode != http.StatusOK {
			return false
		}
		answer, err = openai.ReadAnswer(openai.Chat, all)
		require.NoError(t, err)
		return true
	})
	require.NotEmpty(t, answer.Text)
	r, err := receipt.Decode(answer.Datanet.Receipt)
	require.NoError(t, err)
	require.Equal(t, registered.Named.String(), r.Model)
	kept, _, err := payer.Raw(ctx, http.MethodGet, "/v1/receipts/"+answer.Datanet.ReceiptID.String(), nil, nil)
	require.NoError(t, err)
	require.Contains(t, string(kept), answer.Datanet.ReceiptID.String())
	_, all := say(strings.Replace(body, `"seed":7`, `"seed":7,"stream":true`, 1))
	require.True(t, bytes.HasSuffix(all, []byte("data: [DONE]\n\n")), "%s", all)

	s.checkBackupOfHost(t, answer.Datanet.ReceiptID, registered.Named, session.Named{Account: consumer.Account(), Name: opened.Name})
}

// serves tells whether the gateway says that it serves a model.
func (s *site) serves(n model.Named) bool {
	list, err := s.person("host1").Hosted(s.t.Context())
	require.NoError(s.t, err)
	return slices.Equal(list, []gatewayclient.Hosted{{Model: n.String(), Served: true}})
}

// checkBackupOfHost restores a backup that is made while the gateway serves, into an empty folder: once while the ledger
// knows nothing more of the session, and once after it has ended and the model is retired.
func (s *site) checkBackupOfHost(t *testing.T, receipt merkle.Hash, trained model.Named, opened session.Named) {
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	secret, err := s.server.content.store.DrawKey(ctx, content.SamplingKeys, "drawn")
	require.NoError(t, err)
	var backup bytes.Buffer
	have := func(m *Maintenance) bool {
		var n int
		require.NoError(t, m.receipts.QueryRowContext(ctx, `SELECT count(*) FROM receipts WHERE id = ?`, receipt[:]).Scan(&n))
		return n == 1
	}
	m, err := Maintain(ctx, s.config, log, false)
	require.NoError(t, err)
	s.soon(func() bool { return have(m) }) // receipts are stored behind the answers
	made, err := m.Backup(ctx, &backup, true)
	require.NoError(t, errors.Join(err, m.Close()))
	require.Equal(t, 1, made.Artifacts.Items)
	require.NotContains(t, backup.String(), artifact.InfGram, "it is encrypted")

	restore := func(sessions, artifacts int) (uses uint64) {
		empty := *s.config
		empty.Folder = filepath.Join(t.TempDir(), "gateway")
		m, err := Maintain(ctx, &empty, log, true)
		require.NoError(t, err)
		require.False(t, have(m))
		for again := range 2 {
			r, err := m.Restore(ctx, bytes.NewReader(backup.Bytes()), func(string) bool { return false })
			require.NoError(t, err)
			require.Empty(t, r.Failed)
			require.Equal(t, 1-again, r.Items)
			require.Equal(t, sessions*(1-again), r.Sessions)
			require.Empty(t, r.Artifacts.Failed)
			require.Equal(t, artifacts*(1-again), r.Artifacts.Items)
			require.Equal(t, artifacts*again, r.Artifacts.Present)
			require.Equal(t, artifacts == 0, slices.Contains(r.Artifacts.Retired, trained))
		}
		_, err = os.Stat(filepath.Join(m.artifacts.Folder(trained), artifact.ModelName))
		require.Equal(t, artifacts == 0, errors.Is(err, fs.ErrNotExist), "%v", err)
		require.True(t, have(m))
		drawn, err := m.store.Key(ctx, content.SamplingKeys, "drawn")
		require.NoError(t, err)
		require.Equal(t, secret, drawn)
		file, err := journal.OpenFile(m.server.journal())
		require.NoError(t, err)
		from, err := meter.Open(file, meter.Limits{Exposure: 1 << 40, Unsettled: 1000})
		require.NoError(t, err)
		require.Len(t, from.Sessions(), sessions)
		for _, one := range from.Sessions() {
			funds, err := from.Session(one.ID)
			require.NoError(t, err)
			uses += funds.Uses
			_, err = m.store.Key(ctx, content.EvidenceKeys, one.ID.String())
			require.NoError(t, err)
		}
		require.NoError(t, errors.Join(from.Close(), m.Close()))
		if artifacts > 0 {
			t.Run("the restored gateway serves the model", func(t *testing.T) {
				other := *s
				other.t, other.config = t, &empty
				other.run()
				other.soon(func() bool { return other.serves(trained) })
			})
		}
		return uses
	}
	require.True(t, s.serves(trained))
	require.Equal(t, http.StatusForbidden, s.send(s.client("consumer1"), http.MethodGet, "/v1/serving/models", "").status)
	require.EqualValues(t, 2, restore(1, 1), "the host goes on with both uses")
	s.consortium.Clock = s.consortium.Clock.Add(24*time.Hour + use.MinGrace*time.Hour + time.Hour)
	s.must(rulestest.User(rulestest.B, "operator1", ledger.Operator), "session:Expire", opened)
	s.must(rulestest.User(rulestest.A, "trainer1", ledger.Trainer), "model:Retire", trained)
	require.Zero(t, restore(0, 0), "the ledger has ended the session since, and the model")
}
