package main

import (
	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/gateway/client"
)

// A resource command calls one function of the ledger. Its help, its flags and who may call it come from the ledger's
// own table of functions; only what is listed here is the command line's.
//
// A word in capitals is an argument that fills the request's field of that name, as NAME fills name; in brackets it is
// drawn, or the caller's own account, when it is left out.
type resource struct {
	group    string
	use      string
	function string
	// path is where a query is read; {field} stands for a field of the request, the rest of it becomes the query. A
	// command has none: it is signed here, by the name of its function.
	path string
	// fields are arguments that fill a field of another name.
	fields map[string]string
	// columns of a list, by the names of fields.
	columns []string
	// short replaces the function's own sentence, where several commands call it.
	short   string
	example string
	// complete fills in what the caller has left out of the flags; nil: nothing.
	complete func(*cobra.Command) error
	// extra adds flags that are no fields of the request; nil: none.
	extra func(*cobra.Command)
	// after does what follows on a write, with the ledger's answer; nil: nothing.
	after func(command *cobra.Command, c *client.Client, answer []byte, written client.Committed) error
}

// resources is the table of all commands that are one function and nothing else.
var resources = []resource{
	{group: "datanet", use: "create NAME", function: "datanet:Create", example: "datanet datanet create PoetrySocietyMSP/persian-poetry --from datanet.yaml"},
	{group: "datanet", use: "amend NAME", function: "datanet:Amend", example: "datanet datanet amend PoetrySocietyMSP/persian-poetry --version 2 --from datanet.yaml"},
	{group: "datanet", use: "retire NAME", function: "datanet:Retire"},
	{group: "datanet", use: "show NAME", function: "datanet:Get", path: "/datanets/{name}"},
	{group: "datanet", use: "list", function: "datanet:List", path: "/datanets", columns: []string{"name", "version", "modality", "state", "title"}},
	{group: "datanet", use: "history NAME", function: "datanet:Versions", path: "/datanets/{name}/versions", columns: []string{"version", "title", "policy.quorum", "policy.validators", "tx"}},
	{group: "datanet", use: "impact DATANET", function: "model:Downstream", path: "/datanets/{datanet}/downstream", columns: []string{"name", "version", "state", "snapshot", "host"}},
	{group: "datanet", use: "sealed DATANET", function: "seal:Get", path: "/datanets/{datanet}/seal"},

	{group: "contribution", use: "show DATANET ID", function: "contribution:Get", path: "/datanets/{datanet}/contributions/{id}"},
	{group: "contribution", use: "list DATANET", function: "contribution:List", path: "/datanets/{datanet}/contributions", columns: []string{"id", "revision", "state", "mediaType", "records", "tokens", "contributor"}},
	{group: "contribution", use: "votes DATANET ID", function: "approval:Votes", path: "/datanets/{datanet}/contributions/{id}/votes", columns: []string{"slots:msp", "choice", "score", "reason", "validator", "tx"}},
	{group: "contribution", use: "withdraw DATANET ID", function: "contribution:Withdraw"},
	{group: "contribution", use: "erase DATANET ID", function: "erasure:Request"},
	{group: "contribution", use: "erasure DATANET ID", function: "erasure:Get", path: "/datanets/{datanet}/contributions/{id}/erasure"},
	{group: "contribution", use: "impact DATANET ID", function: "erasure:Affected", path: "/datanets/{datanet}/contributions/{id}/reach"},

	{group: "validate", use: "finalise DATANET ID", function: "approval:Finalise"},

	{group: "snapshot", use: "take DATANET NUMBER", function: "snapshot:Take"},
	{group: "snapshot", use: "list DATANET", function: "snapshot:List", path: "/datanets/{datanet}/snapshots", columns: []string{"number", "revision", "count", "records", "tokens", "root"}},
	{group: "snapshot", use: "show DATANET NUMBER", function: "snapshot:Get", path: "/datanets/{datanet}/snapshots/{number}"},
	{group: "snapshot", use: "prove DATANET NUMBER CONTRIBUTION", function: "snapshot:Prove", path: "/datanets/{datanet}/snapshots/{number}/proofs/{contribution}"},
	{group: "snapshot", use: "revise DATANET NUMBER", function: "snapshot:Revise"},

	{group: "ticket", use: "open [ID]", function: "ticket:Open", example: "datanet ticket open --snapshots PoetrySocietyMSP/persian-poetry@1 --purpose research"},
	{group: "ticket", use: "close ID", function: "ticket:Close"},
	{group: "ticket", use: "show ID", function: "ticket:Get", path: "/tickets/{id}"},
	{group: "ticket", use: "list", function: "ticket:List", path: "/tickets", columns: []string{"id", "state", "purpose", "trainer", "expires"}},

	{group: "model", use: "register NAME VERSION", function: "model:Register", extra: artifactFlags, complete: artifactFacts, after: handOver},
	{group: "model", use: "publish NAME VERSION CARD", function: "model:Publish"},
	{group: "model", use: "accept NAME VERSION CARD", function: "model:Accept"},
	{group: "model", use: "retire NAME VERSION", function: "model:Retire"},
	{group: "model", use: "show NAME VERSION", function: "model:Get", path: "/models/{name}/versions/{version}"},
	{group: "model", use: "list", function: "model:List", path: "/models", columns: []string{"name", "version", "state", "purpose", "card", "developer"}},
	{group: "model", use: "cards NAME VERSION", function: "model:Cards", path: "/models/{name}/versions/{version}/cards", columns: []string{"card", "priceIn", "priceOut", "host", "tx"}},
	{group: "model", use: "lineage NAME VERSION", function: "model:Lineage", path: "/models/{name}/versions/{version}/lineage", columns: []string{"depth", "name", "version", "state", "owner", "sources"}},
	{group: "model", use: "impact NAME VERSION", function: "model:Downstream", path: "/models/{model.name}/versions/{model.version}/downstream",
		fields: map[string]string{"NAME": "model.name", "VERSION": "model.version"}, columns: []string{"name", "version", "state", "host"}},

	{group: "account", use: "open", function: "account:Open"},
	{group: "account", use: "show [ACCOUNT]", function: "account:Get", path: "/accounts/{account}"},
	{group: "account", use: "balance [ACCOUNT]", function: "token:Balance", path: "/accounts/{account}/balance"},
	{group: "account", use: "list MSP", function: "account:List", path: "/accounts", columns: []string{"account", "roles", "tx"}},
	{group: "account", use: "spends [ACCOUNT]", function: "token:Statement", path: "/accounts/{account}/spends", columns: []string{"id", "kind", "amount", "left", "payees", "tx"}},
	{group: "account", use: "credits [ACCOUNT]", function: "token:Credits", path: "/accounts/{account}/credits", columns: []string{"id", "kind", "amount", "from"}},
	{group: "account", use: "transfer TO AMOUNT [ID]", function: "token:Transfer"},
	{group: "account", use: "fold [ID]", function: "token:Fold", short: "Adds credits to the balance: those named, or all", complete: allCredits},
	{group: "account", use: "redeem AMOUNT [ID]", function: "token:Redeem"},
	{group: "account", use: "acknowledge ACCOUNT ID REFERENCE", function: "token:Acknowledge"},
	{group: "account", use: "redemptions [ACCOUNT]", function: "token:Redemptions", path: "/redemptions", columns: []string{"id", "account", "amount", "state", "until", "reference"}},

	{group: "session", use: "open MODEL VERSION CARD [KEY] [ID]", function: "session:Open", complete: cardTerms,
		fields:  map[string]string{"MODEL": "model.name", "VERSION": "model.version", "CARD": "model.card", "KEY": "key", "ID": "name"},
		example: "datanet session open AILabMSP/verse 1 1 --escrow 5000000 --expires 30d --disclosure sample"},
	{group: "session", use: "topup SESSION AMOUNT [ID]", function: "session:TopUp", fields: map[string]string{"SESSION": "name"}},
	{group: "session", use: "show SESSION [ACCOUNT]", function: "session:Get", fields: map[string]string{"SESSION": "name"}, path: "/accounts/{account}/sessions/{name}"},
	{group: "session", use: "list [ACCOUNT]", function: "session:List", path: "/accounts/{account}/sessions",
		columns: []string{"name", "state", "model.name", "model.version", "escrow", "expires", "host"}},
	{group: "session", use: "topups SESSION [ACCOUNT]", function: "session:Funds", fields: map[string]string{"SESSION": "name"}, path: "/accounts/{account}/sessions/{name}/top-ups",
		columns: []string{"id", "amount", "used", "tx"}},
	{group: "session", use: "expire SESSION [ACCOUNT]", function: "session:Expire", fields: map[string]string{"SESSION": "name"}},
	{group: "session", use: "reclaim SESSION [ACCOUNT]", function: "session:Reclaim", fields: map[string]string{"SESSION": "name"}, complete: unusedTopUps,
		short: "Returns what an ended session still holds, with the top-ups named, or all that nothing has counted"},

	{group: "claim", use: "list HOST", function: "claim:List", path: "/hosts/{host}/claims", columns: []string{"id", "state", "sessions", "uses", "fees", "data", "left", "settled"}},
	{group: "claim", use: "show HOST ID", function: "claim:Get", path: "/hosts/{host}/claims/{id}"},
	{group: "claim", use: "attest HOST ID", function: "claim:Attest"},
	{group: "claim", use: "object HOST ID FINDING", function: "claim:Object"},
	{group: "claim", use: "release HOST ID", function: "claim:Release"},

	{group: "pool", use: "list DATANET", function: "pool:List", path: "/datanets/{datanet}/payouts", columns: []string{"id", "amount", "short", "left", "proposal"}},
	{group: "pool", use: "show DATANET ID", function: "pool:Get", path: "/datanets/{datanet}/payouts/{id}"},
	{group: "pool", use: "draw DATANET PAYOUT [ID]", function: "pool:Draw", fields: map[string]string{"PAYOUT": "id", "ID": "draw"}, complete: poolCredits,
		short: "Takes credits out of a datanet's pool for a pay-out: those named, or as many as it is short of"},
	{group: "pool", use: "release DATANET ID", function: "pool:Release"},

	{group: "sampling", use: "register COMMITMENT [ID]", function: "sampling:Register", example: "datanet sampling register $(datanet sampling draw secret.hex)"},
	{group: "sampling", use: "reveal ID SECRET", function: "sampling:Reveal", example: "datanet sampling reveal ID $(cat secret.hex)"},
	{group: "sampling", use: "list MSP", function: "sampling:List", path: "/members/{msp}/secrets", columns: []string{"id", "commitment", "secret", "by"}},
	{group: "sampling", use: "show MSP ID", function: "sampling:Get", path: "/members/{msp}/secrets/{id}"},

	{group: "proposal", use: "propose KIND [ID]", function: "proposal:Propose",
		example: `datanet proposal propose token.mint --expires 30d --params '{"to":"AILabMSP:consumer1","amount":"1000000"}'`},
	{group: "proposal", use: "approve ID DIGEST", function: "proposal:Approve"},
	{group: "proposal", use: "execute ID", function: "proposal:Execute"},
	{group: "proposal", use: "withdraw ID", function: "proposal:Withdraw"},
	{group: "proposal", use: "list", function: "proposal:List", path: "/proposals", columns: []string{"id", "kind", "state", "expires", "proposer"}},
	{group: "proposal", use: "show ID", function: "proposal:Get", path: "/proposals/{id}"},

	{group: "grant", use: "give DATANET GRANTEE [ID]", function: "access:Grant"},
	{group: "grant", use: "revoke DATANET ID", function: "access:Revoke"},
	{group: "grant", use: "show DATANET ID", function: "access:GetGrant", path: "/datanets/{datanet}/grants/{id}"},
	{group: "grant", use: "list DATANET", function: "access:Grants", path: "/datanets/{datanet}/grants", columns: []string{"id", "grantee", "purposes", "expires", "state"}},

	{group: "replica", use: "offer DATANET KEEPER [ID]", function: "replica:Offer", example: "datanet replica offer PoetrySocietyMSP/persian-poetry NationalLibraryMSP"},
	{group: "replica", use: "accept DATANET ID", function: "replica:Accept"},
	{group: "replica", use: "end DATANET ID", function: "replica:End"},
	{group: "replica", use: "show DATANET ID", function: "replica:Get", path: "/datanets/{datanet}/replicas/{id}"},
	{group: "replica", use: "list DATANET", function: "replica:List", path: "/datanets/{datanet}/replicas", columns: []string{"id", "keeper", "state", "by", "consent.by"}},

	{group: "release", use: "show DATANET ID", function: "access:GetRelease", path: "/datanets/{datanet}/releases/{id}"},
	{group: "release", use: "list DATANET", function: "access:Releases", path: "/datanets/{datanet}/releases", columns: []string{"id", "to", "reason", "snapshot", "ticket", "by"}},

	{group: "member", use: "found", function: "member:Found"},
	{group: "member", use: "list", function: "member:List", path: "/members", columns: []string{"members:"}},
}

// groups are the resources, with what people read of them in the help.
var groups = []struct{ name, short string }{
	{"datanet", "Pools of data: their licence and policy"},
	{"contribution", "Contributions: upload, show, withdraw, erase"},
	{"validate", "The queue of contributions that wait for your organisation's vote"},
	{"snapshot", "Numbered Merkle roots over what is approved"},
	{"ticket", "Training tickets: licence interlock and download"},
	{"model", "Model versions, rate cards and lineage"},
	{"account", "Accounts, credits and payments"},
	{"session", "Prepaid sessions for the use of models"},
	{"claim", "Settlements of sessions, and who gets their data parts"},
	{"pool", "Pay-outs of datanets' pools"},
	{"sampling", "Secrets with which your organisation draws what it recomputes"},
	{"proposal", "What binds the consortium, approved by a majority of its members"},
	{"grant", "Licence grants for a datanet of your organisation"},
	{"replica", "Agreements by which a member holds copies of what is approved"},
	{"release", "Which content was handed over, to whom and why"},
	{"member", "The member organisations"},
}
