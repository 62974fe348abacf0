"""Conditions next to the city's ledger: opened and closed by a keeper, bound by the holder of the grant's
right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts_harness import FOREVER, City, Contract, Key, Receipt, keccak

KEEPER = 3
"""Department 1 grants, 2 reads, 3 keeps the conditions."""
CONSENT, CASE = 1, 2


class Conditioning:
    """The Conditions of a city."""

    def __init__(self, city: City, code: bytes | None = None) -> None:
        self.city = city
        self.contract: Contract = city.chain.deploy("Conditions", [city.ledger.address], city.salt, code)

    def id(self, sequence: int = 1, keeper: int = KEEPER) -> int:
        """Of a condition."""
        return keeper << 40 | sequence

    def open(self, condition: int, signer: Key | None = None, **members: Any) -> Receipt:
        """Signed by a steward of the keeper."""
        message = {
            "condition": condition,
            "kind": CONSENT,
            "commitment": keccak(b"salt and consent"),
            "deadline": FOREVER,
            **members,
        }
        return self._sole("openCondition", "OpenCondition", message, signer or self._steward(condition))

    def bind(self, grant: bytes, condition: int, signer: Key | None = None, **members: Any) -> Receipt:
        """Bind a grant, signed by the steward of department 1."""
        message = {"grant": grant, "condition": condition, "deadline": FOREVER, **members}
        key = signer or self.city.departments[1].steward
        return self._sole("bindCondition", "BindCondition", message, key)

    def close(self, condition: int, signer: Key | None = None, **members: Any) -> Receipt:
        """Signed by a steward of the keeper."""
        message = self.end(condition, **members)
        return self._sole("closeCondition", "CloseCondition", message, signer or self._steward(condition))

    def close_and_revoke(self, condition: int, revoke: Mapping[str, Any]) -> Receipt:
        """The end of a condition, with a Revoke that was signed before."""
        message = self.end(condition)
        (signature,) = self.sign("CloseCondition", message, self._steward(condition))
        request = {
            "to": self.contract.address,
            "data": "0x" + self.contract.abi.data("closeAndRevoke", [message, revoke, signature]).hex(),
        }
        self.city.chain._call(self.contract.abi, request)
        receipt = self.city.chain._transact(request)
        events = []
        for log in receipt["logs"]:
            topics = [bytes.fromhex(topic.removeprefix("0x")) for topic in log["topics"]]
            data = bytes.fromhex(log["data"].removeprefix("0x"))
            found = self.contract.abi.event(topics, data) or self.city.ledger.abi.event(topics, data)
            assert found is not None
            events.append(found)
        return Receipt(receipt["gas_used"], events, receipt["block_number"])

    def end(self, condition: int, **members: Any) -> dict[str, Any]:
        """A message that ends a condition."""
        return {"condition": condition, "reason": 1, "deadline": FOREVER, **members}

    def signed_revoke(self, grant: bytes, signer: Key, deadline: int = FOREVER) -> dict[str, Any]:
        """A Revoke and its signature, in the form that Conditions forwards."""
        message = {"grant": grant, "reason": 2, "deadline": deadline}
        (signature,) = self.city.sign("Revoke", message, signer)
        return message | {"r": signature[:32], "s": signature[32:64], "v": signature[64]}

    def sign(self, kind: str, message: Mapping[str, Any], *keys: Key) -> list[bytes]:
        """For this contract."""
        return self.city.sign(kind, message, *keys, contract=self.contract)

    def send(self, function: str, *arguments: Any) -> Receipt:
        """Submit the act; any address may."""
        return self.city.chain.send(self.contract, function, *arguments)

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a view."""
        return self.city.chain.call(self.contract, function, *arguments)

    def _sole(self, function: str, kind: str, message: Mapping[str, Any], key: Key) -> Receipt:
        return self.send(function, message, *self.sign(kind, message, key))

    def _steward(self, condition: int) -> Key:
        return self.city.departments[condition >> 40].steward
