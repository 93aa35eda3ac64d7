package export

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
)

// croissantContext is the JSON-LD context that the Croissant 1.1 specification recommends (appendix 1), with the prefixes
// of PROV and ODRL that it uses for provenance and conditions of use, and one for what is the ledger's own.
const croissantContext = `{
	"@language": "en", "@vocab": "http://schema.org/", "sc": "http://schema.org/", "cr": "http://mlcommons.org/croissant/",
	"rai": "http://mlcommons.org/croissant/RAI/", "dct": "http://purl.org/dc/terms/", "prov": "http://www.w3.org/ns/prov#",
	"odrl": "http://www.w3.org/ns/odrl/2/", "datanet": "urn:datanet:",
	"annotation": "cr:annotation", "arrayShape": "cr:arrayShape", "citeAs": "cr:citeAs", "column": "cr:column", "conformsTo": "dct:conformsTo",
	"containedIn": "cr:containedIn", "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
	"equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"}, "excludes": "cr:excludes",
	"extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet",
	"format": "cr:format", "includes": "cr:includes", "isArray": "cr:isArray", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
	"key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "recordSet": "cr:recordSet", "references": "cr:references",
	"regex": "cr:regex", "readLines": "cr:readLines", "sdVersion": "cr:sdVersion", "separator": "cr:separator", "source": "cr:source",
	"subField": "cr:subField", "transform": "cr:transform", "unArchive": "cr:unArchive", "value": "cr:value"
}`

type object = map[string]any

// Croissant describes a snapshot as a dataset. Its one file is what a training ticket opens: the records as JSON Lines.
// The gateway makes that file for each ticket, without what was erased: as the specification has it the dataset is a live one, and
// the file has no checksum. The snapshot's root commits to its content.
func Croissant(s question.Snapshot) ([]byte, error) {
	channel := s.Channel
	latest := s.Revisions[len(s.Revisions)-1]
	id := urn(channel, "snapshot", fmt.Sprintf("%s@%d", s.Datanet, s.Number))
	languages := make([]string, len(s.Makeup.Languages))
	for i, l := range s.Makeup.Languages {
		languages[i] = l.Name
	}
	owner := object{"@type": "sc:Organization", "@id": urn(channel, "organisation", ledger.Owner(s.Datanet)), "name": ledger.Owner(s.Datanet)}
	creators := []object{}
	for _, o := range s.Makeup.Organisations {
		creators = append(creators, object{"@type": "sc:Organization", "@id": urn(channel, "organisation", o.Name), "name": o.Name,
			"description": report.Count(o.Contributions, "contribution") + " came through this organisation; the authors are not on the ledger"})
	}
	description := s.About.Description
	if description == "" {
		description = s.About.Title
	}
	document := object{
		"@context": json.RawMessage(croissantContext), "@type": "sc:Dataset", "@id": id, "conformsTo": "http://mlcommons.org/croissant/1.1",
		"name": fmt.Sprintf("%s@%d", s.Datanet, s.Number), "alternateName": s.About.Title, "description": description, "url": id,
		"version": fmt.Sprintf("%d.%d.0", s.Number, latest.Revision-1), "keywords": s.About.Tags, "inLanguage": languages,
		"creator": creators, "publisher": owner, "isLiveDataset": true,
		"license": licences(s), "usageInfo": offers(s),
		"distribution": []object{{"@type": "cr:FileObject", "@id": "records.jsonl", "name": "records.jsonl",
			"description": "The records of the snapshot, as a gateway of the network hands them to the holder of a training ticket.",
			"contentUrl":  urn(channel, "ticket-content", s.Datanet), "encodingFormat": "application/jsonlines"}},
		"recordSet":           []object{recordSet()},
		"prov:wasGeneratedBy": activity(channel, s.Taken), "prov:wasAttributedTo": owner["@id"],
		"rai:personalSensitiveInformation": fmt.Sprintf("Personal data of living people, as the contributors say: in %d of %d contributions.", s.Makeup.PersonalData.Contributions, s.Makeup.Contributions),
		"rai:dataCollection":               collection(s.Makeup),
		"datanet:root":                     latest.Root.String(), "datanet:revision": strconv.Itoa(latest.Revision), "datanet:leaves": strconv.FormatInt(s.Count, 10),
		"datanet:records": strconv.FormatInt(latest.Records, 10), "datanet:tokens": strconv.FormatInt(latest.Tokens, 10),
	}
	for name, value := range basis(s.Asked) {
		document["datanet:"+name] = value
	}
	if t := report.Time(s.Taken.Time); t != "" {
		document["datePublished"], document["dateCreated"] = t, t
	}
	if t := report.Time(s.Revised.Time); t != "" {
		document["dateModified"] = t
	}
	return encode(document)
}

func recordSet() object {
	field := func(name, kind, description string) object {
		return object{"@type": "cr:Field", "@id": "records/" + name, "name": name, "description": description, "dataType": kind,
			"source": object{"fileObject": object{"@id": "records.jsonl"}, "extract": object{"jsonPath": "$." + name}}}
	}
	return object{"@type": "cr:RecordSet", "@id": "records", "name": "records", "key": []object{{"@id": "records/contribution"}, {"@id": "records/record"}},
		"field": []object{field("contribution", "sc:Text", "The contribution's id."), field("record", "sc:Integer", "The record's number in the contribution, from 0."),
			field("text", "sc:Text", "The text.")}}
}

// activity is a transaction as what made something.
func activity(channel string, e report.Evidence) object {
	a := object{"@type": "prov:Activity", "@id": urn(channel, "transaction", e.Transaction), "prov:label": e.Function + ", " + cite(e)}
	if t := report.Time(e.Time); t != "" {
		a["prov:endedAtTime"] = t
	}
	return a
}

func licences(s question.Snapshot) []object {
	list := make([]object, len(s.Versions))
	for i, v := range s.Versions {
		list[i] = object{"@type": "sc:CreativeWork", "@id": urn(s.Channel, "licence", fmt.Sprintf("%s@%d", v.Name, v.Number)), "name": fmt.Sprintf("Licence of %s, version %d", v.Name, v.Number),
			"description": "Covers " + licence.List(v.Licence.Purposes) + ". A licence grant of the owner and a training ticket are needed to use the data."}
	}
	return list
}

// offers are the licences as ODRL.
func offers(s question.Snapshot) []object {
	list := make([]object, len(s.Versions))
	for i, v := range s.Versions {
		purposes := make([]string, len(v.Licence.Purposes))
		for j, p := range v.Licence.Purposes {
			purposes[j] = string(p)
		}
		constraints := []object{{"@type": "odrl:Constraint", "odrl:leftOperand": object{"@id": "odrl:purpose"}, "odrl:operator": object{"@id": "odrl:isAnyOf"}, "odrl:rightOperand": purposes}}
		if !v.Licence.Expires.IsZero() {
			constraints = append(constraints, object{"@type": "odrl:Constraint", "odrl:leftOperand": object{"@id": "odrl:dateTime"}, "odrl:operator": object{"@id": "odrl:lt"}, "odrl:rightOperand": report.Time(&v.Licence.Expires)})
		}
		if len(v.Licence.Geography) > 0 {
			constraints = append(constraints, object{"@type": "odrl:Constraint", "odrl:leftOperand": object{"@id": "odrl:spatial"}, "odrl:operator": object{"@id": "odrl:isAnyOf"}, "odrl:rightOperand": v.Licence.Geography})
		}
		list[i] = object{"@type": []string{"CreativeWork", "odrl:Offer"}, "name": fmt.Sprintf("Terms of %s, version %d, for %s", v.Name, v.Number, report.Count(s.Terms[i].Plain, "contribution")),
			"odrl:permission": object{"@type": "odrl:Permission", "odrl:action": object{"@id": "odrl:use"}, "odrl:constraint": constraints}}
	}
	return list
}

func collection(m question.Makeup) []string {
	list := []string{}
	for _, p := range m.Methods {
		list = append(list, fmt.Sprintf("%s: %s, %s, %s", p.Name, report.Count(p.Contributions, "contribution"), report.Count(p.Records, "record"), report.Count(p.Tokens, "token")))
	}
	return list
}
