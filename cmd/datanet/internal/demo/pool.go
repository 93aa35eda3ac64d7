package demo

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/attribution"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/gateway/client"
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
	by      *person
	records [][]byte // as they were uploaded
}

// contribute makes a datanet, and every poet a contribution to it; then the copyist brings the first poet's poems, in
// other letters, and once more with a line of his own.
func (s *Story) contribute(ctx context.Context) error {
	name, err := s.freeName(ctx, s.curator, s.members[0]+"/"+s.Subject, func(name string) string { return client.Path("datanets", name) })
	if err != nil {
		return err
	}
	validators := slices.Sorted(slices.Values(s.members[:3]))
	created, err := do[datanet.Datanet](ctx, s, s.curator, create(datanet.Create{Name: name, Content: datanet.Content{
		Title: s.Subject, Tags: []string{"public-domain", "verse"}, Modality: datanet.Text,
		Licence: licence.Licence{Purposes: []licence.Purpose{licence.CommercialService, licence.Research}, DerivativePpm: derivativePpm},
		Policy: datanet.Policy{Validators: validators, Quorum: quorum, MaxDerivedPpm: maxDerivedPpm, DataPpm: dataPpm, ValidatorsPpm: validatorsPpm,
			Tau: attribution.DefaultTau, AttestationQuorum: 1, Rest: datanet.ByTokens}}}))
	if err != nil {
		return err
	}
	s.datanet = created.Name
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	s.Out.Say("%s is a new datanet. %s validate;", s.datanet, sentence(validators))
	s.Out.Say("%d equal votes of those who are not the contributor's decide.", quorum)

	// A forgery has to be signed by somebody's own key.
	forger := slices.IndexFunc(s.poets, func(p *person) bool { return p.own != nil })
	if forger < 0 {
		s.note("vote slots of a contribution, created by its member alone", "not tried: the gateways keep all contributors' keys")
	}
	s.Out.Progress("uploading")
	s.contributions = make([]*registered, len(s.poets))
	err = atOnce(ctx, len(s.poets), func(ctx context.Context, i int) (err error) {
		s.contributions[i], err = s.bring(ctx, s.poets[i], s.Corpus[i].Records)
		return err
	})
	if err != nil {
		return err
	}
	// One after another: whose text was registered first is its origin.
	for i, c := range s.contributions {
		s.Out.Progress("contribution %d of %d", i+1, len(s.contributions)+1)
		var forgeries []forgery
		if i == forger {
			forgeries = []forgery{{"vote slots of a contribution, created by its member alone", []string{c.by.account.MSP()}}}
		}
		if err := s.register(ctx, c, forgeries...); err != nil {
			return err
		}
	}
	if err := s.everywhere(ctx); err != nil {
		return err
	}
	copied := disguised(s.Corpus[0].Records)
	second, err := s.bring(ctx, s.copyist, copied)
	if err == nil {
		err = s.register(ctx, second)
	}
	if !client.IsCode(err, string(ledger.CodeExists)) || !strings.Contains(err.Error(), s.contributions[0].ID) {
		return fmt.Errorf("a copy in other letters should have been refused with %s named, the answer was: %w", s.contributions[0].ID, orAccepted(err))
	}
	s.Out.Held("A copy of %s's poems under another account, in other letters, is refused: its fingerprint", s.Corpus[0].Name)
	s.Out.Say("is that of %s. So the copyist adds a line.", s.contributions[0].ID)
	if second, err = s.bring(ctx, s.copyist, append(copied, []byte(ownLine))); err == nil {
		err = s.register(ctx, second)
	}
	if err != nil {
		return err
	}
	s.contributions = append(s.contributions, second)
	s.Out.Held("%s are registered by salted commitments: %s, %s. The texts lie encrypted in the gateways",
		document.Count(len(s.contributions), "contribution"), document.Count(s.total(func(c *registered) int64 { return c.Records }), "record"),
		document.Count(s.total(func(c *registered) int64 { return c.Tokens }), "token"))
	s.Out.Say("of their contributors' organisations. The last one is the copyist's.")
	return s.everywhere(ctx)
}

func (s *Story) total(of func(*registered) int64) int {
	sum := int64(0)
	for _, c := range s.contributions {
		sum += of(c)
	}
	return int(sum)
}

// ownLine is what the copyist adds.
const ownLine = "And this last line of all of them is truly my own."

// bring uploads somebody's texts to the own gateway, each as a file of its own, and has it prepare their registration.
func (s *Story) bring(ctx context.Context, by *person, records [][]byte) (*registered, error) {
	upload := client.Upload{ID: client.NewID()}
	for i, record := range records {
		upload.Files = append(upload.Files, client.File{Name: fmt.Sprintf("%04d.txt", i+1), Bytes: int64(len(record))})
	}
	if err := by.client.Upload(ctx, upload, bytes.NewReader(slices.Concat(records...)), nil); err != nil {
		return nil, err
	}
	name := contribution.Named{Datanet: s.datanet, ID: client.NewID()}
	prepared, err := by.client.FinishUpload(ctx, upload.ID, client.Finish{Datanet: name.Datanet, Contribution: name.ID,
		Descriptor: client.Descriptor{Author: by.name, Source: s.Subject}})
	if err != nil {
		return nil, err
	}
	if prepared.Records != int64(len(records)) {
		return nil, fmt.Errorf("the gateway found %d records in %d files of %s", prepared.Records, len(records), by.name)
	}
	c := &registered{by: by, records: records}
	c.Submit = contribution.Submit{Datanet: name.Datanet, ID: name.ID, Content: prepared.Content(provenance)}
	return c, nil
}

// register puts a contribution on the ledger.
func (s *Story) register(ctx context.Context, c *registered, forgeries ...forgery) (err error) {
	c.Contribution, err = guarded[contribution.Contribution](ctx, s, c.by, submit(c.Submit), forgeries...)
	return err
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
