package session

import "github.com/datanet-consortium/datanet/chaincode/ledger"

// Detail is a session with its tab.
type Detail struct {
	Session
	Tab Tab `json:"tab"`
}

// Listing asks for a page of an account's sessions.
type Listing struct {
	Account ledger.Account `json:"account"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return l.Account.Validate("account") }

// FundListing asks for a page of a session's top-ups.
type FundListing struct {
	Named
	ledger.PageRequest
}

func (l FundListing) Validate() error { return l.Named.Validate() }

// Functions are the session functions.
func Functions() []*ledger.Function {
	consumer := ledger.For(ledger.Consumer)
	return []*ledger.Function{
		ledger.Command("session:Open", "Opens a prepaid session of the caller under a rate card in force.", consumer, open),
		ledger.Command("session:TopUp", "Pays more into a session of the caller.", consumer, topUp),
		ledger.Command("session:Expire", "Ends a session whose expiry and grace have passed.", ledger.Anyone, expire),
		ledger.Command("session:Reclaim", "Returns to its account what an ended session still holds.", ledger.Anyone, reclaim),
		ledger.Query("session:Get", "Shows a session and what is settled of it.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Detail, error) {
				s, err := Load(r, req)
				if err != nil {
					return Detail{}, err
				}
				tab, err := loadTab(r, req)
				return Detail{Session: s, Tab: tab}, err
			}),
		ledger.Query("session:List", "Lists the sessions of an account.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Session], error) {
				return ledger.List(r, sessionsOf(req.Account), req.PageRequest, ledger.Value[Session])
			}),
		ledger.Query("session:Funds", "Lists the top-ups of a session.", ledger.Anyone,
			func(r ledger.Lister, req FundListing) (ledger.Page[Fund], error) {
				return ledger.List(r, fundsOf(req.Named), req.PageRequest, ledger.Value[Fund])
			}),
	}
}
