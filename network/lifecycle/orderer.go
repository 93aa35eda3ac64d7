package lifecycle

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"
)

// maxAnswerBytes bounds what an orderer's admin API may answer.
const maxAnswerBytes = 1 << 20

// Orderer is the admin API of an orderer, its channel participation API. It
// serves clients that show a TLS certificate of an administrator.
//
// fabric-admin-sdk has this call too, but without a context, and it leaves
// the connection open.
type Orderer struct {
	address string
	client  *http.Client
}

// OrdererChannel is what an orderer says of a channel.
type OrdererChannel struct {
	Name   string `json:"name"`
	Height uint64 `json:"height"`
	// Status is active once the orderer has caught up.
	Status string `json:"status"`
	// ConsensusRelation is consenter if the orderer takes part.
	ConsensusRelation string `json:"consensusRelation"`
}

// NewOrderer prepares calls to the admin listener at host:port.
func NewOrderer(address string, client tls.Certificate, authorities ...[]byte) (*Orderer, error) {
	config, err := clientTLS(authorities)
	if err != nil {
		return nil, fmt.Errorf("orderer admin API at %s: %w", address, err)
	}
	config.Certificates = []tls.Certificate{client}
	return &Orderer{
		address: address,
		client:  &http.Client{Transport: &http.Transport{TLSClientConfig: config}},
	}, nil
}

// Close drops idle connections.
func (o *Orderer) Close() { o.client.CloseIdleConnections() }

// Join makes the orderer serve the channel of the configuration block,
// normally the genesis block. An orderer that serves it already stays as it
// is.
func (o *Orderer) Join(ctx context.Context, channel string, block *common.Block) error {
	raw, err := proto.Marshal(block)
	if err != nil {
		return fmt.Errorf("encode block: %w", err)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("config-block", "config.block")
	if err != nil {
		return err
	}
	if _, err := part.Write(raw); err != nil {
		return err
	}
	if err := form.Close(); err != nil {
		return err
	}
	status, answer, err := o.call(ctx, http.MethodPost, "", form.FormDataContentType(), &body)
	if err != nil {
		return fmt.Errorf("orderer at %s: join channel %s: %w", o.address, channel, err)
	}
	switch status {
	case http.StatusCreated:
		return nil
	case http.StatusMethodNotAllowed:
		// The answer of an orderer that has the channel, but also of one
		// that refuses to have any.
		if _, joined, err := o.Channel(ctx, channel); err != nil || joined {
			return err
		}
	}
	return fmt.Errorf("orderer at %s: join channel %s: status %d: %s", o.address, channel, status, faultIn(answer))
}

// Channel asks for the state of a channel; ok is false if the orderer does not
// serve it.
func (o *Orderer) Channel(ctx context.Context, channel string) (info OrdererChannel, ok bool, err error) {
	status, answer, err := o.call(ctx, http.MethodGet, "/"+url.PathEscape(channel), "", nil)
	if err != nil {
		return info, false, fmt.Errorf("orderer at %s: ask for channel %s: %w", o.address, channel, err)
	}
	switch status {
	case http.StatusNotFound:
		return info, false, nil
	case http.StatusOK:
		if err := json.Unmarshal(answer, &info); err != nil {
			return info, false, fmt.Errorf("orderer at %s: read state of channel %s: %w", o.address, channel, err)
		}
		return info, true, nil
	default:
		return info, false, fmt.Errorf("orderer at %s: ask for channel %s: status %d: %s", o.address, channel, status, faultIn(answer))
	}
}

func (o *Orderer) call(ctx context.Context, method, path, contentType string, body io.Reader) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "https://"+o.address+"/participation/v1/channels"+path, body)
	if err != nil {
		return 0, nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := o.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	return response.StatusCode, answer, err
}

func faultIn(answer []byte) string {
	var fault struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &fault) == nil && fault.Error != "" {
		return fault.Error
	}
	return string(bytes.TrimSpace(answer))
}
