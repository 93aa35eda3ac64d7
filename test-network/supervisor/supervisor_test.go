package supervisor

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

func TestReportsEndWithDoneOrAnError(t *testing.T) {
	var seen []Event
	watch := func(event Event) { seen = append(seen, event) }

	require.NoError(t, follow(strings.NewReader(`{"progress":"one"}{"building":{"Stage":"x","Done":1,"Total":2}}{"done":true}{"progress":"late"}`), watch))
	require.Len(t, seen, 2, "nothing is reported after the end")
	require.Equal(t, "one", seen[0].Progress)
	require.Equal(t, 2, seen[1].Building.Total)
	require.EqualError(t, follow(strings.NewReader(`{"error":"no disk"}`), watch), "no disk")
	require.ErrorIs(t, follow(strings.NewReader(`{"progress":"one"}`), watch), errVanished)
	require.ErrorContains(t, follow(strings.NewReader(`{"progress":`), watch), "read the supervisor's report")
}

func TestWhereNobodyAnswersNothingRuns(t *testing.T) {
	client, err := NewClient(t.TempDir())
	require.NoError(t, err)
	_, err = client.Status(t.Context())
	var notRunning *NotRunningError
	require.ErrorAs(t, err, &notRunning)

	_, err = NewClient(strings.Repeat("/long", 30))
	require.ErrorContains(t, err, "choose a folder with a shorter path")
}

func TestSupervisorReportsWhyItDoesNotStart(t *testing.T) {
	var started strings.Builder
	err := Serve(t.Context(), testnetwork.Options{Dir: t.TempDir()}, &started, slog.New(slog.DiscardHandler))
	var none *testnetwork.NoNetworkError
	require.ErrorAs(t, err, &none)
	require.Equal(t, err.Error(), follow(strings.NewReader(started.String()), func(Event) {}).Error())
}

func FuzzFollow(f *testing.F) {
	f.Add(`{"progress":"one"}{"done":true}`)
	f.Add(`{"building":{}}{"error":"x"}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, report string) {
		err := follow(strings.NewReader(report), func(event Event) {
			require.False(t, event.Done)
			require.Empty(t, event.Error)
		})
		if err == nil {
			require.Contains(t, strings.ToLower(report), "true", "only a report of success succeeds")
		}
	})
}
