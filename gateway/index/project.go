package index

import (
	"encoding/json"
	"strings"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// projectionVersion is that of the table below, and of what else is taken from blocks. A program with another one fills
// the index anew, so it changes with every change to what [project] returns.
const projectionVersion = "8"

// columns is what an entry is listed by; "" and nil stand for nothing.
type columns struct {
	Datanet      string
	Organisation string
	Account      string
	State        string
	Parent       ledger.Key
	Number       int64
	Breach       string // see duties.go
}

// projection says how the columns follow from a kind's keys and values: each rule gets the parts of the key and the
// members of the value.
type projection func(key []string, v fields) columns

// fields are the members of stored values that lists go by.
type fields struct {
	Datanet     string
	ID          string
	Name        string
	Account     string
	By          string
	To          string
	Contributor string
	Curator     string
	Developer   string
	Grantee     string
	Keeper      string
	EndedBy     string
	Host        string
	MSP         string
	Approver    string
	Validator   string
	Proposer    string
	Trainer     string
	State       string
	Choice      string
	Secret      string
	Short       string
	Left        string
	Ticket      string
	Issuer      string
	Eligible    []string
	Quorum      int
	Used        bool
	Closed      bool
	Revision    int64
	Card        int64
	Offer       int64
}

// projections has a rule for each kind of key that is listed by more than its key. The kinds are those of KeyKinds in
// the chaincode's domains; the others are in keyed.
var projections = map[string]projection{
	"datanet": func(_ []string, v fields) columns {
		return columns{Datanet: v.Name, Organisation: ledger.Owner(v.Name), Account: v.Curator, State: v.State}
	},
	"contribution": func(_ []string, v fields) columns {
		c := byAccount(v.Contributor)
		c.Datanet, c.State, c.Number = v.Datanet, v.State, v.Revision
		return c
	},
	"vote": func(key []string, v fields) columns {
		c := slot(v.MSP, v.Validator, v.Choice)
		c.Datanet, c.Parent, c.Number = v.Datanet, parent("contribution", key, 2), v.Revision
		return c
	},
	"grant": func(_ []string, v fields) columns {
		msp, _, _ := strings.Cut(v.Grantee, ":")
		return columns{Datanet: v.Datanet, Organisation: msp, Account: v.Grantee, State: v.State}
	},
	"replica": func(_ []string, v fields) columns {
		return columns{Datanet: v.Datanet, Organisation: v.Keeper, Account: v.By, State: either(v.EndedBy != "", "ended", "offered")}
	},
	"replica-consent": func(key []string, v fields) columns {
		c := slot(v.MSP, v.By, "agreed")
		if v.EndedBy != "" {
			c.State = "ended"
		}
		c.Datanet, c.Parent = v.Datanet, parent("replica", key, 2)
		return c
	},
	"release": func(_ []string, v fields) columns {
		c := byAccount(v.To)
		c.Datanet = v.Datanet
		if ledger.ValidID("ticket", v.Ticket) == nil {
			c.Parent = ledger.NewKey("ticket", v.Ticket)
		}
		return c
	},
	"ticket": func(_ []string, v fields) columns {
		c := byAccount(v.Trainer)
		c.State = v.State
		return c
	},
	"model": func(_ []string, v fields) columns {
		return columns{Organisation: ledger.Owner(v.Name), Account: v.Developer, State: v.State, Number: v.Offer}
	},
	"rate-card": func(_ []string, v fields) columns { return byAccount(v.Host) },
	"rate-card-consent": func(key []string, v fields) columns {
		c := slot(v.MSP, v.By, "accepted")
		c.Parent, c.Number = parent("model", key, 2), v.Card
		return c
	},
	"erasure": func(_ []string, v fields) columns {
		c := byAccount(v.By)
		c.Datanet, c.State = v.Datanet, v.State
		return c
	},
	"erasure-slot": func(key []string, v fields) columns {
		c := slot(v.MSP, v.By, "acknowledged")
		c.Datanet, c.Parent = v.Datanet, parent("erasure", key, 2)
		return c
	},
	"proposal": func(_ []string, v fields) columns {
		c := byAccount(v.Proposer)
		c.State = v.State
		return c
	},
	"proposal-slot": func(key []string, v fields) columns {
		c := slot(v.MSP, v.Approver, "approved")
		c.Parent = parent("proposal", key, 1)
		return c
	},
	"account": func(_ []string, v fields) columns { return byAccount(v.Account) },
	"session": func(_ []string, v fields) columns {
		c := byAccount(v.Account)
		c.State = v.State
		return c
	},
	"tab": func(key []string, v fields) columns {
		c := byAccount(key[0])
		c.State = either(v.Closed, "closed", "open")
		return c
	},
	"fund": func(key []string, v fields) columns {
		c := byAccount(key[0])
		c.State = either(v.Used, "used", "unused")
		return c
	},
	"claim": func(_ []string, v fields) columns {
		c := byAccount(v.Host)
		c.State = v.State
		return c
	},
	"claim-slot": func(key []string, v fields) columns {
		c := slot(v.MSP, v.By, "attested")
		c.Parent = parent("claim", key, 2)
		return c
	},
	"sampling": func(_ []string, v fields) columns {
		return columns{Organisation: v.MSP, Account: v.By, State: either(v.Secret != "", "revealed", "sealed")}
	},
	"pool-payout": func(_ []string, v fields) columns {
		return columns{Datanet: v.Datanet, State: either(v.Short != "0", "short", either(v.Left != "0", "funded", "paid"))}
	},
	"mint": func(_ []string, v fields) columns { return byAccount(v.To) },
	"redemption": func(_ []string, v fields) columns {
		c := byAccount(v.Account)
		c.State = v.State
		return c
	},
	"credit": func(key []string, _ fields) columns { return byAccount(key[0]) },
	"spend":  func(key []string, _ fields) columns { return byAccount(key[0]) },
}

// keyed are the kinds that are listed by their keys only.
var keyed = []string{
	"account-roles", "balance", "datanet-version", "downstream", "fingerprint", "fingerprint-epoch", "holder", "leaver",
	"leavers", "members", "outside-holder", "outside-snapshot-holder", "page", "released", "released-snapshot", "retired",
	"schedule", "schedule-version", "seal", "sealed", "snapshot", "snapshot-holder", "snapshot-revision",
}

// underDatanets are those of them whose keys begin with a datanet, by which changes are followed.
var underDatanets = map[string]bool{"datanet-version": true, "page": true, "retired": true, "seal": true, "sealed": true, "snapshot": true, "snapshot-revision": true}

// running is, for the kinds that organisations have slots of, the state in which the slots count.
var running = map[string]string{"contribution": "pending", "proposal": "open", "erasure": "erasing", "model": "registered", "claim": "open", "replica": "offered"}

// OpenSlot is the state of a slot that nobody has filled.
const OpenSlot = "open"

// movementKinds are the kinds that make up an account's statement.
var movementKinds = map[string]bool{"credit": true, "spend": true}

// fromKey are the members that a kind's stored values leave to the key, in the order in which the ledger's functions
// put them before the others: credits and spends are many.
var fromKey = map[string][]struct {
	member string
	part   int
}{
	"credit": {{"id", 1}, {"owner", 0}},
	"spend":  {{"id", 1}, {"account", 0}},
}

func byAccount(account string) columns {
	return columns{Organisation: ledger.Account(account).MSP(), Account: account}
}

func either(holds bool, yes, no string) string {
	if holds {
		return yes
	}
	return no
}

func slot(msp, by, filled string) columns {
	if by == "" {
		filled = OpenSlot
	}
	return columns{Organisation: msp, Account: by, State: filled}
}

// parent is the key of the given kind from the first parts of a slot's key.
func parent(kind string, key []string, parts int) ledger.Key {
	if len(key) < parts {
		return ""
	}
	return ledger.NewKey(kind, key[:parts]...)
}

// project derives the columns of an entry. The rules of the ledger write what projections expect; a value that is
// something else all the same, which only a colluding majority can write, has the columns that can be read of it.
func project(kind string, key []string, value []byte) columns {
	rule, listed := projections[kind]
	switch {
	case len(key) == 0 || !listed && !underDatanets[kind]:
		return columns{}
	case !listed:
		return columns{Datanet: clip(key[0], maxColumn)}
	}
	var v fields
	_ = json.Unmarshal(value, &v) // members that do not fit stay empty
	c := rule(key, v)
	c.Breach = breach(kind, key, v)
	for _, text := range []*string{&c.Datanet, &c.Organisation, &c.Account, &c.State} {
		*text = clip(*text, maxColumn)
	}
	return c
}

// present is a stored value as the ledger's functions show it.
func present(key ledger.Key, value []byte) []byte {
	kind, parts, _ := key.Split()
	members, some := fromKey[kind]
	if !some || len(value) < 2 || value[0] != '{' {
		return value
	}
	shown := []byte{'{'}
	for _, m := range members {
		if m.part < len(parts) {
			text, err := ledger.Encode(parts[m.part])
			if err != nil {
				return value
			}
			shown = append(append(append(append(append(shown, '"'), m.member...), `":`...), text...), ',')
		}
	}
	return append(shown, value[1:]...)
}

// maxColumn bounds a text that a list goes by, in bytes; names on the ledger are shorter.
const maxColumn = 512

// clip makes a text fit for an index of any database: no U+0000 and at most so many bytes.
func clip(s string, size int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) > size {
		s = strings.ToValidUTF8(s[:size], "")
	}
	return s
}
