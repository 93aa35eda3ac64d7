package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/gateway/client"
)

func newRevise() *cobra.Command {
	var a addition
	command := &cobra.Command{
		Use:   "revise DATANET ID FILE…",
		Short: "Submit an own rejected contribution again, with other content",
		Long: `Uploads the files as the content of the contribution's next revision and opens its vote. When
the command is interrupted, the same command may be given again.`,
		Args: arguments(cobra.MinimumNArgs(3)),
		RunE: func(command *cobra.Command, args []string) error {
			slices.Sort(a.provenance.Languages)
			a.datanet = args[0]
			c, err := connect(command)
			if err != nil {
				return err
			}
			defer c.Close()
			now, _, err := client.Get[contribution.Contribution](command.Context(), c, client.Path("datanets", args[0], "contributions", args[1]), nil)
			if err != nil {
				return err
			}
			prepared, err := a.uploadFiles(command, c, args[1], args[2:])
			if err != nil {
				return err
			}
			request := contribution.Revise{Datanet: args[0], ID: args[1], Revision: now.Revision + 1, Content: prepared.Content(a.provenance)}
			data, written, err := c.SubmitRaw(command.Context(), "contribution:Revise", "", request)
			if err != nil {
				return err
			}
			return printWritten(command, data, written)
		},
	}
	a.describe(command)
	return command
}

// uploadFiles uploads some files as one content for a contribution.
func (a *addition) uploadFiles(command *cobra.Command, c *client.Client, id string, paths []string) (client.Prepared, error) {
	upload := client.Upload{ID: client.NewID(), Rules: a.rules}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return client.Prepared{}, usageError{err}
		}
		if !info.Mode().IsRegular() {
			return client.Prepared{}, usageError{fmt.Errorf("%s is not a file", path)}
		}
		upload.Files = append(upload.Files, client.File{Name: filepath.Base(path), Bytes: info.Size()})
	}
	size := unit{files: upload.Files}.size()
	bar := newByteBar(command.ErrOrStderr(), "upload", size)
	defer bar.finish()
	files := client.Join(upload.Files, func(i int) (client.Opened, error) { return os.Open(paths[i]) })
	defer files.Close()
	if err := c.Upload(command.Context(), upload, files, bar.set); err != nil {
		return client.Prepared{}, err
	}
	return c.FinishUpload(command.Context(), upload.ID, client.Finish{Descriptor: a.descriptor, Datanet: a.datanet, Contribution: id})
}

func newGet() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "get DATANET ID",
		Short: "Download the content of a contribution",
		Long: `Downloads the content, if you have a right to it: the owner's gateway records the release on
the ledger before it hands anything over. A download that was interrupted goes on where it
stopped.`,
		Args: arguments(cobra.ExactArgs(2)),
		RunE: func(command *cobra.Command, args []string) error {
			if output == "" {
				output = args[1]
			}
			return download(command, client.ContentPath(args[0], args[1]), output)
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "", "the file to write (default: the contribution's id)")
	return command
}

func download(command *cobra.Command, resource, output string) error {
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	return downloadTo(command, c, resource, output)
}

func downloadTo(command *cobra.Command, c *client.Client, resource, output string) error {
	if _, err := os.Stat(output); err == nil {
		return usageError{fmt.Errorf("%s is there already", output)}
	}
	var bar *byteBar
	err := c.Download(command.Context(), resource, nil, output, func(received, size int64) {
		if bar == nil {
			bar = newByteBar(command.ErrOrStderr(), filepath.Base(output), size)
		}
		bar.set(received)
	})
	if bar != nil {
		bar.finish()
	}
	return err
}
