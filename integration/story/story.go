package story

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

// Backend is a ledger on which stories run. A returned error is a failure of the backend itself and ends the story;
// whatever the ledger makes of a call is an [Outcome].
type Backend interface {
	// Submit runs a command and waits for its commit.
	Submit(ctx context.Context, call Call) (Outcome, error)
	// Evaluate runs a query; at most one endorser is named, the organisation that answers.
	Evaluate(ctx context.Context, call Call) (Outcome, error)
	// Hold collects the endorsements now. Held is nil when the outcome is a failure.
	Hold(ctx context.Context, call Call) (Held, Outcome, error)
	// Release submits what was held and waits for its commit.
	Release(ctx context.Context, held Held) (Outcome, error)
	// Now is the time that the next proposal will carry.
	Now() time.Time
	// Advance lets time pass for all later proposals.
	Advance(d time.Duration)
}

// Held is an endorsed transaction that a backend keeps back.
type Held any

// User is an enrolled user of an organisation.
type User struct{ Name, MSP string }

func (u User) String() string { return u.Name + "@" + u.MSP }

// parseUser reads enrolment@MSP.
func parseUser(s string) (User, error) {
	name, msp, ok := strings.Cut(s, "@")
	if !ok || name == "" || msp == "" {
		return User{}, fmt.Errorf("%q is not a user: expected enrolment@MSP", s)
	}
	return User{Name: name, MSP: msp}, nil
}

// Call is a call of a function. No endorsers means that the backend chooses them.
type Call struct {
	User      User
	Function  string
	Document  []byte
	Endorsers []string
}

// Stage is where a call was refused before it was ordered.
type Stage string

const (
	AtProposal    Stage = "proposal"    // no peer took the proposal
	AtEndorsement Stage = "endorsement" // the peers disagree, or too few would endorse
	AtOrdering    Stage = "ordering"    // the orderers refused the envelope
)

// Outcome is what became of a call: exactly one of Fault, Flag and Refused is set when it failed, none when it
// succeeded.
type Outcome struct {
	TxID     string
	Response []byte
	Fault    *ledger.Fault
	Flag     memledger.Flag
	Refused  Stage
	Reason   string // in words, for a refusal
}

const success = "success"

func (o Outcome) String() string {
	switch {
	case o.Fault != nil:
		return "fault " + o.Fault.Error()
	case o.Flag != "":
		return "flag " + string(o.Flag)
	case o.Refused != "":
		return fmt.Sprintf("refused at %s: %s", o.Refused, o.Reason)
	}
	return success
}
