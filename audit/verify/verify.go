package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"time"

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
	// Measure compares the run with the bare cost of its signature checks.
	Measure bool
	// Progress, when not nil, is told after each group of blocks how many were verified, and of how many.
	Progress func(done, all uint64)
	// MaxFindings is how many findings are kept; 0 is 1,000.
	MaxFindings int
}

// Tip is a block by number and header hash.
type Tip struct {
	Number uint64
	Hash   [sha256.Size]byte
}

// A group of blocks is checked together; it ends after this many blocks or bytes, and with a configuration. Two groups
// are in memory at once.
const (
	groupBlocks = 64
	groupBytes  = 16 << 20
)

// verifier holds what is known while the blocks go by.
type verifier struct {
	options    Options
	report     *Report
	chaincode  string
	config     *configuration
	state      *replay.Replayer // nil when the blocks cannot be followed, or not any more
	rerun      *rerunner
	previous   *common.BlockHeader
	commit     []byte // commit hash of the block before
	signatures signatures
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
			"contents, receipts of attribution and erasures: the ledger holds commitments to them only",
			"conflicts of chaincode definitions (transactions of " + lifecycle + ") and of other chaincodes: their verdicts are followed once their endorsements and signatures are checked",
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
	v.end(r)
	return v.report, v.finish(start)
}

// begin takes what the bundle begins with: nothing, or a configuration that has to be believed.
func (v *verifier) begin(r *bundle.Reader) error {
	if v.options.Chaincode != "" && v.options.Chaincode != r.Manifest.Chaincode {
		v.find(Finding{Severity: Forged, Rule: RuleBundle, Message: fmt.Sprintf("the manifest is for chaincode %q", r.Manifest.Chaincode)})
	}
	if r.Manifest.Genesis != hex.EncodeToString(v.options.Genesis[:]) {
		v.find(Finding{Severity: Forged, Rule: RuleGenesis, Message: "the manifest names another genesis block: " + r.Manifest.Genesis})
	}
	if r.Manifest.First == 0 {
		v.state = replay.New(v.chaincode)
		return nil
	}
	v.report.Unproved = append(v.report.Unproved,
		"everything that rests on earlier blocks: that this range belongs to the channel of the genesis block, that the configuration at its beginning was in force, "+
			"policies of keys, conflicts, commit hashes, the rules and the conservation of credits")
	base, err := r.Base()
	switch {
	case errors.Is(err, bundle.ErrDamaged):
		v.find(Finding{Severity: Forged, Rule: RuleBundle, Message: err.Error()})
		return nil
	case err != nil:
		return fmt.Errorf("read the configuration at the beginning: %w", err)
	}
	if v.config, err = configure(base); err != nil {
		v.find(Finding{Severity: Forged, Rule: RuleConfiguration, Block: base.GetHeader().GetNumber(), Message: err.Error()})
		return nil
	}
	v.report.Channel = v.config.channel
	if err := v.config.orderers(base.GetHeader(), base.GetMetadata()); err != nil && base.GetHeader().GetNumber() != 0 {
		v.find(Finding{Severity: Forged, Rule: RuleOrderers, Block: base.GetHeader().GetNumber(), Message: err.Error()})
	}
	if hash, err := protoutil.BlockDataHash(base.GetData()); err != nil || string(hash) != string(base.GetHeader().GetDataHash()) {
		v.find(Finding{Severity: Forged, Rule: RuleData, Block: base.GetHeader().GetNumber(), Message: "the configuration at the beginning has another hash than its header says"})
	}
	return nil
}

// blocks verifies all blocks. While one group is checked, the group before it is applied; after a configuration the next
// check waits until it is applied.
func (v *verifier) blocks(ctx context.Context, r *bundle.Reader) error {
	applied := make(chan struct{})
	close(applied)
	var group []*common.Block
	size, configured := 0, true
	flush := func() {
		if len(group) == 0 {
			return
		}
		if configured {
			<-applied
		}
		checked := v.check(group)
		<-applied
		configured = isConfiguration(group[len(group)-1])
		done := make(chan struct{})
		applied = done
		go func() {
			defer close(done)
			v.apply(checked, r.Manifest)
		}()
		group, size = nil, 0
	}
	defer func() { <-applied }()
	for block, err := range r.Blocks() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			flush()
			<-applied
			if !errors.Is(err, bundle.ErrDamaged) {
				return err
			}
			v.find(Finding{Severity: Forged, Rule: RuleBundle, Block: v.report.Height, Message: err.Error()})
			return nil
		}
		group = append(group, block)
		size += proto.Size(block)
		if len(group) >= groupBlocks || size >= groupBytes || isConfiguration(block) {
			flush()
		}
	}
	flush()
	return nil
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
	v.config, v.report.Channel = config, config.channel
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
	if v.report.Channel != r.Manifest.Channel {
		v.find(Finding{Severity: Forged, Rule: RuleBundle, Message: fmt.Sprintf("the manifest is for channel %q", r.Manifest.Channel)})
	}
	if last == v.report.First {
		v.find(Finding{Severity: Forged, Rule: RuleTip, Block: last, Message: "the bundle holds no block"})
	}
	if tip := v.options.Tip; tip != nil && last <= tip.Number {
		v.find(Finding{Severity: Forged, Rule: RuleTip, Block: last, Message: fmt.Sprintf("the bundle ends before block %d, which exists", tip.Number)})
	}
	if v.state != nil {
		for verdict, count := range v.state.Report().Followed {
			v.report.Followed[string(verdict)] = count
		}
	}
	if v.previous != nil {
		v.report.Tip = hex.EncodeToString(protoutil.BlockHeaderHash(v.previous))
	}
}

func (v *verifier) finish(start time.Time) error {
	s := &v.report.Stats
	s.Seconds, s.Workers, s.Signatures = time.Since(start).Seconds(), v.options.Workers, v.signatures.count.Load()
	s.PerSecond = float64(v.report.Transactions) / s.Seconds
	if !v.options.Measure {
		return nil
	}
	each, err := v.signatures.bare()
	if err != nil {
		return err
	}
	s.BareSeconds = each.Seconds() * float64(s.Signatures) / float64(s.Workers)
	s.Ratio = s.BareSeconds / s.Seconds
	return nil
}

// find keeps a finding. Only one goroutine may call it at a time.
func (v *verifier) find(f Finding) {
	if len(v.report.Findings) >= v.options.MaxFindings {
		v.report.Suppressed++
		return
	}
	v.report.Findings = append(v.report.Findings, f)
}
