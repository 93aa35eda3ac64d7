package contract

import (
	"encoding/json"
	"testing"

	"github.com/hyperledger/fabric-contract-api-go/v2/metadata"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules"
)

func TestContractsOfferExactlyTheTableOfFunctions(t *testing.T) {
	_, err := New(rules.New([]string{"AMSP"}))
	require.NoError(t, err)
	reg := ledger.NewRegistry(nil, []*ledger.Function{ledger.Query("token:Other", "", ledger.Anyone,
		func(ledger.Lister, ledger.Nothing) (ledger.Nothing, error) { return ledger.Nothing{}, nil })})
	require.Error(t, sameFunctions(reg, all(reg)))
}

func TestMetadataIsValidForTheContractAPIAndNamesEveryField(t *testing.T) {
	data, err := Metadata(rules.New([]string{"AMSP"}))
	require.NoError(t, err)
	var m metadata.ContractChaincodeMetadata
	require.NoError(t, json.Unmarshal(data, &m))
	require.NoError(t, m.CompileSchemas())
	require.NoError(t, metadata.ValidateAgainstSchema(m))
	for _, f := range m.Contracts["token"].Transactions {
		if f.Name == "Transfer" {
			require.Equal(t, "request", f.Parameters[0].Name)
			require.ElementsMatch(t, []string{"id", "to", "amount"}, f.Parameters[0].Schema.Required)
			require.Contains(t, f.Tag, "submit")
			return
		}
	}
	t.Fatal("the metadata lacks token:Transfer")
}

func TestPoliciesSurviveTheirFabricForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "members")
		members := []string{"AMSP", "BMSP", "CMSP", "DMSP", "EMSP", "FMSP", "GMSP"}[:n]
		owner := rapid.SampledFrom(members).Draw(t, "owner")
		p := ledger.SlotPolicy(owner, members)
		first, err := EncodePolicy(p)
		require.NoError(t, err)
		again, err := EncodePolicy(p)
		require.NoError(t, err)
		require.Equal(t, first, again)
		back, err := DecodePolicy(first)
		require.NoError(t, err)
		require.True(t, p.Equal(back), "%+v came back as %+v", p, back)
	})
}

func FuzzDecodePolicy(f *testing.F) {
	seed, _ := EncodePolicy(ledger.SlotPolicy("AMSP", []string{"AMSP", "BMSP", "CMSP"}))
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodePolicy(data)
		if err != nil {
			return
		}
		again, err := EncodePolicy(p)
		require.NoError(t, err)
		back, err := DecodePolicy(again)
		require.NoError(t, err)
		require.True(t, p.Equal(back))
	})
}

func FuzzFounders(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := Founders(data)
		if err == nil {
			require.NotEmpty(t, members)
		}
	})
}

func TestVerbatimSerializerKeepsDocuments(t *testing.T) {
	v, err := verbatim{}.FromString(`{"a":1}`, nil, nil, nil)
	require.NoError(t, err)
	s, err := verbatim{}.ToString(v, nil, nil, nil)
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, s)
}
