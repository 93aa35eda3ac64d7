package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/server"
)

// gatewayConfig are the flags that name a gateway's configuration.
type gatewayConfig struct {
	path     string
	settings []string
}

func (g *gatewayConfig) flags(command *cobra.Command) {
	command.Flags().StringVar(&g.path, "config", "", "the gateway's configuration")
	command.Flags().StringArrayVar(&g.settings, "set", nil, "a setting, as limits.rate=50; may be given again")
	mandatory(command, "config")
}

func (g *gatewayConfig) load() (*server.Config, error) {
	config, err := server.Load(g.path, os.Environ(), g.settings)
	if err != nil {
		return nil, usageError{err}
	}
	return config, nil
}

// maintaining wraps what a command does with a gateway's stores.
func (g *gatewayConfig) maintaining(alone bool, do func(command *cobra.Command, args []string, m *server.Maintenance) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) (err error) {
		config, err := g.load()
		if err != nil {
			return err
		}
		m, err := server.Maintain(command.Context(), config, slog.New(slog.NewTextHandler(command.ErrOrStderr(), nil)), alone)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		return do(command, args, m)
	}
}

func newBackup() *cobra.Command {
	var g gatewayConfig
	var keysOnly bool
	command := &cobra.Command{
		Use:   "backup FILE --config FILE",
		Short: "Write what the gateway keeps and nobody else has into one encrypted file",
		Long: `Writes a backup of what the gateway keeps and nobody else has: contents with their keys, kept
keys of people, enrolments, API keys, and which writes were made; the artifacts of the organisation's
own models; of a host the receipts, the evidence of its settlements and its meter, of an attestor its
sampling secrets. The gateway may serve meanwhile. The file is encrypted under the master key; keep a
copy of the file of master keys somewhere else, since without it the backup cannot be read.

The file is a little larger than the contents, and by 4/3 of the artifacts' size. With --keys-only the
bytes of contents are left out, for a bucket that is kept safe otherwise; artifacts lie in no bucket
and stay in. What has changed on disk is left out and named, and the exit code is 4.

Not in it: the gateway's configuration, certificates and keys, which are files of the organisation's;
the index, which is filled from the peer again; corpora, which are built again; artifacts of other
organisations' models, which their gateways give to the host again; the wallet of consumers'
sessions, of which an old state would do harm.`,
		Args: arguments(cobra.ExactArgs(1)),
	}
	command.RunE = g.maintaining(false, func(command *cobra.Command, args []string, m *server.Maintenance) error {
		if _, err := os.Lstat(args[0]); !errors.Is(err, fs.ErrNotExist) {
			return usageError{fmt.Errorf("%s is there already", args[0])}
		}
		file, err := os.CreateTemp(filepath.Dir(args[0]), filepath.Base(args[0])+".*") // mode 0600
		if err != nil {
			return usageError{err}
		}
		b, err := m.Backup(command.Context(), file, !keysOnly)
		if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
			err = os.Rename(file.Name(), args[0])
		}
		if err != nil {
			return errors.Join(err, os.Remove(file.Name()))
		}
		out := command.OutOrStdout()
		if wantsJSON(command) {
			if err := printJSON(out, b); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(out, "backup %s holds %s and %s of models (%s), and needs master key %d\n", b.ID, document.Count(b.Items, "content"),
				document.Count(b.Artifacts.Items, "artifact"), document.Count(b.Artifacts.Bytes, "byte"), b.Master)
			slices.Sort(b.Damaged)
			for _, id := range b.Damaged {
				fmt.Fprintf(out, "left out, since it is damaged: content %s\n", id)
			}
			for _, what := range b.Artifacts.Damaged {
				fmt.Fprintf(out, "left out, since it has changed on disk: %s\n", what)
			}
		}
		if damaged := len(b.Damaged) + len(b.Artifacts.Damaged); damaged > 0 {
			return fmt.Errorf("%s damaged: %w", document.Count(damaged, "content or artifact", "contents and artifacts"), errUnwell)
		}
		return nil
	})
	g.flags(command)
	command.Flags().BoolVar(&keysOnly, "keys-only", false, "leave out the bytes of contents")
	return command
}

func newBackups() *cobra.Command {
	var g gatewayConfig
	command := &cobra.Command{
		Use:   "backups --config FILE",
		Short: "List the backups that were made, and how much of each was erased since",
		Long: `Lists the backups that were made. A restore revives nothing that was erased. To make backups
unreadable that still hold what was erased, make a new backup after datanet gateway rotate-key,
and retire the master key that the old ones need.`,
		Args: arguments(cobra.NoArgs),
	}
	command.RunE = g.maintaining(false, func(command *cobra.Command, _ []string, m *server.Maintenance) error {
		list, err := m.Backups(command.Context())
		if err != nil {
			return err
		}
		if wantsJSON(command) {
			return printJSON(command.OutOrStdout(), list)
		}
		table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tMADE\tMASTER KEY\tCONTENTS\tERASED SINCE\tWITH BYTES")
		for _, b := range list {
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%t\n", b.ID, b.Created.Format(time.RFC3339), b.Master, b.Items, b.Erased, b.Blobs)
		}
		return table.Flush()
	})
	g.flags(command)
	return command
}

func newRestore() *cobra.Command {
	var g gatewayConfig
	var kept []string
	command := &cobra.Command{
		Use:   "restore FILE --config FILE",
		Short: "Take a backup back into an empty gateway",
		Long: `Takes a backup back. The gateway must not run, its file of master keys must be there, and its
peer must answer: the ledger is asked for each content, so that nothing comes back that was
erased. Each content is verified against its commitment, each artifact against the digest that is
registered with its model; artifacts of a model that is retired stay away. After a failure, repeat
the command: what is there already stays.

Invitations that nobody had used when the backup was made end. API keys of the backup do not work:
they may have been revoked after it was made. They are listed, and --keep-api-keys names those
that nobody had revoked, or all; the command may be repeated for that.`,
		Args: arguments(cobra.ExactArgs(1)),
	}
	command.RunE = g.maintaining(true, func(command *cobra.Command, args []string, m *server.Maintenance) error {
		file, err := os.Open(args[0])
		if err != nil {
			return usageError{err}
		}
		defer file.Close()
		keep := func(id string) bool { return slices.Contains(kept, "all") || slices.Contains(kept, id) }
		r, err := m.Restore(command.Context(), file, keep)
		if err != nil {
			return err
		}
		out := command.OutOrStdout()
		if wantsJSON(command) {
			err = printJSON(out, map[string]any{"contents": r.Items, "present": r.Present, "erased": r.Erased, "secrets": r.Secrets, "keys": r.Keys, "evidence": r.Evidence, "sessions": r.Sessions,
				"artifacts": r.Artifacts.Items, "artifactsPresent": r.Artifacts.Present, "retired": append([]model.Named{}, r.Artifacts.Retired...), "apiKeysWaiting": append([]identity.Waiting{}, r.Waiting...),
				"failed": reasons(r.Failed), "failedArtifacts": reasons(r.Artifacts.Failed)})
		} else {
			fmt.Fprintf(out, "%s restored, %d were there, %d stay erased\n%s of people, %s\n", document.Count(r.Items, "content"), r.Present, r.Erased, document.Count(r.Keys, "kept key"), document.Count(r.Secrets, "fingerprint secret"))
			if n := r.Artifacts.Items + r.Artifacts.Present; n > 0 {
				fmt.Fprintf(out, "%s restored, %d were there\n", document.Count(r.Artifacts.Items, "artifact"), r.Artifacts.Present)
			}
			if r.Evidence > 0 {
				fmt.Fprintf(out, "%s with their evidence\n", document.Count(r.Evidence, "settlement"))
			}
			if r.Sessions > 0 {
				fmt.Fprintf(out, "%s of consumers to go on with\n", document.Count(r.Sessions, "session"))
			}
			for _, n := range r.Artifacts.Retired {
				fmt.Fprintf(out, "left out, since it is retired: artifacts of %s\n", n)
			}
			for _, w := range r.Waiting {
				fmt.Fprintf(out, "does not work any more: API key %s of %s %s\n", w.ID, w.Account, w.Label)
			}
			if len(r.Waiting) > 0 {
				fmt.Fprintf(out, "API keys may have been revoked since the backup; repeat with --keep-api-keys for those that were not\n")
			}
			for id, fault := range r.Failed {
				fmt.Fprintf(out, "failed: content %s: %v\n", id, fault)
			}
			for what, fault := range r.Artifacts.Failed {
				fmt.Fprintf(out, "failed: %s: %v\n", what, fault)
			}
		}
		if failed := len(r.Failed) + len(r.Artifacts.Failed); err == nil && failed > 0 {
			err = fmt.Errorf("%s could not be restored: %w", document.Count(failed, "content or artifact", "contents and artifacts"), errUnwell)
		}
		return err
	})
	g.flags(command)
	command.Flags().StringSliceVar(&kept, "keep-api-keys", nil, "API keys of the backup that work again, by their ids, or all")
	return command
}

// reasons are faults as they are told.
func reasons(faults map[string]error) map[string]string {
	told := map[string]string{}
	for what, fault := range faults {
		told[what] = fault.Error()
	}
	return told
}

func newRotateKey() *cobra.Command {
	var g gatewayConfig
	command := &cobra.Command{
		Use:   "rotate-key --config FILE",
		Short: "Draw a new master key and wrap the keys of all contents by it",
		Long: `Draws a new master key and wraps every key by it. The gateway must not run meanwhile. Keep a new
copy of the file of master keys. The old one stays in the file, for backups that were made
under it, until datanet gateway retire-key.`,
		Args: arguments(cobra.NoArgs),
	}
	command.RunE = g.maintaining(true, func(command *cobra.Command, _ []string, m *server.Maintenance) error {
		version, err := m.RotateMaster(command.Context())
		if err != nil {
			return err
		}
		if wantsJSON(command) {
			return printJSON(command.OutOrStdout(), map[string]any{"master": version})
		}
		_, err = fmt.Fprintf(command.OutOrStdout(), "master key %d wraps all keys now: keep a new copy of the file of master keys\n", version)
		return err
	})
	g.flags(command)
	return command
}

func newRetireKey() *cobra.Command {
	var g gatewayConfig
	command := &cobra.Command{
		Use:   "retire-key VERSION --config FILE",
		Short: "Destroy an old master key, and with it every backup made under it",
		Long: `Destroys a master key that wraps nothing any more. Backups that were made under it cannot be read
afterwards, which is how an erasure reaches them: destroy copies of the old file of master keys
too. The gateway must not run meanwhile.`,
		Args: arguments(cobra.ExactArgs(1)),
	}
	command.RunE = g.maintaining(true, func(command *cobra.Command, args []string, m *server.Maintenance) error {
		version, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return usageError{fmt.Errorf("%q is not the version of a master key", args[0])}
		}
		if err := m.RetireMaster(command.Context(), uint32(version)); err != nil {
			return err
		}
		if wantsJSON(command) {
			return printJSON(command.OutOrStdout(), map[string]any{"retired": version})
		}
		_, err = fmt.Fprintf(command.OutOrStdout(), "master key %d is destroyed\n", version)
		return err
	})
	g.flags(command)
	return command
}
