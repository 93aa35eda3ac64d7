package story

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/rules"
	"github.com/datanet-consortium/datanet/network"
)

// Memory is a consortium on the in-memory ledger, in strict mode, each transaction in a block of its own.
type Memory struct {
	Ledger *memledger.Network
	clock  time.Time
	roles  map[User][]ledger.Role
}

var _ Backend = (*Memory)(nil)

// NewMemory makes the consortium of a topology, its users enrolled, its ledger empty. Adjustments change the ledger's
// configuration.
func NewMemory(t *network.Topology, adjust ...func(*memledger.Config)) (*Memory, error) {
	m := &Memory{clock: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), roles: map[User][]ledger.Role{}}
	for _, member := range t.Members {
		m.enrol(member.MSPID, member.Users)
	}
	m.enrol(t.Regulator.MSPID, t.Regulator.Users)
	config := memledger.Config{
		Channel: t.Channel, Members: t.MemberMSPIDs(), Observers: []string{t.Regulator.MSPID},
		Registry: rules.New(t.MemberMSPIDs()), Now: m.Now, Strict: true,
	}
	for _, change := range adjust {
		change(&config)
	}
	var err error
	m.Ledger, err = memledger.New(config)
	return m, err
}

func (m *Memory) enrol(msp string, users []network.User) {
	for _, user := range users {
		name := User{Name: user.Name, MSP: msp}
		m.roles[name] = []ledger.Role{}
		for _, role := range user.Roles {
			m.roles[name] = append(m.roles[name], ledger.Role(role))
		}
	}
}

// Now is the ledger's clock.
func (m *Memory) Now() time.Time { return m.clock }

// Advance moves the clock of peers and clients.
func (m *Memory) Advance(d time.Duration) { m.clock = m.clock.Add(d) }

func (m *Memory) proposal(call Call) (memledger.Proposal, error) {
	roles, ok := m.roles[call.User]
	if !ok {
		return memledger.Proposal{}, fmt.Errorf("no user %s is enrolled", call.User)
	}
	caller := ledger.Caller{MSP: call.User.MSP, Enrolment: call.User.Name, Roles: roles}
	return memledger.Proposal{Caller: caller, Function: call.Function, Document: call.Document}, nil
}

// Submit runs a command in a block of its own.
func (m *Memory) Submit(ctx context.Context, call Call) (Outcome, error) {
	held, outcome, err := m.Hold(ctx, call)
	if err != nil || held == nil {
		return outcome, err
	}
	return m.Release(ctx, held)
}

// Evaluate runs a query.
func (m *Memory) Evaluate(_ context.Context, call Call) (Outcome, error) {
	p, err := m.proposal(call)
	if err != nil {
		return Outcome{}, err
	}
	at := call.User.MSP
	if len(call.Endorsers) > 0 {
		at = call.Endorsers[0]
	}
	response, err := m.Ledger.Evaluate(p, at)
	if err != nil {
		return failure(err)
	}
	return Outcome{Response: response}, nil
}

// Hold collects the endorsements of a command.
func (m *Memory) Hold(_ context.Context, call Call) (Held, Outcome, error) {
	p, err := m.proposal(call)
	if err != nil {
		return nil, Outcome{}, err
	}
	envelope, err := m.Ledger.Propose(p, call.Endorsers...)
	if err != nil {
		outcome, err := failure(err)
		return nil, outcome, err
	}
	return envelope, Outcome{TxID: envelope.Transaction.ID, Response: envelope.Response}, nil
}

// Release submits an endorsed transaction and cuts the block.
func (m *Memory) Release(_ context.Context, held Held) (Outcome, error) {
	envelope := held.(*memledger.Envelope)
	outcome := Outcome{TxID: envelope.Transaction.ID, Response: envelope.Response}
	if err := m.Ledger.Submit(envelope); err != nil {
		return failure(err)
	}
	block, err := m.Ledger.Cut()
	if err != nil {
		return Outcome{}, err
	}
	if flag := block.Flags[0]; flag != memledger.Valid {
		outcome.Flag = flag
	}
	return outcome, nil
}

// failure is the outcome of a call that was not ordered.
func failure(err error) (Outcome, error) {
	var fault *ledger.Fault
	switch {
	case errors.As(err, &fault):
		return Outcome{Fault: fault}, nil
	case errors.Is(err, memledger.ErrRefused):
		return Outcome{Refused: AtProposal, Reason: err.Error()}, nil
	case errors.Is(err, memledger.ErrNoPlan), errors.Is(err, memledger.ErrMismatch):
		return Outcome{Refused: AtEndorsement, Reason: err.Error()}, nil
	case errors.Is(err, memledger.ErrOrdering):
		return Outcome{Refused: AtOrdering, Reason: err.Error()}, nil
	}
	return Outcome{}, err
}
