// Package export writes what the ledger says of a snapshot or a model in the formats that others read: Croissant 1.1,
// CycloneDX 1.7 (ML-BOM), W3C PROV-JSON. Each is made of an answer of package question and carries the height and the
// hash of the last block that it is about, and the transactions that it rests on, as properties of its own.
//
// No field is filled in that the ledger does not know. Where a format demands one, what stands there says so.
package export

import (
	"encoding/json"
	"fmt"

	"github.com/datanet-consortium/datanet/audit/question"
	"github.com/datanet-consortium/datanet/audit/report"
)

// Media types of the formats.
const (
	CroissantType = `application/ld+json; profile="http://mlcommons.org/croissant/1.1"`
	MLBOMType     = "application/vnd.cyclonedx+json; version=1.7"
	ProvType      = "application/json"
)

// urn names a thing of a channel.
func urn(channel, kind, name string) string {
	return "urn:datanet:" + channel + ":" + kind + ":" + name
}

// basis is what an export rests on, as properties.
func basis(a question.Asked) map[string]string {
	return map[string]string{"channel": a.Channel, "height": fmt.Sprint(a.Height), "lastBlockHash": a.Last}
}

// cite is evidence in one line.
func cite(e report.Evidence) string {
	return fmt.Sprintf("block %d, position %d, transaction %s", e.Block, e.Position, e.Transaction)
}

func encode(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the export: %w", err)
	}
	return append(data, '\n'), nil
}
