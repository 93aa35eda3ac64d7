package index

import (
	"context"
	"maps"
	"slices"
)

// Kinds are the kinds of key that can be listed.
func Kinds() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(projections)), keyed...)))
}

// Listed tells whether a kind can be listed.
func Listed(kind string) bool { return projections[kind] != nil || keyedOnly[kind] }

// Plan is how SQLite carries out a list, from the beginning or (a page of 1 read before) going on.
func Plan(ctx context.Context, x *Index, f Filter, cursor string) (plan []string, err error) {
	f.Order = f.order()
	q, err := f.query(cursor)
	if err != nil {
		return nil, err
	}
	rows, err := x.db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+q.sql(`SELECT e.created, `+entryColumns, 10), q.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return nil, err
		}
		plan = append(plan, detail)
	}
	return plan, rows.Err()
}
