package database

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

var namePattern = regexp.MustCompile(`^[a-z]{1,32}$`)

// Migrate brings a package's tables to their latest version. files holds the folder "migrations" of goose SQL files, as
// //go:embed migrations/*.sql gives it; name is the package's, and the version is kept in the table goose_<name>.
// Each migration is one transaction. A database that a newer program has migrated is refused.
func (d *DB) Migrate(ctx context.Context, files fs.FS, name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("migrate: %q is not a package's name", name)
	}
	folder, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("migrate %s: %w", name, err)
	}
	options := []goose.ProviderOption{
		goose.WithTableName("goose_" + name), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()),
	}
	dialect := goose.DialectSQLite3
	if d.Dialect == PostgreSQL {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("migrate %s: %w", name, err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	migrations, err := goose.NewProvider(dialect, d.write, folder, options...)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", name, err)
	}
	current, target, err := migrations.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", name, err)
	}
	if current > target {
		return fmt.Errorf("migrate %s: the database has version %d and this program knows %d; use the newer program", name, current, target)
	}
	if _, err := migrations.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", name, err)
	}
	return nil
}
