package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/chaincode/contract"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/chaincode/rules"
)

// Options say what the auditor knows and wants.
type Options struct {
	// Genesis is the hash of the header of block 0, which came by another way than the bundle.
	Genesis [sha256.Size]byte
	// Tip, when not nil, is a block that the auditor knows to exist: a bundle that ends before it is cut off.
	Tip *Tip
	// Chaincode is the name of the chaincode whose transactions are judged; "" takes the manifest's.
	Chaincode string
	// Workers is how many goroutines check signatures; 0 is one for each core.
	Workers int
	// Measure keeps what [Report.MeasureSignatures] needs.
	Measure bool
	// Progress, when not nil, is told after each group of blocks how many were verified, and of how many.
	Progress func(done, all uint64)
	// Parts, when not nil, is told the same of what the bundle holds beside blocks.
	Parts func(done, all int)
	// Temp is the folder of temporary files, in which corpora are rebuilt, readable for their owner alone; "" is the system's.
	Temp string
	// MaxFindings is how many findings of each severity are kept, the first ones; 0 is 1,000.
	MaxFindings int
}

// Tip is a block by number and header hash.
type Tip struct {
	Number uint64
	Hash   [sha256.Size]byte
}

// GCPercent is a good setting of the garbage collector for a process that only verifies: what is kept is the state, which
// each collection goes through again.
const GCPercent = 400

// Blocks on the way between the reader and the one who applies them are at most so many, and after the first one so many
// bytes of transactions.
const (
	mostBlocks = 256
	mostBytes  = 16 << 20
)

// verifier holds what is known while the blocks go by.
type verifier struct {
	options    Options
	report     *Report
	chaincode  string
	config     *configuration
	trusted    map[string]organisation // as each was last configured, by MSP ID
	replayer   *replay.Replayer        // nil for a range
	state      *replay.Replayer        // the same, until the blocks cannot be followed any more
	rerun      *rerunner
	invariants *invariants
	facts      *facts
	previous   *common.BlockHeader
	commit     []byte // commit hash of the block before
	signatures signatures
	helpers    chan func() // taken by workers that have nothing else to do
	cut        bool        // the files ended before the last block that the manifest names
	kept       kept        // of the findings
	broken     int         // place in the report, from 1, of the first finding of those that break what comes later; 0: none
}

// Run verifies a bundle. The error is for a bundle that cannot be read at all, or a context that ended; everything else
// is a finding.
func Run(ctx context.Context, r *bundle.Reader, options Options) (*Report, error) {
	start := time.Now()
	if options.Workers <= 0 {
		options.Workers = runtime.GOMAXPROCS(0)
	}
	if options.MaxFindings <= 0 {
		options.MaxFindings = 1000
	}
	v := &verifier{options: options, chaincode: options.Chaincode, report: &Report{
		First: r.Manifest.First, Height: r.Manifest.First, Verdicts: map[string]int{}, Followed: map[string]int{}, Findings: []Finding{},
		Unproved: []string{
			"that the ledger ends with the last block of the bundle: compare its height and hash with those of other organisations",
			"conflicts of other chaincodes: their verdicts are followed once their signatures are checked",
			"what nobody signed: the form in which a peer encodes a block, and metadata that is empty",
		}}}
	if v.chaincode == "" {
		v.chaincode = r.Manifest.Chaincode
	}
	if err := v.begin(r); err != nil {
		return nil, err
	}
	if err := v.blocks(ctx, r); err != nil {
		return nil, err
	}
	if err := v.parts(ctx, r); err != nil {
		return nil, err
	}
	v.unheld(r)
	v.end(r)
	v.finish(start)
	return v.report, nil
}

// begin takes what the bundle begins with: nothing, or a configuration that has to be believed.
func (v *verifier) begin(r *bundle.Reader) error {
	if v.options.Chaincode != "" && v.options.Chaincode != r.Manifest.Chaincode {
		v.find(Finding{Severity: Forged, Rule: RuleBundle, Message: fmt.Sprintf("the manifest is for chaincode %q", r.Manifest.Chaincode)})
	}
	if r.Manifest.First > 0 && r.Manifest.Genesis != hex.EncodeToString(v.options.Genesis[:]) {
		v.find(Finding{Severity: Forged, Rule: RuleGenesis, Message: "the manifest names another genesis block: " + r.Manifest.Genesis})
	}
	if r.Manifest.First == 0 {
		v.replayer = replay.New(v.chaincode)
		v.state = v.replayer
		v.invariants, v.facts = newInvariants(v.chaincode, v.state), newFacts(v.chaincode, v.state)
		return nil
	}
	rests := "everything that rests on earlier blocks: that this range belongs to the channel of the genesis block, that the configuration at its beginning was in force"
	if r.Manifest.State == nil {
		rests += ", policies of keys, conflicts, commit hashes, the rules and the conservation of credits"
	} else {
		rests += ", and that the state it begins with is what they left: no hash in a block covers it, but exports of other organisations must have the same digest, " + r.Manifest.State.SHA256 +
			"; conflicts with what organisations had approved of chaincode definitions before it, which is not in the state"
	}
	v.report.Unproved = append(v.report.Unproved, rests)
	base, err := r.Base()
	switch {
	case errors.Is(err, bundle.ErrDamaged):
		v.find(Finding{Severity: Forged, Rule: RuleBundle, Message: err.Error()})
		return nil
	case err != nil:
		return fmt.Errorf("read the configuration at the beginning: %w", err)
	}
	config, err := configure(base)
	if err != nil {
		v.find(Finding{Severity: Forged, Rule: RuleConfiguration, Block: base.GetHeader().GetNumber(), Message: err.Error()})
		return nil
	}
	v.configured(config)
	v.report.Channel = v.config.channel
	if err := v.config.orderers(base.GetHeader(), base.GetMetadata()); err != nil && base.GetHeader().GetNumber() != 0 {
		v.find(Finding{Severity: Forged, Rule: RuleOrderers, Block: base.GetHeader().GetNumber(), Message: err.Error()})
	}
	if err := wellFormed(base.GetData()); err != nil || !bytes.Equal(dataHash(base.GetData()), base.GetHeader().GetDataHash()) {
		v.find(Finding{Severity: Forged, Rule: RuleData, Block: base.GetHeader().GetNumber(), Message: "the configuration at the beginning has another hash than its header says"})
	}
	return v.resume(r, base)
}

// resume takes the state that a range begins with, which has to be believed.
func (v *verifier) resume(r *bundle.Reader, base *common.Block) error {
	err := r.State(func(in io.Reader) (err error) {
		v.replayer, v.commit, err = replay.Restore(v.chaincode, in, base)
		if err == nil && v.replayer.Height() != r.Manifest.First {
			err = fmt.Errorf("the state is that before block %d", v.replayer.Height())
		}
		return err
	})
	switch {
	case errors.Is(err, bundle.ErrDamaged):
		v.find(Finding{Severity: Forged, Rule: RuleBundle, Block: r.Manifest.First, Message: err.Error()})
		v.replayer = nil
		return nil
	case err != nil || v.replayer == nil:
		return err
	}
	v.state, v.invariants, v.facts = v.replayer, newInvariants(v.chaincode, v.replayer), newFacts(v.chaincode, v.replayer)
	founders, err := v.founders(base)
	if err != nil {
		v.find(Finding{Severity: Forged, Rule: RuleConfiguration, Block: base.GetHeader().GetNumber(), Message: err.Error()})
	}
	v.rerun = newRerunner(rules.New(founders), v.state)
	return nil
}

// founders are those whose founding may be repeated in a range: of the genesis block, if it is the configuration at the
// beginning, else the members, since who repeats it gets the list and writes nothing.
func (v *verifier) founders(base *common.Block) ([]string, error) {
	if base.GetHeader().GetNumber() == 0 {
		encoded, err := proto.Marshal(base)
		if err != nil {
			return nil, err
		}
		return contract.Founders(encoded)
	}
	m, _, err := load[struct {
		Members []string `json:"members"`
	}](v.invariants, "members")
	return m.Members, err
}

// isConfiguration tells whether a block may change how later ones are judged: any that begins with a configuration.
func isConfiguration(block *common.Block) bool {
	return block.GetHeader().GetNumber() == 0 || protoutil.HasConfigTx(block.GetData())
}

// genesis takes block 0, whose hash the auditor knows.
func (v *verifier) genesis(block *common.Block) {
	fail := func(err error) {
		v.find(Finding{Severity: Forged, Rule: RuleConfiguration, Message: fmt.Sprintf("block 0 cannot be read: %v", err)})
		v.state = nil
	}
	config, err := configure(block)
	if err != nil {
		fail(err)
		return
	}
	v.configured(config)
	v.report.Channel = config.channel
	encoded, err := proto.Marshal(block)
	if err != nil {
		fail(err)
		return
	}
	founders, err := contract.Founders(encoded)
	if err != nil {
		fail(err)
		return
	}
	if v.state != nil {
		v.rerun = newRerunner(rules.New(founders), v.state)
	}
}

// end compares what came with what the manifest and the auditor say.
func (v *verifier) end(r *bundle.Reader) {
	last := v.report.Height
	if v.report.Genesis != "" && v.report.Genesis != r.Manifest.Genesis {
		v.find(Finding{Severity: Forged, Rule: RuleBundle, Message: fmt.Sprintf("the manifest names another genesis block, %s, than the bundle has", r.Manifest.Genesis)})
	}
	if v.report.Channel != r.Manifest.Channel && v.config != nil { // nothing was read, and that is a finding already
		v.find(Finding{Severity: Forged, Rule: RuleBundle, Message: fmt.Sprintf("the manifest is for channel %q", r.Manifest.Channel)})
	}
	if last == v.report.First && !v.cut {
		v.find(Finding{Severity: Forged, Rule: RuleTip, Block: last, Message: "the bundle holds no block"})
	}
	if tip := v.options.Tip; tip != nil && last <= tip.Number && !(v.cut && tip.Number < r.Manifest.Height) {
		v.find(Finding{Severity: Forged, Rule: RuleTip, Block: last, Message: fmt.Sprintf("the bundle ends before block %d, which exists", tip.Number)})
	}
	if tip := v.options.Tip; tip != nil && tip.Number+1 < v.report.First {
		v.find(Finding{Severity: Unclear, Rule: RuleTip, Block: v.report.First, Message: fmt.Sprintf("the bundle begins too late to show block %d", tip.Number)})
	}
	if v.state != nil {
		for _, f := range v.invariants.end() {
			v.find(f)
		}
		for verdict, count := range v.state.Report().Followed {
			v.report.Followed[string(verdict)] = count
		}
	}
	if v.previous != nil {
		v.report.Tip = hex.EncodeToString(protoutil.BlockHeaderHash(v.previous))
	}
}

func (v *verifier) finish(start time.Time) {
	s := &v.report.Stats
	s.Seconds, s.Workers, s.Signatures = time.Since(start).Seconds(), v.options.Workers, v.signatures.count.Load()
	s.PerSecond = float64(v.report.Transactions) / s.Seconds
	if v.options.Measure {
		v.report.measured = &v.signatures
	}
}

// kept counts findings of each severity: many that are light never hide a graver one.
type kept map[Severity]int

// another tells whether there is room for another one.
func (k *kept) another(s Severity, most int) bool {
	if *k == nil {
		*k = kept{}
	}
	(*k)[s]++
	return (*k)[s] <= most
}

// find keeps a finding, in the one that it may follow from if there is one. Only one goroutine may call it at a time.
func (v *verifier) find(f Finding) {
	if !v.kept.another(f.Severity, v.options.MaxFindings) {
		v.report.Suppressed++
		return
	}
	f.TxID, f.Key, f.Message = shown(f.TxID), shown(f.Key), shown(f.Message)
	if v.broken > 0 && f.Severity != Noted {
		for i, told := range v.report.Findings[v.broken-1:] {
			if told.Severity == f.Severity && told.Rule == f.Rule {
				head := &v.report.Findings[v.broken-1+i]
				head.Also = append(head.Also, f)
				return
			}
		}
	}
	v.report.Findings = append(v.report.Findings, f)
	if breaking[f.Rule] && f.Severity == Forged && v.broken == 0 {
		v.broken = len(v.report.Findings)
	}
}

// mostShown bounds the texts of a finding, in bytes: they quote what stands in the bundle.
const mostShown = 2000

// zwnj is the zero-width non-joiner, which Persian has inside words.
const zwnj = '\u200c'

// shown is what a finding quotes, fit to be read on a terminal: what stands in a bundle could move its cursor.
func shown(s string) string {
	cut := len(s) > mostShown
	if cut {
		s = strings.Clone(s[:mostShown])
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != zwnj {
			return utf8.RuneError
		}
		return r
	}, s)
	if cut {
		s += "…"
	}
	return s
}
