package story

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
)

// Setting is where a story plays.
type Setting struct {
	// Members are the member organisations. Their operators operator1 and operator2 carry out what is decided.
	Members []string
	// Seed makes the fresh ids: equal seeds give equal ids, so on a ledger that lasts each run needs a new one.
	Seed string
}

// Run plays a story. The error names the line at which the ledger did something else than the story says.
func (s *Script) Run(ctx context.Context, b Backend, setting Setting) error {
	r := &run{backend: b, setting: setting, script: s.Name, values: map[string]string{}, held: map[string]Held{}}
	for _, step := range s.steps {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s:%d: %w", s.Name, step.line, err)
		}
		if err := r.step(ctx, step); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", s.Name, step.line, step.words[0], err)
		}
	}
	return nil
}

type run struct {
	backend Backend
	setting Setting
	script  string
	values  map[string]string
	held    map[string]Held
	ids     int
}

func (r *run) step(ctx context.Context, s step) error {
	words, err := r.fillAll(s.words)
	if err != nil {
		return err
	}
	switch words[0] {
	case "id":
		r.values[words[1]] = r.freshID()
		return nil
	case "json":
		r.values[words[1]], err = r.fill(s.document)
		return err
	case "key", "sign", "table", "seal":
		r.values[words[1]], err = r.compute(s, words)
		return err
	case "time", "advance":
		d, err := time.ParseDuration(words[len(words)-1])
		if err != nil {
			return err
		}
		if words[0] == "advance" {
			r.backend.Advance(d)
		} else {
			r.values[words[1]] = r.inTime(d).Format(time.RFC3339)
		}
		return nil
	}
	outcome, err := r.call(ctx, s, words)
	if err != nil {
		return err
	}
	return r.judge(outcome, s.clauses)
}

// call runs the commands that have an outcome.
func (r *run) call(ctx context.Context, s step, words []string) (Outcome, error) {
	document, err := r.fill(s.document)
	if err != nil {
		return Outcome{}, err
	}
	switch words[0] {
	case "release":
		held, ok := r.held[words[1]]
		if !ok {
			return Outcome{}, fmt.Errorf("nothing is held as %s", words[1])
		}
		return r.backend.Release(ctx, held)
	case "decide":
		return r.decide(ctx, words[1], document)
	}
	user, err := parseUser(words[len(words)-2])
	if err != nil {
		return Outcome{}, err
	}
	call := Call{User: user, Function: words[len(words)-1], Document: []byte(document)}
	for _, c := range s.clauses {
		switch c.words[0] {
		case "endorsed":
			call.Endorsers = c.words[2:]
		case "at":
			call.Endorsers = c.words[1:]
		}
	}
	switch words[0] {
	case "query":
		return r.backend.Evaluate(ctx, call)
	case "hold":
		held, outcome, err := r.backend.Hold(ctx, call)
		if err == nil && held != nil {
			r.held[words[1]] = held
		}
		return outcome, err
	}
	return r.backend.Submit(ctx, call)
}

// decide carries a proposal through: operator1 of the first member proposes, operator2 of a majority approves,
// operator1 of the first member executes. The outcome is that of the execution, or of the first call that failed.
func (r *run) decide(ctx context.Context, kind, params string) (Outcome, error) {
	if len(r.setting.Members) == 0 {
		return Outcome{}, errors.New("the setting names no members")
	}
	content := proposal.Content{ID: r.freshID(), Kind: kind, Params: []byte(params), Expires: r.inTime(48 * time.Hour)}
	digest, err := content.Digest()
	if err != nil {
		return Outcome{}, err
	}
	first := User{Name: "operator1", MSP: r.setting.Members[0]}
	type part struct {
		user     User
		function string
		request  any
	}
	parts := []part{{first, "proposal:Propose", content}}
	for _, msp := range r.setting.Members[:ledger.Majority(len(r.setting.Members))] {
		parts = append(parts, part{User{Name: "operator2", MSP: msp}, "proposal:Approve", proposal.Approval{ID: content.ID, Digest: digest}})
	}
	parts = append(parts, part{first, "proposal:Execute", proposal.Named{ID: content.ID}})
	var outcome Outcome
	for _, p := range parts {
		document, err := ledger.Encode(p.request)
		if err != nil {
			return Outcome{}, err
		}
		outcome, err = r.backend.Submit(ctx, Call{User: p.user, Function: p.function, Document: document})
		if err != nil || outcome.String() != success {
			return outcome, err
		}
	}
	return outcome, nil
}

// judge holds an outcome against what the story says of it.
func (r *run) judge(o Outcome, clauses []step) error {
	want := success
	for _, c := range clauses {
		switch c.words[0] {
		case "fault":
			want = "fault"
			if o.Fault == nil || string(o.Fault.Code) != c.words[1] {
				return fmt.Errorf("%s, want fault %s", o, c.words[1])
			}
			if len(c.words) > 2 && o.Fault.Field != c.words[2] {
				return fmt.Errorf("%s, want it at %s", o, c.words[2])
			}
		case "flag":
			want = "flag"
			if o.Flag != memledger.Flag(c.words[1]) {
				return fmt.Errorf("%s, want flag %s", o, c.words[1])
			}
		case "refused":
			want = "refused"
			if o.Refused != Stage(c.words[2]) {
				return fmt.Errorf("%s, want refused at %s", o, c.words[2])
			}
		}
	}
	if want == success && o.String() != success {
		return fmt.Errorf("%s, want success", o)
	}
	for _, c := range clauses {
		if err := r.inspect(o, c); err != nil {
			return fmt.Errorf("line %d: %w", c.line, err)
		}
	}
	return nil
}

// inspect does the clauses that look into an answer.
func (r *run) inspect(o Outcome, c step) error {
	if c.words[0] != "want" && c.words[0] != "let" {
		return nil
	}
	if c.words[0] == "let" && c.words[3] == "@tx" {
		r.values[c.words[1]] = o.TxID
		return nil
	}
	answer, err := decode(o.Response)
	if err != nil {
		return fmt.Errorf("answer %q: %w", o.Response, err)
	}
	if c.words[0] == "let" {
		r.values[c.words[1]], err = pick(answer, c.words[3])
		return err
	}
	document, err := r.fill(c.document)
	if err != nil {
		return err
	}
	want, err := decode([]byte(document))
	if err != nil {
		return err
	}
	return contains(answer, want, "")
}

// decode reads JSON with its numbers as they are written.
func decode(data []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return value, d.Decode(&value)
}

func (r *run) freshID() string {
	r.ids++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", r.setting.Seed, r.script, r.ids))
	return hex.EncodeToString(sum[:16])
}

func (r *run) inTime(d time.Duration) time.Time {
	return r.backend.Now().Add(d).UTC().Truncate(time.Second)
}

var valuePattern = regexp.MustCompile(`\$[A-Z][A-Z0-9_]*`)

// fill puts values in the place of their names.
func (r *run) fill(text string) (string, error) {
	var missing error
	filled := valuePattern.ReplaceAllStringFunc(text, func(name string) string {
		value, ok := r.values[name[1:]]
		if !ok {
			missing = fmt.Errorf("%s is not defined", name)
		}
		return value
	})
	return filled, missing
}

func (r *run) fillAll(words []string) ([]string, error) {
	filled := make([]string, len(words))
	for i, word := range words {
		var err error
		if filled[i], err = r.fill(word); err != nil {
			return nil, err
		}
	}
	return filled, nil
}
