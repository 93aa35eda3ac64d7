package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

const (
	// expiresSoon is when a certificate's end is worth a word.
	expiresSoon = 30 * 24 * time.Hour
	// clockDoubt and clockFault bound how far apart two clocks may be; peers refuse proposals beyond 15 minutes.
	clockDoubt, clockFault = 10 * time.Second, 5 * time.Minute
)

// finding is the outcome of one check.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warning or problem
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

const (
	resultOK      = "ok"
	resultWarning = "warning"
	resultProblem = "problem"
)

func newDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check certificates, clocks, gateway, peers, index and chaincode, and say what to do",
		Long: `Checks everything between you and the ledger: your certificate, the gateway and its certificate,
the clocks, your account, the gateway's peer, index and store, and the chaincode of every
organisation; for operators contents that are lost and kept certificates that end, for them and
for hosts models that cannot be served. The exit code is 4 if there is a problem.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(command *cobra.Command, _ []string) error {
			d := &doctor{ctx: command.Context()}
			d.examine(command)
			if err := d.print(command); err != nil {
				return err
			}
			if slices.ContainsFunc(d.findings, func(f finding) bool { return f.Result == resultProblem }) {
				return errSick
			}
			return nil
		},
	}
}

// errSick says that something needs attention. What it is has been printed.
var errSick = fmt.Errorf("there are problems: %w", errUnwell)

type doctor struct {
	ctx      context.Context
	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{Check: check, Result: resultOK, Detail: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(check, remedy, format string, args ...any) {
	d.findings = append(d.findings, finding{Check: check, Result: resultWarning, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (d *doctor) fail(check, remedy, format string, args ...any) {
	d.findings = append(d.findings, finding{Check: check, Result: resultProblem, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
}

// examine makes all checks; one that needs what an earlier one did not find is left out.
func (d *doctor) examine(command *cobra.Command) {
	c, err := connect(command)
	if err != nil {
		d.fail("identity", "datanet identity enroll, or datanet identity use DIR --gateway URL", "%v", err)
		return
	}
	defer c.Close()
	if own := c.Identity(); own != nil {
		d.certificate("identity", own.Certificate, "datanet identity renew, while it is still valid; after that ask an operator for an invitation")
	} else {
		d.ok("identity", "an API key; the gateway signs")
	}
	if !d.gateway(c) {
		return
	}
	who, known := d.caller(c)
	d.readiness(c)
	if !known {
		return
	}
	if c.Identity() == nil && who.Kept != nil {
		d.kept("kept certificate", *who.Kept)
	}
	if slices.Contains(who.Roles, ledger.Operator) {
		d.keptByGateway(c)
		d.contents(c)
	}
	if slices.Contains(who.Roles, ledger.Operator) || slices.Contains(who.Roles, ledger.Host) {
		d.models(c)
	}
	if !slices.Contains(who.Roles, ledger.Regulator) { // whose people write nothing
		d.account(c, who)
	}
	d.organisations(c, who.Organisation)
}

func (d *doctor) certificate(check string, cert *x509.Certificate, remedy string) {
	now := time.Now()
	left := cert.NotAfter.Sub(now)
	switch until := cert.NotAfter.UTC().Format(time.DateOnly); {
	case now.Before(cert.NotBefore):
		d.fail(check, "set this machine's clock", "the certificate of %s begins on %s, which is in the future", cert.Subject.CommonName, cert.NotBefore.UTC().Format(time.RFC3339))
	case left <= 0:
		d.fail(check, remedy, "the certificate of %s expired on %s", cert.Subject.CommonName, until)
	case left < expiresSoon:
		d.warn(check, remedy, "the certificate of %s expires on %s", cert.Subject.CommonName, until)
	default:
		d.ok(check, "the certificate of %s is valid until %s", cert.Subject.CommonName, until)
	}
}

// keptByGateway warns an operator of certificates that end soon and that the gateway does not renew.
func (d *doctor) keptByGateway(c *client.Client) {
	list, err := c.KeptCertificates(d.ctx)
	if err != nil {
		d.warn("kept certificates", "see the message", "%v", err)
		return
	}
	soon := 0
	for _, k := range list {
		if k.Renewable && time.Until(k.Expires) > 0 || time.Until(k.Expires) >= expiresSoon {
			continue
		}
		soon++
		d.kept("kept certificate", k)
	}
	if soon == 0 && len(list) > 0 {
		d.ok("kept certificates", "valid, or renewed in time: %s by which the gateway signs", document.Count(len(list), "certificate"))
	}
}

// contents tells an operator of contents that the gateway has lost.
func (d *doctor) contents(c *client.Client) {
	lost, err := c.Lost(d.ctx)
	if client.IsCode(err, "no_such_route") { // a gateway that keeps no content
		return
	}
	if err != nil {
		d.warn("contents", "see the message", "%v", err)
		return
	}
	d.lost(lost)
}

func (d *doctor) lost(lost client.Lost) {
	if lost.Unreadable > 0 {
		d.fail("contents", "see to the gateway's rights to its content store, or to its disk; datanet contribution lost lists them",
			"%s that cannot be read, such as %s of %s: %s", document.Count(lost.Unreadable, "content"), lost.Unread[0].ID, lost.Unread[0].Datanet, lost.Unread[0].Why)
	}
	switch {
	case lost.Count > 0:
		first := lost.Items[0]
		d.fail("contents", "datanet contribution lost lists them; the gateway asks for them again from who holds them, else they come from a backup (datanet gateway restore)",
			"lost: %s of the organisation's contributors, such as %s of %s: %s", document.Count(lost.Count, "content"), first.ID, first.Datanet, first.Why)
	case lost.Unreadable > 0: // said
	case lost.Looked.IsZero():
		d.ok("contents", "are being looked through")
	default:
		d.ok("contents", "of the organisation's contributors are there, as of %s", lost.Looked.Format(time.RFC3339))
	}
}

// models tells of models that the gateway hosts and cannot serve.
func (d *doctor) models(c *client.Client) {
	list, err := c.Hosted(d.ctx)
	if client.IsCode(err, "no_such_route") { // a gateway that serves none
		return
	}
	if err != nil {
		d.warn("models", "see the message", "%v", err)
		return
	}
	d.hosted(list)
}

// lacking says what to do for a model by what it lacks.
var lacking = map[string]string{
	"artifact": "the gateway asks the trainer's gateway for it again and again; a trainer of the model hands it over once more (datanet model artifacts NAME@VERSION --hand-over FOLDER), or it comes from a backup of the trainer's gateway (datanet gateway restore). A model behind a server needs an entry in serving.models",
	"server":   "its operator looks at the servers that serving.models names",
	"corpus":   "the gateway tries again by itself; its organisation needs a grant of each datanet in the model's lineage (datanet grant list DATANET), and whoever holds the contents must be reachable. If the grant has ended for good, the trainer publishes a rate card with another host, or retires the model",
}

func (d *doctor) hosted(list []client.Hosted) {
	if len(list) == 0 {
		d.ok("models", "the gateway hosts none, as far as its index goes")
	}
	well := 0
	for _, m := range list {
		switch {
		case m.Served:
			well++
		case m.Why == "":
			d.warn("models", "wait, and ask again", "%s cannot be served yet: its %s is being prepared", m.Model, m.Lacks)
		default:
			d.fail("models", lacking[m.Lacks], "%s cannot be served for lack of its %s: %s", m.Model, m.Lacks, m.Why)
		}
	}
	if well > 0 {
		d.ok("models", "%s served", document.Count(well, "model"))
	}
}

// kept judges the certificate of a key that the gateway keeps.
func (d *doctor) kept(check string, k identity.KeptCertificate) {
	remedy := "an operator has the organisation's authority issue the next one for the same key and names its folder in identity.keep, or restarts the gateway with identity.authority"
	if k.Account == ledger.NewAccount(k.Account.MSP(), identity.GatewayEnrolment) {
		remedy = "its operator has the organisation's authority issue the gateway's next certificate, and restarts the gateway"
	}
	until := k.Expires.UTC().Format(time.DateOnly)
	switch left := time.Until(k.Expires); {
	case left <= 0:
		d.fail(check, remedy, "that of %s, by which the gateway signs, expired on %s", k.Account, until)
	case left < expiresSoon && !k.Renewable:
		d.warn(check, remedy, "that of %s, by which the gateway signs, expires on %s, and the gateway cannot renew it", k.Account, until)
	case left < expiresSoon:
		d.ok(check, "that of %s, by which the gateway signs, is valid until %s; the gateway renews it", k.Account, until)
	default:
		d.ok(check, "that of %s, by which the gateway signs, is valid until %s", k.Account, until)
	}
}

func (d *doctor) gateway(c *client.Client) bool {
	seen, err := c.Inspect(d.ctx)
	if err != nil {
		d.fail("gateway", "check the URL and that the gateway runs (its operator: datanet gateway serve)", "%v", err)
		return false
	}
	d.ok("gateway", "answers in %s", seen.Took.Round(time.Millisecond))
	if seen.Certificate != nil {
		d.certificate("gateway's certificate", seen.Certificate, "its operator renews the TLS certificate and restarts the gateway")
	}
	const remedy = "synchronise this machine's clock, or the gateway's (NTP)"
	switch offset := seen.Offset.Abs(); {
	case offset >= clockFault:
		d.fail("clocks", remedy, "this machine and the gateway are %s apart; peers refuse what is more than 15 minutes off", offset.Round(time.Second))
	case offset >= clockDoubt:
		d.warn("clocks", remedy, "this machine and the gateway are %s apart", offset.Round(time.Second))
	default:
		d.ok("clocks", "this machine and the gateway agree")
	}
	return true
}

func (d *doctor) caller(c *client.Client) (client.Caller, bool) {
	who, err := c.WhoAmI(d.ctx)
	if err != nil {
		d.fail("login", "use the gateway of your own organisation, and a certificate that its authority has issued", "%v", err)
		return who, false
	}
	d.ok("login", "%s, roles %s, at the gateway of %s", who.Account, joined(who.Roles), who.Organisation)
	return who, true
}

// remedies say what to do when a check of the gateway's own fails.
var remedies = map[string]string{
	"peer":  "its operator looks at the peer: is it running, reachable, and is its TLS authority the configured one?",
	"index": "wait while it catches up; if the lag stays, its operator looks at the gateway's log, or rebuilds the index",
	"store": "its operator looks at the database and the content store: free space, permissions, bucket",
}

func (d *doctor) readiness(c *client.Client) {
	ready, err := c.Ready(d.ctx)
	if err != nil {
		d.fail("readiness", "its operator looks at the gateway's log", "%v", err)
		return
	}
	if p := ready.Peers; p.Reachable < p.Configured {
		d.warn("gateway's peers", "its operator looks at the peers; the gateway's log names them", "%d of %d cannot be reached, and the gateway uses the others", p.Configured-p.Reachable, p.Configured)
	}
	names := make([]string, 0, len(ready.Checks))
	for name := range ready.Checks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if ready.Checks[name] {
			d.ok("gateway's "+name, "is well")
			continue
		}
		remedy := remedies[name]
		if remedy == "" {
			remedy = "its operator looks at the gateway's log"
		}
		d.fail("gateway's "+name, remedy, "is not well")
	}
}

func (d *doctor) account(c *client.Client, who client.Caller) {
	found, _, err := client.Get[account.Account](d.ctx, c, client.Path("accounts", string(who.Account)), nil)
	switch {
	case client.IsCode(err, string(ledger.CodeNotFound)):
		d.warn("account", "datanet account open", "%s is not open on the ledger yet", who.Account)
	case err != nil:
		d.fail("account", "see the message", "%v", err)
	case !sameRoles(found.Roles, who.Roles):
		d.warn("account", "datanet account open", "the ledger has seen the roles %s, the certificate says %s", joined(found.Roles), joined(who.Roles))
	default:
		d.ok("account", "is open")
	}
}

func sameRoles(a, b []ledger.Role) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(r ledger.Role) bool { return !slices.Contains(b, r) })
}

// organisation is what the peer of an organisation answers for its chaincode.
type organisation struct {
	MSPID     string `json:"mspId"`
	Chaincode string `json:"chaincode,omitempty"` // digest of the functions that it offers
	Fault     string `json:"fault,omitempty"`
}

// organisations compares the chaincode of all organisations: each must run the definition that the members approved.
// Questions go through the own organisation's peer.
func (d *doctor) organisations(c *client.Client, own string) {
	members, _, err := client.Get[member.Members](d.ctx, c, client.Path("members"), nil)
	if err != nil {
		d.fail("members", "an operator of a founding member runs datanet member found, once", "%v", err)
		return
	}
	d.ok("members", "%d are on the ledger", len(members.Members))
	answers, err := client.Do[struct {
		Items []organisation `json:"items"`
	}](d.ctx, c, "GET", client.Path("organisations"), nil)
	if err != nil {
		d.warn("chaincode", "ask an operator", "the gateway does not tell of other organisations: %v", err)
		return
	}
	versions := map[string]int{}
	for _, o := range answers.Items {
		if o.Fault == "" {
			versions[o.Chaincode]++
		}
	}
	common := ""
	for version, n := range versions {
		if n > versions[common] {
			common = version
		}
	}
	silent := slices.ContainsFunc(answers.Items, func(o organisation) bool { return o.MSPID == own && o.Fault != "" })
	for _, o := range answers.Items {
		check := "chaincode of " + o.MSPID
		switch {
		case o.Fault != "" && silent && o.MSPID != own:
			d.warn(check, "first see to the chaincode of "+own, "could not be asked, since questions go through the peer of %s", own)
		case o.Fault != "":
			d.fail(check, "its operator looks whether peer and chaincode run, and whether it approved the definition in force", "%s", o.Fault)
		case o.Chaincode != common:
			d.fail(check, "its operator installs and approves the definition in force", "offers other functions than that of most organisations")
		default:
			d.ok(check, "answers, with the same functions as the others")
		}
	}
}

func (d *doctor) print(command *cobra.Command) error {
	out := command.OutOrStdout()
	if wantsJSON(command) {
		return printJSON(out, d.findings)
	}
	return printFindings(out, d.findings)
}

func printFindings(out io.Writer, findings []finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintf(out, "%-8s %s: %s\n", f.Result, f.Check, printable(f.Detail)); err != nil {
			return err
		}
		if f.Remedy != "" {
			fmt.Fprintf(out, "%-8s → %s\n", "", f.Remedy)
		}
	}
	return nil
}
