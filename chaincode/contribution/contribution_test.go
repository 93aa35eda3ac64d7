package contribution_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

var ann = rulestest.User(rulestest.A, "ann", ledger.Contributor)

func TestContributionsThatAreMalformed(t *testing.T) {
	c := rulestest.New(t)
	good := contribution.Submit{Datanet: "AMSP/verse", ID: c.ID(), Content: c.Poem()}
	require.NoError(t, good.Validate())
	for claim, test := range map[string]struct {
		change func(*contribution.Submit)
		field  string
	}{
		"no id":                               {func(s *contribution.Submit) { s.ID = "poem" }, "id"},
		"a type that is not taken in":         {func(s *contribution.Submit) { s.MediaType = "image/png" }, "mediaType"},
		"a short commitment":                  {func(s *contribution.Submit) { s.Commitment = "ab" }, "commitment"},
		"a descriptor in clear":               {func(s *contribution.Submit) { s.Descriptor = "by Hafez" }, "descriptor"},
		"no record":                           {func(s *contribution.Submit) { s.Records = 0 }, "records"},
		"more than a million records":         {func(s *contribution.Submit) { s.Records = 1_000_001 }, "records"},
		"no token":                            {func(s *contribution.Submit) { s.Tokens = 0 }, "tokens"},
		"a method in free text":               {func(s *contribution.Submit) { s.Provenance.Method = "found" }, "provenance.method"},
		"years in the wrong order":            {func(s *contribution.Submit) { s.Provenance.FromYear = 1400 }, "provenance.fromYear"},
		"a year far away":                     {func(s *contribution.Submit) { s.Provenance.ToYear = 10_000 }, "provenance.toYear"},
		"a language in words":                 {func(s *contribution.Submit) { s.Provenance.Languages = []string{"Persian"} }, "provenance.languages"},
		"a private subtag, which spells much": {func(s *contribution.Submit) { s.Provenance.Languages = []string{"x-hafez"} }, "provenance.languages"},
		"a language twice":                    {func(s *contribution.Submit) { s.Provenance.Languages = []string{"fa", "fa"} }, "provenance.languages"},
		"epoch 0":                             {func(s *contribution.Submit) { s.Fingerprint.Epoch = 0 }, "fingerprint.epoch"},
		"a fingerprint in capitals":           {func(s *contribution.Submit) { s.Fingerprint.HMAC = "AB" + s.Fingerprint.HMAC[2:] }, "fingerprint.hmac"},
		"a licence for nothing":               {func(s *contribution.Submit) { s.Licence = &licence.Licence{} }, "licence.purposes"},
	} {
		t.Run(claim, func(t *testing.T) {
			bad := good
			test.change(&bad)
			f := ledger.AsFault(bad.Validate())
			require.Equal(t, ledger.CodeInvalid, f.Code)
			require.Equal(t, test.field, f.Field)
			f = ledger.AsFault(contribution.SubmitBatch{Items: []contribution.Submit{good, bad}}.Validate())
			require.Equal(t, "items.1."+test.field, f.Field)
		})
	}
}

func TestNothingIsRegisteredBeforeTheMembersShareASecret(t *testing.T) {
	c := rulestest.New(t)
	c.OpenAll(t, ann)
	c.Must(t, rulestest.User(rulestest.A, "curator1", ledger.Curator), "datanet:Create", datanet.Create{Name: "AMSP/verse", Content: rulestest.Verse(c.Members()...)})
	_, fault := c.Try(t, ann, "contribution:Submit", contribution.Submit{Datanet: "AMSP/verse", ID: c.ID(), Content: c.Poem()})
	require.Equal(t, ledger.CodeState, fault.Code)
	require.Contains(t, fault.Message, "fingerprint.rotate")
}

func TestAnExpiredLicenceTakesNoContributions(t *testing.T) {
	c := rulestest.New(t)
	pool := c.Pool(t)
	c.OpenAll(t, ann)
	content := rulestest.Verse(c.Members()...)
	content.Licence.Expires = c.Clock.Add(time.Hour)
	c.Must(t, rulestest.User(rulestest.A, "curator1", ledger.Curator), "datanet:Amend", datanet.Amend{Name: pool, Version: 2, Content: content})
	submit := contribution.Submit{Datanet: pool, ID: c.ID(), Content: c.Poem()}
	c.Must(t, ann, "contribution:Submit", submit)
	c.Clock = c.Clock.Add(time.Hour)
	submit.ID, submit.Content = c.ID(), c.Poem()
	_, fault := c.Try(t, ann, "contribution:Submit", submit)
	require.Equal(t, ledger.CodeState, fault.Code)
	require.Equal(t, "datanet", fault.Field)
}

func TestASubmissionIsAnsweredAsDoneAfterItsFingerprintMoved(t *testing.T) {
	c := rulestest.New(t)
	pool := c.Pool(t)
	c.OpenAll(t, ann)
	submit := contribution.Submit{Datanet: pool, ID: c.ID(), Content: c.Poem()}
	first := c.Must(t, ann, "contribution:Submit", submit)
	c.Decide(t, "fingerprint.rotate", contribution.Rotation{Check: c.ID() + c.ID()})
	c.Must(t, ann, "contribution:Refingerprint", contribution.Refingerprint{Named: contribution.Named{Datanet: pool, ID: submit.ID},
		Fingerprint: contribution.Fingerprint{Epoch: 2, HMAC: c.ID() + c.ID()}})
	again := c.Must(t, ann, "contribution:Submit", submit)
	var a, b contribution.Contribution
	require.NoError(t, ledger.DecodeAnswer(first, &a))
	require.NoError(t, ledger.DecodeAnswer(again, &b))
	require.Equal(t, a.Tx, b.Tx)
	require.Equal(t, 2, b.Moved.Epoch)
}

func TestABatchOfAHundredIsOneTransaction(t *testing.T) {
	c := rulestest.New(t)
	pool := c.Pool(t)
	c.OpenAll(t, ann)
	var batch contribution.SubmitBatch
	for range contribution.MaxBatch {
		batch.Items = append(batch.Items, contribution.Submit{Datanet: pool, ID: c.ID(), Content: c.Poem()})
	}
	height := c.Height()
	c.Must(t, ann, "contribution:SubmitBatch", batch)
	require.Equal(t, height+1, c.Height())
	batch.Items = append(batch.Items, contribution.Submit{Datanet: pool, ID: c.ID(), Content: c.Poem()})
	_, fault := c.Try(t, ann, "contribution:SubmitBatch", batch)
	require.Equal(t, "items", fault.Field)
}

func FuzzSubmit(f *testing.F) {
	c := rulestest.New(f)
	document, err := ledger.Encode(contribution.Submit{Datanet: "AMSP/verse", ID: c.ID(), Content: c.Poem()})
	require.NoError(f, err)
	f.Add(document)
	f.Add([]byte(`{"datanet":"AMSP/verse","id":"x","records":1e9,"provenance":{"languages":["fa-x-hafez"]},"licence":null}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		var s contribution.Submit
		if ledger.Decode(document, &s) != nil || s.Validate() != nil {
			return
		}
		encoded, err := ledger.Encode(s)
		require.NoError(t, err)
		var again contribution.Submit
		require.NoError(t, ledger.Decode(encoded, &again))
		same, err := ledger.Same(s, again)
		require.NoError(t, err)
		require.True(t, same)
		require.NoError(t, again.Validate())
	})
}
