package verify

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/core/ledger/kvledger/txmgmt/rwsetutil"
	"github.com/hyperledger/fabric/protoutil"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
)

// applyOrGiveUp does, block after block, what needs the blocks before. It turns a panic over a hostile block into a
// finding; the state is not to be trusted after it.
func (v *verifier) applyOrGiveUp(c *checked) {
	defer func() {
		if p := recover(); p != nil {
			v.find(Finding{Severity: Forged, Rule: RuleReplay, Block: c.block.GetHeader().GetNumber(),
				Message: fmt.Sprintf("a check failed: %v; from here on neither state nor rules are checked", p)})
			v.state, v.rerun = nil, nil
			v.previous = c.block.GetHeader()
			v.report.Height = c.block.GetHeader().GetNumber() + 1
		}
	}()
	v.applyBlock(c)
}

func (v *verifier) applyBlock(c *checked) {
	header := c.block.GetHeader()
	v.chain(header)
	for _, f := range c.findings {
		v.find(f)
	}
	if header.GetNumber() == 0 && !c.unread {
		v.genesis(c.block)
		if v.config != nil && c.transactions == nil {
			c.transactions = []*transaction{{code: peer.TxValidationCode_VALID, kind: common.HeaderType_CONFIG}}
		}
	}
	verdicts := verdictsOf(c.block)
	if len(verdicts) != len(c.block.GetData().GetData()) {
		v.find(Finding{Severity: Forged, Rule: RuleForm, Block: header.GetNumber(),
			Message: fmt.Sprintf("%d verdicts for %d transactions", len(verdicts), len(c.block.GetData().GetData()))})
		verdicts = nil
	}
	for i, t := range c.transactions {
		v.report.Transactions++
		if verdicts != nil {
			v.report.Verdicts[peer.TxValidationCode(verdicts[i]).String()]++
			v.judge(c, i, t, peer.TxValidationCode(verdicts[i]))
		}
	}
	v.rerunAll(c, verdicts)
	v.follow(c, verdicts)
	if header.GetNumber() > 0 && !c.unread && isConfiguration(c.block) {
		v.reconfigure(c.block)
	}
	v.previous = header
	v.report.Height = header.GetNumber() + 1
}

// chain checks a header against the one before, or the auditor's knowledge.
func (v *verifier) chain(header *common.BlockHeader) {
	number := header.GetNumber()
	find := func(rule Rule, format string, args ...any) {
		v.find(Finding{Severity: Forged, Rule: rule, Block: number, Message: fmt.Sprintf(format, args...)})
	}
	hash := protoutil.BlockHeaderHash(header)
	switch {
	case v.previous != nil && number != v.previous.GetNumber()+1:
		find(RuleChain, "it follows block %d", v.previous.GetNumber())
	case v.previous != nil && !bytes.Equal(header.GetPreviousHash(), protoutil.BlockHeaderHash(v.previous)):
		find(RuleChain, "its header names %x as the block before, which is %x", header.GetPreviousHash(), protoutil.BlockHeaderHash(v.previous))
	case v.previous == nil && number != v.report.First:
		unchecked := ""
		if v.config == nil {
			unchecked = "; without its configuration no signature is checked"
		}
		find(RuleChain, "it is the first block, and block %d is due%s", v.report.First, unchecked)
	}
	if v.previous == nil && number == 0 {
		v.report.Genesis = hex.EncodeToString(hash)
		if !bytes.Equal(hash, v.options.Genesis[:]) {
			find(RuleGenesis, "the genesis block has hash %x, not the one that is known", hash)
		}
	}
	tip := v.options.Tip
	switch {
	case tip == nil:
	case tip.Number == number && !bytes.Equal(hash, tip.Hash[:]):
		find(RuleTip, "it has hash %x, another than the block that is known", hash)
	case v.previous == nil && tip.Number+1 == number && !bytes.Equal(header.GetPreviousHash(), tip.Hash[:]):
		find(RuleTip, "the block before it has hash %x, another than the one that is known", header.GetPreviousHash())
	}
}

func verdictsOf(block *common.Block) []byte {
	values := block.GetMetadata().GetMetadata()
	if index := int(common.BlockMetadataIndex_TRANSACTIONS_FILTER); len(values) > index {
		return values[index]
	}
	return nil
}

// computed are the verdicts that the replay computes.
var computed = map[peer.TxValidationCode]bool{
	peer.TxValidationCode_VALID: true, peer.TxValidationCode_DUPLICATE_TXID: true, peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE: true,
	peer.TxValidationCode_MVCC_READ_CONFLICT: true, peer.TxValidationCode_PHANTOM_READ_CONFLICT: true,
}

// ofForm are the verdicts on form and creator that peers give before all others, and [open] too.
var ofForm = map[peer.TxValidationCode]bool{
	peer.TxValidationCode_BAD_PAYLOAD: true, peer.TxValidationCode_BAD_COMMON_HEADER: true, peer.TxValidationCode_BAD_CREATOR_SIGNATURE: true,
	peer.TxValidationCode_BAD_PROPOSAL_TXID: true, peer.TxValidationCode_UNSUPPORTED_TX_PAYLOAD: true, peer.TxValidationCode_TARGET_CHAIN_NOT_FOUND: true,
}

// judge compares the peers' verdict with what form, creator and, for chaincode definitions, endorsements give. The
// replay judges the rest.
func (v *verifier) judge(c *checked, i int, t *transaction, verdict peer.TxValidationCode) {
	number := c.block.GetHeader().GetNumber()
	find := func(severity Severity, rule Rule, format string, args ...any) {
		v.find(Finding{Severity: severity, Rule: rule, Block: number, Tx: &i, TxID: t.id, Message: fmt.Sprintf(format, args...)})
	}
	switch {
	case t.code != peer.TxValidationCode_VALID && t.code != verdict:
		find(Forged, RuleEnvelope, "%s; the peers say %s", t.why, verdict)
	case t.code != peer.TxValidationCode_VALID:
	case t.kind == common.HeaderType_CONFIG:
		if len(c.transactions) != 1 {
			find(Forged, RuleForm, "a configuration shares its block with others")
		}
		if verdict != peer.TxValidationCode_VALID {
			find(Forged, RuleVerdict, "a configuration that was ordered is %s", verdict)
		}
	case ofForm[verdict]:
		find(Forged, RuleVerdict, "form and creator are good; the peers say %s", verdict)
	case v.state == nil && verdict == peer.TxValidationCode_DUPLICATE_TXID: // which ids there were is not known
	case t.content != peer.TxValidationCode_VALID:
		if want := v.unless(t, t.content); verdict != want {
			find(Forged, RuleVerdict, "%s; the peers say %s, and not %s", t.why, verdict, want)
		}
	case v.undefined(t) != "":
		undefined, want := v.undefined(t), v.unless(t, peer.TxValidationCode_INVALID_CHAINCODE)
		// Of a chaincode that it calls and those whose state it changes peers name the first that fails, in lexical order.
		unendorsed := want == peer.TxValidationCode_INVALID_CHAINCODE && verdict == peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE &&
			(t.chaincode != undefined || writesElsewhere(t, undefined))
		if verdict != want && !unendorsed {
			find(Forged, RuleVerdict, "chaincode %q is not defined yet; the peers say %s, and not %s", undefined, verdict, want)
		}
	case t.chaincode != v.chaincode && t.chaincode != lifecycle:
		find(Unclear, RuleVerdict, "a transaction of chaincode %q, which is not judged", t.chaincode)
	case !computed[verdict] && (v.state == nil || verdict == peer.TxValidationCode_INVALID_WRITESET):
		find(Unclear, RuleVerdict, "the verdict %s cannot be computed again", verdict)
	case !computed[verdict]:
		find(Forged, RuleVerdict, "the peers say %s, which nothing in it gives", verdict)
	case v.state != nil && v.state.Guarded(t.sets), verdict == peer.TxValidationCode_VALID && guardsPrivate(t):
		find(Unclear, RuleVerdict, "it has to do with policies of keys of private data, which are not judged")
	case t.chaincode == lifecycle && verdict == peer.TxValidationCode_VALID && writesElsewhere(t, lifecycle):
		find(Forged, RuleVerdict, "it is VALID, but changes the state of another chaincode through the lifecycle")
	case t.chaincode == lifecycle:
		endorsed := v.endorsedDefinition(t)
		if endorsed != (verdict != peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE) && verdict != peer.TxValidationCode_DUPLICATE_TXID {
			find(Forged, RuleLifecycle, "the verdict is %s, but that the endorsements suffice is %t", verdict, endorsed)
		}
	case verdict == peer.TxValidationCode_VALID && writesElsewhere(t, v.chaincode):
		find(Unclear, RuleVerdict, "it writes in the state of another chaincode, which is not judged")
	}
}

// unless is the verdict that peers give on a transaction that is not good: of one whose id stood in an earlier block they say
// that alone.
func (v *verifier) unless(t *transaction, verdict peer.TxValidationCode) peer.TxValidationCode {
	if v.state != nil && v.state.Known(t.id) {
		return peer.TxValidationCode_DUPLICATE_TXID
	}
	return verdict
}

// undefined is a chaincode that a transaction calls, or whose state it changes, and that has no definition as far as the
// state knows; "" if there is none.
func (v *verifier) undefined(t *transaction) string {
	if v.state == nil {
		return ""
	}
	if !v.state.Defined(t.chaincode) {
		return t.chaincode
	}
	for _, ns := range t.sets.NsRwSets {
		if replay.Writes(ns) && !v.state.Defined(ns.NameSpace) {
			return ns.NameSpace
		}
	}
	return ""
}

func guardsPrivate(t *transaction) bool {
	return slices.ContainsFunc(t.sets.NsRwSets, func(ns *rwsetutil.NsRwSet) bool {
		return slices.ContainsFunc(ns.CollHashedRwSets, func(c *rwsetutil.CollHashedRwSet) bool { return len(c.HashedRwSet.GetMetadataWrites()) > 0 })
	})
}

func writesElsewhere(t *transaction, chaincode string) bool {
	if t.sets == nil {
		return true
	}
	return slices.ContainsFunc(t.sets.NsRwSets, func(ns *rwsetutil.NsRwSet) bool { return ns.NameSpace != chaincode && replay.Writes(ns) })
}

const (
	definitionPolicy    = "/Channel/Application/LifecycleEndorsement"
	organisationsPolicy = "/Channel/Application/%s/Endorsement"
)

// endorsedDefinition judges a transaction of Fabric's lifecycle chaincode: what it writes for all needs the channel's
// policy, what it writes in an organisation's own collection that organisation's.
func (v *verifier) endorsedDefinition(t *transaction) bool {
	if t.sets == nil {
		return false
	}
	public, private := false, false
	for _, ns := range t.sets.NsRwSets {
		public = public || len(ns.KvRwSet.GetWrites())+len(ns.KvRwSet.GetMetadataWrites()) > 0
		for _, collection := range ns.CollHashedRwSets {
			if len(collection.HashedRwSet.GetHashedWrites())+len(collection.HashedRwSet.GetMetadataWrites()) == 0 {
				continue
			}
			private = true
			msp, ok := replay.ImplicitOwner(collection.CollectionName)
			if !ok || !v.config.satisfied(fmt.Sprintf(organisationsPolicy, v.config.group(msp)), t.signers()) {
				return false
			}
		}
	}
	return private && !public || v.config.satisfied(definitionPolicy, t.signers())
}

// follow judges the block's transactions on the state, applies them, and compares the commit hash and the conservation of
// credits.
func (v *verifier) follow(c *checked, verdicts []byte) {
	if v.state == nil {
		return
	}
	number := c.block.GetHeader().GetNumber()
	lost := func(err error) {
		v.find(Finding{Severity: Forged, Rule: RuleReplay, Block: number,
			Message: fmt.Sprintf("%v; from here on neither state nor rules are checked", err)})
		v.state, v.rerun = nil, nil
	}
	if c.err != nil {
		lost(c.err)
		return
	}
	known := len(v.state.Report().Differences)
	changes, err := v.state.Apply(c.prepared)
	if err != nil {
		lost(err)
		return
	}
	for _, d := range v.state.Report().Differences[known:] {
		position := int(d.Tx)
		severity := Forged
		if d.Peers != memledger.Valid && d.Engine != memledger.Valid {
			severity = Unclear
		}
		v.find(Finding{Severity: severity, Rule: RuleVerdict, Block: number, Tx: &position, TxID: d.ID,
			Message: fmt.Sprintf("the peers say %s, policies, ids and reads give %s", d.Peers, d.Engine)})
	}
	for _, i := range conserved(changes, v.chaincode) {
		position := int(i.tx)
		v.find(Finding{Severity: Broken, Rule: RuleConservation, Block: number, Tx: &position, TxID: c.transactions[position].id,
			Key: readable(string(i.key)), Message: i.message})
	}
	for _, f := range v.invariants.check(number, changes, v.sender(c)) {
		v.find(f)
	}
	v.facts.changed(number, changes, func(tx int) string { return c.transactions[tx].id })
	for i, t := range c.transactions {
		if i < len(verdicts) && peer.TxValidationCode(verdicts[i]) == peer.TxValidationCode_VALID && t.chaincode == v.chaincode {
			v.facts.event(t.event, place{number, i, t.id})
		}
	}
	if number == 0 {
		return
	}
	held, err := replay.HeldCommitHash(c.block)
	if err != nil {
		v.find(Finding{Severity: Forged, Rule: RuleForm, Block: number, Message: err.Error()})
	}
	if want := replay.CommitHash(v.commit, verdicts, changes); !bytes.Equal(held, want) {
		v.find(Finding{Severity: Forged, Rule: RuleCommitHash, Block: number,
			Message: fmt.Sprintf("the peer's commit hash is %x, its transactions give %x", held, want)})
	}
	v.commit = held
}

// sender tells who sent a transaction of the block, and when.
func (v *verifier) sender(c *checked) func(tx int) (string, ledger.Caller, time.Time) {
	return func(tx int) (string, ledger.Caller, time.Time) {
		t := c.transactions[tx]
		if t.by == nil && v.rerun != nil {
			t.by = v.rerun.caller(t.creator)
		}
		if t.by == nil {
			return t.id, ledger.Caller{}, t.time
		}
		return t.id, t.by.caller, t.time
	}
}

// reconfigure takes a configuration block, if it follows from its update; else the old configuration stays in force.
func (v *verifier) reconfigure(block *common.Block) {
	fail := func(err error) {
		v.find(Finding{Severity: Forged, Rule: RuleConfiguration, Block: block.GetHeader().GetNumber(), Message: err.Error()})
	}
	if v.config == nil {
		return
	}
	if err := v.config.follows(block); err != nil {
		fail(err)
		return
	}
	next, err := configure(block)
	if err != nil {
		fail(err)
		return
	}
	envelope, _, err := configEnvelope(block)
	if err != nil {
		fail(err)
		return
	}
	for _, msp := range next.usurped(v.trusted, envelope.GetLastUpdate()) {
		v.find(Finding{Severity: Broken, Rule: RuleConfiguration, Block: block.GetHeader().GetNumber(),
			Message: fmt.Sprintf("%s has other certificates or policies than before, and its administrators did not consent: from here on others may sign in its name", msp)})
	}
	v.configured(next)
}

// configured takes a configuration.
func (v *verifier) configured(c *configuration) {
	v.config = c
	if v.trusted == nil {
		v.trusted = map[string]organisation{}
	}
	maps.Copy(v.trusted, c.orgs)
}

// readable shows a composite key: its parts with slashes between.
func readable(key string) string {
	return strings.Trim(strings.ReplaceAll(key, "\x00", "/"), "/")
}
