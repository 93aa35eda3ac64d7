package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// RestoredArtifacts tells what a restore did with the artifacts of own models.
type RestoredArtifacts struct {
	Items   int // that are there again, with the registered digests
	Present int // were there
	// Retired are models whose artifacts stay away: somebody may have ended a model for what it had learnt.
	Retired []model.Named
	// Failed are files that are not what the ledger has, by what they are.
	Failed map[string]error
}

// artifactTaker takes the artifacts of a backup back, of one model after the other.
type artifactTaker struct {
	store  *artifact.Store
	ledger query.Evaluator
	model  model.Model // whose artifacts are being taken
	done   *RestoredArtifacts
}

func (t *artifactTaker) take(ctx context.Context, data []byte) error {
	var p artifact.Part
	if err := json.Unmarshal(data, &p, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("an artifact of the backup: %w", err)
	}
	if p.Digest == "" { // the manifest, with which a model begins
		if err := t.begin(ctx, p.Model); err != nil {
			return err
		}
	}
	if t.model.Named != p.Model {
		return nil
	}
	taken, err := t.store.Restore(ctx, t.model, p)
	switch {
	case errors.Is(err, artifact.ErrNotRegistered) && p.Digest == "":
		t.leave("the manifest of "+p.Model.String(), err)
	case errors.Is(err, artifact.ErrNotRegistered):
		t.done.Failed[fmt.Sprintf("artifact %s of %s", p.Digest, p.Model)] = err
	case err != nil:
		return fmt.Errorf("restore the artifacts of %s: %w", p.Model, err)
	case taken:
		t.done.Items++
	case p.Last && p.Digest != "":
		t.done.Present++
	}
	return nil
}

// begin finds the model whose artifacts follow. Hosts fetch nothing of one that is retired, and none of it comes back.
func (t *artifactTaker) begin(ctx context.Context, n model.Named) error {
	m, err := query.Ask[model.Model](ctx, t.ledger, "model:Get", n)
	var fault *ledger.Fault
	switch {
	case errors.As(err, &fault) && fault.Code == ledger.CodeNotFound:
		t.leave("model "+n.String(), err)
	case err != nil:
		return err
	case m.State == model.Retired:
		t.model = model.Model{}
		t.done.Retired = append(t.done.Retired, n)
	default:
		t.model = m
	}
	return nil
}

// leave leaves out all of a model.
func (t *artifactTaker) leave(what string, why error) {
	t.model = model.Model{}
	t.done.Failed[what] = why
}
