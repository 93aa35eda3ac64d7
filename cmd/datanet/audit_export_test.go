package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/bundles"
)

func TestWhatAnExportWasNotGivenShowsInItsExitCode(t *testing.T) {
	content, settlement := bundles.Refusal{Kind: bundle.Content, Part: "content a of AMSP/verse", Why: "no"}, bundles.Refusal{Kind: bundle.Settlement, Part: "settlement b of AMSP:host", Why: "no"}
	for claim, test := range map[string]struct {
		parts *bundles.Parts
		exit  int
		says  string
	}{
		"only blocks were asked for":  {nil, exitSuccess, ""},
		"nothing was refused":         {&bundles.Parts{Settlements: 1}, exitSuccess, ""},
		"one content of two":          {&bundles.Parts{Contents: 1, Settlements: 1, Refused: []bundles.Refusal{content}}, 13, "1 part of what was asked for not given"},
		"the only content":            {&bundles.Parts{Settlements: 1, Refused: []bundles.Refusal{content}}, 14, "no content at all"},
		"a content and all receipts":  {&bundles.Parts{Contents: 1, Refused: []bundles.Refusal{content, settlement}}, 14, "2 parts of what was asked for not given; no settlement at all"},
		"all contents, and no wonder": {&bundles.Parts{Refused: []bundles.Refusal{content, settlement}}, 14, "; no content at all; no settlement at all"},
	} {
		var errs bytes.Buffer
		require.Equal(t, test.exit, report(&errs, refusals(test.parts)), claim)
		require.Contains(t, errs.String(), test.says, claim)
	}
}

func TestEachReasonForRefusalsIsPrintedOnce(t *testing.T) {
	result := &bundles.Exported{Height: 1, Bundle: "taken", Parts: &bundles.Parts{}}
	for _, id := range []string{"a", "b", "c"} {
		result.Parts.Refused = append(result.Parts.Refused, bundles.Refusal{Kind: bundle.Content, Part: "content " + id, Why: "no grant"})
	}
	result.Parts.Refused = append(result.Parts.Refused, bundles.Refusal{Kind: bundle.Settlement, Part: "settlement d", Why: "the host is away"})
	var out bytes.Buffer
	require.NoError(t, writeExported(&out, result))
	require.Contains(t, out.String(), "not given: content a and 2 others: no grant\nnot given: settlement d: the host is away\n(--json lists each)\n")
}
