package export

import (
	"fmt"

	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// provenance is a document of PROV-JSON, by kinds of statement and their names.
type provenance struct {
	channel string
	parts   map[string]map[string]object
	count   int
}

// Prov tells a model's provenance in the terms of W3C PROV: snapshots that tickets used, models that were derived from
// them, and who did it for whom; with the contributions that the answer lists, as members of the snapshots.
func Prov(m question.Model) ([]byte, error) {
	p := &provenance{channel: m.Channel, parts: map[string]map[string]object{}}
	facts := object{}
	for name, value := range basis(m.Asked) {
		facts["datanet:"+name] = value
	}
	self := p.model(m.Model.Named.String(), m.Registered, facts)
	p.attribute(self, string(m.Model.Developer))
	for _, a := range m.Ancestors {
		base := p.model(a.Named.String(), a.Evidence, object{})
		p.attribute(base, a.Owner)
		for _, n := range a.Bases {
			p.relate("wasDerivedFrom", object{"prov:generatedEntity": base, "prov:usedEntity": p.name("model/" + n.String())})
		}
	}
	for _, n := range m.Model.Bases {
		p.relate("wasDerivedFrom", object{"prov:generatedEntity": self, "prov:usedEntity": p.name("model/" + n.String())})
	}
	for _, e := range m.Model.External {
		outside := p.put("entity", "external/"+e.Name, object{"prov:type": "external model", "datanet:licence": e.Licence, "datanet:digest": e.Digest})
		p.relate("wasDerivedFrom", object{"prov:generatedEntity": self, "prov:usedEntity": outside})
	}
	for _, t := range m.Tickets {
		p.ticket(t)
	}
	for _, s := range m.Snapshots {
		p.snapshot(m, s)
	}
	for _, o := range m.Contributions {
		c := p.put("entity", "contribution/"+o.Datanet+"/"+o.ID, object{"prov:type": "contribution", "datanet:collected": string(o.Provenance.Method), "datanet:state": string(o.State),
			"datanet:evidence": cite(o.Evidence[0])})
		p.attribute(c, string(o.Contributor))
		p.relate("hadMember", object{"prov:collection": p.name(fmt.Sprintf("snapshot/%s@%d", o.Datanet, o.Snapshot)), "prov:entity": c})
	}
	document := map[string]any{"prefix": map[string]string{"datanet": "urn:datanet:" + m.Channel + ":"}}
	for kind, part := range p.parts {
		document[kind] = part
	}
	return encode(document)
}

func (p *provenance) name(local string) string { return "datanet:" + local }

func (p *provenance) put(kind, local string, attributes object) string {
	name := p.name(local)
	if p.parts[kind] == nil {
		p.parts[kind] = map[string]object{}
	}
	if p.parts[kind][name] == nil {
		p.parts[kind][name] = attributes
	}
	return name
}

// relate adds a statement that has no name of its own.
func (p *provenance) relate(kind string, attributes object) {
	p.count++
	if p.parts[kind] == nil {
		p.parts[kind] = map[string]object{}
	}
	p.parts[kind][fmt.Sprintf("_:%s%d", kind, p.count)] = attributes
}

func (p *provenance) model(name string, e report.Evidence, facts object) string {
	facts["prov:type"], facts["datanet:evidence"] = "model", cite(e)
	return p.put("entity", "model/"+name, facts)
}

// attribute says whose something is: an account's, which acts for its organisation, or an organisation's.
func (p *provenance) attribute(entity, to string) {
	agent := p.agent(to)
	p.relate("wasAttributedTo", object{"prov:entity": entity, "prov:agent": agent})
}

func (p *provenance) agent(to string) string {
	msp := ledger.Account(to).MSP()
	if msp == "" {
		return p.put("agent", "organisation/"+to, object{"prov:type": object{"$": "prov:Organization", "type": "prov:QUALIFIED_NAME"}})
	}
	organisation := p.agent(msp)
	name := p.name("account/" + to)
	if p.parts["agent"][name] == nil {
		p.put("agent", "account/"+to, object{"prov:type": object{"$": "prov:Person", "type": "prov:QUALIFIED_NAME"}})
		p.relate("actedOnBehalfOf", object{"prov:delegate": name, "prov:responsible": organisation})
	}
	return name
}

func (p *provenance) ticket(t question.Licensed) {
	facts := object{"prov:type": "training under a ticket", "datanet:purpose": string(t.Purpose), "datanet:evidence": cite(t.Evidence[0])}
	if start := report.Time(t.Opened); start != "" {
		facts["prov:startTime"] = start
	}
	activity := p.put("activity", "ticket/"+t.ID, facts)
	p.relate("wasAssociatedWith", object{"prov:activity": activity, "prov:agent": p.agent(string(t.Trainer))})
	for _, g := range t.Grants {
		plan := p.put("entity", "grant/"+g.Datanet+"/"+g.ID, object{"prov:type": "licence grant", "datanet:then": string(g.Then), "datanet:now": string(g.Now)})
		p.attribute(plan, ledger.Owner(g.Datanet))
		p.relate("used", object{"prov:activity": activity, "prov:entity": plan})
	}
}

func (p *provenance) snapshot(m question.Model, s question.Trained) {
	name := p.put("entity", fmt.Sprintf("snapshot/%s@%d", s.Datanet, s.Number), object{"prov:type": object{"$": "prov:Collection", "type": "prov:QUALIFIED_NAME"}, "datanet:root": s.Root.String(),
		"datanet:revision": fmt.Sprint(s.Revision), "datanet:evidence": cite(s.Evidence[0])})
	p.attribute(name, ledger.Owner(s.Datanet))
	activity, trained := p.name("ticket/"+s.Ticket), p.name("model/"+m.Model.Named.String())
	if s.Via != "" {
		trained = p.name("model/" + s.Via)
	}
	p.relate("used", object{"prov:activity": activity, "prov:entity": name})
	p.relate("wasGeneratedBy", object{"prov:entity": trained, "prov:activity": activity})
	p.relate("wasDerivedFrom", object{"prov:generatedEntity": trained, "prov:usedEntity": name, "prov:activity": activity})
}
