"""Blocks in order: checks 1 to 4, 6 to 9 and 11 of docs/audit-bundle.md."""

import json

import messages
from configuration import Configuration
from messages import CONFIG, ENDORSED, VALID, Transaction, field, message, sha256, varint

LIFECYCLE = b"_lifecycle"


def der(tag, content):
    return bytes([tag, len(content)]) + content  # what is encoded here is shorter than 128 bytes


def header_der(h):
    number = h.number.to_bytes(h.number.bit_length() // 8 + 1, "big")
    return der(0x30, der(2, number) + der(4, h.previous_hash) + der(4, h.data_hash))


class Ledger:
    """report is told each finding: its severity, rule, block, transaction or None, and a text."""

    def __init__(self, channel, chaincode, report):
        self.channel, self.chaincode, self.report = channel, chaincode.encode(), report
        self.height, self.transactions, self.previous, self.commit_hash = 0, 0, b"", b""
        self.config, self.ids = None, set()
        self.state, self.policies = {}, {}  # by key: value and version; SignaturePolicyEnvelope

    def block(self, raw, genesis):
        block = message(raw, "header data metadata", strict=True)
        header = message(block.header, "#number previous_hash data_hash", strict=True)
        metadata = message(block.metadata, "*values", strict=True).values
        signatures, last, verdicts, orderer, commit = metadata + [b""] * (5 - len(metadata))
        forged = lambda rule, text: self.report("forged", rule, self.height, None, text)

        digest = sha256(header_der(header))
        if self.height == 0 and digest.hex() != genesis:
            forged("genesis", "the header's hash is " + digest.hex())
        if header.number != self.height or header.previous_hash != self.previous:
            forged("chain", "it does not follow")
        data = message(block.data, "*data", strict=True).data
        if sha256(*data) != header.data_hash:
            forged("data-hash", "its transactions are others")
        txs = [Transaction(raw, self.config is not None) for raw in data]
        configuration = any(tx.type == CONFIG for tx in txs)
        if self.config:
            in_force = header.number if configuration else self.config.number
            self.signed(header, signatures, in_force, forged)
            if last not in (b"", field(1, field(1, in_force))) or orderer:
                forged("form", "metadata LAST_CONFIG or ORDERER")
        if len(verdicts) != len(txs) or configuration and len(txs) != 1:
            return forged("form", "%d verdicts on %d transactions" % (len(verdicts), len(txs)))

        for i, (peers, own) in enumerate(zip(verdicts, self.judge(txs, verdicts))):
            if peers != own:
                severity = "forged" if VALID in (peers, own) else "unclear"
                self.report(severity, "verdict", self.height, i, "%d, and not %d" % (peers, own))
        self.apply(txs, verdicts, commit)
        if configuration and verdicts[0] == VALID:
            config = Configuration(header.number, txs[0].data)
            if self.config and config.sequence != self.config.sequence + 1:
                forged("configuration", "its number is %d" % config.sequence)
            self.config = config
        self.ids.update(tx.id for tx in txs)
        self.transactions += len(txs)
        self.height, self.previous = self.height + 1, digest

    def signed(self, header, metadata, in_force, forged):
        """The orderers' signatures."""
        m, signatures = message(metadata, "value *signatures"), []
        for s in m.signatures:
            s = message(s, "header signature identifier")
            if s.header:
                signer = message(s.header, "creator nonce").creator
            else:
                signer = self.config.consenters.get(message(s.identifier, "#id nonce").id, b"")
            signatures.append((signer, m.value + (s.header or s.identifier) + header_der(header), s.signature))
        if not self.config.satisfied("/Channel/Orderer/BlockValidation", self.config.signers(signatures)):
            forged("orderer-signatures", "too few of %d are good" % len(signatures))
        if message(message(m.value, "last_config consenter_metadata").last_config, "#index").index != in_force:
            forged("last-configuration", "it names another block than %d" % in_force)

    # Verdicts

    def judge(self, txs, verdicts):
        """The verdicts that peers must have reached: first on each transaction for itself, then in order."""
        codes, seen, guarded, written = [], set(), set(), {}
        for tx in txs:
            codes.append(self.envelope(tx) or (tx.type == ENDORSED and self.endorsement(tx, seen, guarded)) or VALID)
        for i, tx in enumerate(txs):
            if codes[i] != VALID:
                continue
            if any(key in written or self.version(key) != seen_at for key, seen_at in tx.reads):
                codes[i] = messages.CONFLICT
            elif tx.ranges:
                codes[i] = verdicts[i]
                self.report("unclear", "verdict", self.height, i, "it reads a range, which this program does not judge")
            if codes[i] == VALID:
                written.update((key, value and (self.height, i)) for key, value in tx.writes)
                written.update((key, (self.height, i)) for key, _ in tx.policies if key in written or key in self.state)
        return codes

    def envelope(self, tx):
        if self.config is None:
            return VALID
        creator = self.config.identity(tx.creator)
        if not creator or not creator.signed(tx.payload, tx.signature):
            return messages.BAD_CREATOR
        if tx.type not in (CONFIG, ENDORSED):
            return messages.BAD_HEADER
        if tx.type == ENDORSED and tx.id != tx.named:
            return messages.BAD_ID
        if not tx.answers:
            return messages.INVALID
        return VALID if tx.channel == self.channel else messages.OTHER_CHANNEL

    def endorsement(self, tx, seen, guarded):
        """seen and guarded are the block's ids and keys with a new policy so far, of what was endorsed well."""
        if tx.id in self.ids:
            return messages.DUPLICATE
        changed = [key for key, _ in tx.writes + tx.policies]
        signers = self.config.signers(tx.endorsements)
        for policy in {self.policies.get(key) or self.policy_of(key) for key in changed} or {self.policy_of((tx.chaincode,))}:
            if policy is None or not self.config.satisfied(policy, signers):
                return messages.NOT_ENDORSED
        if guarded.intersection(changed):
            return messages.NOT_ENDORSED
        guarded.update(key for key, _ in tx.policies)
        if tx.id in seen:
            return messages.DUPLICATE
        seen.add(tx.id)
        return VALID

    def policy_of(self, key):
        """The policy of a key that has none of its own."""
        if len(key) == 3:
            path = self.config.paths.get(key[1].decode().removeprefix("_implicit_org_"))
            return path and path + "/Endorsement"
        if key[0] == LIFECYCLE:
            return "/Channel/Application/LifecycleEndorsement"
        definition = self.state.get((LIFECYCLE, b"namespaces/fields/%s/ValidationInfo" % key[0]))
        if definition is None:
            return None
        info = message(message(definition[0], "- bytes").bytes, "plugin parameter")
        policy = message(info.parameter, "signature_policy reference")
        return policy.signature_policy or policy.reference.decode()

    def version(self, key):
        return self.state[key][1] if key in self.state else None

    # State

    def apply(self, txs, verdicts, commit):
        changes, policies = {}, {}
        for i, tx in enumerate(txs):
            if verdicts[i] != VALID:
                continue
            for key, value in tx.writes:
                changes[key] = (value or None, (self.height, i))
                if not value:
                    policies[key] = b""
            for key, policy in tx.policies:
                value = changes[key][0] if key in changes else self.state.get(key, (None,))[0]
                if value is not None:
                    changes[key], policies[key] = (value, (self.height, i)), policy
        own = [(key, value, self.state.get(key, (None,))[0]) for key, (value, _) in changes.items() if key[0] == self.chaincode]
        surplus = sum(held(key, after) - held(key, before) for key, after, before in own)
        if surplus:
            self.report("broken", "conservation", self.height, None, "%d micro-credits more were issued than are held" % surplus)
        for key, (value, at) in changes.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = (value, at)
        self.policies.update(policies)
        if self.height > 0:
            own = sha256(varint(len(verdicts)), verdicts, updates(changes), self.commit_hash)
            if commit != field(1, own):
                self.report("forged", "commit-hash", self.height, None, "verdicts and writes give " + own.hex())
            self.commit_hash = message(commit, "value *signatures").value


def updates(changes):
    """What Fabric calls Updates. A namespace and a collection are named once."""
    out, namespace, collection = [], b"", b""
    for key in sorted(changes, key=lambda k: (k[0], k[1:-1], k[-1])):
        value, at = changes[key]
        place = (key[0], key[1] if len(key) == 3 else b"")
        named = field(1, place[0]) if place[0] != namespace else b""
        named += field(2, place[1]) if place != (namespace, collection) else b""
        namespace, collection = place
        change = field(3, key[-1]) + field(4, int(value is None)) + field(5, value or b"")
        out.append(field(1, named + change + field(6, counted(at[0]) + counted(at[1]))))
    return b"".join(out)


def counted(n):
    size = (n.bit_length() + 7) // 8
    return bytes([size]) + n.to_bytes(size, "big")


def held(key, value):
    """What an entry adds to issued − redeemed − all that is held."""
    kind = key[1].strip(b"\0").split(b"\0")[0]
    if value is None or kind not in (b"mint", b"balance", b"credit", b"redemption", b"tab", b"fund", b"claim", b"pool-payout"):
        return 0
    e = json.loads(value)
    if kind == b"mint":
        return int(e["amount"])
    if kind in (b"claim", b"pool-payout"):
        return -int(e["left"])
    if kind == b"tab":
        return 0 if e["closed"] else int(e["amount"]) - int(e["funded"])
    if kind == b"fund" and e["used"] or kind == b"redemption" and e["state"] == "returned":
        return 0
    return -int(e["amount"])
