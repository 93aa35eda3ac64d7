package replay

import (
	"fmt"
	"iter"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
)

// Difference is a transaction on which the engine and the peers disagree.
type Difference struct {
	Block, Tx uint64
	ID        string
	Peers     memledger.Flag
	Engine    memledger.Flag
}

func (d Difference) String() string {
	return fmt.Sprintf("block %d, transaction %d (%s): peers say %s, engine says %s", d.Block, d.Tx, d.ID, d.Peers, d.Engine)
}

// Report is what a replay found.
type Report struct {
	Blocks      uint64
	Judged      map[memledger.Flag]int // transactions whose flag the engine computed, by the peers' flag
	Followed    map[memledger.Flag]int // transactions whose flag was taken as given
	Differences []Difference
}

// Replay replays a channel's blocks, from block 0 and without a gap, and compares the verdicts on one chaincode's
// transactions. The error is that of the blocks, or names a block that cannot be replayed; the report then covers
// those before it. Blocks must come from a peer: an orderer's have no flags.
func Replay(chaincode string, blocks iter.Seq2[*common.Block, error]) (Report, error) {
	r := New(chaincode)
	for block, err := range blocks {
		if err != nil {
			return r.report, err
		}
		if err := r.Block(block); err != nil {
			return r.report, err
		}
	}
	return r.report, nil
}

// Replayer replays block by block. It judges the transactions of its chaincode, and those of the lifecycle but for their
// endorsements.
type Replayer struct {
	chaincode string
	prefix    string // of the chaincode's keys in the engine
	channel   channel
	engine    *memledger.Engine
	report    Report
	policies  keyPolicies
	policy    []byte // of the chaincode, as its definition has it, when it was last read
	bound     bool   // the configuration has not changed since
	private   private
}

// New begins before block 0.
func New(chaincode string) *Replayer {
	return &Replayer{
		chaincode: chaincode,
		prefix:    string(inNamespace(chaincode, "")),
		channel:   &configuredChannel{},
		engine:    memledger.NewEngine(ledger.Policy{}),
		report:    Report{Judged: map[memledger.Flag]int{}, Followed: map[memledger.Flag]int{}},
		private:   private{keys: map[privateKey]changed{}, whole: true},
	}
}

// Report is what was found so far.
func (r *Replayer) Report() Report { return r.report }

// State returns the chaincode's committed state, by key.
func (r *Replayer) State() []memledger.Entry {
	prefix := inNamespace(r.chaincode, "")
	var entries []memledger.Entry
	for _, entry := range r.engine.State() {
		if strings.HasPrefix(string(entry.Key), string(prefix)) {
			own := *entry
			own.Key = own.Key[len(prefix):]
			entries = append(entries, own)
		}
	}
	return entries
}

// judged are the flags that the engine computes.
var judged = map[memledger.Flag]bool{
	memledger.Valid: true, memledger.DuplicateTxID: true, memledger.EndorsementPolicyFailure: true,
	memledger.MVCCReadConflict: true, memledger.PhantomReadConflict: true,
}

// Block replays the next block.
func (r *Replayer) Block(block *common.Block) error {
	if number := block.GetHeader().GetNumber(); number != r.engine.Height() {
		return fmt.Errorf("block %d where block %d is due", number, r.engine.Height())
	}
	prepared, err := r.Prepare(block)
	if err != nil {
		return err
	}
	_, err = r.Apply(prepared)
	return err
}

// Prepared is a block whose transactions were read and whose endorsements' signatures were checked.
type Prepared struct {
	number       uint64
	flags        []memledger.Flag
	transactions []read
}

// Prepare does the part of a block's replay that needs no state. It may run for several blocks at once, in any order,
// but only when every configuration before them was applied: signatures are judged by the configuration in force.
func (r *Replayer) Prepare(block *common.Block) (*Prepared, error) {
	parsed := make([]Parsed, len(block.GetData().GetData()))
	for i, data := range block.GetData().GetData() {
		parsed[i] = r.parse(data)
	}
	return r.PrepareParsed(block, parsed)
}

// PrepareParsed is Prepare for a block whose envelopes the caller has read.
func (r *Replayer) PrepareParsed(block *common.Block, parsed []Parsed) (*Prepared, error) {
	p := &Prepared{number: block.GetHeader().GetNumber()}
	var err error
	if p.flags, err = validationFlags(block); err != nil {
		return nil, fmt.Errorf("block %d: %w", p.number, err)
	}
	p.transactions = make([]read, len(p.flags))
	for i := range p.transactions {
		if p.transactions[i], err = r.transaction(parsed[i], p.flags[i]); err != nil {
			return nil, fmt.Errorf("block %d, transaction %d: %w", p.number, i, err)
		}
	}
	return p, nil
}

// Apply replays the next block after it was prepared, and tells what it changed.
func (r *Replayer) Apply(p *Prepared) ([]Change, error) {
	if p.number != r.engine.Height() {
		return nil, fmt.Errorf("block %d where block %d is due", p.number, r.engine.Height())
	}
	if err := r.setPolicy(); err != nil {
		return nil, fmt.Errorf("chaincode policy at block %d: %w", p.number, err)
	}
	transactions := make([]memledger.Transaction, len(p.transactions))
	hashed := r.private.judge(p)
	for i := range p.transactions {
		transactions[i] = p.transactions[i].Transaction
	}
	verdicts, updates, err := r.engine.Follow(transactions, p.flags)
	if err != nil {
		return nil, err
	}
	for i := range transactions {
		tx := &p.transactions[i].Transaction
		if tx.Settled != "" {
			r.report.Followed[p.flags[i]]++
			continue
		}
		r.report.Judged[p.flags[i]]++
		if verdicts[i] != p.flags[i] {
			r.report.Differences = append(r.report.Differences,
				Difference{Block: p.number, Tx: uint64(i), ID: tx.ID, Peers: p.flags[i], Engine: verdicts[i]})
		}
	}
	for i, tx := range p.transactions {
		if tx.config != nil && p.flags[i] == memledger.Valid {
			if err := r.channel.configure(tx.channel, tx.config); err != nil {
				return nil, fmt.Errorf("block %d, transaction %d: %w", p.number, i, err)
			}
			r.bound = false
		}
	}
	r.report.Blocks++
	return append(changesOf(updates), hashed...), nil
}

// Guarded tells whether a transaction writes private data that has had a policy of its own, which is not judged.
func (r *Replayer) Guarded(sets *rwsetutil.TxRwSet) bool {
	return r.private.guards(privateWrites(sets))
}

// Known tells whether a transaction of an earlier block has an id, whatever its verdict.
func (r *Replayer) Known(id string) bool { return r.engine.Known(id) }

// Get returns what the chaincode's committed state holds under a key, nil when the key is absent. The caller must not
// change it. Until the next Apply it may be called from several goroutines.
func (r *Replayer) Get(key ledger.Key) *memledger.Entry {
	return r.engine.GetIn(r.prefix, key)
}

// validationFlags reads the peers' verdicts from the block's metadata.
func validationFlags(block *common.Block) ([]memledger.Flag, error) {
	metadata := block.GetMetadata().GetMetadata()
	count := len(block.GetData().GetData())
	if len(metadata) <= int(common.BlockMetadataIndex_TRANSACTIONS_FILTER) {
		return nil, fmt.Errorf("no validation flags; was it read from an orderer?")
	}
	filter := metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
	if len(filter) != count {
		return nil, fmt.Errorf("%d validation flags for %d transactions; was it read from an orderer?", len(filter), count)
	}
	flags := make([]memledger.Flag, count)
	for i, code := range filter {
		flags[i] = flagNames[code]
	}
	return flags, nil
}

// flagNames are the names of Fabric's validation codes.
var flagNames = func() (names [256]memledger.Flag) {
	for code := range names {
		names[code] = memledger.Flag(peer.TxValidationCode(code).String())
	}
	return names
}()
