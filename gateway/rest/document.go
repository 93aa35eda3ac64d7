package rest

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"
)

// pagePolicy lets the page of the API document run its own scripts, and reach nothing but this gateway.
const pagePolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"

// addDocument serves the API document and a page that shows it, where a browser without a path is sent. Whoever can reach the gateway may read both; they say
// nothing that is not in its source. The page comes with the program and loads nothing from elsewhere.
func (a *API) addDocument() error {
	document, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return fmt.Errorf("write the API document: %w", err)
	}
	a.openAPI = document
	a.router.Get("/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		noteOf(r.Context()).operation = "document"
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(document)
	})
	page := v5emb.NewHandlerWithConfig(swgui.Config{Title: a.huma.OpenAPI().Info.Title, SwaggerJSON: "/openapi.json", BasePath: "/docs/"})
	show := func(w http.ResponseWriter, r *http.Request) {
		noteOf(r.Context()).operation = "page"
		w.Header().Set("Content-Security-Policy", pagePolicy)
		page.ServeHTTP(w, r)
	}
	a.router.Get("/", http.RedirectHandler("/docs/", http.StatusFound).ServeHTTP)
	a.router.Get("/docs", http.RedirectHandler("/docs/", http.StatusMovedPermanently).ServeHTTP)
	a.router.Get("/docs/*", show)
	return nil
}

// OpenAPI is the API document, version 3.1, as JSON.
func (a *API) OpenAPI() []byte { return a.openAPI }
