package ticket

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
)

// Named is a request that names a ticket.
type Named struct {
	ID string `json:"id"`
}

func (n Named) Validate() error { return ledger.ValidID("id", n.ID) }

func (n Named) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{Key(n.ID)} }

// Functions are the ticket functions.
func Functions(granted Granted) []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("ticket:Open", "Opens a training ticket on snapshots, when licences and grants cover the purpose.", ledger.For(ledger.Trainer),
			func(tx ledger.Tx, req Open) (Ticket, error) { return open(tx, req, granted) }),
		ledger.Command("ticket:Close", "Closes a ticket of the caller, or of the caller's organisation.", ledger.For(ledger.Trainer, ledger.Operator), closeTicket),
		ledger.Command("ticket:Expire", "Ends a ticket whose terms have ended.", ledger.Anyone, expire),
		ledger.Query("ticket:Get", "Shows a ticket.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Ticket, error) { return Load(r, "id", req.ID) }),
		ledger.Query("ticket:List", "Lists tickets by id.", ledger.Anyone,
			func(r ledger.Lister, req ledger.PageRequest) (ledger.Page[Ticket], error) {
				return ledger.List(r, prefix, req, ledger.Value[Ticket])
			}),
	}
}

func open(tx ledger.Tx, req Open, granted Granted) (Ticket, error) {
	me := tx.Caller().Account()
	digest, err := digestOf(req)
	if err != nil {
		return Ticket{}, err
	}
	existing, found, err := ledger.Load[Ticket](tx, Key(req.ID))
	if err != nil {
		return Ticket{}, err
	}
	if found {
		if existing.Digest != digest || existing.Trainer != me {
			return Ticket{}, ledger.Refuse(ledger.CodeExists, "ticket %s says something else: choose a new id", req.ID).At("id")
		}
		return existing, nil
	}
	lock := &interlock{r: tx, granted: granted, use: licence.Use{Purpose: req.Purpose, At: tx.Time(), Country: req.Country}}
	t := Ticket{ID: req.ID, Trainer: me, Purpose: req.Purpose, Country: req.Country, Sources: []Source{}, State: Opened, Models: []string{},
		Digest: digest, Tx: tx.TxID()}
	for i, name := range req.Snapshots {
		source, err := lock.source(fmt.Sprintf("snapshots.%d", i), name, req.Grants)
		if err != nil {
			return Ticket{}, err
		}
		t.Sources = append(t.Sources, source)
	}
	if err := lock.fault(); err != nil {
		return Ticket{}, err
	}
	t.Expires = lock.expires
	tx.Emit("ticket.opened/1", t)
	return t, ledger.Save(tx, Key(t.ID), t)
}

func digestOf(req Open) (string, error) {
	data, err := ledger.Encode(req)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}

// closeTicket ends a ticket. Registering a model reads the ticket, so a registration that is held back loses.
func closeTicket(tx ledger.Tx, req Named) (Ticket, error) {
	t, err := Load(tx, "id", req.ID)
	if err != nil {
		return t, err
	}
	caller := tx.Caller()
	if t.Trainer != caller.Account() && !(t.Trainer.MSP() == caller.MSP && caller.Has(ledger.Operator)) {
		return t, ledger.Refuse(ledger.CodeForbidden, "only its trainer or an operator of %s can close the ticket", t.Trainer.MSP())
	}
	if t.State == Closed {
		return t, nil
	}
	if t.State == Expired {
		return t, ledger.Refuse(ledger.CodeState, "the ticket is %s", t.State)
	}
	return end(tx, t, Closed)
}

func expire(tx ledger.Tx, req Named) (Ticket, error) {
	t, err := Load(tx, "id", req.ID)
	switch {
	case err != nil || t.State == Expired:
		return t, err
	case t.State == Closed:
		return t, ledger.Refuse(ledger.CodeState, "the ticket is %s", t.State)
	case t.Expires.IsZero():
		return t, ledger.Refuse(ledger.CodeState, "the ticket's terms do not end")
	case tx.Time().Before(t.Expires):
		return t, ledger.Refuse(ledger.CodeState, "the ticket's terms run until %s", t.Expires.Format(time.RFC3339))
	}
	return end(tx, t, Expired)
}

func end(tx ledger.Tx, t Ticket, state State) (Ticket, error) {
	t.State, t.EndTx = state, tx.TxID()
	tx.Emit(fmt.Sprintf("ticket.%s/1", state), t)
	return t, ledger.Save(tx, Key(t.ID), t)
}
