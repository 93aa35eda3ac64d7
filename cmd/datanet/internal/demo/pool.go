package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/plain"
	"github.com/datanet-consortium/datanet/attribution/text1"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// The datanet's policy.
const (
	quorum        = 2
	dataPpm       = 600_000
	validatorsPpm = 100_000
	derivativePpm = 50_000

	// maxDerivedPpm is how much of a contribution may stand in earlier ones of other accounts before validators reject
	// it. Poets quote each other: of honest verse some 0.4 % is derived.
	maxDerivedPpm = 100_000
)

// registered is a contribution on its way.
type registered struct {
	contribution.Contribution
	by *person
}

// share begins a fingerprint epoch with a new secret, which the members' gateways would hand to each other. Each telling
// has one of its own: what an earlier one registered would be refused as a copy otherwise.
func (s *Story) share(ctx context.Context) error {
	rand.Read(s.secret[:]) // never fails
	if _, err := s.resolve(ctx, "fingerprint.rotate", contribution.Rotation{Check: s.secret.Check()}, false); err != nil {
		return err
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	var err error
	s.epoch, err = fabric.Query[contribution.Epoch](ctx, s.curator.client, s.members[0], "contribution:Epoch", ledger.Nothing{})
	if err == nil && s.epoch.Check != s.secret.Check() {
		err = errors.New("another fingerprint secret came into force: tell the story again")
	}
	if err != nil {
		return err
	}
	return s.archive.keepJSON("fingerprint.json", map[string]any{"epoch": s.epoch.Epoch, "secret": hex.EncodeToString(s.secret[:])})
}

// contribute makes a datanet, and every poet a contribution to it; then the copyist brings the first poet's poems, in
// other letters, and once more with a line of his own.
func (s *Story) contribute(ctx context.Context) error {
	if err := s.share(ctx); err != nil {
		return err
	}
	name, err := s.freeName(ctx, "datanet:Get", s.members[0]+"/"+s.Subject, func(name string) any { return datanet.Named{Name: name} })
	if err != nil {
		return err
	}
	validators := slices.Sorted(slices.Values(s.members[:3]))
	created, err := do[datanet.Datanet](ctx, s, s.curator, "datanet:Create", datanet.Create{Name: name, Content: datanet.Content{
		Title: s.Subject, Tags: []string{"public-domain", "verse"}, Modality: datanet.Text,
		Licence: licence.Licence{Purposes: []licence.Purpose{licence.CommercialService, licence.Research}, DerivativePpm: derivativePpm},
		Policy: datanet.Policy{Validators: validators, Quorum: quorum, MaxDerivedPpm: maxDerivedPpm, DataPpm: dataPpm, ValidatorsPpm: validatorsPpm,
			Tau: attribution.DefaultTau, AttestationQuorum: 1, Rest: datanet.ByTokens}}})
	if err != nil {
		return err
	}
	s.datanet = created.Name
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	s.Out.Say("%s is a new datanet. %s validate;", s.datanet, sentence(validators))
	s.Out.Say("%d equal votes of those who are not the contributor's decide.", quorum)

	// One after another: whose text was registered first is its origin.
	for i, poet := range s.poets {
		s.Out.Progress("contribution %d of %d", i+1, len(s.poets)+1)
		var forgeries []forgery
		if i == 0 {
			forgeries = []forgery{{"vote slots of a contribution, created by its member alone", []string{poet.account.MSP()}}}
		}
		if err := s.submit(ctx, poet, s.Corpus[i].Records, forgeries...); err != nil {
			return err
		}
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	copied := disguised(s.Corpus[0].Records)
	err = s.submit(ctx, s.copyist, copied)
	var fault *ledger.Fault
	if !errors.As(err, &fault) || fault.Code != ledger.CodeExists || !strings.Contains(fault.Message, s.contributions[0].ID) {
		return fmt.Errorf("a copy in other letters should have been refused with %s named, the answer was: %w", s.contributions[0].ID, orAccepted(err))
	}
	s.Out.Held("A copy of %s's poems under another account, in other letters, is refused: its fingerprint", s.Corpus[0].Name)
	s.Out.Say("is that of %s. So the copyist adds a line.", s.contributions[0].ID)
	if err := s.submit(ctx, s.copyist, append(copied, []byte(ownLine))); err != nil {
		return err
	}
	s.Out.Held("%s are registered by salted commitments: %s, %s. Texts and salts stay in",
		plural(len(s.contributions), "contribution", "contributions"), plural(s.total(func(c *registered) int64 { return c.Records }), "record", "records"),
		plural(s.total(func(c *registered) int64 { return c.Tokens }), "token", "tokens"))
	s.Out.Say("%s. The last one is the copyist's.", s.Folder)
	return s.everywhere(ctx)
}

func (s *Story) total(of func(*registered) int64) int {
	sum := int64(0)
	for _, c := range s.contributions {
		sum += of(c)
	}
	return int(sum)
}

// freeName finds the first of name, name-2, name-3, … that a query for it does not find.
func (s *Story) freeName(ctx context.Context, function, name string, request func(name string) any) (string, error) {
	for n := 1; ; n++ {
		candidate := name
		if n > 1 {
			candidate = fmt.Sprintf("%s-%d", name, n)
		}
		_, err := s.curator.client.Evaluate(ctx, fabric.Call{Function: function, Request: request(candidate), Endorsers: s.members[:1]})
		var fault *ledger.Fault
		if errors.As(err, &fault) && fault.Code == ledger.CodeNotFound {
			return candidate, nil
		}
		if err != nil {
			return "", err
		}
	}
}

// ownLine is what the copyist adds.
const ownLine = "And this last line of all of them is truly my own."

// submit files a dossier and registers its contribution.
func (s *Story) submit(ctx context.Context, by *person, records [][]byte, forgeries ...forgery) error {
	descriptor, err := json.Marshal(map[string]string{"author": by.name, "source": s.Subject})
	if err != nil {
		return fmt.Errorf("describe a contribution: %w", err)
	}
	d := dossier{Contributor: by.account, Records: records, Descriptor: descriptor}
	rand.Read(d.Salt[:]) // never fails
	rand.Read(d.DescriptorSalt[:])
	request := s.registration(d, s.datanet, newID())
	if err := s.archive.keepDossier(request.ID, d); err != nil {
		return err
	}
	c, err := guarded[contribution.Contribution](ctx, s, by, "contribution:Submit", request, forgeries...)
	if err == nil {
		s.contributions = append(s.contributions, &registered{Contribution: c, by: by})
	}
	return err
}

// registration is what the ledger is told of a dossier.
func (s *Story) registration(d dossier, datanet, id string) contribution.Submit {
	tokens := int64(0)
	for _, record := range d.Records {
		for scan := text1.NewScanner(record); scan.Next(); {
			tokens++
		}
	}
	return contribution.Submit{Datanet: datanet, ID: id, Content: contribution.Content{
		MediaType: "text/plain", Records: int64(len(d.Records)), Tokens: tokens,
		Commitment: attribution.Commit(d.Salt, d.Records).String(), Descriptor: attribution.CommitDescriptor(d.DescriptorSalt, d.Descriptor).String(),
		Provenance:  provenance,
		Fingerprint: contribution.Fingerprint{Epoch: s.epoch.Epoch, HMAC: s.secret.Of(d.Records)}}}
}

// provenance is all that is known of a corpus from any folder: works in the public domain, so by authors dead for
// seventy years, in a language that nobody determined.
var provenance = contribution.Provenance{Method: "public-dataset", FromYear: 1, ToYear: 1955, Languages: []string{"und"}}

// disguised writes texts in Arabic forms of Persian letters and in capitals, which to canonical tokens is the same.
func disguised(records [][]byte) [][]byte {
	letters := strings.NewReplacer("ی", "ي", "ک", "ك")
	var copies [][]byte
	for _, record := range records {
		copies = append(copies, []byte(strings.ToUpper(letters.Replace(string(record)))))
	}
	return copies
}

// review is what validators find in a contribution.
type review struct {
	vote       approval.Vote
	derivedPpm uint64
}

// report is the automatic report that validators see, and whose hash their votes name.
type report struct {
	contribution.Named
	Revision    int    `json:"revision"`
	AsClaimed   bool   `json:"asClaimed"` // commitments, counts and fingerprint are those of the content
	DerivedPpm  uint64 `json:"derivedPpm"`
	Fingerprint string `json:"fingerprint"`
}

// file keeps a report and returns its hash.
func (s *Story) file(r report) (string, error) {
	content, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode a report: %w", err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), s.archive.keep("reports/"+r.ID+".json", content)
}

// validate has every eligible organisation vote on every contribution, and finalises them.
func (s *Story) validate(ctx context.Context) error {
	s.Out.Progress("recomputing counts, commitments and the origin of every token")
	reviews, err := s.review()
	if err != nil {
		return err
	}
	if err := s.vote(ctx, reviews); err != nil {
		return err
	}
	rows := [][]string{{"contributor", "member", "records", "tokens", "derived", "votes", "outcome"}}
	finals := make([]contribution.Contribution, len(s.contributions))
	err = atOnce(ctx, len(finals), func(ctx context.Context, i int) (err error) {
		finals[i], err = do[contribution.Contribution](ctx, s, s.curator, "approval:Finalise", reviews[i].vote.Named)
		return err
	})
	if err != nil {
		return err
	}
	for i, c := range s.contributions {
		c.Contribution = finals[i]
		vote := reviews[i].vote
		expected := contribution.Approved
		if vote.Choice == approval.Reject {
			expected = contribution.Rejected
		}
		if c.State != expected {
			return fmt.Errorf("contribution %s of %s is %s after votes to %s", c.ID, c.by.name, c.State, vote.Choice)
		}
		rows = append(rows, []string{c.by.name, c.Contributor.MSP(), fmt.Sprint(c.Records), fmt.Sprint(c.Tokens), percent(int(reviews[i].derivedPpm)),
			fmt.Sprintf("%d × %s, %s", len(c.Eligible), vote.Choice, vote.Reason), string(c.State)})
	}
	s.Out.Table(rows)
	last := s.contributions[len(s.contributions)-1]
	if last.by != s.copyist || last.State != contribution.Rejected {
		return fmt.Errorf("the copy is %s", last.State)
	}
	s.Out.Held("The copy is rejected: %s of its tokens have their origin in another account.", percent(int(reviews[len(reviews)-1].derivedPpm)))
	return s.everywhere(ctx)
}

// review opens every contribution as the ledger has it and compares: commitments, counts, and how much of it is derived
// from earlier ones. On one machine it is done once for all validators; each would do it for itself.
func (s *Story) review() ([]review, error) {
	var texts attribution.Corpus
	reviews := make([]review, len(s.contributions))
	for i, c := range s.contributions {
		d, err := s.archive.dossier(c.ID)
		if err != nil {
			return nil, err
		}
		vote := approval.Vote{Named: c.Name(), Revision: c.Revision, Verdict: approval.Verdict{Choice: approval.Approve, Reason: approval.Sound}}
		same, err := ledger.Same(s.registration(d, c.Datanet, c.ID), c.Submit)
		if err != nil {
			return nil, err
		}
		if d.Contributor != c.Contributor || !same {
			vote.Choice, vote.Reason = approval.Reject, "counts-differ"
		}
		reviews[i].vote = vote
		texts = append(texts, attribution.Contribution{ID: c.ID, Account: string(c.Contributor), Records: d.Records})
	}
	engine, err := plain.New(texts)
	if err != nil {
		return nil, err
	}
	for i := range reviews {
		derived, tokens := engine.Derived(i)
		r := &reviews[i]
		r.derivedPpm = derived * 1_000_000 / max(1, tokens)
		r.vote.Score = int(100 - r.derivedPpm/10_000)
		if r.derivedPpm > maxDerivedPpm && r.vote.Choice == approval.Approve {
			r.vote.Choice, r.vote.Reason = approval.Reject, "derived"
		}
		c := s.contributions[i]
		r.vote.Report, err = s.file(report{Named: c.Name(), Revision: c.Revision, AsClaimed: r.vote.Reason != "counts-differ",
			DerivedPpm: r.derivedPpm, Fingerprint: c.Fingerprint.HMAC})
		if err != nil {
			return nil, err
		}
	}
	return reviews, nil
}

// vote sends all votes. The first one is also tried in the ways in which nobody may vote for an organisation.
func (s *Story) vote(ctx context.Context, reviews []review) error {
	type ballot struct {
		validator *person
		vote      approval.Vote
	}
	var ballots []ballot
	for i, c := range s.contributions {
		for _, msp := range c.Eligible {
			ballots = append(ballots, ballot{s.validators[msp], reviews[i].vote})
		}
	}
	first, own := ballots[0], ballots[0].validator.account.MSP()
	_, err := guarded[approval.Slot](ctx, s, first.validator, "approval:Vote", first.vote,
		forgery{"a vote in " + own + "'s slot, endorsed by that member alone", []string{own}},
		forgery{"a vote in " + own + "'s slot, endorsed by all others", s.others(own)})
	if err != nil {
		return err
	}
	err = atOnce(ctx, len(ballots)-1, func(ctx context.Context, i int) error {
		b := ballots[i+1]
		_, err := do[approval.Slot](ctx, s, b.validator, "approval:Vote", b.vote)
		return err
	})
	if err != nil {
		return err
	}
	s.Out.Say("%s were cast at once, each into a slot that only its organisation can fill.", plural(len(ballots), "vote", "votes"))
	return s.everywhere(ctx)
}
