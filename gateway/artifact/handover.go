package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
)

// Path is where gateways give artifacts to the gateways of hosts:
//
//	GET /v1/artifacts/{organisation}/{name}/{version}            the manifest
//	GET /v1/artifacts/{organisation}/{name}/{version}/{digest}   an artifact, with ranges
const Path = "/v1/artifacts/"

// stall is how long a gateway may take for a piece.
const stall = time.Minute

// Entitled finds a registered model if an organisation may have its artifacts: its owner's, and that of the host of the
// rate card in force. A refusal is a [*ledger.Fault].
type Entitled func(ctx context.Context, n model.Named, msp string) (model.Model, error)

// Handler gives artifacts to gateways that are entitled to them. caller tells of whose gateway a request comes.
func (s *Store) Handler(entitled Entitled, caller func(*http.Request) (msp string, ok bool)) http.Handler {
	mux := http.NewServeMux()
	serve := func(give func(http.ResponseWriter, *http.Request, model.Model) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			err := func() error {
				msp, ok := caller(r)
				if !ok {
					return ledger.Refuse(ledger.CodeForbidden, "only gateways of other members are served here")
				}
				n := model.Named{Name: r.PathValue("organisation") + "/" + r.PathValue("name"), Version: r.PathValue("version")}
				if err := n.Validate(); err != nil {
					return err
				}
				m, err := entitled(r.Context(), n, msp)
				if err != nil {
					return err
				}
				return give(w, r, m)
			}()
			refuse(w, err)
		}
	}
	mux.HandleFunc("GET "+Path+"{organisation}/{name}/{version}", serve(func(w http.ResponseWriter, _ *http.Request, m model.Model) error {
		_, encoded, err := s.Manifest(m)
		if err == nil {
			_, _ = w.Write(encoded) // who has gone asks again
		}
		return err
	}))
	mux.HandleFunc("GET "+Path+"{organisation}/{name}/{version}/{digest}", serve(func(w http.ResponseWriter, r *http.Request, m model.Model) error {
		file, _, err := s.OpenFile(m, r.PathValue("digest"))
		if err != nil {
			return err
		}
		defer file.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(&patient{w, http.NewResponseController(w)}, r, "", time.Time{}, file)
		return nil
	}))
	return mux
}

// patient gives each piece the time that one may take, whatever the size of the whole.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p *patient) Write(data []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.ResponseWriter.Write(data)
}

// refusal is what is answered to a request that fails.
type refusal struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func refuse(w http.ResponseWriter, err error) {
	if err == nil {
		return
	}
	status, fault := http.StatusInternalServerError, new(ledger.Fault)
	told := refusal{string(ledger.CodeInternal), "something is wrong inside"}
	switch {
	case errors.As(err, &fault) && fault.Code == ledger.CodeForbidden:
		status, told = http.StatusForbidden, refusal{string(fault.Code), fault.Message}
	case errors.As(err, &fault) && fault.Code != ledger.CodeInternal:
		status, told = http.StatusNotFound, refusal{string(fault.Code), fault.Message}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNoManifest), errors.Is(err, ErrNoArtifact):
		status, told = http.StatusNotFound, refusal{string(ledger.CodeNotFound), "it is not here"}
	}
	document, err := json.Marshal(told)
	if err != nil {
		document = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(document)
}

// Fetch gets what is missing of a model's artifacts from the gateway of its owner's organisation, whose address is
// https://host:port, and goes on where an earlier attempt ended.
func (s *Store) Fetch(ctx context.Context, client *http.Client, address string, m model.Model) error {
	if _, _, err := s.Manifest(m); errors.Is(err, ErrNoManifest) {
		encoded, err := fetchManifest(ctx, client, address, m.Named)
		if err == nil {
			_, err = s.PutManifest(m, encoded)
		}
		if err != nil {
			return fmt.Errorf("fetch the manifest of %s: %w", m.Named, err)
		}
	} else if err != nil {
		return err
	}
	files, err := s.Files(m)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := s.fetch(ctx, client, address, m, f); err != nil {
			return fmt.Errorf("fetch artifact %s of %s: %w", f.Name, m.Named, err)
		}
	}
	return nil
}

func (s *Store) fetch(ctx context.Context, client *http.Client, address string, m model.Model, f Status) error {
	files, err := s.named(m, f.SHA256)
	if err != nil {
		return err
	}
	received, whole, err := s.received(m.Named, files[0])
	if err != nil || whole {
		return errors.Join(err, s.name(m.Named, files))
	}
	if received == f.Bytes { // an empty one, or one that was not checked any more
		_, err := s.Append(ctx, m, f.SHA256, received, strings.NewReader(""))
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+resource(m.Named)+"/"+url.PathEscape(f.SHA256), nil)
	if err != nil {
		return err
	}
	if received > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", received))
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusOK && received == 0, response.StatusCode == http.StatusPartialContent && received > 0:
	default:
		return refusedBy(response)
	}
	done, err := s.Append(ctx, m, f.SHA256, received, response.Body)
	if err == nil && done.Received < f.Bytes {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func resource(n model.Named) string {
	organisation, name, _ := strings.Cut(n.Name, "/")
	return Path + url.PathEscape(organisation) + "/" + url.PathEscape(name) + "/" + url.PathEscape(n.Version)
}

func fetchManifest(ctx context.Context, client *http.Client, address string, n model.Named) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+resource(n), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, refusedBy(response)
	}
	encoded, err := io.ReadAll(io.LimitReader(response.Body, MaxManifest+1))
	if err == nil && len(encoded) > MaxManifest {
		err = fmt.Errorf("it has more than %d bytes", MaxManifest)
	}
	return encoded, err
}

func refusedBy(response *http.Response) error {
	document, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	var told refusal
	if json.Unmarshal(document, &told) != nil || told.Detail == "" {
		return fmt.Errorf("the owner's gateway answers %s", response.Status)
	}
	return fmt.Errorf("the owner's gateway refuses it: %s", ledger.Clip(told.Detail))
}
