package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// The flags of a registration that are no fields of the request.
const (
	artifactFlag    = "artifact"
	recordsFlag     = "records"
	baseDigestFlag  = "base-digest"
	baseLicenceFlag = "base-licence"
)

// artifactFlags name a folder of artifacts in place of their digests.
func artifactFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.String(artifactFlag, "", "the folder with the model's files: they are hashed, a PEFT adapter is recognised, and all of them are handed to your gateway, which gives them to the host")
	flags.String(recordsFlag, "", "the folder of ticket download that the model was trained on, where train did not make the artifact")
	flags.String(baseDigestFlag, "", "SHA-256 of an adapter's base model: of its file, or of a list of its files' digests")
	flags.String(baseLicenceFlag, "", "licence of an adapter's base model, like Apache-2.0")
	command.Long += `

With --artifact the digests, the manifest and the corpus come from the folder. One that train has made
says all of it. For any other, name the tickets, and with --records the folder to which they were
downloaded; a manifest.json is then written beside the files. When the command is interrupted, the same
command goes on.`
	command.Example = `  datanet model register AILabMSP/verse 1.0 --artifact verse
  datanet model register AILabMSP/verse-lora 1.0 --artifact adapter --tickets ID --records data \\
    --base-digest HEX --base-licence Apache-2.0`
}

// artifactFacts fills in what the folder of artifacts says, where no flag does.
func artifactFacts(command *cobra.Command) error {
	flags := command.Flags()
	folder, err := flags.GetString(artifactFlag)
	if err != nil || folder == "" {
		return err
	}
	m, err := readArtifacts(command, folder)
	if err != nil {
		return err
	}
	if m.Corpus.Tokens == 0 {
		if err := describeByRecords(command, folder, m); err != nil {
			return err
		}
	}
	_, digest, err := m.Encode()
	if err != nil {
		return err
	}
	facts := map[string]string{"artifacts": strings.Join(m.Digests(), ","), "manifest": digest, "purpose": string(m.Purpose), "tickets": strings.Join(m.Tickets, ","),
		"corpus-tokens": fmt.Sprint(m.Corpus.Tokens), "corpus-distinct": fmt.Sprint(m.Corpus.Distinct), "corpus-digest": m.Corpus.Digest}
	if m.Adapter.Base != "" && !flags.Changed("external") && !flags.Changed("bases") {
		if facts["external"], err = baseOf(command, m.Adapter); err != nil {
			return err
		}
	}
	for name, value := range facts {
		if value != "" && !flags.Changed(name) {
			if err := flags.Set(name, value); err != nil {
				return fmt.Errorf("--%s: %w", name, err)
			}
		}
	}
	return nil
}

// readArtifacts hashes the folder's files.
func readArtifacts(command *cobra.Command, folder string) (*artifact.Manifest, error) {
	size := int64(0)
	err := filepath.WalkDir(folder, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		return nil, usageError{fmt.Errorf("--%s: %w", artifactFlag, err)}
	}
	bar := newByteBar(command.ErrOrStderr(), "hash the artifacts", size)
	defer bar.finish()
	m, err := artifact.Read(command.Context(), folder, bar.add)
	if err != nil {
		return nil, usageError{fmt.Errorf("--%s: %w", artifactFlag, err)}
	}
	return m, nil
}

// describeByRecords fills in a manifest from the tickets and the records that were downloaded under them, and writes it.
func describeByRecords(command *cobra.Command, folder string, m *artifact.Manifest) error {
	ctx := command.Context()
	records, err := command.Flags().GetString(recordsFlag)
	if err != nil {
		return err
	}
	ids, err := command.Flags().GetStringSlice("tickets")
	if err != nil {
		return err
	}
	if records == "" || len(ids) == 0 {
		return usageError{fmt.Errorf("the folder does not say what the model was trained on: name its --tickets, and with --%s the folder to which they were downloaded", recordsFlag)}
	}
	c, err := connect(command)
	if err != nil {
		return err
	}
	defer c.Close()
	var tickets []ticket.Ticket
	for _, id := range ids {
		t, _, err := client.Get[ticket.Ticket](ctx, c, client.Path("tickets", id), nil)
		if err != nil {
			return fmt.Errorf("read ticket %s: %w", id, err)
		}
		tickets = append(tickets, t)
	}
	corpus, err := digestRecords(ctx, recordsFiles(records, tickets...))
	if err != nil {
		return err
	}
	describeTraining(m, corpus, tickets...)
	return writeManifest(folder, m)
}

// baseOf is the base model of an adapter, as the flag takes it.
func baseOf(command *cobra.Command, a artifact.Adapter) (string, error) {
	digest, err := command.Flags().GetString(baseDigestFlag)
	if err != nil {
		return "", err
	}
	licence, err := command.Flags().GetString(baseLicenceFlag)
	if err != nil {
		return "", err
	}
	name := a.Base
	if owner, rest, two := strings.Cut(name, "/"); two && owner != "" && owner != "." && owner != ".." && !strings.Contains(rest, "/") {
		name = "huggingface.co/" + name
	}
	if digest == "" || licence == "" {
		return "", usageError{fmt.Errorf("the adapter's base is %s: give its --%s and --%s, or name a base of the network with --bases", name, baseDigestFlag, baseLicenceFlag)}
	}
	encoded, err := ledger.Encode(model.External{Name: name, Licence: licence, Digest: digest})
	return string(encoded), err
}

// handOver brings the artifacts of a registration to the gateway.
func handOver(command *cobra.Command, c *client.Client, data []byte, written client.Committed) error {
	folder, err := command.Flags().GetString(artifactFlag)
	if err != nil || folder == "" {
		return err
	}
	var registered model.Model
	if err := ledger.DecodeAnswer(data, &registered); err != nil {
		return err
	}
	if err := handOverFolder(command, c, registered.Named, folder, written.Height()); err != nil {
		return fmt.Errorf("%s is registered, and its artifacts are not all handed over: repeat the command: %w", registered.Named, err)
	}
	return nil
}

// handOverFolder brings what the gateway lacks of a model's artifacts there, once its index has the height.
func handOverFolder(command *cobra.Command, c *client.Client, n model.Named, folder string, height uint64) error {
	encoded, size, err := manifestOfFolder(folder)
	if err != nil {
		return err
	}
	bar := newByteBar(command.ErrOrStderr(), "hand over", size)
	defer bar.finish()
	open := func(name string) (client.Opened, error) {
		return os.Open(filepath.Join(folder, filepath.FromSlash(name)))
	}
	return c.HandOver(command.Context(), n, encoded, height, open, bar.set)
}

// manifestOfFolder reads the manifest beside the artifacts.
func manifestOfFolder(folder string) (encoded []byte, size int64, err error) {
	encoded, err = os.ReadFile(filepath.Join(folder, artifact.ManifestName))
	if err != nil {
		return nil, 0, err
	}
	m, err := artifact.DecodeManifest(encoded)
	if err != nil {
		return nil, 0, err
	}
	for _, f := range m.Files {
		size += f.Bytes
	}
	return encoded, size, nil
}
