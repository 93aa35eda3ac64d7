package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Piece is some rows of a table, as they go from one database into another one, of the other dialect too.
type Piece struct {
	Table   string    `json:"table"`
	Columns []string  `json:"columns"`
	Rows    [][]Value `json:"rows"`
}

// Value is what a column holds: a number, a text, bytes, or with none of them NULL.
type Value struct {
	Number *int64  `json:"number,omitzero"`
	Text   *string `json:"text,omitzero"`
	Bytes  *[]byte `json:"bytes,omitzero"`
}

// pieceRows and pieceBytes are how much of a table a piece holds at most; one row may be larger.
const (
	pieceRows  = 1000
	pieceBytes = 1 << 20
)

// tablePattern is what names of tables and columns look like.
var tablePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// Dump hands out all rows of some tables, piece by piece, as they are at one moment. Nobody has to wait for it.
func (d *DB) Dump(ctx context.Context, tables []string, each func(Piece) error) error {
	conn, err := d.read.Conn(ctx)
	if err != nil {
		return fmt.Errorf("dump the database: %w", err)
	}
	defer conn.Close()
	begin := "BEGIN" // on SQLite the driver's own transactions would wait for those that write
	if d.Dialect == PostgreSQL {
		begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return fmt.Errorf("dump the database: %w", err)
	}
	for _, table := range tables {
		if err = dump(ctx, conn, table, each); err != nil {
			err = fmt.Errorf("dump table %s: %w", table, err)
			break
		}
	}
	_, ended := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return errors.Join(err, ended)
}

func dump(ctx context.Context, conn *sql.Conn, table string, each func(Piece) error) error {
	if !tablePattern.MatchString(table) {
		return errors.New("that is not a table's name")
	}
	rows, err := conn.QueryContext(ctx, "SELECT * FROM "+table)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	p, size := Piece{Table: table, Columns: columns}, 0
	for rows.Next() {
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		row := make([]Value, len(columns))
		for i, v := range values {
			switch v := v.(type) {
			case nil:
			case int64:
				row[i].Number = &v
			case string:
				row[i].Text = &v
				size += len(v)
			case []byte:
				if v == nil { // so SQLite's driver gives empty bytes
					v = []byte{}
				}
				row[i].Bytes = &v
				size += len(v)
			default:
				return fmt.Errorf("column %s holds a %T", columns[i], v)
			}
		}
		if p.Rows = append(p.Rows, row); len(p.Rows) == pieceRows || size >= pieceBytes {
			if err := each(p); err != nil {
				return err
			}
			p.Rows, size = nil, 0
		}
	}
	if err := rows.Err(); err != nil || len(p.Rows) == 0 {
		return err
	}
	return each(p)
}

// Load puts the rows of a piece into its table, all or none. Those that are there stay as they are. Only the tables
// named are written.
func (d *DB) Load(ctx context.Context, p Piece, tables []string) error {
	if !slices.Contains(tables, p.Table) || !tablePattern.MatchString(p.Table) {
		return fmt.Errorf("load rows: there is no table %.64q", p.Table)
	}
	if len(p.Columns) == 0 || len(p.Columns) > 100 || slices.ContainsFunc(p.Columns, func(c string) bool { return !tablePattern.MatchString(c) }) {
		return fmt.Errorf("load rows of table %s: it has no such columns", p.Table)
	}
	query := "INSERT INTO " + p.Table + " (" + strings.Join(p.Columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(p.Columns)-1) + ") ON CONFLICT DO NOTHING"
	err := d.InTx(ctx, func(tx *Tx) error {
		insert, err := tx.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, row := range p.Rows {
			if len(row) != len(p.Columns) {
				return errors.New("a row has another number of columns")
			}
			values := make([]any, len(row))
			for i, v := range row {
				switch {
				case v.Number != nil:
					values[i] = *v.Number
				case v.Text != nil:
					values[i] = *v.Text
				case v.Bytes != nil:
					values[i] = *v.Bytes
				}
			}
			if _, err := insert.ExecContext(ctx, values...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load rows of table %s: %w", p.Table, err)
	}
	return nil
}
