package ticket

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// interlock collects everything that stands against a ticket.
type interlock struct {
	r        ledger.Reader
	granted  Granted
	use      licence.Use
	failures []failure
	expires  time.Time // the first end of a licence or grant
}

type failure struct{ field, message string }

func (l *interlock) fail(field, format string, args ...any) {
	l.failures = append(l.failures, failure{field, fmt.Sprintf(format, args...)})
}

func (l *interlock) until(t time.Time) {
	if !t.IsZero() && (l.expires.IsZero() || t.Before(l.expires)) {
		l.expires = t
	}
}

// fault names all failures, its field the first one's.
func (l *interlock) fault() error {
	if len(l.failures) == 0 {
		return nil
	}
	messages := make([]string, len(l.failures))
	for i, f := range l.failures {
		messages[i] = f.message
	}
	return ledger.Refuse(ledger.CodeLicence, "%s", strings.Join(messages, "; ")).At(l.failures[0].field)
}

// source checks one snapshot and freezes its terms.
func (l *interlock) source(field string, name snapshot.Named, grants []GrantName) (Source, error) {
	s, err := snapshot.Load(l.r, name)
	if err != nil {
		if f := ledger.AsFault(err); f.Code == ledger.CodeNotFound {
			l.fail(field, "%s", f.Message)
			return Source{}, nil
		}
		return Source{}, err
	}
	source := Source{Named: name, Revision: s.Revision, Root: s.Root, Records: s.Records, Tokens: s.Tokens, Versions: []int{}}
	gone, err := snapshot.Withdrawn(l.r, s)
	if err != nil {
		f := ledger.AsFault(err)
		if f.Code != ledger.CodeState {
			return Source{}, err
		}
		l.fail(field, "%s", f.Message)
	}
	if len(gone) > 0 {
		l.fail(field, "snapshot %d of %s holds %d contributions that have left, the first is %s, which is %s", name.Number, name.Datanet, len(gone), gone[0].ID, gone[0].State)
	}
	for _, terms := range s.Terms {
		if err := l.version(field, name, terms, &source); err != nil {
			return Source{}, err
		}
	}
	return source, l.grant(field, name.Datanet, grants, &source)
}

// version checks the licences of the contributions that stand under one version of their datanet.
func (l *interlock) version(field string, name snapshot.Named, terms seal.Terms, source *Source) error {
	v, err := datanet.LoadVersion(l.r, field, name.Datanet, terms.Version)
	if err != nil {
		return err
	}
	source.Versions = append(source.Versions, terms.Version)
	source.Due = source.Strictest(Due{DataPpm: v.DataPpm, ValidatorsPpm: v.ValidatorsPpm, Tau: v.Tau,
		Attestations: v.AttestationQuorum, Validators: v.Validators})
	if terms.Plain > 0 {
		l.licence(field, fmt.Sprintf("the licence of %s, version %d,", name.Datanet, terms.Version), v.Licence, source)
	}
	if terms.Own > 0 {
		l.licence(field, fmt.Sprintf("what %d contributions to %s allow by licences of their own", terms.Own, name.Datanet), *terms.Strictest, source)
	}
	return nil
}

func (l *interlock) licence(field, subject string, terms licence.Licence, source *Source) {
	for _, f := range terms.Covers(l.use) {
		l.fail(field, "%s %s", subject, f.Message)
	}
	l.until(terms.Expires)
	source.DerivativePpm = max(source.DerivativePpm, terms.DerivativePpm)
}

// grant checks the grant that is needed for a datanet of another organisation.
func (l *interlock) grant(field, name string, grants []GrantName, source *Source) error {
	caller := l.r.Caller()
	if ledger.Owner(name) == caller.MSP {
		return nil
	}
	i := slices.IndexFunc(grants, func(g GrantName) bool { return g.Datanet == name })
	if i < 0 {
		l.fail(field, "%s needs a grant of %s for %s", caller.MSP, ledger.Owner(name), name)
		return nil
	}
	failures, expires, err := l.granted(l.r, grants[i], caller, l.use)
	if err != nil {
		return err
	}
	for _, f := range failures {
		l.fail(fmt.Sprintf("grants.%d", i), "the grant %s for %s %s", grants[i].ID, name, f)
	}
	l.until(expires)
	source.Grant = grants[i].ID
	return nil
}
