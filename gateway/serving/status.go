package serving

import (
	"cmp"
	"maps"
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
)

// A Part of what a model needs to be served.
type Part string

const (
	LacksArtifact Part = "artifact" // or a server in the configuration
	LacksServer   Part = "server"   // none of those in the configuration answers
	LacksCorpus   Part = "corpus"   // of its lineage, from which receipts are made
)

// Status is how a model is served whose rate card in force names a host of this gateway, or that has sessions here.
type Status struct {
	Model  string `json:"model" doc:"name@version"`
	Served bool   `json:"served"`
	Lacks  Part   `json:"lacks,omitzero" doc:"For lack of what it is not served." enum:"artifact,server,corpus"`
	Why    string `json:"why,omitzero" doc:"Why that is missing; nothing while it is being prepared."`
}

// Status tells how each model is served, by name.
func (h *Host) Status() ([]Status, error) {
	h.mutex.RLock()
	used, offers := map[*served]bool{}, maps.Clone(h.offers)
	for _, s := range h.sessions {
		used[s.model] = true
	}
	models := slices.Collect(maps.Values(h.models))
	h.mutex.RUnlock()
	list := []Status{}
	for _, s := range models {
		ours, err := h.Hosts(offers[s.name].Host)
		if err != nil {
			return nil, err
		}
		if ours || used[s] {
			list = append(list, s.status())
		}
	}
	slices.SortFunc(list, func(a, b Status) int { return cmp.Compare(a.Model, b.Model) })
	return list, nil
}

func (s *served) status() Status {
	there := s.corpus.there()
	s.mu.RLock()
	defer s.mu.RUnlock()
	servers, upstream := s.runner.(*upstream)
	switch {
	case s.runner == nil:
		return Status{Model: s.name, Lacks: LacksArtifact, Why: s.why}
	case !there:
		return Status{Model: s.name, Lacks: LacksCorpus, Why: s.why}
	case upstream && !servers.well():
		return Status{Model: s.name, Lacks: LacksServer, Why: "no server behind it is well"}
	}
	return Status{Model: s.name, Served: true}
}

// found takes in the model's runner, and the artifact that its receipts name.
func (s *served) found(r runner, artifact merkle.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runner, s.artifact, s.why = r, artifact, ""
}

// lacks notes what failed; nil: nothing that was tried.
func (s *served) lacks(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = ""
	if err != nil {
		s.why = err.Error()
	}
}
