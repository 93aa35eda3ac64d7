package contribution

import (
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

// MaxBatch bounds the contributions of one transaction.
const MaxBatch = 100

// Submit is the request that registers a contribution.
type Submit struct {
	Datanet string `json:"datanet"`
	ID      string `json:"id"`
	Content
}

func (s Submit) Validate() error {
	if err := (Named{s.Datanet, s.ID}).Validate(); err != nil {
		return err
	}
	return s.Content.validate()
}

func (s Submit) Reads(c ledger.Caller) []ledger.Key {
	return []ledger.Key{Key(s.Datanet, s.ID), datanet.Key(s.Datanet), account.Key(c.Account()), epochKey, fingerprintKey(s.Fingerprint)}
}

// SubmitBatch is the request that registers several contributions, each as by [Submit]. A fault names the item that is
// at fault, as items.3.tokens, and then none is registered.
type SubmitBatch struct {
	Items []Submit `json:"items"`
}

func (b SubmitBatch) Validate() error {
	if len(b.Items) == 0 || len(b.Items) > MaxBatch {
		return ledger.Invalid("items", "a batch has from 1 to %d contributions", MaxBatch)
	}
	names, prints := map[Named]bool{}, map[Fingerprint]bool{}
	for i, item := range b.Items {
		if err := item.Validate(); err != nil {
			return ledger.AsFault(err).Within("items", i)
		}
		if name := (Named{item.Datanet, item.ID}); names[name] {
			return ledger.Invalid("id", "stands twice in the batch").Within("items", i)
		} else {
			names[name] = true
		}
		if prints[item.Fingerprint] {
			return ledger.Refuse(ledger.CodeExists, "equal content stands twice in the batch").At("fingerprint.hmac").Within("items", i)
		}
		prints[item.Fingerprint] = true
	}
	return nil
}

func (b SubmitBatch) Reads(c ledger.Caller) []ledger.Key {
	var keys []ledger.Key
	for _, item := range b.Items {
		keys = append(keys, item.Reads(c)...)
	}
	return keys
}

func submitOne(tx ledger.Tx, req Submit, openVote OpenVote) (Contribution, error) {
	c, fresh, err := submit(tx, &terms{}, req, openVote)
	if err == nil && fresh {
		tx.Emit("contribution.submitted/1", Changed{[]Contribution{c}})
	}
	return c, err
}

func submitBatch(tx ledger.Tx, req SubmitBatch, openVote OpenVote) (Batch, error) {
	var all, changed []Contribution
	t := &terms{}
	for i, item := range req.Items {
		c, fresh, err := submit(tx, t, item, openVote)
		if err != nil {
			return Batch{}, within(err, i)
		}
		all = append(all, c)
		if fresh {
			changed = append(changed, c)
		}
	}
	if len(changed) > 0 {
		tx.Emit("contribution.submitted/1", Changed{changed})
	}
	return Batch{all}, nil
}

// within names the item of a batch at which a refusal arose; a failure of the ledger stays what it is.
func within(err error, item int) error {
	return ledger.AsFault(err).Within("items", item)
}

// submit registers one contribution, unless it is registered already; fresh tells which.
func submit(tx ledger.Tx, t *terms, req Submit, openVote OpenVote) (c Contribution, fresh bool, err error) {
	caller := tx.Caller()
	existing, found, err := ledger.Load[Contribution](tx, Key(req.Datanet, req.ID))
	if err != nil {
		return Contribution{}, false, err
	}
	if found {
		same, err := ledger.Same(existing.Submit, req)
		if err == nil && (!same || existing.Contributor != caller.Account()) {
			err = ledger.Refuse(ledger.CodeExists, "contribution %s exists with other content: choose a new id", req.ID).At("id")
		}
		return existing, false, err
	}
	c = Contribution{Submit: req, Revision: 1, Contributor: caller.Account()}
	c, err = open(tx, t, c, openVote)
	return c, err == nil, err
}

// terms are what all contributions of one transaction are registered under, read once.
type terms struct {
	members  []string
	datanets map[string]datanet.Datanet
}

func (t *terms) load(tx ledger.Tx, name string) (datanet.Datanet, error) {
	if t.members == nil {
		if err := account.MustBeOpen(tx, "", tx.Caller().Account()); err != nil {
			return datanet.Datanet{}, err
		}
		members, err := member.Load(tx)
		if err != nil {
			return datanet.Datanet{}, err
		}
		t.members, t.datanets = members.Members, map[string]datanet.Datanet{}
	}
	d, ok := t.datanets[name]
	if !ok {
		var err error
		if d, err = datanet.Load(tx, "datanet", name); err != nil {
			return datanet.Datanet{}, err
		}
		t.datanets[name] = d
	}
	return d, nil
}

// open puts a new revision up for the vote, under the terms in force.
func open(tx ledger.Tx, t *terms, c Contribution, openVote OpenVote) (Contribution, error) {
	d, err := t.load(tx, c.Datanet)
	if err != nil {
		return Contribution{}, err
	}
	if d.State != datanet.Active {
		return Contribution{}, ledger.Refuse(ledger.CodeState, "datanet %s is %s", d.Name, d.State).At("datanet")
	}
	if d.Licence.Expired(tx.Time()) {
		return Contribution{}, ledger.Refuse(ledger.CodeState, "the licence of datanet %s has expired", d.Name).At("datanet")
	}
	if c.Licence != nil {
		if err := c.Licence.StricterThan(d.Licence, "licence"); err != nil {
			return Contribution{}, err
		}
		if c.Licence.Expired(tx.Time()) {
			return Contribution{}, ledger.Invalid("licence.expires", "has passed already")
		}
	}
	if err := claim(tx, c.Fingerprint, Registration{Datanet: c.Datanet, ID: c.ID, Revision: c.Revision}); err != nil {
		return Contribution{}, err
	}
	mine := c.Contributor.MSP()
	c.Eligible = slices.DeleteFunc(slices.Clone(d.Validators), func(msp string) bool { return msp == mine })
	c.DatanetVersion, c.Quorum, c.Slots = d.Number, d.Quorum, t.members
	c.State, c.Moved, c.Tx, c.EndTx = Pending, Fingerprint{}, tx.TxID(), ""
	if err := openVote(tx, c); err != nil {
		return Contribution{}, fmt.Errorf("open the vote on %s: %w", c.ID, err)
	}
	return c, save(tx, c)
}

// Revise is the request that submits a rejected contribution again, under the same id.
type Revise struct {
	Datanet  string `json:"datanet"`
	ID       string `json:"id"`
	Revision int    `json:"revision"` // the number of the new revision: one more than that of the rejected one
	Content
}

func (r Revise) Validate() error {
	if err := r.submit().Validate(); err != nil {
		return err
	}
	if r.Revision < 2 || r.Revision > MaxRevisions {
		return ledger.Invalid("revision", "must be from 2 to %d", MaxRevisions)
	}
	return nil
}

func (r Revise) submit() Submit { return Submit{Datanet: r.Datanet, ID: r.ID, Content: r.Content} }

func (r Revise) Reads(c ledger.Caller) []ledger.Key { return r.submit().Reads(c) }

func revise(tx ledger.Tx, req Revise, openVote OpenVote) (Contribution, error) {
	c, err := Load(tx, Named{req.Datanet, req.ID})
	if err != nil {
		return Contribution{}, err
	}
	if c.Contributor != tx.Caller().Account() {
		return Contribution{}, ledger.Refuse(ledger.CodeForbidden, "only its contributor can revise a contribution")
	}
	if req.Revision == c.Revision {
		same, err := ledger.Same(c.Submit, req.submit())
		if err == nil && !same {
			err = ledger.Refuse(ledger.CodeExists, "revision %d has other content", req.Revision).At("revision")
		}
		return c, err
	}
	if c.State != Rejected {
		return Contribution{}, ledger.Refuse(ledger.CodeState, "the contribution is %s: only a rejected one can be revised", c.State)
	}
	if req.Revision != c.Revision+1 {
		return Contribution{}, ledger.Invalid("revision", "the next revision is %d", c.Revision+1)
	}
	c.Submit, c.Revision = req.submit(), req.Revision
	if c, err = open(tx, &terms{}, c, openVote); err != nil {
		return Contribution{}, err
	}
	tx.Emit("contribution.revised/1", Changed{[]Contribution{c}})
	return c, nil
}
