// Package rules puts the domains together: the chaincode's whole table of functions behind its gate.
package rules

import (
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/erasure"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/pool"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/sampling"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
)

// New is the table for a channel with the given founding members (see contract.Founders).
func New(founders []string) *ledger.Registry {
	return ledger.NewRegistry(member.Gate{},
		member.Functions(founders),
		account.Functions(),
		schedule.Functions(),
		proposal.Functions(kinds()...),
		token.Functions(),
		datanet.Functions(),
		contribution.Functions(approval.Open),
		approval.Functions(),
		replica.Functions(),
		access.Functions(),
		seal.Functions(),
		snapshot.Functions(),
		ticket.Functions(granted),
		model.Functions(),
		erasure.Functions(),
		session.Functions(),
		claim.Functions(),
		sampling.Functions(),
		pool.Functions(),
	)
}

// granted is what package access knows of a grant that a ticket cites.
func granted(r ledger.Reader, g ticket.GrantName, by ledger.Caller, use licence.Use) ([]string, time.Time, error) {
	grant, err := access.LoadGrant(r, "grants", access.Named(g))
	if err != nil {
		if ledger.AsFault(err).Code == ledger.CodeNotFound {
			return []string{"does not exist"}, time.Time{}, nil
		}
		return nil, time.Time{}, err
	}
	return grant.Covers(by.Account(), use), grant.Expires, nil
}

// kinds are the sorts of proposal by which the members bind the consortium.
func kinds() []proposal.Kind {
	return []proposal.Kind{
		proposal.NewKind("claim.decide", "Names the table by which a settlement's data part is paid out.", claim.CheckDecision, claim.Decide),
		proposal.NewKind("fingerprint.rotate", "Begins the next fingerprint epoch, with another secret.", contribution.CheckRotation,
			func(tx ledger.Tx, _ string, next contribution.Rotation) error { return contribution.Rotate(tx, next) }),
		proposal.NewKind("member.add", "Adds an organisation to the members.", member.CheckAddition,
			func(tx ledger.Tx, _ string, add member.Addition) error { return member.Add(tx, add) }),
		proposal.NewKind("member.standing", "Suspends or reinstates a member.", member.CheckStanding,
			func(tx ledger.Tx, _ string, set member.SetStanding) error { return member.Set(tx, set) }),
		proposal.NewKind("pool.pay", "Pays out a datanet's pool by a table.", pool.CheckPay, pool.Decide),
		proposal.NewKind("schedule.set", "Sets the fee schedule.", schedule.Check, schedule.Set),
		proposal.NewKind("token.mint", "Mints credits.", token.CheckMint, token.ExecuteMint),
	}
}

// KeyKinds lists every kind of key on the ledger.
func KeyKinds() []string {
	return slices.Concat(member.KeyKinds, account.KeyKinds, schedule.KeyKinds, proposal.KeyKinds, token.KeyKinds,
		datanet.KeyKinds, contribution.KeyKinds, approval.KeyKinds, replica.KeyKinds, access.KeyKinds, seal.KeyKinds, snapshot.KeyKinds,
		ticket.KeyKinds, model.KeyKinds, erasure.KeyKinds, session.KeyKinds, claim.KeyKinds,
		sampling.KeyKinds, pool.KeyKinds)
}
