// Package rulestest puts the whole chaincode on an in-memory ledger for the tests of the domains.
package rulestest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// The organisations of the test consortium.
const (
	A         = "AMSP"
	B         = "BMSP"
	C         = "CMSP"
	Regulator = "RegulatorMSP"
)

// T is what the helpers need of a test, real or generated.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Consortium is some members and a regulator on an in-memory ledger that checks determinism on every transaction.
type Consortium struct {
	*memledger.Network
	Clock time.Time
	ids   int
}

// New founds a consortium of three members.
func New(t T) *Consortium {
	t.Helper()
	return Of(t, A, B, C)
}

// Of founds a consortium of the members, the first of which is A.
func Of(t T, members ...string) *Consortium {
	t.Helper()
	return Watched(t, nil, members...)
}

// Watched founds a consortium like [Of] and tells of every block, if committed is not nil.
func Watched(t T, committed func(*memledger.Block), members ...string) *Consortium {
	t.Helper()
	return On(t, memledger.Config{Channel: "datanet", Members: members, Strict: true, Committed: committed})
}

// On founds a consortium on a ledger that is configured but for its chaincode, its observer and its clock.
func On(t T, config memledger.Config) *Consortium {
	t.Helper()
	c := &Consortium{Clock: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	config.Observers, config.Registry = []string{Regulator}, rules.New(config.Members)
	config.Registry.Remember(&ledger.Memory{}) // a rule that changes what it loaded shows in the next one
	config.Now = func() time.Time { return c.Clock }
	network, err := memledger.New(config)
	if err != nil {
		t.Fatalf("new ledger: %v", err)
	}
	c.Network = network
	c.Must(t, User(A, "operator1", ledger.Operator), "member:Found", ledger.Nothing{})
	return c
}

// User is a caller with roles.
func User(msp, enrolment string, roles ...ledger.Role) ledger.Caller {
	return ledger.Caller{MSP: msp, Enrolment: enrolment, Roles: roles}
}

// ID is a fresh id; ids of a test are always the same ones.
func (c *Consortium) ID() string {
	c.ids++
	sum := sha256.Sum256(fmt.Append(nil, "id", c.ids))
	return hex.EncodeToString(sum[:16])
}

// Proposal is a call by a user.
func Proposal(t T, user ledger.Caller, function string, request any) memledger.Proposal {
	t.Helper()
	document, err := ledger.Encode(request)
	if err != nil {
		t.Fatalf("%s: %v", function, err)
	}
	return memledger.Proposal{Caller: user, Function: function, Document: document}
}

// Try submits a call in a block of its own and returns its answer, or the fault.
func (c *Consortium) Try(t T, user ledger.Caller, function string, request any) ([]byte, *ledger.Fault) {
	t.Helper()
	envelope, flag, err := c.Invoke(Proposal(t, user, function, request))
	if err != nil {
		return nil, ledger.AsFault(err)
	}
	if flag != memledger.Valid {
		t.Fatalf("%s by %s: %s", function, user.Account(), flag)
	}
	return envelope.Response, nil
}

// Must submits a call that has to succeed.
func (c *Consortium) Must(t T, user ledger.Caller, function string, request any) []byte {
	t.Helper()
	answer, fault := c.Try(t, user, function, request)
	if fault != nil {
		t.Fatalf("%s by %s: %v", function, user.Account(), fault)
	}
	return answer
}

// Decide carries a proposal through: proposed by an operator of A, approved by others of the first members, executed.
func (c *Consortium) Decide(t T, kind string, params any) {
	t.Helper()
	raw, err := ledger.Encode(params)
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	content := proposal.Content{ID: c.ID(), Kind: kind, Params: raw, Expires: c.Clock.Add(48 * time.Hour)}
	digest, err := content.Digest()
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	c.Must(t, User(A, "operator1", ledger.Operator), "proposal:Propose", content)
	members := c.Members()
	for _, msp := range members[:ledger.Majority(len(members))] {
		c.Must(t, User(msp, "operator2", ledger.Operator), "proposal:Approve", proposal.Approval{ID: content.ID, Digest: digest})
	}
	c.Must(t, User(A, "operator1", ledger.Operator), "proposal:Execute", proposal.Named{ID: content.ID})
}

// OpenAll opens accounts.
func (c *Consortium) OpenAll(t T, users ...ledger.Caller) {
	t.Helper()
	for _, user := range users {
		c.Must(t, user, "account:Open", ledger.Nothing{})
	}
}

// Mint gives new credits to an open account.
func (c *Consortium) Mint(t T, to ledger.Caller, amount money.Amount) {
	t.Helper()
	c.Decide(t, "token.mint", token.Mint{To: to.Account(), Amount: amount})
}

// FoldAll puts the credits of an account, up to a page of them, into its balance.
func (c *Consortium) FoldAll(t T, user ledger.Caller) {
	t.Helper()
	var page ledger.Page[token.Credit]
	answer, err := c.Evaluate(Proposal(t, user, "token:Credits", token.Listing{Account: user.Account()}), "")
	if err == nil {
		err = ledger.DecodeAnswer(answer, &page)
	}
	if err != nil {
		t.Fatalf("credits of %s: %v", user.Account(), err)
	}
	ids := []string{}
	for _, credit := range page.Items {
		ids = append(ids, credit.ID)
	}
	c.Must(t, user, "token:Fold", token.Fold{ID: c.ID(), Credits: ids})
}

// SetSchedule opens the platform's and the issuer's accounts, both of A, and puts a schedule in force.
func (c *Consortium) SetSchedule(t T) (issuer ledger.Caller) {
	t.Helper()
	platform := User(A, "platform1", ledger.Operator)
	issuer = User(A, "issuer1", ledger.Operator)
	c.OpenAll(t, platform, issuer)
	c.Decide(t, "schedule.set", schedule.Schedule{Platform: platform.Account(), PlatformPpm: 50_000, Issuer: issuer.Account()})
	return issuer
}

// Tally sums the committed state.
func (c *Consortium) Tally(t T) token.Tally {
	t.Helper()
	var tally token.Tally
	for _, entry := range c.State() {
		if err := tally.Add(entry.Key, entry.Value); err != nil {
			t.Fatalf("tally: %v", err)
		}
	}
	return tally
}
