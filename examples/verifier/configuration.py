"""A channel's configuration: whose certificates and signatures are good, and what its policies demand. As peers do, it
ignores when certificates expire."""

from types import SimpleNamespace

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from messages import field, message, read_varint

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ROLES = ("member", "admin", "client", "peer", "orderer")
SIGNATURE, IMPLICIT_META = 1, 3  # types of policies
ROLE, IDENTITY = 0, 2  # what a principal names


class Identity:
    def __init__(self, msp, cert, roles):
        self.msp, self.cert, self.roles, self.key = msp, cert, roles, cert.public_key()

    def signed(self, data, signature):
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, data)
            elif utils.decode_dss_signature(signature)[1] > P256_ORDER // 2:
                return False
            else:
                self.key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
            return True
        except (InvalidSignature, ValueError):
            return False

    def meets(self, principal):
        p = message(principal, "#classification principal")
        if p.classification == ROLE:
            role = message(p.principal, "msp #role")
            return role.msp.decode() == self.msp and ROLES[role.role] in self.roles
        if p.classification == IDENTITY:
            i = message(p.principal, "msp cert")
            return i.msp.decode() == self.msp and x509.load_pem_x509_certificate(i.cert) == self.cert
        return False  # the others do not occur in this network


class MSP:
    """An organisation's authorities."""

    def __init__(self, config):
        c = message(config, "name *roots *intermediates *admins *revoked - - - - - node_units")
        self.name = c.name.decode()
        self.authorities = [x509.load_pem_x509_certificate(pem) for pem in c.roots + c.intermediates]
        self.revoked = {(l.issuer, r.serial_number) for l in map(x509.load_pem_x509_crl, c.revoked) for r in l}
        units = message(c.node_units, "#enable client peer admin orderer")
        self.roles = {message(getattr(units, role), "certificate name").name.decode(): role for role in ROLES[1:]}

    def identity(self, pem):
        """The identity of a certificate, or None when it is not one of this organisation's."""
        cert = x509.load_pem_x509_certificate(pem)
        units = {a.value for a in cert.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)}
        roles = {self.roles[u] for u in units & set(self.roles)}
        ours = (cert.issuer, cert.serial_number) not in self.revoked and any(issued(cert, a) for a in self.authorities)
        return Identity(self.name, cert, roles | {"member"}) if ours and len(roles) == 1 else None


def issued(cert, authority):
    try:
        cert.verify_directly_issued_by(authority)
        return True
    except (InvalidSignature, ValueError, TypeError):
        return False


def group(data):
    g = message(data, "- *groups *values *policies")
    entries = lambda items: {e.key.decode(): e.value for e in (message(i, "key value") for i in items)}
    return SimpleNamespace(
        groups={k: group(v) for k, v in entries(g.groups).items()},
        values={k: message(v, "- value").value for k, v in entries(g.values).items()},
        policies={k: message(message(v, "- policy").policy, "#type value") for k, v in entries(g.policies).items()})


class Configuration:
    def __init__(self, number, envelope):
        config = message(message(envelope, "config last_update").config, "#sequence channel_group")
        self.number, self.sequence, self.root = number, config.sequence, group(config.channel_group)
        self.msps, self.paths, self.known = {}, {}, {}
        for section in ("Application", "Orderer"):
            for name, org in self.root.groups[section].groups.items():
                msp = MSP(message(org.values["MSP"], "#type config").config)
                self.msps[msp.name], self.paths[msp.name] = msp, "/Channel/%s/%s" % (section, name)
        self.consenters = {}  # of BFT, as SerializedIdentity
        for data in message(self.root.groups["Orderer"].values.get("Orderers", b""), "*consenters").consenters:
            c = message(data, "#id - - msp identity")
            self.consenters[c.id] = field(1, c.msp) + field(2, c.identity)

    def identity(self, serialized):
        if serialized not in self.known:
            try:
                i = message(serialized, "msp cert")
                self.known[serialized] = self.msps[i.msp.decode()].identity(i.cert)
            except (KeyError, ValueError):
                self.known[serialized] = None
        return self.known[serialized]

    def signers(self, signatures):
        """Who has signed, each once: signatures are (SerializedIdentity, data, signature)."""
        found = {}
        for serialized, data, signature in signatures:
            identity = self.identity(serialized)
            if identity and identity.cert not in found and identity.signed(data, signature):
                found[identity.cert] = identity
        return list(found.values())

    def satisfied(self, policy, signers):
        """Whether a policy is: a path such as /Channel/Application/Endorsement, or a SignaturePolicyEnvelope."""
        if isinstance(policy, bytes):
            p = message(policy, "#version rule *principals")
            return rule(p.rule, p.principals, signers, [False] * len(signers))
        *groups, name = policy.split("/")[2:]
        at = self.root
        for g in groups:
            at = at.groups[g]
        return self.holds(at, name, signers)

    def holds(self, at, name, signers):
        policy = at.policies.get(name)
        if policy is None or policy.type == SIGNATURE:
            return policy is not None and self.satisfied(policy.value, signers)
        meta = message(policy.value, "sub_policy #rule")
        met = [self.holds(g, meta.sub_policy.decode(), signers) for g in at.groups.values()]
        needed = (min(1, len(met)), len(met), len(met) // 2 + 1)[meta.rule]  # any, all, majority
        return policy.type == IMPLICIT_META and sum(met) >= needed


def rule(data, principals, signers, used):
    """Whether signers that are not used yet satisfy a rule; marks those that it uses."""
    if data[:1] == b"\x08":  # signed_by
        principal = principals[read_varint(data, 1)[0]]
        for i, signer in enumerate(signers):
            if not used[i] and signer.meets(principal):
                used[i] = True
                return True
        return False
    n, met = message(message(data, "- n_out_of").n_out_of, "#n *rules"), 0
    for part in n.rules:
        attempt = list(used)
        if rule(part, principals, signers, attempt):
            met, used[:] = met + 1, attempt
    return met >= n.n
