"""An AuditAnchor next to the city's ledger: logs opened by the council, heads signed by the keys that a test
chooses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from contracts_harness import FOREVER, City, Contract, Key, Receipt

from .rfc6962 import Log

OPERATOR = 1


def origin_of(name: str) -> bytes:
    """SHA-256 of a checkpoint's origin line."""
    return hashlib.sha256(name.encode()).digest()


class Anchoring:
    """The AuditAnchor of a city. Department 1 operates its logs."""

    def __init__(self, city: City, code: bytes | None = None) -> None:
        self.city = city
        self.contract: Contract = city.chain.deploy("AuditAnchor", [city.ledger.address], city.salt, code)

    def open(self, origin: bytes, *, operator: int = OPERATOR, quorum: int = 0) -> Receipt:
        """Open a log, signed by two council members."""
        message = {"origin": origin, "operator": operator, "quorum": quorum, "epoch": 1, "deadline": FOREVER}
        return self.send("openLog", message, self.council("OpenLog", message))

    def head(self, origin: bytes, size: int, root: bytes, **members: Any) -> dict[str, Any]:
        """A tree head without a deadline."""
        return {"origin": origin, "size": size, "root": root, "deadline": FOREVER, **members}

    def anchor(
        self,
        head: Mapping[str, Any],
        proof: Sequence[bytes] = (),
        witnesses: Sequence[int] = (),
        operator: Key | None = None,
    ) -> Receipt:
        """Signed by the operator's attest key and by these departments' witness keys."""
        return self.send("anchor", head, list(proof), self.signatures(head, witnesses, operator))

    def signatures(
        self, head: Mapping[str, Any], witnesses: Sequence[int] = (), operator: Key | None = None
    ) -> bytes:
        """The signatures in the order of ``anchor``: the operator's, then the witnesses'."""
        keys = [operator or self.city.departments[OPERATOR].attest]
        keys += [self.city.departments[department].witness for department in witnesses]
        return b"".join(self.city.sign("TreeHead", head, *keys, contract=self.contract))

    def grow(self, origin: bytes, log: Log, old: int, new: int, witnesses: Sequence[int] = ()) -> Receipt:
        """Anchor the log's head of size ``new``, from ``old``."""
        return self.anchor(self.head(origin, new, log.root(new)), log.proof(old, new), witnesses)

    def epoch(
        self, origin: bytes, new_origin: bytes, size: int, root: bytes, **members: Any
    ) -> dict[str, Any]:
        """The council's message that continues a log under another name."""
        message = {
            "origin": origin,
            "lastSize": size,
            "lastRoot": root,
            "newOrigin": new_origin,
            "operator": OPERATOR,
            "quorum": 0,
            "reason": "restored from Tuesday's backup",
            "epoch": 1,
            "deadline": FOREVER,
        }
        return {**message, **members}

    def council(self, kind: str, message: Mapping[str, Any]) -> list[bytes]:
        """A quorum's signatures, for this contract."""
        return self.city.sign(kind, message, *self.city.members[:2], contract=self.contract)

    def send(self, function: str, *arguments: Any) -> Receipt:
        """Submit the act; any address may."""
        return self.city.chain.send(self.contract, function, *arguments)

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a view."""
        return self.city.chain.call(self.contract, function, *arguments)
