package verify

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/receipt"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/verify/verifytest"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
)

const (
	rose   = "of all the gardens that the river knows the smallest keeps the rose "
	desert = "the caravan went by at night and nobody has counted the camels "
	mirror = "she polished the mirror until the mountain came into the house "
)

// auditor is an organisation that is no member.
const auditor = "AuditorMSP"

// paidStory is a ledger on which a model's answers were paid, and a contribution erased.
type paidStory struct {
	*recording
	*verifytest.Paid
	gone attribution.Contribution
}

var paidStories = map[string]func() (*paidStory, error){"bft": paidOnce("bft"), "raft": paidOnce("raft")}

func paidOnce(ordering string) func() (*paidStory, error) {
	return sync.OnceValues(func() (*paidStory, error) {
		dir, err := os.MkdirTemp("", "audit-paid-")
		if err != nil {
			return nil, err
		}
		storyDirs = append(storyDirs, dir)
		return tellPaid(dir, string(orderings[ordering]), verifytest.Cheats{})
	})
}

var (
	ann = rulestest.User(rulestest.B, "ann", ledger.Contributor)
	bob = rulestest.User(rulestest.C, "bob", ledger.Contributor)
)

// tellPaid: three contributions, registered in another order than they are sealed in; a model of them; three sessions, one of
// which discloses nothing; a settlement that is attested and paid; an erasure; a second settlement on the revised snapshot. What is
// left is handed to the regulator, and to another auditor as a snapshot.
func tellPaid(dir, topology string, cheats verifytest.Cheats) (*paidStory, error) {
	s := &paidStory{recording: &recording{}}
	n, err := verifytest.New(filepath.Join(dir, "keys"), topology, []string{rulestest.A, rulestest.B, rulestest.C}, rulestest.Regulator,
		func(b *common.Block) { s.blocks = append(s.blocks, b) })
	if err != nil {
		return nil, err
	}
	s.topology, s.material = n.Topology, n.Material
	s.Paid = verifytest.NewPaid(n, ann, bob)
	s.Cheats, s.Receipts = cheats, plainReceipts
	one, two := s.Register(ann, rose+mirror, "what is erased tells nobody anything any more"), s.Register(bob, rose+desert)
	s.gone = s.Register(ann, mirror+"and what is erased is in no corpus any more")
	s.Seal(two, one, s.gone)
	s.Publish()

	const escrow = 100_000_000
	all, sample, none := s.Open(use.DiscloseAll, escrow), s.Open(use.DiscloseSample, escrow), s.Open(use.DiscloseNone, escrow)
	s.Use(all, verifytest.Answer{Prompt: "tell me of the rose", Output: rose},
		verifytest.Answer{Prompt: "and of the caravan that went by at night", Output: desert + "which is not what anybody wrote"})
	s.Use(none, verifytest.Answer{Prompt: "a secret", Output: mirror})
	c := s.Settle(all, none)
	s.Release(c, s.Attest(c))

	s.Use(all, verifytest.Answer{Prompt: "once more before the erasure", Output: mirror})
	s.Erase(ann)
	s.Use(all, verifytest.Answer{Prompt: "once more", Output: rose + desert})
	s.Use(sample, verifytest.Answer{Prompt: "what of the mirror", Output: mirror},
		verifytest.Answer{Prompt: "and nobody else", Output: "nothing of this was ever written by anybody in there"})
	s.Attest(s.Settle(all, sample, none))
	s.HandOver()
	s.Must(failing{}, rulestest.User(rulestest.A, "operator1", ledger.Operator), "access:Release", access.Handover{
		Named: access.Named{Datanet: s.Pool, ID: s.ID()}, Snapshot: s.First.Number, To: auditor + ":auditor1", Reason: access.Audit})
	return s, nil
}

// plainReceipts are those of the short engine.
func plainReceipts(corpus attribution.Corpus, answers ...attribution.Answer) (list []*receipt.Receipt, err error) {
	engine, err := plain.New(corpus)
	for _, a := range answers {
		if err != nil {
			return nil, err
		}
		var r *receipt.Receipt
		r, err = engine.Receipt(a)
		list = append(list, r)
	}
	return list, err
}
