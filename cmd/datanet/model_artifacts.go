package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/client"
)

func newModelArtifacts() *cobra.Command {
	var folder, handed string
	command := &cobra.Command{
		Use:   "artifacts NAME VERSION",
		Short: "List a model's artifacts that your gateway has, download them, or hand them over again",
		Long: `Lists the files with their digests, and how much of each has come to your gateway: that of the trainer, or
of the host of the rate card in force, which fetches them by itself. With --output they are downloaded
into a folder; a download that was interrupted goes on.

With --hand-over a trainer brings the gateway what it lacks of an own model that is registered, as
after it has lost its disk: from the folder that it was registered from, with its manifest.json.`,
		Example: `  datanet model artifacts AILabMSP/verse@1.0
  datanet model artifacts AILabMSP/verse@1.0 --hand-over verse`,
		Args: arguments(cobra.ExactArgs(2)),
		RunE: calling(func(command *cobra.Command, args []string, c *client.Client) error {
			n := model.Named{Name: args[0], Version: args[1]}
			if err := n.Validate(); err != nil {
				return usageError{err}
			}
			if handed != "" {
				if err := handOverFolder(command, c, n, handed, 0); err != nil {
					return fmt.Errorf("hand over the artifacts of %s: %w", n, err)
				}
			}
			list, err := c.Artifacts(command.Context(), n, nil)
			if err != nil {
				return err
			}
			if folder != "" {
				return downloadArtifacts(command, c, n, list, folder)
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), list)
			}
			for _, a := range list {
				fmt.Fprintf(command.OutOrStdout(), "%s  %12d of %12d bytes  %s\n", a.SHA256, a.Received, a.Bytes, a.Name)
			}
			return nil
		}),
	}
	command.Flags().StringVarP(&folder, "output", "o", "", "the folder to download to")
	command.Flags().StringVar(&handed, "hand-over", "", "the folder with the model's files and their manifest, to hand over again")
	return command
}

// downloadArtifacts downloads what is not there yet, and checks all of it.
func downloadArtifacts(command *cobra.Command, c *client.Client, n model.Named, list []client.Artifact, folder string) error {
	ctx := command.Context()
	var faults []error
	for _, a := range list {
		output := filepath.Join(folder, filepath.FromSlash(a.Name))
		if !filepath.IsLocal(filepath.FromSlash(a.Name)) {
			return fmt.Errorf("the gateway names an artifact %q", a.Name)
		}
		if err := os.MkdirAll(filepath.Dir(output), 0o700); err != nil {
			return usageError{err}
		}
		if _, err := os.Stat(output); err != nil {
			if err := downloadTo(command, c, client.ArtifactPath(n, a.SHA256), output); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", a.Name, err))
				continue
			}
		}
		if err := artifact.Check(ctx, output, a.SHA256); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", a.Name, err))
			continue
		}
		fmt.Fprintln(command.OutOrStdout(), output)
	}
	return errors.Join(faults...)
}
