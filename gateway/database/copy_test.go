package database_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/gateway/database"
	"github.com/datanet-consortium/datanet/gateway/database/databasetest"
)

func TestRowsGoFromAnyDatabaseIntoAnother(t *testing.T) {
	tables := []string{"example"}
	migrations, err := fs.Sub(testdata, "testdata")
	require.NoError(t, err)
	databasetest.Each(t, func(t *testing.T, from *database.DB) {
		ctx := t.Context()
		require.NoError(t, from.Migrate(ctx, migrations, "example"))
		const rows = 2500
		require.NoError(t, from.InTx(ctx, func(tx *database.Tx) error {
			for i := range rows {
				var value []byte
				switch i % 3 {
				case 1:
					value = []byte{}
				case 2:
					value = bytes.Repeat([]byte{byte(i), 0}, i)
				}
				if _, err := tx.ExecContext(ctx, `INSERT INTO example (name, value, number) VALUES (?, ?, ?)`, nameOf(i), value, int64(i)<<40); err != nil {
					return err
				}
			}
			return nil
		}))
		var pieces [][]byte
		require.NoError(t, from.Dump(ctx, tables, func(p database.Piece) error {
			// Whoever writes meanwhile does not wait, and is not seen.
			_, err := from.ExecContext(ctx, `INSERT INTO example (name, number) VALUES (?, 0)`, fmt.Sprintf("late %d", len(pieces)))
			require.NoError(t, err)
			text, err := json.Marshal(p)
			pieces = append(pieces, text)
			return err
		}))
		require.Greater(t, len(pieces), 1)
		databasetest.Each(t, func(t *testing.T, to *database.DB) {
			require.NoError(t, to.Migrate(ctx, migrations, "example"))
			_, err := to.ExecContext(ctx, `INSERT INTO example (name, number) VALUES (?, ?)`, "0007 ß", -1)
			require.NoError(t, err)
			for range 2 {
				for _, text := range pieces {
					var p database.Piece
					require.NoError(t, json.Unmarshal(text, &p))
					require.NoError(t, to.Load(ctx, p, tables))
				}
			}
			found, err := to.QueryContext(ctx, `SELECT name, value, number FROM example ORDER BY number`)
			require.NoError(t, err)
			defer found.Close()
			n := 0
			for ; found.Next(); n++ {
				var name string
				var value []byte
				var number int64
				require.NoError(t, found.Scan(&name, &value, &number))
				if name == "0007 ß" {
					require.EqualValues(t, -1, number, "what is there stays")
					continue
				}
				i := int(number >> 40)
				require.Equal(t, nameOf(i), name)
				if i%3 == 2 {
					require.Equal(t, bytes.Repeat([]byte{byte(i), 0}, i), value)
				} else {
					require.Empty(t, value)
				}
			}
			require.NoError(t, found.Err())
			require.Equal(t, rows, n)
			var nulls int
			require.NoError(t, to.QueryRowContext(ctx, `SELECT count(*) FROM example WHERE value IS NULL AND name <> '0007 ß'`).Scan(&nulls))
			require.Equal(t, (rows+2)/3, nulls, "empty is not nothing")
		})
	})
}

// nameOf is a row's name; one is empty.
func nameOf(i int) string {
	if i == 3 {
		return ""
	}
	return fmt.Sprintf("%04d ß", i)
}

func TestWhatLoadRefuses(t *testing.T) {
	db, err := database.Open(t.Context(), database.SQLiteURL(filepath.Join(t.TempDir(), "test.db")))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	migrations, err := fs.Sub(testdata, "testdata")
	require.NoError(t, err)
	require.NoError(t, db.Migrate(t.Context(), migrations, "example"))
	one := int64(1)
	for claim, p := range map[string]database.Piece{
		"another table":        {Table: "goose_example", Columns: []string{"id"}, Rows: [][]database.Value{{{Number: &one}}}},
		"no columns":           {Table: "example"},
		"a column that is SQL": {Table: "example", Columns: []string{"name) SELECT 1; --"}},
		"an unknown column":    {Table: "example", Columns: []string{"other"}, Rows: [][]database.Value{{{Number: &one}}}},
		"a row that is short":  {Table: "example", Columns: []string{"name", "number"}, Rows: [][]database.Value{{{Number: &one}}}},
	} {
		require.Error(t, db.Load(t.Context(), p, []string{"example"}), claim)
	}
	failure := errors.New("the disk is full")
	_, err = db.ExecContext(t.Context(), `INSERT INTO example (name, number) VALUES ('a', 1)`)
	require.NoError(t, err)
	require.ErrorIs(t, db.Dump(t.Context(), []string{"example"}, func(database.Piece) error { return failure }), failure)
	require.Error(t, db.Dump(t.Context(), []string{"example; --"}, func(database.Piece) error { return nil }))
	_, err = db.ExecContext(t.Context(), `INSERT INTO example (name, number) VALUES ('b', 1)`)
	require.NoError(t, err)
}
