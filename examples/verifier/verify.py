"""Verifies the blocks of an audit bundle: python3 verify.py FOLDER GENESIS-HASH. README.md says what that covers."""

import hashlib
import json
import os
import sys

from ledger import Ledger

EXIT = {"unclear": 10, "broken": 11, "forged": 12}


def main(folder, genesis):
    worst = 0

    def report(severity, rule, block, tx, text):
        nonlocal worst
        worst = max(worst, EXIT[severity])
        print("%s: %s: block %d%s: %s" % (severity, rule, block, "" if tx is None else ", transaction %d" % tx, text))

    try:
        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
    except (OSError, ValueError) as error:
        sys.exit("there is no bundle in the folder %s: %s" % (folder, error))
    if manifest["format"] != "datanet-audit/1" or manifest["first"] != 0:
        sys.exit("only bundles in the format datanet-audit/1 that begin with block 0")
    ledger = Ledger(manifest["channel"], manifest["chaincode"], report)
    try:
        for segment in manifest["segments"]:
            with open(os.path.join(folder, segment["file"]), "rb") as file:
                data = file.read()
            if len(data) != segment["bytes"] or hashlib.sha256(data).hexdigest() != segment["sha256"]:
                report("forged", "bundle", ledger.height, None, segment["file"] + " is not what the manifest says")
            at = 0
            while at < len(data):
                size = int.from_bytes(data[at:at + 4], "big")
                ledger.block(data[at + 4:at + 4 + size], genesis)
                at += 4 + size
        if ledger.height != manifest["height"]:
            report("forged", "bundle", ledger.height, None, "it ends before block %d" % manifest["height"])
    except OSError as error:
        report("forged", "bundle", ledger.height, None, "it is damaged: %s" % error)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        report("forged", "form", ledger.height, None, "it cannot be read: %r" % error)
    print("%d blocks, %d transactions, %d entries in the state" % (ledger.height, ledger.transactions, len(ledger.state)))
    return worst


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
