"""How a partner checks a receipt: with hashlib alone, nothing of the vendor's is trusted or run.

A receipt proves the place of a claim in its waiting line. Per line it holds the partner's own
claim, byte for byte as published, the (version, digest) of every fact of the line up to it, and
the line's chain at that point. Whose the other facts are it does not tell.

    digest = SHA-256 over subject, sequence, type, id, time, actor and value of the fact, each as
             UTF-8 and preceded by its length as 4 bytes, big-endian
    chain  = SHA-256 of the previous chain and the digest; the first previous chain is 32 zero bytes

`python -m prm_contracts.receipts receipt.json` prints what is wrong, and exits 1 if anything is.
"""

import json
import sys
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

FIRST_CHAIN = bytes(32)
SIGNED = ("subject", "sequence", "type", "id", "time", "actor", "value")


def digest_of(event: Mapping[str, str]) -> bytes:
    parts = [event[name].encode() for name in SIGNED]
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def flaws_of_line(deal_id: str, line: Mapping[str, Any]) -> list[str]:
    """What is wrong with the receipt of one line; empty when it holds."""
    own, listed = line["own_event"], line["digests"]
    name = f"line {line['exclusivity_id']}"
    flaws = []
    if [entry["version"] for entry in listed] != list(range(1, len(listed) + 1)):
        flaws.append(f"{name}: versions are not counted from 1 without a gap")
    if own["subject"] != line["exclusivity_id"] or json.loads(own["value"])["deal_id"] != deal_id:
        flaws.append(f"{name}: the event is not the claim of this deal on this line")
    if own["sequence"] != str(len(listed)):
        flaws.append(f"{name}: the claim is not the last of the facts listed")
    if not listed or digest_of(own).hex() != listed[-1]["digest"]:
        flaws.append(f"{name}: the digest listed for the claim is not that of its bytes")
    chain = FIRST_CHAIN
    for entry in listed:
        chain = sha256(chain + bytes.fromhex(entry["digest"])).digest()
    if chain.hex() != line["chain"]:
        flaws.append(f"{name}: the digests do not lead to the chain")
    return flaws


def flaws_of(receipt: Mapping[str, Any]) -> list[str]:
    """What is wrong with a receipt as deal-svc answers it; empty when it holds."""
    if not receipt["lines"]:
        return ["a receipt without lines proves nothing"]
    return [flaw for line in receipt["lines"] for flaw in flaws_of_line(receipt["deal_id"], line)]


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - one import less to read
        flaws = flaws_of(json.load(file))
    sys.stdout.write("\n".join(flaws or ["the receipt holds"]) + "\n")
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
