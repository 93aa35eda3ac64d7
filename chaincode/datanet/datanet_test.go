package datanet_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

func TestDatanetsThatAreMalformed(t *testing.T) {
	good := datanet.Create{Name: "AMSP/verse", Content: rulestest.Verse("AMSP", "BMSP", "CMSP")}
	require.NoError(t, good.Validate())
	for claim, test := range map[string]struct {
		change func(*datanet.Create)
		field  string
	}{
		"a name without an owner":         {func(c *datanet.Create) { c.Name = "verse" }, "name"},
		"no title":                        {func(c *datanet.Create) { c.Title = "" }, "title"},
		"a long title":                    {func(c *datanet.Create) { c.Title = strings.Repeat("ی", 121) }, "title"},
		"a title of two lines":            {func(c *datanet.Create) { c.Title = "a\nb" }, "title"},
		"a long description":              {func(c *datanet.Create) { c.Description = strings.Repeat("ی", 2001) }, "description"},
		"a control character":             {func(c *datanet.Create) { c.Description = "a\x1b[2Jb" }, "description"},
		"too many tags":                   {func(c *datanet.Create) { c.Tags = strings.Split(strings.Repeat("a ", 17), " ") }, "tags"},
		"a tag of capitals":               {func(c *datanet.Create) { c.Tags = []string{"Verse"} }, "tags"},
		"a tag twice":                     {func(c *datanet.Create) { c.Tags = []string{"a", "a"} }, "tags"},
		"an unknown modality":             {func(c *datanet.Create) { c.Modality = "video" }, "modality"},
		"no purpose":                      {func(c *datanet.Create) { c.Licence.Purposes = nil }, "licence.purposes"},
		"one validator":                   {func(c *datanet.Create) { c.Validators = []string{"AMSP"} }, "policy.validators"},
		"a validator twice":               {func(c *datanet.Create) { c.Validators = []string{"AMSP", "AMSP", "BMSP"} }, "policy.validators"},
		"half of them decide":             {func(c *datanet.Create) { c.Quorum = 1 }, "policy.quorum"},
		"all of them, of whom one cannot": {func(c *datanet.Create) { c.Quorum = 3 }, "policy.quorum"},
		"more than everything derived":    {func(c *datanet.Create) { c.MaxDerivedPpm = 1_000_001 }, "policy.maxDerivedPpm"},
		"more than the fee":               {func(c *datanet.Create) { c.DataPpm = 1_000_001 }, "policy.dataPpm"},
		"parts beyond the fee":            {func(c *datanet.Create) { c.ValidatorsPpm = 400_001 }, "policy.validatorsPpm"},
		"an immense threshold":            {func(c *datanet.Create) { c.Tau = 31 }, "policy.tau"},
		"nobody attests":                  {func(c *datanet.Create) { c.AttestationQuorum = 0 }, "policy.attestationQuorum"},
		"more attest than can":            {func(c *datanet.Create) { c.AttestationQuorum = 3 }, "policy.attestationQuorum"},
		"an unknown rule of the rest":     {func(c *datanet.Create) { c.Rest = "to-me" }, "policy.rest"},
	} {
		t.Run(claim, func(t *testing.T) {
			bad := good
			test.change(&bad)
			f := ledger.AsFault(bad.Validate())
			require.Equal(t, ledger.CodeInvalid, f.Code, "%v", f)
			require.Equal(t, test.field, f.Field, "%v", f)
		})
	}
}

// TestEveryValidPolicyLetsVotesDecide counts for each contributor's organisation: all others together reach the quorum,
// and two outcomes never both do.
func TestEveryValidPolicyLetsVotesDecide(t *testing.T) {
	all := []string{"AMSP", "BMSP", "CMSP", "DMSP", "EMSP", "FMSP", "GMSP"}
	rapid.Check(t, func(t *rapid.T) {
		p := rulestest.Verse(all[:rapid.IntRange(1, len(all)).Draw(t, "validators")]...).Policy
		p.Quorum = rapid.IntRange(0, 8).Draw(t, "quorum")
		p.AttestationQuorum = rapid.IntRange(0, 8).Draw(t, "attestation")
		if p.Validate("policy") != nil {
			return
		}
		for _, contributor := range append([]string{"OtherMSP"}, p.Validators...) {
			eligible := 0
			for _, msp := range p.Validators {
				if msp != contributor {
					eligible++
				}
			}
			require.LessOrEqual(t, p.Quorum, eligible)
			require.LessOrEqual(t, p.AttestationQuorum, eligible, "a host of any organisation can be checked")
			require.Greater(t, 2*p.Quorum, eligible)
		}
	})
}

func TestHeadAndVersionsAreGuardedOverTheMembersOfTheirTime(t *testing.T) {
	c := rulestest.New(t)
	pool := c.Pool(t)
	c.Decide(t, "member.add", map[string]string{"msp": "DMSP"})
	c.Must(t, rulestest.User(rulestest.A, "curator1", ledger.Curator), "datanet:Amend",
		datanet.Amend{Name: pool, Version: 2, Content: rulestest.Verse("AMSP", "BMSP", "CMSP", "DMSP")})
	three, four := ledger.SlotPolicy("AMSP", []string{"AMSP", "BMSP", "CMSP"}), ledger.SlotPolicy("AMSP", []string{"AMSP", "BMSP", "CMSP", "DMSP"})
	want := map[ledger.Key]ledger.Policy{datanet.Key(pool): four, datanet.VersionKey(pool, 1): three, datanet.VersionKey(pool, 2): four}
	for _, entry := range c.State() {
		if policy, ok := want[entry.Key]; ok {
			require.NotNil(t, entry.Policy, "%s", entry.Key)
			require.True(t, policy.Equal(*entry.Policy), "%s", entry.Key)
			delete(want, entry.Key)
		}
	}
	require.Empty(t, want)
}
