"""A second edition next to the city's ledger (contracts/src/rehearsal), and its storage according to its
events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from contracts_harness import ZERO, Abi, City, Contract, Event, Key, Receipt, atom, keccak, struct_hash
from eth_abi import encode

from contracts.artifacts import DIRECTORY

from .invariants.rebuild import at


@cache
def artifact() -> dict[str, Any]:
    """The committed artifact with its EIP-712 types."""
    document: dict[str, Any] = json.loads((DIRECTORY / "rehearsal" / "SecondLedger.json").read_text("utf-8"))
    return document


def hash_of(kind: str, message: Mapping[str, Any]) -> bytes:
    """hashStruct of a message of the second edition, without nested structs."""
    members = artifact()["eip712"]["types"][kind]
    text = f"{kind}({','.join(m['type'] + ' ' + m['name'] for m in members)})"
    return keccak(keccak(text.encode()) + b"".join(atom(m["type"], message[m["name"]]) for m in members))


class SecondEdition:
    """A successor that the city can hand over to."""

    def __init__(self, city: City) -> None:
        self.city = city
        abi = Abi(artifact()["abi"])
        code = bytes.fromhex(artifact()["bytecode"][2:])
        address = city.chain.create(abi, code + encode(["address"], [city.ledger.address]))
        domain = {**artifact()["eip712"]["domain"], "chainId": city.chain.chain_id}
        domain |= {"verifyingContract": address, "salt": city.salt}
        self.contract = Contract("SecondLedger", address, abi, struct_hash("EIP712Domain", domain))

    @property
    def address(self) -> str:
        return self.contract.address

    def send(self, function: str, *arguments: Any) -> Receipt:
        return self.city.chain.send(self.contract, function, *arguments)

    def call(self, function: str, *arguments: Any) -> Any:
        return self.city.chain.call(self.contract, function, *arguments)

    def sign(self, kind: str, message: Mapping[str, Any], *keys: Key) -> list[bytes]:
        """In its own domain."""
        digest = keccak(b"\x19\x01" + self.contract.separator + hash_of(kind, message))
        return [key.sign(digest) for key in keys]

    def live(self, grant: bytes, chain: Sequence[Mapping[str, Any]] = ()) -> bool:
        answer: bool = self.call("isLive", grant, list(chain))
        return answer

    def uses(self, grant: bytes) -> int:
        word, _ = self.call("wordOf", grant)
        return int.from_bytes(word) >> 216 & 0xFFFFFFFF

    def adopted(self, grant: bytes) -> bool:
        _, adopted = self.call("wordOf", grant)
        return bool(adopted)

    def prolong(self, grant: bytes, *signers: Key, **members: Any) -> Receipt:
        """Signed by the steward of department 1 by default."""
        message = self.prolongation(grant, **members)
        keys = signers or (self.city.departments[1].steward,)
        return self.send("prolong", message, self.sign("Prolong", message, *keys))

    def prolongation(self, grant: bytes, **members: Any) -> dict[str, Any]:
        now = self.city.now
        return {
            "grant": grant,
            "expiry": now + 30 * 86_400,
            "maxUses": 200,
            "deadline": now + 3600,
            **members,
        }

    def revoke(self, grant: bytes, signer: Key) -> Receipt:
        message = {"grant": grant, "reason": 0, "deadline": self.city.now + 3600}
        return self.send("revoke", message, *self.sign("Revoke", message, signer))

    def use(self, grant: bytes, total: int, key: Key) -> Receipt:
        message = {"grant": grant, "total": total, "logHead": ZERO, "deadline": self.city.now + 3600}
        return self.send("use", message, *self.sign("Use", message, key))


class RebuiltSecond:
    """The storage according to the events."""

    GRANTS, BEGUN = 0, 1

    def __init__(self) -> None:
        self.grants: dict[bytes, int] = {}
        self.begun = False

    def apply(self, events: Iterable[Event], now: int) -> None:
        for event in events:
            a = event.args
            match event.name:
                case "Begun":
                    self.begun = True
                case "Adopted" | "Given":
                    self.grants[a["grant"]] = int.from_bytes(a["word"])
                case "Prolonged":
                    self._put(a["grant"], 144, 40, a["expiry"])
                    self._put(a["grant"], 184, 32, a["maxUses"])
                case "Recorded":
                    self._put(a["grant"], 216, 32, a["total"])
                case "Ended":
                    end = self.grants[a["grant"]] >> 144 & (1 << 40) - 1
                    self._put(a["grant"], 144, 40, min(end, now))
                    self._put(a["grant"], 0, 4, 2)

    def words(self) -> dict[int, int]:
        """Slot -> word."""
        return {at(grant, self.GRANTS): word for grant, word in self.grants.items()} | {
            self.BEGUN: int(self.begun)
        }

    def _put(self, grant: bytes, shift: int, bits: int, value: int) -> None:
        hole = ((1 << bits) - 1) << shift
        self.grants[grant] = self.grants[grant] & ~hole | value << shift
