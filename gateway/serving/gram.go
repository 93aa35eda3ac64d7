package serving

import (
	"bytes"
	"context"
	"fmt"

	"github.com/datanet-consortium/datanet/attribution/index"
	"github.com/datanet-consortium/datanet/attribution/infgram"
	"github.com/datanet-consortium/datanet/gateway/artifact"
	"github.com/datanet-consortium/datanet/gateway/openai"
)

const (
	// MaxArtifact bounds what is read of an artifact to see whether it is a built-in model.
	MaxArtifact = 64 << 10
	// gramDraws is how often an answer is begun anew that ends before its first token.
	gramDraws = 16
	// gramPart is how many tokens a part of a stream has.
	gramPart = 8
)

// readGram reads an artifact; ok is false when it is none of a built-in model.
func readGram(content []byte) (options infgram.Options, ok bool) {
	m, err := artifact.DecodeModel(content)
	return infgram.Options{MaxContext: m.MaxContext, Interpolation: m.Interpolation}, err == nil
}

// gram is the built-in model. It takes a chat as one text, and no temperature: what it writes follows from the corpus and
// the seed.
type gram struct{ options infgram.Options }

func (g gram) context() [][]byte { return nil }

// model is the built-in model of a corpus.
func (g gram) model(ctx context.Context, view *index.View) (*infgram.Model, error) {
	return infgram.New(ctx, view, g.options)
}

func (g gram) run(ctx context.Context, j job, write func(string) error) (string, error) {
	tokens, ended, err := g.draw(ctx, j)
	if err != nil {
		return "", err
	}
	var part []byte
	for i, token := range tokens {
		if i > 0 {
			part = append(part, ' ')
		}
		part = append(part, token...)
		if (i+1)%gramPart == 0 || i == len(tokens)-1 {
			if err := write(string(part)); err != nil {
				return "", err
			}
			part = part[:0]
		}
	}
	if ended {
		return openai.FinishStop, nil
	}
	return openai.FinishLength, nil
}

// draw writes the whole answer while the corpus is held: it takes milliseconds, and clients may take long to read.
func (g gram) draw(ctx context.Context, j job) (tokens []string, ended bool, err error) {
	open := j.corpus.hold()
	if open == nil {
		return nil, false, errNoCorpus
	}
	defer j.corpus.release()
	prompt := bytes.Join(j.Prompt(), []byte("\n"))
	for attempt := range uint64(gramDraws) {
		for token, err := range open.gram.Generate(ctx, prompt, infgram.Generation{Tokens: int(j.tokens), Seed: j.seed + attempt}) {
			if err != nil {
				return nil, false, err
			}
			tokens = append(tokens, token)
		}
		if len(tokens) > 0 {
			return tokens, uint64(len(tokens)) < j.tokens, nil
		}
	}
	return nil, false, fmt.Errorf("the model has nothing to add to this prompt: %w", errNoText)
}
