package receipt

import (
	"encoding/json"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// MarshalJSON returns the view of the receipt for people and generic clients, with its id. Numbers that
// may pass 2⁵³ are decimal strings, hashes lower-case hex, information in units of 2⁻¹⁶ bit. It is only a
// view: what counts are the receipt's bytes. It fails with what Check reports.
func (r *Receipt) MarshalJSON() ([]byte, error) {
	id, err := r.ID()
	if err != nil {
		return nil, err
	}
	view := receiptView{
		Format: "ATTR/1", ID: id, Spec: attribution.Spec(),
		Roots:  append([]merkle.Hash{}, r.Roots...),
		Tokens: r.N, DistinctPlusOne: r.V,
		Model: r.Model, Artifact: r.Artifact,
		Prompt: r.Prompt, Context: r.Context, Output: r.Output,
		OutputBytes: r.OutputBytes, OutputTokens: r.OutputTokens,
		Tau: r.Tau, CoveragePPM: r.CoveragePPM,
		Spans:  make([]spanView, len(r.Spans)),
		Shares: make([]shareView, len(r.Shares)),
	}
	for i, s := range r.Spans {
		view.Spans[i] = spanView{
			Start: s.Start, End: s.End, ByteStart: s.ByteStart, ByteEnd: s.ByteEnd,
			Information: s.Information, Credit: s.Credit, Occurrences: s.Occurrences,
			Home:   homeView(s.Home),
			Payees: make([]payeeView, len(s.Payees)),
		}
		for j, p := range s.Payees {
			view.Spans[i].Payees[j] = payeeView(p)
		}
	}
	for i, s := range r.Shares {
		view.Shares[i] = shareView(s)
	}
	return json.Marshal(view)
}

type receiptView struct {
	Format          string        `json:"format"`
	ID              merkle.Hash   `json:"id"`
	Spec            merkle.Hash   `json:"spec"`
	Roots           []merkle.Hash `json:"roots"`
	Tokens          uint64        `json:"corpus_tokens,string"`
	DistinctPlusOne uint64        `json:"corpus_distinct_plus_one,string"`
	Model           string        `json:"model"`
	Artifact        merkle.Hash   `json:"artifact"`
	Prompt          merkle.Hash   `json:"prompt"`
	Context         merkle.Hash   `json:"context"`
	Output          merkle.Hash   `json:"output"`
	OutputBytes     uint32        `json:"output_bytes"`
	OutputTokens    uint32        `json:"output_tokens"`
	Tau             uint8         `json:"tau"`
	CoveragePPM     uint32        `json:"coverage_ppm"`
	Spans           []spanView    `json:"spans"`
	Shares          []shareView   `json:"shares"`
}

type spanView struct {
	Start       uint32      `json:"start"`
	End         uint32      `json:"end"`
	ByteStart   uint32      `json:"byte_start"`
	ByteEnd     uint32      `json:"byte_end"`
	Information uint64      `json:"information,string"`
	Credit      uint64      `json:"credit,string"`
	Occurrences uint64      `json:"occurrences,string"`
	Home        homeView    `json:"home"`
	Payees      []payeeView `json:"payees"`
}

type homeView struct {
	Contribution string `json:"contribution"`
	Record       uint32 `json:"record"`
	Token        uint32 `json:"token"`
}

type payeeView struct {
	Account string `json:"account"`
	Credit  uint64 `json:"credit,string"`
}

type shareView struct {
	Account string `json:"account"`
	PPM     uint32 `json:"ppm"`
}
