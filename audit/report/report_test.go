package report_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/audit/report"
)

func TestATableHasEvidenceBesideItWhereARowCitesSome(t *testing.T) {
	cited := []report.Evidence{{Block: 7, Position: 1, Transaction: "abc", By: "AMSP:ann"}}
	for name, row := range map[string][]report.Evidence{"cites": cited, "does not": nil} {
		table := &report.Table{Columns: []string{"one", "two"}}
		table.Add(nil, "a", "b")
		table.Add(row, "c", "d")
		document := report.Document{Title: name, Sections: []report.Section{{Title: "Rows", Table: table}}}
		html, err := document.HTML()
		require.NoError(t, err)
		_, rows, _ := strings.Cut(string(html), "<h2>Rows</h2>")
		rows, _, _ = strings.Cut(rows, "</table>")
		markdown := string(document.Markdown())
		if row == nil {
			require.NotContains(t, rows, "evidence")
			require.NotContains(t, markdown, "evidence")
			require.Contains(t, markdown, "| c | d |\n")
			continue
		}
		require.Contains(t, rows, "<th>evidence</th>")
		require.Equal(t, 2*3, strings.Count(rows, "<td"))
		require.Contains(t, markdown, "| one | two | evidence |\n|---|---|---|\n| a | b |  |\n| c | d | 7.1 |\n")
	}
}

func TestCountsAreWordedByNumber(t *testing.T) {
	require.Equal(t, "0 blocks", report.Count(0, "block"))
	require.Equal(t, "1 block", report.Count(uint64(1), "block"))
	require.Equal(t, "2 blocks", report.Count(int64(2), "block"))
	require.Equal(t, "1 person", report.Count(1, "person", "people"))
	require.Equal(t, "2 people", report.Count(2, "person", "people"))
}

func TestCellsAreLaidOutByWhatTheyHold(t *testing.T) {
	id := strings.Repeat("ab", 32)
	table := &report.Table{Columns: []string{"id", "when", "reason", "text"}}
	table.Add([]report.Evidence{{Receipt: id}}, id, "2030-01-02T03:04:05Z", "a reason that needs more room than a number", "شعر")
	document := report.Document{Title: "Rows", Sections: []report.Section{{Title: "Rows", Table: table}}}
	html, err := document.HTML()
	require.NoError(t, err)
	for _, cell := range []string{`<td dir="auto" class="long">` + id, `<td dir="auto" class="time">2030-01-02T03:04:05Z`, `<td dir="auto" class="prose">a reason`, `<td dir="auto">شعر`,
		`href="#v-receipt-` + id + `">[receipt abababababababab…]</a>`, `<td class="v long">receipt ` + id} {
		require.Contains(t, string(html), cell)
	}
	require.Contains(t, string(document.Markdown()), "| receipt abababababababab… |\n")
	require.Contains(t, string(document.Markdown()), "\n| receipt "+id+" |")
}
