"""Bytes into values: protobuf messages, and the transactions of a block as docs/audit-bundle.md describes them."""

import hashlib
from types import SimpleNamespace

CONFIG, ENDORSED = 1, 3  # types of transactions
# Verdicts
VALID, BAD_HEADER, BAD_CREATOR, INVALID, BAD_ID, DUPLICATE = 0, 3, 4, 5, 8, 9
NOT_ENDORSED, CONFLICT, OTHER_CHANNEL = 10, 11, 14


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def read_varint(data, at):
    n = 0
    for shift in range(0, 64, 7):
        n |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128 and n >> 64 == 0:
            return n, at
    raise ValueError("a number has more than 64 bits")


def field(number, value):
    """A field as it is encoded; one that is empty or 0 is left out."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    return varint(number << 3 | 2) + varint(len(value)) + value if value else b""


SPECS = {}


def message(data, spec, strict=False):
    """Reads a message. Spec names its fields from number 1 on: #integer, *repeated, or - for one that is not needed. Others are
    bytes. What is absent is 0, [] or b"". A field that is not in spec is passed over, or when strict an error."""
    if spec not in SPECS:
        SPECS[spec] = {i: (name.strip("#*"), name[0]) for i, name in enumerate(spec.split(), 1)}
    fields = SPECS[spec]
    out = SimpleNamespace(**{name: [] if form == "*" else 0 if form == "#" else b"" for name, form in fields.values()})
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        kind, (name, form) = tag & 7, fields.get(tag >> 3, ("-", "-"))
        if kind == 0:
            value, at = read_varint(data, at)
        else:
            size, at = read_varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at:at + size], at + size
        if at > len(data):
            raise ValueError("field %d goes on after its message" % (tag >> 3))
        if name == "-" or kind != (0 if form == "#" else 2):
            if strict:
                raise ValueError("field %d is unknown" % (tag >> 3))
        elif form == "*":
            getattr(out, name).append(value)
        else:
            setattr(out, name, value)
    return out


def version(data):
    """Block and place of the transaction that wrote a key, None for a key that was absent."""
    v = message(data, "#block #tx")
    return (v.block, v.tx) if data else None


class Transaction:
    """An envelope of a block. Keys are (namespace, key), or (namespace, collection, hash of the key)."""

    def __init__(self, raw, signed):
        envelope = message(raw, "payload signature")
        self.payload, self.signature = envelope.payload, envelope.signature
        payload = message(envelope.payload, "header data")
        self.header = message(payload.header, "channel signature")
        head = message(self.header.channel, "#type #version timestamp channel id #epoch extension tls_digest")
        self.type, self.channel, self.id, self.data = head.type, head.channel.decode(), head.id.decode(), payload.data
        canonical = field(1, self.payload) + field(2, self.signature) == raw and self.payload and self.signature
        if signed and self.type != CONFIG and not canonical:
            raise ValueError("an envelope is not in its canonical encoding")
        sender = message(self.header.signature, "creator nonce")
        self.creator, self.named = sender.creator, sha256(sender.nonce, sender.creator).hex()
        self.reads, self.ranges, self.writes, self.policies, self.endorsements = [], [], [], [], []
        self.chaincode, self.answers = b"", True
        if self.type == ENDORSED:
            try:
                self.action()
            except (LookupError, ValueError):  # whatever a client sent
                self.answers = False

    def action(self):
        """Reads what was endorsed; answers tells whether it is an answer to what was proposed."""
        actions = message(self.data, "*actions").actions
        action = message(actions[0], "header payload")
        body = message(action.payload, "proposal action")
        endorsed = message(body.action, "response *endorsements")
        response = message(endorsed.response, "proposal_hash extension")
        self.answers = len(actions) == 1 and response.proposal_hash == sha256(self.header.channel, action.header, body.proposal)
        for e in endorsed.endorsements:
            e = message(e, "endorser signature")
            self.endorsements.append((e.endorser, endorsed.response + e.endorser, e.signature))
        result = message(response.extension, "results events response chaincode")
        self.chaincode = message(result.chaincode, "path name version").name
        for ns in message(result.results, "#model *namespaces").namespaces:
            self.namespace(message(ns, "name set *collections"))

    def namespace(self, ns):
        sets = message(ns.set, "*reads *ranges *writes *metadata")
        for r in (message(r, "key version") for r in sets.reads):
            self.reads.append(((ns.name, r.key), version(r.version)))
        self.ranges += sets.ranges
        for w in (message(w, "key #delete value") for w in sets.writes):
            self.writes.append(((ns.name, w.key), None if w.delete else w.value))
        for m in sets.metadata:
            m = message(m, "key *entries")
            entries = {e.name: e.value for e in (message(e, "name value") for e in m.entries)}
            self.policies.append(((ns.name, m.key), entries.get(b"VALIDATION_PARAMETER", b"")))
        for c in ns.collections:
            c = message(c, "name set digest")
            sets = message(c.set, "*reads *writes *metadata")
            for r in (message(r, "key version") for r in sets.reads):
                self.reads.append(((ns.name, c.name, r.key), version(r.version)))
            for w in (message(w, "key #delete value #purge") for w in sets.writes):
                self.writes.append(((ns.name, c.name, w.key), None if w.delete or w.value == sha256() else w.value))
