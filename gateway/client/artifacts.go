package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
)

// Artifact is an artifact of a model, and how much of it the gateway has.
type Artifact struct {
	Name     string `json:"name"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
	Received int64  `json:"received"`
}

func modelPath(n model.Named, more ...string) string {
	return Path(append([]string{"models", n.Name, "versions", n.Version}, more...)...)
}

// ArtifactPath is where an artifact is downloaded, by its digest.
func ArtifactPath(n model.Named, digest string) string { return modelPath(n, "artifacts", digest) }

// Artifacts lists a model's artifacts.
func (c *Client) Artifacts(ctx context.Context, n model.Named, query url.Values) ([]Artifact, error) {
	list, _, err := Get[ledger.Page[Artifact]](ctx, c, modelPath(n, "artifacts"), query)
	return list.Items, err
}

// HandOver brings the artifacts of a registered model to the gateway: the manifest, and the files that it lists, which open
// opens by their names. Called again, after a crash too, it goes on where the gateway is. height is that of the index which
// has the model; done is told how many bytes are there, and may be nil.
func (c *Client) HandOver(ctx context.Context, n model.Named, manifest []byte, height uint64, open func(name string) (Opened, error), done func(received int64)) error {
	if done == nil {
		done = func(int64) {}
	}
	query := url.Values{"min_height": {strconv.FormatUint(height, 10)}}
	data, _, err := c.Raw(ctx, http.MethodPut, modelPath(n, "manifest"), query, manifest)
	if err != nil {
		return fmt.Errorf("hand over the manifest: %w", err)
	}
	var list ledger.Page[Artifact]
	if err := ledger.DecodeAnswer(data, &list); err != nil {
		return fmt.Errorf("hand over the manifest: %w", err)
	}
	handed, before := map[string]bool{}, int64(0)
	for _, a := range list.Items {
		if !handed[a.SHA256] {
			if err := c.handOver(ctx, n, a, open, func(received int64) { done(before + received) }); err != nil {
				return fmt.Errorf("hand over artifact %s: %w", a.Name, err)
			}
			handed[a.SHA256] = true
		}
		before += a.Bytes
	}
	return nil
}

func (c *Client) handOver(ctx context.Context, n model.Named, a Artifact, open func(string) (Opened, error), done func(int64)) error {
	file, err := open(a.Name)
	if err != nil {
		return err
	}
	defer file.Close()
	buffer := make([]byte, min(chunk, a.Bytes))
	for failures := 0; ; {
		done(a.Received)
		next, err := c.appendArtifact(ctx, n, a, file, buffer)
		switch {
		case err == nil && next.Received == a.Bytes:
			done(a.Bytes)
			return nil
		case err == nil && next.Received <= a.Received:
			return fmt.Errorf("the gateway takes no more after %d of %d bytes", next.Received, a.Bytes)
		case err == nil:
			a, failures = next, 0
			continue
		}
		// The gateway says how much it has, whatever became of the request.
		if failures++; failures == attempts || ctx.Err() != nil {
			return err
		}
		wait, again := pause(err, failures)
		if !again && !IsCode(err, "offset") {
			return err
		}
		c.notice(fmt.Sprintf("go on with artifact %s: %v", a.Name, err))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		list, err := c.Artifacts(ctx, n, nil)
		if err != nil {
			return err
		}
		for _, now := range list {
			if now.SHA256 == a.SHA256 {
				a.Received = now.Received
				break
			}
		}
	}
}

func (c *Client) appendArtifact(ctx context.Context, n model.Named, a Artifact, file io.ReaderAt, buffer []byte) (Artifact, error) {
	part := buffer[:min(int64(len(buffer)), a.Bytes-a.Received)]
	if count, err := file.ReadAt(part, a.Received); count < len(part) {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("the file has become shorter")
		}
		return a, fmt.Errorf("read it at byte %d: %w", a.Received, err)
	}
	k := &call{method: http.MethodPatch, path: ArtifactPath(n, a.SHA256), query: url.Values{"offset": {strconv.FormatInt(a.Received, 10)}},
		header: http.Header{"Content-Type": {"application/octet-stream"}}, body: part}
	data, _, err := c.whole(ctx, k)
	if err != nil {
		return a, err
	}
	var next Artifact
	return next, ledger.DecodeAnswer(data, &next)
}

// SettleNow has the gateway settle whatever consumers have signed for, and returns what the ledger has taken. It may be
// repeated.
func (c *Client) SettleNow(ctx context.Context) ([]claim.Claim, error) {
	settled, err := repeatable[ledger.Page[claim.Claim]](ctx, c, Path("serving", "settle"), ledger.Nothing{})
	return settled.Items, err
}

// Hosted is a model that the gateway hosts.
type Hosted struct {
	Model  string `json:"model"`
	Served bool   `json:"served"`
	Lacks  string `json:"lacks,omitzero"` // artifact, server or corpus, if it is not served
	Why    string `json:"why,omitzero"`   // "" while it is being prepared
}

// Hosted lists the models that the gateway hosts.
func (c *Client) Hosted(ctx context.Context) ([]Hosted, error) {
	list, _, err := Get[ledger.Page[Hosted]](ctx, c, Path("serving", "models"), nil)
	return list.Items, err
}
