package rest

import "net/http"

// route is how a function of the ledger is called over HTTP. Parts of the path fill the fields of the function's request
// that have their names; the rest of a command's request is the body, the rest of a query's are query parameters.
type route struct {
	method   string
	path     string
	function string
	// name is the field that the path parts {organisation} and {name} fill together, as "organisation/name".
	name string
	// fields gives path parts that fill a field of another name, as "account" → "payer" or "name" → "model.name".
	fields map[string]string
	// immutable marks what never changes once it can be read, so that caches may keep it.
	immutable bool
}

const (
	get  = http.MethodGet
	put  = http.MethodPut
	post = http.MethodPost

	ofDatanet      = "/v1/datanets/{organisation}/{name}"
	ofContribution = ofDatanet + "/contributions/{id}"
	ofSnapshot     = ofDatanet + "/snapshots/{number}"
	ofModel        = "/v1/models/{organisation}/{name}/versions/{version}"
	ofAccount      = "/v1/accounts/{account}"
	ofSession      = ofAccount + "/sessions/{name}"
	ofClaim        = "/v1/hosts/{host}/claims/{id}"
)

// routes lists every function of the ledger once. PUT makes the resource that the path names and can be repeated; POST is
// an action and needs an idempotency key.
var routes = []route{
	{method: get, path: "/v1/members", function: "member:List"},
	{method: post, path: "/v1/members/found", function: "member:Found"},

	{method: post, path: "/v1/account/open", function: "account:Open"},
	{method: post, path: "/v1/account/refresh", function: "account:Refresh"},
	{method: get, path: "/v1/accounts", function: "account:List"},
	{method: get, path: ofAccount, function: "account:Get"},
	{method: get, path: ofAccount + "/roles", function: "account:Roles"},

	{method: get, path: "/v1/schedule", function: "schedule:Get"},
	{method: get, path: "/v1/schedule/versions", function: "schedule:Versions"},

	{method: get, path: "/v1/proposals", function: "proposal:List"},
	{method: get, path: "/v1/proposals/{id}", function: "proposal:Get"},
	{method: put, path: "/v1/proposals/{id}", function: "proposal:Propose"},
	{method: post, path: "/v1/proposals/{id}/approve", function: "proposal:Approve"},
	{method: post, path: "/v1/proposals/{id}/execute", function: "proposal:Execute"},
	{method: post, path: "/v1/proposals/{id}/withdraw", function: "proposal:Withdraw"},
	{method: post, path: "/v1/proposals/{id}/expire", function: "proposal:Expire"},

	{method: get, path: ofAccount + "/balance", function: "token:Balance"},
	{method: get, path: ofAccount + "/credits", function: "token:Credits"},
	{method: get, path: ofAccount + "/spends", function: "token:Statement"},
	{method: put, path: "/v1/transfers/{id}", function: "token:Transfer"},
	{method: put, path: "/v1/transfer-batches/{id}", function: "token:TransferBatch"},
	{method: put, path: "/v1/folds/{id}", function: "token:Fold"},
	{method: get, path: "/v1/mints", function: "token:Mints"},
	{method: get, path: "/v1/redemptions", function: "token:Redemptions"},
	{method: put, path: "/v1/redemptions/{id}", function: "token:Redeem"},
	{method: post, path: ofAccount + "/redemptions/{id}/acknowledge", function: "token:Acknowledge"},
	{method: post, path: ofAccount + "/redemptions/{id}/return", function: "token:Return"},

	{method: get, path: "/v1/datanets", function: "datanet:List"},
	{method: get, path: ofDatanet, function: "datanet:Get", name: "name"},
	{method: put, path: ofDatanet, function: "datanet:Create", name: "name"},
	{method: post, path: ofDatanet + "/retire", function: "datanet:Retire", name: "name"},
	{method: get, path: ofDatanet + "/versions", function: "datanet:Versions", name: "name"},
	{method: get, path: ofDatanet + "/versions/{version}", function: "datanet:Version", name: "name", immutable: true},
	{method: put, path: ofDatanet + "/versions/{version}", function: "datanet:Amend", name: "name"},

	{method: get, path: ofDatanet + "/contributions", function: "contribution:List", name: "datanet"},
	{method: get, path: ofContribution, function: "contribution:Get", name: "datanet"},
	{method: put, path: ofContribution, function: "contribution:Submit", name: "datanet"},
	{method: put, path: ofContribution + "/revisions/{revision}", function: "contribution:Revise", name: "datanet"},
	{method: post, path: ofContribution + "/withdraw", function: "contribution:Withdraw", name: "datanet"},
	{method: post, path: ofContribution + "/refingerprint", function: "contribution:Refingerprint", name: "datanet"},
	{method: post, path: "/v1/contribution-batches", function: "contribution:SubmitBatch"},
	{method: get, path: "/v1/fingerprint-epoch", function: "contribution:Epoch"},
	{method: get, path: "/v1/fingerprints/{epoch}/{hmac}", function: "contribution:Fingerprint"},

	{method: get, path: ofContribution + "/votes", function: "approval:Votes", name: "datanet"},
	{method: get, path: ofContribution + "/vote-history", function: "approval:History", name: "datanet"},
	{method: put, path: ofContribution + "/revisions/{revision}/vote", function: "approval:Vote", name: "datanet"},
	{method: post, path: ofContribution + "/finalise", function: "approval:Finalise", name: "datanet"},
	{method: post, path: "/v1/vote-batches", function: "approval:VoteBatch"},
	{method: post, path: "/v1/finalisation-batches", function: "approval:FinaliseBatch"},

	{method: get, path: ofDatanet + "/replicas", function: "replica:List", name: "datanet"},
	{method: get, path: ofDatanet + "/replicas/{id}", function: "replica:Get", name: "datanet"},
	{method: put, path: ofDatanet + "/replicas/{id}", function: "replica:Offer", name: "datanet"},
	{method: post, path: ofDatanet + "/replicas/{id}/accept", function: "replica:Accept", name: "datanet"},
	{method: post, path: ofDatanet + "/replicas/{id}/end", function: "replica:End", name: "datanet"},

	{method: get, path: ofDatanet + "/grants", function: "access:Grants", name: "datanet"},
	{method: get, path: ofDatanet + "/grants/{id}", function: "access:GetGrant", name: "datanet"},
	{method: put, path: ofDatanet + "/grants/{id}", function: "access:Grant", name: "datanet"},
	{method: post, path: ofDatanet + "/grants/{id}/revoke", function: "access:Revoke", name: "datanet"},
	{method: post, path: ofDatanet + "/grants/{id}/expire", function: "access:Expire", name: "datanet"},
	{method: get, path: ofDatanet + "/releases", function: "access:Releases", name: "datanet"},
	{method: get, path: ofDatanet + "/releases/{id}", function: "access:GetRelease", name: "datanet", immutable: true},
	{method: put, path: ofDatanet + "/releases/{id}", function: "access:Release", name: "datanet"},
	{method: get, path: ofDatanet + "/snapshot-releases", function: "access:SnapshotReleases", name: "datanet"},
	{method: get, path: ofContribution + "/releases", function: "access:ReleasesOf", name: "datanet"},
	{method: get, path: ofContribution + "/holders", function: "access:Holders", name: "datanet"},

	{method: get, path: ofDatanet + "/seal", function: "seal:Get", name: "datanet"},
	{method: post, path: ofDatanet + "/seal", function: "seal:Append", name: "datanet"},
	{method: post, path: ofDatanet + "/seal/retire", function: "seal:Retire", name: "datanet"},
	{method: get, path: ofDatanet + "/seal/missing", function: "seal:Missing", name: "datanet"},
	{method: get, path: ofDatanet + "/seal/left", function: "seal:Left", name: "datanet"},
	{method: get, path: ofDatanet + "/seal/pages/{page}", function: "seal:Page", name: "datanet"},
	{method: get, path: ofContribution + "/place", function: "seal:Place", name: "datanet"},

	{method: get, path: ofDatanet + "/snapshots", function: "snapshot:List", name: "datanet"},
	{method: get, path: ofDatanet + "/stale-snapshots", function: "snapshot:Stale", name: "datanet"},
	{method: get, path: ofSnapshot, function: "snapshot:Get", name: "datanet"},
	{method: put, path: ofSnapshot, function: "snapshot:Take", name: "datanet"},
	{method: post, path: ofSnapshot + "/revise", function: "snapshot:Revise", name: "datanet"},
	{method: get, path: ofSnapshot + "/revisions", function: "snapshot:Revisions", name: "datanet"},
	{method: get, path: ofSnapshot + "/gone", function: "snapshot:Gone", name: "datanet"},
	{method: get, path: ofSnapshot + "/proofs/{contribution}", function: "snapshot:Prove", name: "datanet"},

	{method: get, path: "/v1/tickets", function: "ticket:List"},
	{method: get, path: "/v1/tickets/{id}", function: "ticket:Get"},
	{method: put, path: "/v1/tickets/{id}", function: "ticket:Open"},
	{method: post, path: "/v1/tickets/{id}/close", function: "ticket:Close"},
	{method: post, path: "/v1/tickets/{id}/expire", function: "ticket:Expire"},

	{method: get, path: "/v1/models", function: "model:List"},
	{method: get, path: ofModel, function: "model:Get", name: "name"},
	{method: put, path: ofModel, function: "model:Register", name: "name"},
	{method: post, path: ofModel + "/retire", function: "model:Retire", name: "name"},
	{method: get, path: ofModel + "/cards", function: "model:Cards", name: "name"},
	{method: get, path: ofModel + "/cards/{card}", function: "model:Card", name: "name"},
	{method: put, path: ofModel + "/cards/{card}", function: "model:Publish", name: "name"},
	{method: get, path: ofModel + "/cards/{card}/consent", function: "model:Consent", name: "name"},
	{method: put, path: ofModel + "/cards/{card}/consent", function: "model:Accept", name: "name"},
	{method: get, path: ofModel + "/lineage", function: "model:Lineage", name: "name"},
	{method: get, path: ofModel + "/downstream", function: "model:Downstream", name: "model.name", fields: map[string]string{"version": "model.version"}},
	{method: get, path: ofDatanet + "/downstream", function: "model:Downstream", name: "datanet"},

	{method: get, path: ofDatanet + "/erasures", function: "erasure:List", name: "datanet"},
	{method: get, path: ofContribution + "/erasure", function: "erasure:Get", name: "datanet"},
	{method: put, path: ofContribution + "/erasure", function: "erasure:Request", name: "datanet"},
	{method: post, path: ofContribution + "/erasure/acknowledge", function: "erasure:Acknowledge", name: "datanet"},
	{method: post, path: ofContribution + "/erasure/complete", function: "erasure:Complete", name: "datanet"},
	{method: get, path: ofContribution + "/reach", function: "erasure:Affected", name: "datanet"},

	{method: get, path: ofAccount + "/sessions", function: "session:List"},
	{method: get, path: ofSession, function: "session:Get"},
	{method: get, path: ofSession + "/top-ups", function: "session:Funds"},
	{method: post, path: ofSession + "/expire", function: "session:Expire"},
	{method: post, path: ofSession + "/reclaim", function: "session:Reclaim"},
	{method: put, path: "/v1/sessions/{name}", function: "session:Open"},
	{method: put, path: "/v1/sessions/{name}/top-ups/{id}", function: "session:TopUp"},

	{method: get, path: "/v1/hosts/{host}/claims", function: "claim:List"},
	{method: get, path: ofClaim, function: "claim:Get"},
	{method: put, path: "/v1/claims/{id}", function: "claim:Settle"},
	{method: post, path: ofClaim + "/attest", function: "claim:Attest"},
	{method: post, path: ofClaim + "/object", function: "claim:Object"},
	{method: post, path: ofClaim + "/release", function: "claim:Release"},

	{method: get, path: "/v1/members/{msp}/secrets", function: "sampling:List"},
	{method: get, path: "/v1/members/{msp}/secrets/{id}", function: "sampling:Get"},
	{method: put, path: "/v1/secrets/{id}", function: "sampling:Register"},
	{method: post, path: "/v1/secrets/{id}/reveal", function: "sampling:Reveal"},

	{method: get, path: ofDatanet + "/payouts", function: "pool:List", name: "datanet"},
	{method: get, path: ofDatanet + "/payouts/{id}", function: "pool:Get", name: "datanet"},
	{method: put, path: ofDatanet + "/payouts/{id}/draws/{draw}", function: "pool:Draw", name: "datanet"},
	{method: post, path: ofDatanet + "/payouts/{id}/release", function: "pool:Release", name: "datanet"},
}
