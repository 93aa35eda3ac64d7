package settling

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// PagesPath is where gateways give each other pages that they have worked out, by their digests:
//
//	GET /v1/pages/{host}/{id}/{digest}   PAYOUT/1
const PagesPath = "/v1/pages/"

const (
	// maxPage bounds a page in bytes: 3,000 payees with the longest names.
	maxPage = 2 << 20
	// askTime bounds how long one gateway is asked.
	askTime = 30 * time.Second
)

// PagesHandler gives pages to gateways of members. caller tells of whose gateway a request comes.
func PagesHandler(pages Pages, caller func(*http.Request) (msp string, ok bool)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+PagesPath+"{host}/{id}/{digest}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if _, ok := caller(r); !ok {
			http.Error(w, "only gateways of other members are served here", http.StatusForbidden)
			return
		}
		digest, err := hex.DecodeString(r.PathValue("digest"))
		named := claim.Named{Host: ledger.Account(r.PathValue("host")), ID: r.PathValue("id")}
		if err != nil || len(digest) != len(merkle.Hash{}) || named.Validate() != nil {
			http.Error(w, "no page has this name", http.StatusNotFound)
			return
		}
		page, err := pages.Page(r.Context(), claim.Claim{Named: named}, merkle.Hash(digest))
		if errors.Is(err, ErrNoPage) {
			http.Error(w, ErrNoPage.Error(), http.StatusNotFound)
			return
		}
		var encoded []byte
		if err == nil {
			encoded, err = page.Encode()
		}
		if err != nil {
			http.Error(w, "something is wrong inside", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(encoded) // who has gone asks again
	})
	return mux
}

// Attestors know the pages of claims that others attest: what the own gateway does not know is asked of the attestors'
// gateways. Nobody has to be trusted, since a page is asked for by its digest.
type Attestors struct {
	Own       Pages
	Client    *http.Client      // shows the own gateway's certificate
	Addresses map[string]string // of gateways, by MSP ID
}

func (a Attestors) Page(ctx context.Context, of claim.Claim, digest merkle.Hash) (payout.Page, error) {
	page, err := a.Own.Page(ctx, of, digest)
	if !errors.Is(err, ErrNoPage) {
		return page, err
	}
	var failures []error
	for _, msp := range slices.Sorted(slices.Values(of.Attestors)) {
		address, known := a.Addresses[msp]
		if !known {
			continue
		}
		page, err := a.ask(ctx, address, of.Named, digest)
		if err == nil {
			return page, nil
		}
		if !errors.Is(err, ErrNoPage) {
			failures = append(failures, fmt.Errorf("ask the gateway of %s for a page: %w", msp, err))
		}
	}
	if len(failures) > 0 {
		return payout.Page{}, errors.Join(failures...)
	}
	return payout.Page{}, ErrNoPage
}

func (a Attestors) ask(ctx context.Context, address string, n claim.Named, digest merkle.Hash) (payout.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+PagesPath+url.PathEscape(string(n.Host))+"/"+n.ID+"/"+digest.String(), nil)
	if err != nil {
		return payout.Page{}, err
	}
	response, err := a.Client.Do(request)
	if err != nil {
		return payout.Page{}, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return payout.Page{}, ErrNoPage
	default:
		return payout.Page{}, fmt.Errorf("it answers %s", response.Status)
	}
	encoded, err := io.ReadAll(io.LimitReader(response.Body, maxPage+1))
	if err != nil {
		return payout.Page{}, err
	}
	if len(encoded) > maxPage {
		return payout.Page{}, fmt.Errorf("it answers with more than %d bytes", maxPage)
	}
	page, err := payout.DecodePage(encoded)
	if err != nil {
		return payout.Page{}, err
	}
	is, err := page.Digest()
	if err == nil && is != digest {
		err = errors.New("it answers with another page")
	}
	return page, err
}
