package sampling_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
)

func validator(msp string) ledger.Caller { return rulestest.User(msp, "validator1", ledger.Validator) }

func TestASecretIsRegisteredOnceAndOnlyTheRegisteredOneIsRevealed(t *testing.T) {
	c := rulestest.New(t)
	secret, other := use.Secret{1}, use.Secret{2}
	req := sampling.Register{ID: c.ID(), Commitment: secret.Commitment()}
	show := func(s use.Secret) sampling.Reveal {
		return sampling.Reveal{ID: req.ID, Secret: hex.EncodeToString(s[:])}
	}
	_, fault := c.Try(t, validator(rulestest.A), "sampling:Register", sampling.Register{ID: req.ID})
	require.Equal(t, "commitment", fault.Field, "a secret that anyone could have chosen later")
	_, fault = c.Try(t, validator(rulestest.A), "sampling:Reveal", show(secret))
	require.Equal(t, ledger.CodeNotFound, fault.Code)
	first := c.Must(t, validator(rulestest.A), "sampling:Register", req)
	require.Equal(t, first, c.Must(t, validator(rulestest.A), "sampling:Register", req))
	_, fault = c.Try(t, validator(rulestest.A), "sampling:Register", sampling.Register{ID: req.ID, Commitment: other.Commitment()})
	require.Equal(t, ledger.CodeExists, fault.Code)
	_, fault = c.Try(t, validator(rulestest.A), "sampling:Reveal", show(other))
	require.Equal(t, "secret", fault.Field)
	_, fault = c.Try(t, validator(rulestest.B), "sampling:Reveal", show(secret))
	require.Equal(t, ledger.CodeNotFound, fault.Code, "it is another organisation's")

	revealed := c.Must(t, validator(rulestest.A), "sampling:Reveal", show(secret))
	require.Equal(t, revealed, c.Must(t, validator(rulestest.A), "sampling:Reveal", show(secret)))
	var shown sampling.Secret
	require.NoError(t, ledger.DecodeAnswer(c.Must(t, validator(rulestest.B), "sampling:Get", sampling.Named{MSP: rulestest.A, ID: req.ID}), &shown))
	require.Equal(t, hex.EncodeToString(secret[:]), shown.Secret)
	var list ledger.Page[sampling.Secret]
	require.NoError(t, ledger.DecodeAnswer(c.Must(t, validator(rulestest.B), "sampling:List", sampling.Listing{MSP: rulestest.A}), &list))
	require.Equal(t, []sampling.Secret{shown}, list.Items)
}

func TestNobodyWritesAnotherOrganisationsSecret(t *testing.T) {
	c := rulestest.New(t)
	secret := use.Secret{1}
	req := sampling.Register{ID: c.ID(), Commitment: secret.Commitment()}
	c.Must(t, validator(rulestest.A), "sampling:Register", req)
	proposal := rulestest.Proposal(t, validator(rulestest.A), "sampling:Reveal", sampling.Reveal{ID: req.ID, Secret: hex.EncodeToString(secret[:])})
	for _, endorsers := range [][]string{{rulestest.B, rulestest.C}, {rulestest.A}} {
		_, flag, err := c.Invoke(proposal, endorsers...)
		require.NoError(t, err)
		require.Equal(t, memledger.EndorsementPolicyFailure, flag, "%v", endorsers)
	}
	_, flag, err := c.Invoke(proposal, rulestest.A, rulestest.C)
	require.NoError(t, err)
	require.Equal(t, memledger.Valid, flag)
}
