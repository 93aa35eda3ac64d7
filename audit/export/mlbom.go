package export

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"

	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
)

// MLBOM lists what a model was made of: the snapshots, as data, the models that it was built on, and its artifacts.
func MLBOM(m question.Model) ([]byte, error) {
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = serial(m)
	self := component(m)
	components, dependencies := []cyclonedx.Component{}, []cyclonedx.Dependency{}
	needs := []string{}
	add := func(c cyclonedx.Component) {
		if !slices.ContainsFunc(components, func(known cyclonedx.Component) bool { return known.BOMRef == c.BOMRef }) {
			components = append(components, c)
			dependencies = append(dependencies, cyclonedx.Dependency{Ref: c.BOMRef})
		}
		if !slices.Contains(needs, c.BOMRef) {
			needs = append(needs, c.BOMRef)
		}
	}
	for _, s := range m.Snapshots {
		add(data(m, s))
	}
	for _, a := range m.Ancestors {
		c := cyclonedx.Component{BOMRef: urn(m.Channel, "model", a.Named.String()), Type: cyclonedx.ComponentTypeMachineLearningModel, Group: a.Owner,
			Name: strings.TrimPrefix(a.Name, a.Owner+"/"), Version: a.Version, Properties: properties(m.Asked, a.Evidence)}
		add(c)
	}
	for _, e := range m.Model.External {
		outside := true
		add(cyclonedx.Component{BOMRef: "external:" + e.Name, Type: cyclonedx.ComponentTypeMachineLearningModel, Name: e.Name, IsExternal: &outside,
			Hashes:   &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: e.Digest}},
			Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{Name: e.Licence}}}, Properties: properties(m.Asked, m.Registered)})
	}
	dependencies = append(dependencies, cyclonedx.Dependency{Ref: self.BOMRef, Dependencies: &needs})
	bom.Metadata = &cyclonedx.Metadata{Timestamp: report.Time(m.Registered.Time), Component: self, Properties: properties(m.Asked, m.Registered)}
	bom.Components, bom.Dependencies = &components, &dependencies
	var b bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&b, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_7); err != nil {
		return nil, fmt.Errorf("write the ML-BOM: %w", err)
	}
	return b.Bytes(), nil
}

// serial names the list by what it rests on, so that the same answer has the same name.
func serial(m question.Model) string {
	sum := sha256.Sum256([]byte(m.Channel + "\x00" + m.Model.Named.String() + "\x00" + m.Last))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // a UUID of version 8
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func component(m question.Model) *cyclonedx.Component {
	owner := ledger.Owner(m.Model.Name)
	hashes := make([]cyclonedx.Component, len(m.Model.Artifacts))
	for i, digest := range m.Model.Artifacts {
		hashes[i] = cyclonedx.Component{BOMRef: fmt.Sprintf("artifact-%d", i+1), Type: cyclonedx.ComponentTypeFile, Name: fmt.Sprintf("artifact %d", i+1), Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: digest}}}
	}
	references := []cyclonedx.MLDatasetChoice{}
	for _, s := range m.Snapshots {
		if ref := (cyclonedx.MLDatasetChoice{Ref: snapshotRef(m.Channel, s)}); !slices.Contains(references, ref) {
			references = append(references, ref)
		}
	}
	facts := *properties(m.Asked, m.Registered)
	for name, value := range map[string]string{"developer": string(m.Model.Developer), "purpose": string(m.Model.Purpose), "state": string(m.Model.State), "manifest": m.Model.Manifest,
		"corpusTokens": strconv.FormatInt(m.Model.Corpus.Tokens, 10), "corpusDistinctTokens": strconv.FormatInt(m.Model.Corpus.Distinct, 10), "corpusDigest": m.Model.Corpus.Digest} {
		facts = append(facts, cyclonedx.Property{Name: "datanet:" + name, Value: value})
	}
	slices.SortFunc(facts, func(a, b cyclonedx.Property) int { return strings.Compare(a.Name, b.Name) })
	return &cyclonedx.Component{BOMRef: urn(m.Channel, "model", m.Model.Named.String()), Type: cyclonedx.ComponentTypeMachineLearningModel, Group: owner,
		Name: strings.TrimPrefix(m.Model.Name, owner+"/"), Version: m.Model.Version, Supplier: &cyclonedx.OrganizationalEntity{Name: owner}, Components: &hashes,
		ModelCard: &cyclonedx.MLModelCard{ModelParameters: &cyclonedx.MLModelParameters{Datasets: &references}}, Properties: &facts}
}

func snapshotRef(channel string, s question.Trained) string {
	return urn(channel, "snapshot", fmt.Sprintf("%s@%d#%d", s.Datanet, s.Number, s.Revision))
}

// data is a snapshot, with the licences under which it was used.
func data(m question.Model, s question.Trained) cyclonedx.Component {
	owner := ledger.Owner(s.Datanet)
	terms := cyclonedx.Licenses{}
	for _, t := range m.Tickets {
		for _, l := range t.Licences {
			if t.ID == s.Ticket && l.Datanet == s.Datanet {
				terms = append(terms, cyclonedx.LicenseChoice{License: &cyclonedx.License{Name: fmt.Sprintf("%s, version %d: %s", l.Datanet, l.Version, licence.List(l.Licence.Purposes))}})
			}
		}
	}
	c := cyclonedx.Component{BOMRef: snapshotRef(m.Channel, s), Type: cyclonedx.ComponentTypeData, Group: owner, Name: strings.TrimPrefix(s.Datanet, owner+"/"),
		Version: fmt.Sprintf("%d.%d", s.Number, s.Revision), Supplier: &cyclonedx.OrganizationalEntity{Name: owner},
		Data: &[]cyclonedx.ComponentData{{Type: cyclonedx.ComponentDataTypeDataset, Name: fmt.Sprintf("%s@%d", s.Datanet, s.Number),
			Governance: &cyclonedx.DataGovernance{Owners: &[]cyclonedx.ComponentDataGovernanceResponsibleParty{{Organization: &cyclonedx.OrganizationalEntity{Name: owner}}}}}}}
	if len(terms) > 0 {
		c.Licenses = &terms
	}
	facts := *properties(m.Asked, s.Evidence[0])
	for name, value := range map[string]string{"root": s.Root.String(), "leaves": strconv.FormatInt(s.Count, 10), "records": strconv.FormatInt(s.Records, 10),
		"tokens": strconv.FormatInt(s.Tokens, 10), "ticket": s.Ticket} {
		facts = append(facts, cyclonedx.Property{Name: "datanet:" + name, Value: value})
	}
	slices.SortFunc(facts, func(a, b cyclonedx.Property) int { return strings.Compare(a.Name, b.Name) })
	c.Properties = &facts
	return c
}

// properties are what a part rests on.
func properties(a question.Asked, e report.Evidence) *[]cyclonedx.Property {
	list := []cyclonedx.Property{{Name: "datanet:evidence", Value: cite(e)}}
	for name, value := range basis(a) {
		list = append(list, cyclonedx.Property{Name: "datanet:" + name, Value: value})
	}
	slices.SortFunc(list, func(a, b cyclonedx.Property) int { return strings.Compare(a.Name, b.Name) })
	return &list
}
