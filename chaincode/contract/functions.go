package contract

import (
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// all lists the contracts. The contract API finds their functions by reflection; New checks that they are exactly
// those of the table.
func all(reg *ledger.Registry) []contractapi.ContractInterface {
	return []contractapi.ContractInterface{
		&memberContract{newBase("member", reg)},
		&accountContract{newBase("account", reg)},
		&scheduleContract{newBase("schedule", reg)},
		&proposalContract{newBase("proposal", reg)},
		&tokenContract{newBase("token", reg)},
		&datanetContract{newBase("datanet", reg)},
		&contributionContract{newBase("contribution", reg)},
		&approvalContract{newBase("approval", reg)},
		&replicaContract{newBase("replica", reg)},
		&accessContract{newBase("access", reg)},
		&sealContract{newBase("seal", reg)},
		&snapshotContract{newBase("snapshot", reg)},
		&ticketContract{newBase("ticket", reg)},
		&modelContract{newBase("model", reg)},
		&erasureContract{newBase("erasure", reg)},
		&sessionContract{newBase("session", reg)},
		&claimContract{newBase("claim", reg)},
		&samplingContract{newBase("sampling", reg)},
		&poolContract{newBase("pool", reg)},
	}
}

type memberContract struct{ base }

func (c *memberContract) Found(ctx context, request string) (string, error) {
	return c.run(ctx, "Found", request)
}
func (c *memberContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}

type accountContract struct{ base }

func (c *accountContract) Open(ctx context, request string) (string, error) {
	return c.run(ctx, "Open", request)
}
func (c *accountContract) Refresh(ctx context, request string) (string, error) {
	return c.run(ctx, "Refresh", request)
}
func (c *accountContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *accountContract) Roles(ctx context, request string) (string, error) {
	return c.run(ctx, "Roles", request)
}
func (c *accountContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}

type scheduleContract struct{ base }

func (c *scheduleContract) Versions(ctx context, request string) (string, error) {
	return c.run(ctx, "Versions", request)
}
func (c *scheduleContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}

type proposalContract struct{ base }

func (c *proposalContract) Propose(ctx context, request string) (string, error) {
	return c.run(ctx, "Propose", request)
}
func (c *proposalContract) Approve(ctx context, request string) (string, error) {
	return c.run(ctx, "Approve", request)
}
func (c *proposalContract) Withdraw(ctx context, request string) (string, error) {
	return c.run(ctx, "Withdraw", request)
}
func (c *proposalContract) Execute(ctx context, request string) (string, error) {
	return c.run(ctx, "Execute", request)
}
func (c *proposalContract) Expire(ctx context, request string) (string, error) {
	return c.run(ctx, "Expire", request)
}
func (c *proposalContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *proposalContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}

type tokenContract struct{ base }

func (c *tokenContract) Transfer(ctx context, request string) (string, error) {
	return c.run(ctx, "Transfer", request)
}
func (c *tokenContract) TransferBatch(ctx context, request string) (string, error) {
	return c.run(ctx, "TransferBatch", request)
}
func (c *tokenContract) Fold(ctx context, request string) (string, error) {
	return c.run(ctx, "Fold", request)
}
func (c *tokenContract) Redeem(ctx context, request string) (string, error) {
	return c.run(ctx, "Redeem", request)
}
func (c *tokenContract) Acknowledge(ctx context, request string) (string, error) {
	return c.run(ctx, "Acknowledge", request)
}
func (c *tokenContract) Return(ctx context, request string) (string, error) {
	return c.run(ctx, "Return", request)
}
func (c *tokenContract) Balance(ctx context, request string) (string, error) {
	return c.run(ctx, "Balance", request)
}
func (c *tokenContract) Credits(ctx context, request string) (string, error) {
	return c.run(ctx, "Credits", request)
}
func (c *tokenContract) Statement(ctx context, request string) (string, error) {
	return c.run(ctx, "Statement", request)
}
func (c *tokenContract) Redemptions(ctx context, request string) (string, error) {
	return c.run(ctx, "Redemptions", request)
}
func (c *tokenContract) Mints(ctx context, request string) (string, error) {
	return c.run(ctx, "Mints", request)
}

type datanetContract struct{ base }

func (c *datanetContract) Create(ctx context, request string) (string, error) {
	return c.run(ctx, "Create", request)
}
func (c *datanetContract) Amend(ctx context, request string) (string, error) {
	return c.run(ctx, "Amend", request)
}
func (c *datanetContract) Retire(ctx context, request string) (string, error) {
	return c.run(ctx, "Retire", request)
}
func (c *datanetContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *datanetContract) Version(ctx context, request string) (string, error) {
	return c.run(ctx, "Version", request)
}
func (c *datanetContract) Versions(ctx context, request string) (string, error) {
	return c.run(ctx, "Versions", request)
}
func (c *datanetContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}

type contributionContract struct{ base }

func (c *contributionContract) Submit(ctx context, request string) (string, error) {
	return c.run(ctx, "Submit", request)
}
func (c *contributionContract) SubmitBatch(ctx context, request string) (string, error) {
	return c.run(ctx, "SubmitBatch", request)
}
func (c *contributionContract) Revise(ctx context, request string) (string, error) {
	return c.run(ctx, "Revise", request)
}
func (c *contributionContract) Withdraw(ctx context, request string) (string, error) {
	return c.run(ctx, "Withdraw", request)
}
func (c *contributionContract) Refingerprint(ctx context, request string) (string, error) {
	return c.run(ctx, "Refingerprint", request)
}
func (c *contributionContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *contributionContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}
func (c *contributionContract) Epoch(ctx context, request string) (string, error) {
	return c.run(ctx, "Epoch", request)
}
func (c *contributionContract) Fingerprint(ctx context, request string) (string, error) {
	return c.run(ctx, "Fingerprint", request)
}

type approvalContract struct{ base }

func (c *approvalContract) Vote(ctx context, request string) (string, error) {
	return c.run(ctx, "Vote", request)
}
func (c *approvalContract) VoteBatch(ctx context, request string) (string, error) {
	return c.run(ctx, "VoteBatch", request)
}
func (c *approvalContract) Finalise(ctx context, request string) (string, error) {
	return c.run(ctx, "Finalise", request)
}
func (c *approvalContract) FinaliseBatch(ctx context, request string) (string, error) {
	return c.run(ctx, "FinaliseBatch", request)
}
func (c *approvalContract) Votes(ctx context, request string) (string, error) {
	return c.run(ctx, "Votes", request)
}
func (c *approvalContract) History(ctx context, request string) (string, error) {
	return c.run(ctx, "History", request)
}

type replicaContract struct{ base }

func (c *replicaContract) Offer(ctx context, request string) (string, error) {
	return c.run(ctx, "Offer", request)
}
func (c *replicaContract) Accept(ctx context, request string) (string, error) {
	return c.run(ctx, "Accept", request)
}
func (c *replicaContract) End(ctx context, request string) (string, error) {
	return c.run(ctx, "End", request)
}
func (c *replicaContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *replicaContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}

type accessContract struct{ base }

func (c *accessContract) Grant(ctx context, request string) (string, error) {
	return c.run(ctx, "Grant", request)
}
func (c *accessContract) Revoke(ctx context, request string) (string, error) {
	return c.run(ctx, "Revoke", request)
}
func (c *accessContract) Expire(ctx context, request string) (string, error) {
	return c.run(ctx, "Expire", request)
}
func (c *accessContract) Release(ctx context, request string) (string, error) {
	return c.run(ctx, "Release", request)
}
func (c *accessContract) GetGrant(ctx context, request string) (string, error) {
	return c.run(ctx, "GetGrant", request)
}
func (c *accessContract) Grants(ctx context, request string) (string, error) {
	return c.run(ctx, "Grants", request)
}
func (c *accessContract) GetRelease(ctx context, request string) (string, error) {
	return c.run(ctx, "GetRelease", request)
}
func (c *accessContract) Releases(ctx context, request string) (string, error) {
	return c.run(ctx, "Releases", request)
}
func (c *accessContract) ReleasesOf(ctx context, request string) (string, error) {
	return c.run(ctx, "ReleasesOf", request)
}
func (c *accessContract) SnapshotReleases(ctx context, request string) (string, error) {
	return c.run(ctx, "SnapshotReleases", request)
}
func (c *accessContract) Holders(ctx context, request string) (string, error) {
	return c.run(ctx, "Holders", request)
}

type sealContract struct{ base }

func (c *sealContract) Append(ctx context, request string) (string, error) {
	return c.run(ctx, "Append", request)
}
func (c *sealContract) Retire(ctx context, request string) (string, error) {
	return c.run(ctx, "Retire", request)
}
func (c *sealContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *sealContract) Page(ctx context, request string) (string, error) {
	return c.run(ctx, "Page", request)
}
func (c *sealContract) Place(ctx context, request string) (string, error) {
	return c.run(ctx, "Place", request)
}
func (c *sealContract) Missing(ctx context, request string) (string, error) {
	return c.run(ctx, "Missing", request)
}
func (c *sealContract) Left(ctx context, request string) (string, error) {
	return c.run(ctx, "Left", request)
}

type snapshotContract struct{ base }

func (c *snapshotContract) Take(ctx context, request string) (string, error) {
	return c.run(ctx, "Take", request)
}
func (c *snapshotContract) Revise(ctx context, request string) (string, error) {
	return c.run(ctx, "Revise", request)
}
func (c *snapshotContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *snapshotContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}
func (c *snapshotContract) Revisions(ctx context, request string) (string, error) {
	return c.run(ctx, "Revisions", request)
}
func (c *snapshotContract) Prove(ctx context, request string) (string, error) {
	return c.run(ctx, "Prove", request)
}
func (c *snapshotContract) Gone(ctx context, request string) (string, error) {
	return c.run(ctx, "Gone", request)
}
func (c *snapshotContract) Stale(ctx context, request string) (string, error) {
	return c.run(ctx, "Stale", request)
}

type ticketContract struct{ base }

func (c *ticketContract) Open(ctx context, request string) (string, error) {
	return c.run(ctx, "Open", request)
}
func (c *ticketContract) Close(ctx context, request string) (string, error) {
	return c.run(ctx, "Close", request)
}
func (c *ticketContract) Expire(ctx context, request string) (string, error) {
	return c.run(ctx, "Expire", request)
}
func (c *ticketContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *ticketContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}

type modelContract struct{ base }

func (c *modelContract) Register(ctx context, request string) (string, error) {
	return c.run(ctx, "Register", request)
}
func (c *modelContract) Publish(ctx context, request string) (string, error) {
	return c.run(ctx, "Publish", request)
}
func (c *modelContract) Accept(ctx context, request string) (string, error) {
	return c.run(ctx, "Accept", request)
}
func (c *modelContract) Consent(ctx context, request string) (string, error) {
	return c.run(ctx, "Consent", request)
}
func (c *modelContract) Retire(ctx context, request string) (string, error) {
	return c.run(ctx, "Retire", request)
}
func (c *modelContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *modelContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}
func (c *modelContract) Card(ctx context, request string) (string, error) {
	return c.run(ctx, "Card", request)
}
func (c *modelContract) Cards(ctx context, request string) (string, error) {
	return c.run(ctx, "Cards", request)
}
func (c *modelContract) Lineage(ctx context, request string) (string, error) {
	return c.run(ctx, "Lineage", request)
}
func (c *modelContract) Downstream(ctx context, request string) (string, error) {
	return c.run(ctx, "Downstream", request)
}

type erasureContract struct{ base }

func (c *erasureContract) Request(ctx context, request string) (string, error) {
	return c.run(ctx, "Request", request)
}
func (c *erasureContract) Acknowledge(ctx context, request string) (string, error) {
	return c.run(ctx, "Acknowledge", request)
}
func (c *erasureContract) Complete(ctx context, request string) (string, error) {
	return c.run(ctx, "Complete", request)
}
func (c *erasureContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *erasureContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}
func (c *erasureContract) Affected(ctx context, request string) (string, error) {
	return c.run(ctx, "Affected", request)
}

type sessionContract struct{ base }

func (c *sessionContract) Open(ctx context, request string) (string, error) {
	return c.run(ctx, "Open", request)
}
func (c *sessionContract) TopUp(ctx context, request string) (string, error) {
	return c.run(ctx, "TopUp", request)
}
func (c *sessionContract) Expire(ctx context, request string) (string, error) {
	return c.run(ctx, "Expire", request)
}
func (c *sessionContract) Reclaim(ctx context, request string) (string, error) {
	return c.run(ctx, "Reclaim", request)
}
func (c *sessionContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *sessionContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}
func (c *sessionContract) Funds(ctx context, request string) (string, error) {
	return c.run(ctx, "Funds", request)
}

type claimContract struct{ base }

func (c *claimContract) Settle(ctx context, request string) (string, error) {
	return c.run(ctx, "Settle", request)
}
func (c *claimContract) Attest(ctx context, request string) (string, error) {
	return c.run(ctx, "Attest", request)
}
func (c *claimContract) Object(ctx context, request string) (string, error) {
	return c.run(ctx, "Object", request)
}
func (c *claimContract) Release(ctx context, request string) (string, error) {
	return c.run(ctx, "Release", request)
}
func (c *claimContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *claimContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}

type samplingContract struct{ base }

func (c *samplingContract) Register(ctx context, request string) (string, error) {
	return c.run(ctx, "Register", request)
}
func (c *samplingContract) Reveal(ctx context, request string) (string, error) {
	return c.run(ctx, "Reveal", request)
}
func (c *samplingContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *samplingContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}

type poolContract struct{ base }

func (c *poolContract) Draw(ctx context, request string) (string, error) {
	return c.run(ctx, "Draw", request)
}
func (c *poolContract) Release(ctx context, request string) (string, error) {
	return c.run(ctx, "Release", request)
}
func (c *poolContract) Get(ctx context, request string) (string, error) {
	return c.run(ctx, "Get", request)
}
func (c *poolContract) List(ctx context, request string) (string, error) {
	return c.run(ctx, "List", request)
}
