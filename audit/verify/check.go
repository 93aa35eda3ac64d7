package verify

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/proto"

	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
)

const lifecycle = "_lifecycle"

// checked is a block after the checks that need no state.
type checked struct {
	block        *common.Block
	transactions []*transaction
	prepared     *replay.Prepared
	findings     []Finding
	err          error // why it cannot be followed
	unread       bool  // and is not looked into
}

// mostUnsigned bounds a block that is looked into though its orderers did not sign it, in bytes of transactions: decoded, what
// anybody makes up takes more than a hundred times as much. Of what orderers sign the channel's configuration bounds the size.
const mostUnsigned = 1 << 20

// checkBlock does what needs only the configuration. It may run for several blocks at once.
func (v *verifier) checkBlock(block *common.Block) (c *checked) {
	c = &checked{block: block}
	number := block.GetHeader().GetNumber()
	defer func() { // Fabric's packages expect what its own nodes let through
		if p := recover(); p != nil {
			c.err = fmt.Errorf("a check of block %d failed: %v", number, p)
			c.findings = append(c.findings, Finding{Severity: Forged, Rule: RuleForm, Block: number, Message: c.err.Error()})
			c.transactions = nil
		}
	}()
	find := func(rule Rule, format string, args ...any) {
		c.findings = append(c.findings, Finding{Severity: Forged, Rule: rule, Block: number, Message: fmt.Sprintf(format, args...)})
	}
	if block.GetHeader() == nil {
		find(RuleForm, "the block has no header")
		block.Header = &common.BlockHeader{}
	}
	if err := wellFormed(block.GetData()); err != nil {
		find(RuleForm, "%v", err)
	}
	if !bytes.Equal(dataHash(block.GetData()), block.GetHeader().GetDataHash()) {
		find(RuleData, "the transactions have another hash than the header says")
	}
	if err := plainMetadata(block); err != nil {
		find(RuleForm, "%v", err)
	}
	if number > 0 && v.config != nil {
		v.signedByOrderers(c, find)
	}
	known := number > 0 && v.config != nil || number == 0 && bytes.Equal(protoutil.BlockHeaderHash(block.GetHeader()), v.options.Genesis[:])
	if (!known || len(c.findings) > 0) && sizeOf(block) > mostUnsigned {
		c.err, c.unread = fmt.Errorf("block %d is not what its orderers signed, and too long to be looked into", number), true
		return c
	}
	transactions := make([]*transaction, len(block.GetData().GetData()))
	for i, data := range block.GetData().GetData() {
		transactions[i] = open(data, v.config)
		v.signatures.count.Add(int64(1 + len(transactions[i].endorsements)))
	}
	if v.replayer != nil {
		c.prepared, c.err = v.replayer.PrepareParsed(block, parsed(transactions, v.config))
	}
	if v.config != nil {
		c.transactions = transactions
		if v.options.Measure {
			v.signatures.keep(v.config, transactions)
		}
	}
	return c
}

// sizeOf is how many bytes of transactions a block has.
func sizeOf(block *common.Block) (size int64) {
	for _, data := range block.GetData().GetData() {
		size += int64(len(data))
	}
	return size
}

// parsed is what the replay needs of transactions.
func parsed(transactions []*transaction, config *configuration) []replay.Parsed {
	all := make([]replay.Parsed, len(transactions))
	for i, t := range transactions {
		all[i] = replay.Parsed{ID: t.id, Channel: t.channel, Kind: t.kind, Config: t.config, Chaincode: t.chaincode, Sets: t.sets,
			Endorsers: func() ([]string, error) {
				if config == nil {
					return nil, errors.New("no configuration before the first endorsed transaction")
				}
				t.endorsers = config.endorsers(t)
				return t.endorsers, nil
			}}
	}
	return all
}

func (v *verifier) signedByOrderers(c *checked, find func(Rule, string, ...any)) {
	if err := v.config.orderers(c.block.GetHeader(), c.block.GetMetadata()); err != nil {
		find(RuleOrderers, "%v", err)
	}
	metadata, signed := &common.Metadata{}, &common.OrdererBlockMetadata{}
	index := int(common.BlockMetadataIndex_SIGNATURES)
	if values := c.block.GetMetadata().GetMetadata(); len(values) <= index || proto.Unmarshal(values[index], metadata) != nil || proto.Unmarshal(metadata.GetValue(), signed) != nil {
		find(RuleOrderers, "the metadata with the signatures does not parse")
		return
	}
	v.signatures.count.Add(int64(len(metadata.GetSignatures())))
	want := v.config.number
	if isConfiguration(c.block) {
		want = c.block.GetHeader().GetNumber()
	}
	if err := plainLastConfig(c.block, want); err != nil {
		find(RuleForm, "%v", err)
	}
	if got := signed.GetLastConfig().GetIndex(); got != want {
		find(RuleLastConfig, "the orderers' metadata names block %d as the configuration in force, it is %d", got, want)
	}
}

// plainMetadata refuses what nothing covers: unknown fields of a block, and metadata that peers do not write.
func plainMetadata(block *common.Block) error {
	for _, message := range []proto.Message{block, block.GetHeader(), block.GetData(), block.GetMetadata()} {
		if len(message.ProtoReflect().GetUnknown()) > 0 {
			return fmt.Errorf("the %s has fields that nothing covers", message.ProtoReflect().Descriptor().Name())
		}
	}
	values := block.GetMetadata().GetMetadata()
	if len(values) > len(common.BlockMetadataIndex_name) {
		return fmt.Errorf("%d values of metadata", len(values))
	}
	if index := int(common.BlockMetadataIndex_ORDERER); block.GetHeader().GetNumber() > 0 && len(values) > index && len(values[index]) > 0 {
		return fmt.Errorf("metadata ORDERER, which nothing covers, is not empty")
	}
	return nil
}

// plainLastConfig refuses anything but the number of the configuration in force in metadata that nobody signed and
// orderers still write.
func plainLastConfig(block *common.Block, number uint64) error {
	values := block.GetMetadata().GetMetadata()
	index := int(common.BlockMetadataIndex_LAST_CONFIG)
	if len(values) <= index || len(values[index]) == 0 {
		return nil
	}
	value, err := proto.Marshal(&common.LastConfig{Index: number})
	if err != nil {
		return fmt.Errorf("encode the number of the configuration: %w", err)
	}
	want, err := proto.Marshal(&common.Metadata{Value: value})
	if err != nil {
		return fmt.Errorf("encode the number of the configuration: %w", err)
	}
	if !bytes.Equal(values[index], want) {
		return fmt.Errorf("metadata LAST_CONFIG, which nothing covers, holds more than the number of the configuration in force, block %d", number)
	}
	return nil
}

// rerunAll runs the rules again for a block's valid transactions, also on workers that are idle.
func (v *verifier) rerunAll(c *checked, verdicts []byte) {
	if v.rerun == nil || v.state == nil || len(verdicts) != len(c.transactions) {
		return
	}
	differences := make([]*difference, len(c.transactions))
	var rerun []int
	for i, t := range c.transactions {
		if peer.TxValidationCode(verdicts[i]) == peer.TxValidationCode_VALID && t.code == peer.TxValidationCode_VALID &&
			t.kind == common.HeaderType_ENDORSER_TRANSACTION && t.chaincode == v.chaincode {
			rerun = append(rerun, i)
		}
	}
	v.report.Rerun += len(rerun)
	v.share(len(rerun), func(i int) {
		differences[rerun[i]] = v.rerun.compare(c.transactions[rerun[i]], v.chaincode)
	})
	for i, d := range differences {
		if d != nil {
			v.find(Finding{Severity: Broken, Rule: RuleOutcome, Block: c.block.GetHeader().GetNumber(), Tx: &i,
				TxID: c.transactions[i].id, Key: readable(string(d.key)), Message: d.message})
		}
	}
}
