package settlement_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/text1"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/settlement"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
)

const (
	line  = "the rose has gone from the garden and the nightingale sings no more of spring"
	other = "a boat without a sail drifts over the wide water under seven silent stars"
)

var (
	curator   = rulestest.User(rulestest.A, "curator1", ledger.Curator)
	developer = rulestest.User(rulestest.A, "trainer1", ledger.Trainer)
	tuner     = rulestest.User(rulestest.B, "trainer1", ledger.Trainer)
	host      = rulestest.User(rulestest.C, "host1", ledger.Host)
	reader    = rulestest.User(rulestest.B, "reader1", ledger.Consumer)
	ann       = rulestest.User(rulestest.C, "ann", ledger.Contributor)
	bob       = rulestest.User(rulestest.B, "bob", ledger.Contributor)
)

// market is a published model, tuned from another one, over two contributions.
type market struct {
	*rulestest.Consortium
	pool     string
	snapshot snapshot.Snapshot
	tuned    model.Model
	engine   *plain.Engine
	ids      map[ledger.Account]string
}

func open(t *testing.T) *market {
	m := &market{Consortium: rulestest.New(t), ids: map[ledger.Account]string{}}
	m.OpenAll(t, developer, tuner, host, reader, ann, bob)
	m.SetSchedule(t)
	m.pool = m.Pool(t)
	var corpus attribution.Corpus
	for i, text := range []string{line, other} {
		author := []ledger.Caller{ann, bob}[i]
		content := m.Poem()
		content.Commitment = attribution.Commit(attribution.Salt{}, [][]byte{[]byte(text)}).String()
		content.Tokens = int64(len(text1.Tokens([]byte(text))))
		name := contribution.Named{Datanet: m.pool, ID: m.ID()}
		m.Must(t, author, "contribution:Submit", contribution.Submit{Datanet: m.pool, ID: name.ID, Content: content})
		for _, msp := range m.Members() {
			if msp != author.MSP {
				m.Must(t, rulestest.User(msp, "validator1", ledger.Validator), "approval:Vote",
					approval.Vote{Named: name, Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
			}
		}
		m.Must(t, author, "approval:Finalise", name)
		m.Must(t, curator, "seal:Append", seal.Append{Datanet: m.pool, From: int64(i), Contributions: []string{name.ID}})
		corpus = append(corpus, attribution.Contribution{ID: name.ID, Account: string(author.Account()), Records: [][]byte{[]byte(text)}})
		m.ids[author.Account()] = name.ID
	}
	var err error
	m.engine, err = plain.New(corpus)
	require.NoError(t, err)
	first := snapshot.Named{Datanet: m.pool, Number: 1}
	require.NoError(t, ledger.DecodeAnswer(m.Must(t, curator, "snapshot:Take", first), &m.snapshot))
	released := ticket.Open{ID: m.ID(), Snapshots: []snapshot.Named{first}, Purpose: licence.CommercialService}
	m.Must(t, developer, "ticket:Open", released)
	base := model.Register{Named: model.Named{Name: rulestest.A + "/base", Version: "1"}, Tickets: []string{released.ID}, Bases: []model.Named{},
		Artifacts: []string{rulestest.Hash}, Manifest: rulestest.Hash, Purpose: licence.CommercialService,
		Corpus: model.Corpus{Tokens: m.snapshot.Tokens, Distinct: 20, Digest: rulestest.Hash}, DerivativePpm: 40_000}
	m.Must(t, developer, "model:Register", base)
	tuned := base
	tuned.Named, tuned.Tickets, tuned.Bases = model.Named{Name: rulestest.B + "/tuned", Version: "1"}, []string{}, []model.Named{base.Named}
	require.NoError(t, ledger.DecodeAnswer(m.Must(t, tuner, "model:Register", tuned), &m.tuned))
	return m
}

// receipt is that of an answer which quotes ann's line.
func (m *market) receipt(t *testing.T, root merkle.Hash) string {
	artifact, err := hex.DecodeString(rulestest.Hash)
	require.NoError(t, err)
	r, err := m.engine.Receipt(attribution.Answer{Roots: []merkle.Hash{root}, Model: m.tuned.Named.String(), Artifact: merkle.Hash(artifact),
		Prompt: [][]byte{[]byte("sing")}, Output: []byte(line), Tau: uint8(m.tuned.Due.Tau)})
	require.NoError(t, err)
	encoded, err := r.Encode()
	require.NoError(t, err)
	return hex.EncodeToString(encoded)
}

func (m *market) pay(t *testing.T, root merkle.Hash, fee money.Amount) (paid settlement.Settlement, fault *ledger.Fault) {
	answer, fault := m.Try(t, reader, "settlement:Pay", settlement.Pay{ID: m.ID(), Model: m.tuned.Named,
		Answers: []settlement.Answer{{Receipt: m.receipt(t, root), Fee: fee}}})
	if fault == nil {
		require.NoError(t, ledger.DecodeAnswer(answer, &paid))
	}
	return paid, fault
}

func (m *market) publish(t *testing.T) {
	m.Must(t, tuner, "model:Publish", model.Publish{Named: m.tuned.Named, Card: 1, PriceOut: 5, Host: host.Account(), HostPpm: 100_000, OwnerPpm: 110_000})
	m.Must(t, host, "model:Accept", model.CardName{Named: m.tuned.Named, Card: 1})
}

func fund(t *testing.T, m *market) {
	m.Mint(t, reader, 10_000_000)
	var page ledger.Page[struct {
		ID string `json:"id"`
	}]
	require.NoError(t, ledger.DecodeAnswer(m.Must(t, reader, "token:Credits", map[string]any{"account": reader.Account()}), &page))
	m.Must(t, reader, "token:Fold", map[string]any{"id": m.ID(), "credits": []string{page.Items[0].ID}})
}

func TestEveryPartOfTheRateCardIsPaid(t *testing.T) {
	m := open(t)
	fund(t, m)
	_, fault := m.pay(t, m.snapshot.Root, 1_000_000)
	require.Equal(t, ledger.CodeNotFound, fault.Code, "a model without a rate card costs nothing that anyone agreed on")
	m.publish(t)
	paid, fault := m.pay(t, m.snapshot.Root, 1_000_000)
	require.Nil(t, fault)
	due := map[ledger.Account]money.Amount{}
	var sum money.Amount
	for _, p := range paid.Payments {
		due[p.To] = p.Amount
		sum += p.Amount
	}
	require.Equal(t, paid.Total, sum)
	for account, ppm := range map[ledger.Account]money.Amount{host.Account(): 100_000, tuner.Account(): 110_000, developer.Account(): 40_000, "AMSP:platform1": 50_000} {
		require.Equal(t, ppm, due[account], "%s of a fee of a million", account)
	}
	require.Positive(t, due[ann.Account()])
	require.Zero(t, due[bob.Account()])
	require.EqualValues(t, 700_000, due[ann.Account()]+due[ledger.PoolAccount(m.pool)], "data and validators")
	tally := m.Tally(t)
	require.NoError(t, tally.Check())
}

func TestReceiptsNameTheLatestRevision(t *testing.T) {
	m := open(t)
	fund(t, m)
	m.publish(t)
	name := contribution.Named{Datanet: m.pool, ID: m.ids[bob.Account()]}
	m.Must(t, bob, "erasure:Request", name)
	m.Must(t, curator, "seal:Retire", seal.Retire{Datanet: m.pool, Contributions: []string{name.ID}})
	for _, msp := range []string{rulestest.A, rulestest.B} {
		m.Must(t, rulestest.User(msp, "operator1", ledger.Operator), "erasure:Acknowledge", name)
	}
	m.Clock = m.Clock.Add(erasure.Term)
	m.Must(t, bob, "erasure:Complete", name)
	var revised snapshot.Snapshot
	require.NoError(t, ledger.DecodeAnswer(m.Must(t, curator, "snapshot:Revise", m.snapshot.Named), &revised))
	_, fault := m.pay(t, m.snapshot.Root, 1_000_000)
	require.Contains(t, fault.Message, "latest revisions")
	var err error
	m.engine, err = plain.New(attribution.Corpus{{ID: m.ids[ann.Account()], Account: string(ann.Account()), Records: [][]byte{[]byte(line)}}})
	require.NoError(t, err)
	_, fault = m.pay(t, revised.Root, 1_000_000)
	require.Nil(t, fault)
}
