package replica_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

var (
	curator  = rulestest.User(rulestest.A, "curator1", ledger.Curator)
	operator = rulestest.User(rulestest.A, "operator1", ledger.Operator)
	keeper   = rulestest.User(rulestest.B, "operator1", ledger.Operator)
	other    = rulestest.User(rulestest.C, "operator1", ledger.Operator)
)

func detail(t *testing.T, answer []byte) (d replica.Detail) {
	t.Helper()
	require.NoError(t, ledger.DecodeAnswer(answer, &d))
	return d
}

func offered(t *testing.T) (*rulestest.Consortium, replica.Offer) {
	c := rulestest.New(t)
	o := replica.Offer{Named: replica.Named{Datanet: c.Pool(t), ID: c.ID()}, Keeper: rulestest.B}
	require.Equal(t, replica.Offered, detail(t, c.Must(t, curator, "replica:Offer", o)).State)
	return c, o
}

func TestBothSidesAgreeAndEitherEnds(t *testing.T) {
	for _, ends := range []ledger.Caller{curator, operator, keeper} {
		c, o := offered(t)
		d := detail(t, c.Must(t, keeper, "replica:Accept", o.Named))
		require.Equal(t, replica.Agreed, d.State)
		require.Equal(t, keeper.Account(), d.Consent.By)
		require.Equal(t, d, detail(t, c.Must(t, keeper, "replica:Accept", o.Named)), "said again it is done")
		require.Equal(t, d, detail(t, c.Must(t, curator, "replica:Offer", o)))
		ended := detail(t, c.Must(t, ends, "replica:End", o.Named))
		require.Equal(t, replica.Ended, ended.State)
		for _, again := range []ledger.Caller{curator, keeper} {
			require.Equal(t, ended, detail(t, c.Must(t, again, "replica:End", o.Named)))
		}
		_, fault := c.Try(t, keeper, "replica:Accept", o.Named)
		require.Equal(t, ledger.CodeState, fault.Code, "what is ended does not come back")

		var page ledger.Page[replica.Detail]
		require.NoError(t, ledger.DecodeAnswer(c.Must(t, other, "replica:List", replica.Listing{Datanet: o.Datanet}), &page))
		require.Equal(t, []replica.Detail{ended}, page.Items)
	}
}

func TestAnOfferThatIsDeclinedIsEnded(t *testing.T) {
	c, o := offered(t)
	require.Equal(t, replica.Ended, detail(t, c.Must(t, keeper, "replica:End", o.Named)).State)
}

func TestWhatIsRefused(t *testing.T) {
	c, o := offered(t)
	changed := func(change func(*replica.Offer)) replica.Offer {
		asked := o
		asked.ID = c.ID()
		change(&asked)
		return asked
	}
	for claim, test := range map[string]struct {
		by       ledger.Caller
		function string
		request  any
		code     ledger.Code
		field    string
	}{
		"an offer of another's datanet": {rulestest.User(rulestest.B, "curator1", ledger.Curator), "replica:Offer", changed(func(*replica.Offer) {}), ledger.CodeForbidden, ""},
		"an offer without the role":     {operator, "replica:Offer", changed(func(*replica.Offer) {}), ledger.CodeForbidden, ""},
		"to the owner itself":           {curator, "replica:Offer", changed(func(o *replica.Offer) { o.Keeper = rulestest.A }), ledger.CodeInvalid, "keeper"},
		"to who is no member":           {curator, "replica:Offer", changed(func(o *replica.Offer) { o.Keeper = "RegulatorMSP" }), ledger.CodeInvalid, "keeper"},
		"to a name that is none":        {curator, "replica:Offer", changed(func(o *replica.Offer) { o.Keeper = "a:b" }), ledger.CodeInvalid, "keeper"},
		"of no datanet":                 {curator, "replica:Offer", changed(func(o *replica.Offer) { o.Datanet += "-not" }), ledger.CodeNotFound, "datanet"},
		"another one under its id":      {curator, "replica:Offer", changed(func(asked *replica.Offer) { asked.ID, asked.Keeper = o.ID, rulestest.C }), ledger.CodeExists, "id"},
		"consent by the owner":          {operator, "replica:Accept", o.Named, ledger.CodeForbidden, ""},
		"consent by another member":     {other, "replica:Accept", o.Named, ledger.CodeForbidden, ""},
		"consent without the role":      {rulestest.User(rulestest.B, "curator1", ledger.Curator), "replica:Accept", o.Named, ledger.CodeForbidden, ""},
		"consent to nothing":            {keeper, "replica:Accept", replica.Named{Datanet: o.Datanet, ID: c.ID()}, ledger.CodeNotFound, "id"},
		"an end by another member":      {other, "replica:End", o.Named, ledger.CodeForbidden, ""},
	} {
		_, fault := c.Try(t, test.by, test.function, test.request)
		require.NotNil(t, fault, claim)
		require.Equal(t, test.code, fault.Code, "%s: %v", claim, fault)
		require.Equal(t, test.field, fault.Field, "%s: %v", claim, fault)
	}
	require.Equal(t, replica.Agreed, detail(t, c.Must(t, keeper, "replica:Accept", o.Named)).State)
}

func TestAnAcceptanceThatIsHeldBackLosesAgainstTheOwnersEnd(t *testing.T) {
	c, o := offered(t)
	held, err := c.Propose(rulestest.Proposal(t, keeper, "replica:Accept", o.Named))
	require.NoError(t, err)
	c.Must(t, curator, "replica:End", o.Named)
	require.NoError(t, c.Submit(held))
	block, err := c.Cut()
	require.NoError(t, err)
	require.Equal(t, []memledger.Flag{memledger.MVCCReadConflict}, block.Flags)
}
