package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/network"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// longestAnswer bounds in bytes what is read of an answer.
const longestAnswer = 16 << 20

// Client gives commands to the supervisor of a network.
type Client struct {
	dir  string
	http *http.Client
}

// NewClient prepares a client of the network in the folder dir, which may not be running.
func NewClient(dir string) (*Client, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the state folder: %w", err)
	}
	path, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	return &Client{dir: dir, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}}, nil
}

// NotRunningError says that no supervisor answers in a folder.
type NotRunningError struct {
	Dir   string
	cause error
}

func (e *NotRunningError) Error() string {
	return fmt.Sprintf("the network in %s is not running: start it with \"datanet network up\"", e.Dir)
}

func (e *NotRunningError) Unwrap() error { return e.cause }

// Status asks how the network is.
func (c *Client) Status(ctx context.Context) (*testnetwork.Status, error) {
	status := new(testnetwork.Status)
	if err := c.ask(ctx, http.MethodGet, "/status", status); err != nil {
		return nil, err
	}
	return status, nil
}

// Heal has all processes that do not run started again.
func (c *Client) Heal(ctx context.Context) (*Healed, error) {
	healed := new(Healed)
	if err := c.ask(ctx, http.MethodPost, "/heal", healed); err != nil {
		return nil, err
	}
	return healed, nil
}

// Stop has the supervisor stop the network and end, and waits until it has.
func (c *Client) Stop(ctx context.Context) error {
	if err := c.ask(ctx, http.MethodPost, "/stop", nil); err != nil {
		return err
	}
	return testnetwork.AwaitStopped(ctx, c.dir)
}

// Upgrade brings a new chaincode definition into force.
func (c *Client) Upgrade(ctx context.Context, upgrade Upgrade, watch func(Event)) error {
	return c.operate(ctx, "/upgrade", upgrade, watch)
}

// AddOrganization brings one more member into the channel.
func (c *Client) AddOrganization(ctx context.Context, org network.Organization, watch func(Event)) error {
	return c.operate(ctx, "/organizations", org, watch)
}

func (c *Client) ask(ctx context.Context, method, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	answer, err := c.send(ctx, method, path, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, longestAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read the supervisor's answer: %w", err)
	}
	return nil
}

// operate gives a command and passes on what is reported until it is done.
func (c *Client) operate(ctx context.Context, path string, request any, watch func(Event)) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode the command: %w", err)
	}
	answer, err := c.send(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return follow(answer.Body, watch)
}

func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("prepare the command: %w", err)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		if c.gone(err) {
			return nil, &NotRunningError{Dir: c.dir, cause: err}
		}
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	if answer.StatusCode >= 300 {
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, longestRequest))
		return nil, errors.New(strings.TrimSpace(string(text)))
	}
	return answer, nil
}

// gone tells whether a call failed because there is no supervisor. One that was killed may accept a last connection that
// it never answers.
func (c *Client) gone(err error) bool {
	var refused *net.OpError
	if errors.As(err, &refused) && refused.Op == "dial" {
		return true
	}
	holder, err := testnetwork.Holder(c.dir)
	return err == nil && holder == 0
}

// follow passes events on until the last.
func follow(lines io.Reader, watch func(Event)) error {
	decoder := json.NewDecoder(lines)
	for {
		var event Event
		err := decoder.Decode(&event)
		switch {
		case errors.Is(err, io.EOF):
			return errVanished
		case err != nil:
			return fmt.Errorf("read the supervisor's report: %w", err)
		case event.Error != "":
			return errors.New(event.Error)
		case event.Done:
			return nil
		default:
			watch(event)
		}
	}
}

// errVanished says that a report ended without an end.
var errVanished = errors.New("the supervisor ended without saying why")
